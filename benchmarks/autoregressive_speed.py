"""Time of sampling and training of the autoregressive family, beside naive sampling, beside PyTorch, and by image size.

    python -m benchmarks.autoregressive_speed --out benchmarks/reproduce/autoregressive_speed.json

Only time is measured, in turns (see `benchmarks.turns`); weights and images are random.

    NAME_cached            16 images drawn by `model.sample`, with caches. NAME is pixel_cnn and gated (28x28, binary)
                           pixel_cnn_pp (32x32x3) and its trunk alone, six layers of both stacks at one resolution:
                           the presets and overrides named in the record
    NAME_cached_xla        the same function with XLA
    NAME_naive             a tf.function that calls the whole network, once for each pixel of 16 images: `--pixels` pixels
                           are measured, and the time is scaled to all pixels
    torch_NAME_naive       the same in PyTorch, eager mode
    size_N                 NAME_cached of gated at N x N pixels
    NAME_train             model.fit, as `tfgen train` runs it; _xla: with XLA. NAME is pixel_cnn, gated, or diagonal, the
                           Diagonal BiLSTM; batch 32, 28x28
    torch_NAME_train_*     the same step in PyTorch, eager or compiled: torch_autoregressive.py in benchmarks/peers;
                           see __init__.py there for its environment. Left out if it did not run
"""

import contextlib
import dataclasses

import numpy as np
import tensorflow as tf

import tfgen
from benchmarks.turns import Turns
from tfgen.sampling.cached import Whole
from tfgen_trainers.train import STEPS_PER_CALL

IMAGES, BATCH = 16, 32
PRESETS = {
    "pixel_cnn": "pixel-cnn/mnist", "gated": "gated-pixel-cnn/mnist", "diagonal": "pixel-rnn/mnist",
    "pixel_cnn_pp": "pixel-cnn-pp/cifar10", "pixel_cnn_pp_trunk": "pixel-cnn-pp/cifar10",
}  # fmt: skip
OVERRIDES = {"pixel_cnn_pp_trunk": {"halvings": 0, "resnets": 3}}
SAMPLED, TRAINED = ("pixel_cnn", "gated", "pixel_cnn_pp", "pixel_cnn_pp_trunk"), ("pixel_cnn", "gated", "diagonal")
PEERED = ("pixel_cnn", "gated", "diagonal")
SIZES = (16, 32, 64)
# A ratio is the time of the first way over the time of the second way.
GATES = {
    "pixel_cnn_naive_over_cached": (">=", 30.0), "gated_naive_over_cached": (">=", 30.0),
    "pixel_cnn_pp_trunk_naive_over_cached": (">=", 100.0), "pixel_64_over_16": ("<=", 1.3),
    "torch_over_diagonal_train": (">=", 1.3), "torch_over_pixel_cnn_train": (">=", 1.0),
    "torch_over_gated_train": (">=", 1.0),
}  # fmt: skip


def cached(model, jit_compile=False):
    function = tf.function(model.generate, jit_compile=True) if jit_compile else model.generate_function
    seeds = tf.range(IMAGES, dtype=tf.int64)
    return lambda: function(seeds).numpy()


