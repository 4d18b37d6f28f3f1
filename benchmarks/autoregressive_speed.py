"""What sampling and training of the autoregressive family cost, against naive sampling, against PyTorch, and by image size.

    python -m benchmarks.autoregressive_speed --out benchmarks/reproduce/autoregressive_speed.json

Only time is measured: weights are random, images too. Both libraries may use two threads. The ways take turns, round after
round, so that a busy machine slows all alike; ratios are medians over the rounds of the ratio within a round. Each way runs
once before the first round.

    NAME_cached            16 images with caches, as `model.sample` draws them. NAME is pixel_cnn and gated (28x28, binary)
                           pixel_cnn_pp (32x32x3) and its trunk alone, six layers of both streams at one resolution:
                           the presets and overrides named in the record
    NAME_cached_xla        the same function with XLA
    NAME_naive             a tf.function that calls the whole network, once for each pixel of 16 images: `--pixels` pixels
                           are measured, and their time is multiplied to that of all
    torch_NAME_naive       the same in PyTorch, eager
    size_N                 cached, gated at N x N
    NAME_train             model.fit, as `tfgen train` runs it; _xla: with XLA. NAME is pixel_cnn, gated, or diagonal, the
                           Diagonal BiLSTM; batch 32, 28x28
    torch_NAME_train_*     the same step in PyTorch, eager or compiled: torch_autoregressive.py in benchmarks/peers;
                           __init__.py there says how its environment is made. Left out where it did not run
    memory                 of a process of its own that samples 16 images of N x N: how much its peak rises meanwhile, in MiB
"""

import argparse
import contextlib
import dataclasses
import json
import resource
import statistics
import subprocess
import sys
import time

import keras
import numpy as np
import tensorflow as tf

import tfgen
from benchmarks.peers import Peer
from benchmarks.record import judged, module_command, record
from tfgen.sampling.cached import Whole
from trainers.train import STEPS_PER_CALL

THREADS, IMAGES, BATCH = 2, 16, 32
PRESETS = {
    "pixel_cnn": "pixel-cnn/mnist", "gated": "gated-pixel-cnn/mnist", "diagonal": "pixel-rnn/mnist",
    "pixel_cnn_pp": "pixel-cnn-pp/cifar10", "pixel_cnn_pp_trunk": "pixel-cnn-pp/cifar10",
}  # fmt: skip
OVERRIDES = {"pixel_cnn_pp_trunk": {"halvings": 0, "resnets": 3}}
SAMPLED, TRAINED = ("pixel_cnn", "gated", "pixel_cnn_pp", "pixel_cnn_pp_trunk"), ("pixel_cnn", "gated", "diagonal")
PEERED = ("pixel_cnn", "gated", "diagonal")
SIZES = (16, 32, 64)
# A ratio below is of times: of what comes first over what comes second.
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
    """A function that draws the first `pixels` pixels of 16 images, the whole network for each, and each of its passes."""
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


