"""Training steps per second of five models on a GPU: in float32 and bfloat16, without and with XLA, and beside PyTorch.

    python -m benchmarks.gpu --out gpu.json
    python -m benchmarks.gpu --tiny --steps 10 --rounds 1         tiny networks, to try it on a CPU

DCGAN, SNGAN of residual networks, StyleGAN at 32x32, Gated PixelCNN and DRAW, in the sizes of the benchmarks that time them
on a CPU, on random images. Only time is measured, in turns (see `benchmarks.turns`).

    MODEL_float32, MODEL_bfloat16              model.fit on the first GPU, 10 steps in a call, with its input, averaged
                                               weights, checks of the images and mean losses
    MODEL_float32_xla, MODEL_bfloat16_xla      the same, with the steps compiled by XLA
    torch_*                                    the same networks in PyTorch on the same GPU, without input pipeline; those
                                               with @bfloat16 under torch.autocast. See `benchmarks.peers` for the
                                               environment, here with a build of PyTorch for the GPU. Left out if it did
                                               not run, and with --tiny

There are no gates: it was not run on a GPU yet. `make bench` leaves it out.
"""

import contextlib
import os

import keras
import numpy as np
import tensorflow as tf

import tfgen
from benchmarks import large_gan_speed, turns
from benchmarks.fit_overhead import clock, measure
from tfgen_trainers.train import STEPS_PER_CALL

# {model: (preset, its changes, changes for --tiny, script of the peer, its ways)}
MODELS = {
    "dcgan": ("dcgan/mnist", {}, {"width": 4, "dense_width": 8}, "torch_gan.py", ("eager", "compile", "channels_last")),
    "sngan": (*large_gan_speed.WAYS["sngan"], {"width": 4}, "torch_large_gans.py",
              ("sngan_eager", "sngan_compile", "sngan_channels_last")),
    "style_gan": (*large_gan_speed.WAYS["style"], {"base_filters": 64, "max_filters": 4, "latent_dim": 4, "w_size": 4},
                  "torch_large_gans.py", ("style_eager", "style_compile", "style_channels_last")),
    "gated_pixel_cnn": ("gated-pixel-cnn/mnist", {}, {"width": 2, "depth": 2}, "torch_autoregressive.py",
                        ("gated_train_eager", "gated_train_compile")),
    "draw": ("draw/mnist-attention", {}, {"glimpses": 2, "hidden": 8}, "torch_draw.py", ("eager_10", "compile_10")),
}  # fmt: skip
BINARY = ("gated_pixel_cnn", "draw")  # models of black and white
DTYPES = ("float32", "bfloat16")
TINY_BATCH = 4


def source_of(model, shape):
    """Random images, of black and white for models of these."""
    if model not in BINARY:
        return large_gan_speed.source_for(shape)
    pixels = np.random.default_rng(0).integers(0, 2, (10_000, *shape), dtype="uint8") * np.uint8(255)
    return tfgen.data.from_arrays(pixels, levels=2)


def preset_of(model, tiny=False):
    name, changes, small, *_ = MODELS[model]
    return tfgen.presets.get(name).override({**changes, **({**small, "batch_size": TINY_BATCH} if tiny else {})})


def prepare(preset, source, steps, dtype, xla):
    """A function that trains `2 * steps` steps; `clock` has the time of the second half."""
    keras.utils.set_random_seed(0)
    built = preset.override({"jit_compile": True}) if xla else preset
    model = built.build(**({} if dtype == "float32" else {"dtype": f"mixed_{dtype}"}))
    model.steps_per_execution = STEPS_PER_CALL
    batches = source.batches(preset.batch_size, shuffle=True, repeat=True, binarization=preset.binarization)
    return lambda: model.fit(batches, steps_per_epoch=steps, epochs=2, verbose=0, callbacks=[clock])


def summed(taken, models, torch_ways):
    """The results: steps per second, what bfloat16 and XLA gain, and how many times faster than PyTorch we are.

    Args:
        taken: a `benchmarks.turns.Turns` with times of a step in seconds.
        models: names in `MODELS`.
        torch_ways: {model: its ways of PyTorch}.
    """
    results = {"steps_per_second": {way: 1.0 / seconds for way, seconds in taken.medians().items()}}
    for model in models:
        for dtype in DTYPES:
            results[f"{model}_{dtype}_xla_gain"] = taken.ratio(f"{model}_{dtype}", f"{model}_{dtype}_xla")
        results[f"{model}_bfloat16_gain"] = taken.ratio(f"{model}_float32", f"{model}_bfloat16")
        ours = taken.best([f"{model}_{dtype}{xla}" for dtype in DTYPES for xla in ("", "_xla")])
        theirs = taken.best(torch_ways[model])
        results[f"{model}_best"], results[f"{model}_torch_best"] = ours, theirs
        results[f"{model}_torch_over_ours"] = taken.ratio(theirs, ours)
    return results


def main():
    gpus = tf.config.list_physical_devices("GPU")
    turns.THREADS = len(os.sched_getaffinity(0))  # the CPU only feeds the GPU
    taken = turns.Turns(__doc__, rounds=5, steps=100)
    taken.parser.add_argument("--models", default=",".join(MODELS), help="some of them, with commas between (default: all)")
    taken.parser.add_argument("--tiny", action="store_true", help="tiny networks, to try this script")
    args = taken.start(multiple_of=STEPS_PER_CALL)
    models = args.models.split(",")
    if not set(models) <= set(MODELS):
        taken.parser.error(f"--models must be of {', '.join(MODELS)}; received {args.models}.")
    presets, torch_ways, sources, scripts = {}, {model: [] for model in models}, {}, {}
    for model in models:
        preset = presets[model] = preset_of(model, args.tiny)
        shape = tuple(preset.model_args["image_shape"])
        kind = shape, model in BINARY
        source = sources[kind] = sources.get(kind) or source_of(model, shape)
        for dtype in DTYPES:
            for xla in (False, True):
                run = prepare(preset, source, args.steps, dtype, xla)
                taken.add(f"{model}_{dtype}{'_xla' if xla else ''}", lambda run=run: measure(run, "fit"), 1.0 / args.steps)
        script, ways = MODELS[model][3:]
        asked = [f"{way}{dtype}" for way in ways for dtype in ("", "@bfloat16")]
        torch_ways[model] = [f"torch_{way}" for way in asked]
        scripts.setdefault(script, {}).update({way: (args.steps, 1.0 / args.steps) for way in asked})
    os.environ["PEER_DEVICE"] = "cuda" if gpus else "cpu"
    with contextlib.ExitStack() as stack:
        for script, questions in scripts.items():
            if not args.tiny:
                taken.add_peer(stack, script, questions)
        taken.take()
    if failed := {way: error for way, error in taken.errors.items() if way != "torch"}:
        print(f"failed: {failed}")
    protocol = {
        "presets": {model: preset.config() for model, preset in presets.items()}, "tiny": args.tiny,
        "devices": [tf.config.experimental.get_device_details(one).get("device_name", one.name) for one in gpus] or ["CPU"],
    }  # fmt: skip
    taken.report("benchmarks.gpu", summed(taken, models, torch_ways), {}, protocol)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
