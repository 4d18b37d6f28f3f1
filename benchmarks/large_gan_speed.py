"""Time of a training step of StyleGAN, BigGAN and residual SNGAN beside PyTorch, and of what helps a discriminator.

    python -m benchmarks.large_gan_speed --out benchmarks/reproduce/large_gan_speed.json

Batches of 64 random images; only time is measured, in turns (see `benchmarks.turns`). A step is an update of the
discriminator, and where it is the generator's turn one of the generator.

    style, big, sngan        model.fit, 10 steps in a call, with input, averaged weights and checks of the images:
                             style-gan at 32x32x3 with 64 filters, and R1 in each step; biggan/mnist; sngan/cifar10 of
                             residual networks with 64 filters
    torch_MODEL_*            the same networks in PyTorch, without input pipeline and averaged weights, see
                             torch_large_gans.py in benchmarks/peers; __init__.py there says how to make its environment.
                             Left out if it did not run
    without_r1, lazy_r1      as style, without R1, and with R1 in every 16th step
    diff_augment             as sngan, with DiffAugment of all three kinds

Which way of PyTorch is the fastest is measured too, and ours is compared with that one.
"""

import contextlib

import numpy as np

import tfgen
from benchmarks.fit_overhead import STEPS, measure, prepare
from benchmarks.turns import Turns
from tfgen_trainers.train import STEPS_PER_CALL

LAZY, BATCH = 16, 64
_STYLE = {"image_shape": (32, 32, 3), "start_size": 4, "base_filters": 1024, "batch_size": BATCH}
# {way: (preset, its changes)}
WAYS = {
    "style": ("style-gan/mnist", _STYLE),
    "big": ("biggan/mnist", {"batch_size": BATCH}),
    "sngan": ("sngan/cifar10-paper", {"network_args": {}, "width": 64, "batch_size": BATCH}),
    "without_r1": ("style-gan/mnist", {**_STYLE, "penalty": None}),
    "lazy_r1": ("style-gan/mnist", {**_STYLE, "penalty_interval": LAZY}),
}
WAYS["diff_augment"] = (WAYS["sngan"][0], {**WAYS["sngan"][1], "discriminator_augmentation": "color,translation,cutout"})
MODELS = ("style", "big", "sngan")
GATES = {
    **{f"torch_over_{name}": (">=", 0.9) for name in MODELS},
    "diff_augment_over_sngan": ("<=", 1.1), "lazy_r1_over_without": ("<=", 1.1),
}  # fmt: skip


def source_for(shape):
    rng = np.random.default_rng(0)
    return tfgen.data.from_arrays(rng.integers(0, 256, (10_000, *shape), dtype="uint8"), rng.integers(0, 10, 10_000))


def main():
    turns = Turns(__doc__, rounds=5, steps=20)
    turns.parser.add_argument("--ways", default=",".join(WAYS), help="some of ours, with commas between (default: all)")
    args = turns.start(multiple_of=STEPS_PER_CALL)
    chosen = args.ways.split(",")
    if not set(chosen) <= set(WAYS):
        turns.parser.error(f"--ways must be of {', '.join(WAYS)}; received {args.ways}.")
    sources, presets = {}, {}
    for way in chosen:
        name, changes = WAYS[way]
        known = tfgen.presets.get(name).model.config_parameters()
        if "penalty_interval" in changes and "penalty_interval" not in known:
            turns.errors[way] = "the models have no setting penalty_interval"
            continue
        preset = tfgen.presets.get(name).override(changes)
        shape = tuple(preset.model_args["image_shape"])
        sources[shape] = sources.get(shape) or source_for(shape)
        STEPS[preset.name] = args.steps  # names that `prepare` knows
        run, presets[way] = prepare(preset, sources[shape], "fit"), preset
        turns.add(way, lambda run=run: measure(run, "fit"), 1e3 / args.steps)
    with contextlib.ExitStack() as stack:
        kinds = ("eager", "compile", "channels_last")
        asked = {f"{name}_{kind}": (args.steps, 1e3 / args.steps) for name in MODELS if name in presets for kind in kinds}
        if asked:
            turns.add_peer(stack, "torch_large_gans.py", asked)
        turns.take()
    results = {"ms_per_step": turns.medians()}
    for name in MODELS:
        best = turns.best([f"torch_{name}_{kind}" for kind in kinds])
        results[f"torch_over_{name}"], results[f"torch_best_of_{name}"] = turns.ratio(best, name), best
    results["diff_augment_over_sngan"] = turns.ratio("diff_augment", "sngan")
    results["lazy_r1_over_without"] = turns.ratio("lazy_r1", "without_r1")
    results["r1_over_without"] = turns.ratio("style", "without_r1")
    settings = {way: preset.config() for way, preset in presets.items()}
    turns.report("benchmarks.large_gan_speed", results, GATES, {"presets": settings, "lazy_interval": LAZY})


if __name__ == "__main__":
    main()