def memory_of_sampling(size):
    """Of this process, which must not have sampled before: MiB by which its peak rises while it samples."""
    model = sized(size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cached(model)()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024.0


def memory(size):
    """`memory_of_sampling` of a new process."""
    command = [sys.executable, "-m", "benchmarks.autoregressive_speed", "--memory", str(size)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


class Ways:
    """Functions that are timed in turns; what fails once is left out from then on, and its error kept.

    `add(way, run, scale)`: the time of `run()` times `scale` is noted. `run` may answer the seconds itself.
    """

    def __init__(self):
        self.runs, self.errors = {}, {}

    def add(self, way, run, scale=1.0):
        self.runs[way] = run, scale

    def round(self):
        found = {}
        for way, (run, scale) in self.runs.items():
            if way in self.errors:
                continue
            try:
                started = time.perf_counter()
                answer = run()
                seconds = answer if isinstance(answer, float) else time.perf_counter() - started
                found[way] = seconds * scale
            except (RuntimeError, ValueError, NotImplementedError, tf.errors.OpError) as error:
                self.errors[way] = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"
            print(f"  {way:32} {found.get(way, 'failed')}", flush=True)
        return found


def ours(args):
    ways = Ways()
    presets = {name: tfgen.presets.get(preset).override(OVERRIDES.get(name, {})) for name, preset in PRESETS.items()}
    for name in SAMPLED:
        model = presets[name].build()
        count = model.image_shape[0] * model.image_shape[1]
        pixels = min(args.pixels, count)
        ways.add(f"{name}_cached", cached(model))
        if not args.quick:
            ways.add(f"{name}_cached_xla", cached(model, jit_compile=True))
        ways.add(f"{name}_naive", naive(model, pixels), count / pixels)
    for size in SIZES[:2] if args.quick else SIZES:
        ways.add(f"size_{size}", cached(sized(size)))
    for name in TRAINED:
        ways.add(f"{name}_train", training(presets[name], args.steps), 1.0 / args.steps)
        if not args.quick:
            ways.add(f"{name}_train_xla", training(presets[name], args.steps, jit_compile=True), 1.0 / args.steps)
    return ways


def theirs(ways, peer, args):
    def asked(way, steps):
        def run():
            answer = peer.ask(way=way, steps=steps)
            if "error" in answer:
                raise RuntimeError(answer["error"])
            return float(answer["seconds"])

        return run

    for name in PEERED:
        for kind in ("train_eager", "train_compile"):
            ways.add(f"torch_{name}_{kind}", asked(f"{name}_{kind}", args.steps), 1.0 / args.steps)
    for name in set(PEERED) & set(SAMPLED):
        ways.add(f"torch_{name}_naive", asked(f"{name}_naive", args.pixels), 28 * 28 / args.pixels)


def summary(rounds):
    """(median seconds of each way, {name: ratio})"""
    medians = {way: statistics.median([r[way] for r in rounds if way in r]) for way in {w: 0 for r in rounds for w in r}}

    def ratio(over, under):
        values = [r[over] / r[under] for r in rounds if over in r and under in r]
        return statistics.median(values) if values else None

    ratios = {}
    for name in SAMPLED:
        ratios[f"{name}_naive_over_cached"] = ratio(f"{name}_naive", f"{name}_cached")
        ratios[f"{name}_cached_xla_over_cached"] = ratio(f"{name}_cached_xla", f"{name}_cached")
        if name in PEERED:
            ratios[f"torch_{name}_naive_over_cached"] = ratio(f"torch_{name}_naive", f"{name}_cached")
    smallest = SIZES[0]
    for size in SIZES[1:]:
        found = ratio(f"size_{size}", f"size_{smallest}")
        ratios[f"pixel_{size}_over_{smallest}"] = found and found * (smallest / size) ** 2
    for name in TRAINED:
        ratios[f"{name}_train_xla_over_train"] = ratio(f"{name}_train_xla", f"{name}_train")
        kinds = [f"torch_{name}_train_{kind}" for kind in ("eager", "compile")]
        better = min((kind for kind in kinds if kind in medians), key=medians.get, default=None)
        # The Diagonal BiLSTM is held against the loop as it is written; the others against the better of the two.
        ratios[f"torch_over_{name}_train"] = ratio(kinds[0] if name == "diagonal" else better, f"{name}_train")
        ratios[f"torch_better_{name}"] = better
    return medians, ratios


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20, help="of training in a round")
    parser.add_argument("--pixels", type=int, default=16, help="of naive sampling in a round")
    parser.add_argument("--quick", action="store_true", help="a look: one round, without XLA, the largest size and memory")
    parser.add_argument("--torch_python", default=".venv-torch/bin/python", help="of the environment that has PyTorch")
    parser.add_argument("--memory", type=int, help=argparse.SUPPRESS)  # in a process of its own: see `memory`
    args = parser.parse_args()
    if args.memory:
        print(json.dumps(memory_of_sampling(args.memory)))
        return
    if min(args.rounds, args.pixels) < 1 or args.steps < STEPS_PER_CALL or args.steps % STEPS_PER_CALL:
        parser.error(f"--rounds and --pixels must be positive and --steps a multiple of {STEPS_PER_CALL}.")
    started = time.perf_counter()
    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    tf.config.threading.set_inter_op_parallelism_threads(THREADS)
    keras.utils.set_random_seed(0)
    rounds = 1 if args.quick else args.rounds
    ways = ours(args)
    with contextlib.ExitStack() as stack:
        about = None
        try:
            peer = stack.enter_context(Peer(args.torch_python, "torch_autoregressive.py", THREADS))
            about = {key: value for key, value in peer.about.items() if key != "ways"}
            theirs(ways, peer, args)
        except RuntimeError as error:
            ways.errors["torch"] = str(error)
        measured = []
        for i in range(rounds + 1):  # the first warms up
            print(f"round {i} of {rounds}", flush=True)
            measured.append(ways.round())
    medians, ratios = summary(measured[1:])
    peaks = {} if args.quick else {str(size): memory(size) for size in SIZES}
    results = {"seconds": medians, **ratios, "memory_mib": peaks, "errors": ways.errors}
    verdict = judged(results, GATES)
    for name, value in results.items():
        gate = f"   gate {verdict['gates'][name]}: {verdict['passed'][name]}" if name in GATES else ""
        print(f"{name:36} {value}{gate}" if name != "seconds" else "")
    if args.out:
        record(
            args.out,
            command=module_command("benchmarks.autoregressive_speed"),
            seed=0,
            protocol={
                "presets": PRESETS, "overrides": OVERRIDES,
                "images": IMAGES, "batch": BATCH, "steps": args.steps, "rounds": rounds,
                "naive": f"the first {args.pixels} pixels, multiplied to the time of all",
                "seconds": "of 16 images, or of one training step; median over rounds, ratios within a round",
                "memory": "rise of the peak resident size over that of the process with its model built",
                "threads": {"tensorflow_intra_op": THREADS, "tensorflow_inter_op": THREADS, "torch": THREADS},
            },
            seconds=time.perf_counter() - started,
            results=results,
            **verdict,
            peer=about,
        )  # fmt: skip


if __name__ == "__main__":
    main()