def naive(model, pixels):
    """A function that draws the first `pixels` pixels of 16 images, with the whole network for each pass over a pixel."""
    likelihood, (height, width, channels) = model.likelihood, model.image_shape
    uniforms = tf.reshape(model.latents(tf.range(IMAGES, dtype=tf.int64)), [IMAGES, height, width, likelihood.num_uniforms])

    @tf.function
    def draw(levels, row, column, channel):
        parameters = tf.cast(model.network(model.prepare(levels), Whole()), tf.float32)[:, row, column]
        pixel = likelihood.draw(parameters, uniforms[:, row, column], levels[:, row, column], channel)
        here = (tf.range(height)[:, None] == row) & (tf.range(width) == column)
        return tf.where(here[None, :, :, None], pixel[:, None, None], levels)

    def run():
        levels = tf.zeros([IMAGES, height, width, channels])
        for i in range(pixels):
            for channel in range(likelihood.passes):
                levels = draw(levels, tf.constant(i // width), tf.constant(i % width), channel)
        return levels.numpy()

    return run


def training(preset, steps, jit_compile=False):
    settings = {**preset.compile_args, "jit_compile": jit_compile}
    model = dataclasses.replace(preset, compile_args=settings).build()
    model.steps_per_execution = STEPS_PER_CALL
    images = np.random.default_rng(0).integers(0, 2, (1000, *model.image_shape)).astype("float32")
    batches = tfgen.data.from_arrays(images, levels=2).batches(BATCH, shuffle=True, repeat=True)
    return lambda: model.fit(batches, steps_per_epoch=steps, verbose=0)


def sized(size):
    return tfgen.presets.get(PRESETS["gated"]).override({"image_shape": [size, size, 1]}).build()


def add_ours(turns, args):
    presets = {name: tfgen.presets.get(preset).override(OVERRIDES.get(name, {})) for name, preset in PRESETS.items()}
    for name in SAMPLED:
        model = presets[name].build()
        count = model.image_shape[0] * model.image_shape[1]
        pixels = min(args.pixels, count)
        turns.add(f"{name}_cached", cached(model))
        if not args.quick:
            turns.add(f"{name}_cached_xla", cached(model, jit_compile=True))
        turns.add(f"{name}_naive", naive(model, pixels), count / pixels)
    for size in SIZES[:2] if args.quick else SIZES:
        turns.add(f"size_{size}", cached(sized(size)))
    for name in TRAINED:
        turns.add(f"{name}_train", training(presets[name], args.steps), 1.0 / args.steps)
        if not args.quick:
            turns.add(f"{name}_train_xla", training(presets[name], args.steps, jit_compile=True), 1.0 / args.steps)


def questions(args):
    """{way of the peer: (steps, scale)}"""
    training = {
        f"{name}_{kind}": (args.steps, 1.0 / args.steps) for name in PEERED for kind in ("train_eager", "train_compile")
    }
    return training | {f"{name}_naive": (args.pixels, 28 * 28 / args.pixels) for name in PEERED if name in SAMPLED}


def ratios(turns):
    found = {}
    for name in SAMPLED:
        found[f"{name}_naive_over_cached"] = turns.ratio(f"{name}_naive", f"{name}_cached")
        found[f"{name}_cached_xla_over_cached"] = turns.ratio(f"{name}_cached_xla", f"{name}_cached")
        if name in PEERED:
            found[f"torch_{name}_naive_over_cached"] = turns.ratio(f"torch_{name}_naive", f"{name}_cached")
    smallest = SIZES[0]
    for size in SIZES[1:]:
        ratio = turns.ratio(f"size_{size}", f"size_{smallest}")
        found[f"pixel_{size}_over_{smallest}"] = ratio and ratio * (smallest / size) ** 2
    for name in TRAINED:
        found[f"{name}_train_xla_over_train"] = turns.ratio(f"{name}_train_xla", f"{name}_train")
        eager, compiled = (f"torch_{name}_train_{kind}" for kind in ("eager", "compile"))
        better = turns.best([eager, compiled])
        # The Diagonal BiLSTM is compared with PyTorch's eager loop; the others with PyTorch's faster way.
        found[f"torch_over_{name}_train"] = turns.ratio(eager if name == "diagonal" else better, f"{name}_train")
        found[f"torch_better_{name}"] = better
    return found


def main():
    turns = Turns(__doc__, rounds=5, steps=20)
    turns.parser.add_argument("--pixels", type=int, default=16, help="of naive sampling in a round")
    turns.parser.add_argument("--quick", action="store_true", help="a look: one round, without XLA and the largest size")
    args = turns.start(multiple_of=STEPS_PER_CALL)
    if args.pixels < 1:
        turns.parser.error("--pixels must be positive.")
    add_ours(turns, args)
    with contextlib.ExitStack() as stack:
        turns.add_peer(stack, "torch_autoregressive.py", questions(args))
        turns.take(1 if args.quick else None)
    protocol = {
        "presets": PRESETS, "overrides": OVERRIDES, "images": IMAGES, "batch": BATCH,
        "naive": f"the first {args.pixels} pixels, multiplied to the time of all",
        "seconds": "of 16 images, or of one training step",
    }  # fmt: skip
    results = {"seconds": turns.medians(), **ratios(turns)}
    turns.report("benchmarks.autoregressive_speed", results, GATES, protocol)


if __name__ == "__main__":
    main()
