"""Overhead of Keras' `fit` over a bare loop with the same step, and the time of the input pipeline.

    python -m benchmarks.fit_overhead --out benchmarks/reproduce/fit_overhead.json

Images are random, of MNIST's shape, since only time is measured. The ways run in turns, so that other load on the machine
slows all of them alike. A ratio is the median over the rounds of the ratio within a round.

    bare            a Python loop that calls tf.function(model.train_step) on the next batch
    fit             model.fit, with 10 steps in a call, as `tfgen train` runs on one device
    fit_by_step     model.fit with Keras' default of one step in a call
    fit_mirrored    as `fit`, the model made under MirroredStrategy on one device: all the work of `tfgen train`
    input           only iterating over the batches
"""

import argparse
import statistics
import time

import keras
import numpy as np
import tensorflow as tf

import tfgen
from benchmarks.record import report
from tfgen_trainers.train import STEPS_PER_CALL, make_strategy

STEPS = {"vae/mnist": 600, "dcgan/mnist": 100}
GATES = {f"fit_over_bare_{name.partition('/')[0]}": ("<=", 1.05) for name in STEPS}
WAYS = ("bare", "fit", "fit_by_step", "fit_mirrored", "input")


def prepare(preset, source, way):
    """A function that runs `STEPS` steps of one way."""
    steps = STEPS[preset.name]
    batches = source.batches(preset.batch_size, shuffle=True, repeat=True, binarization=preset.binarization)
    if way == "input":
        iterator = iter(batches)
        return lambda: [next(iterator) for _ in range(steps)]
    keras.utils.set_random_seed(0)
    with make_strategy().scope() if way == "fit_mirrored" else tf.distribute.get_strategy().scope():
        model = preset.build()
    if way == "bare":
        iterator, step = iter(batches), tf.function(model.train_step)

        def run():
            for _ in range(steps):
                logs = step(next(iterator))
            return {name: float(value) for name, value in logs.items()}

        return run
    model.steps_per_execution = 1 if way == "fit_by_step" else STEPS_PER_CALL
    # One long call of fit in each round, as in a real run, so that the start of fit is not part of a step.
    return lambda: model.fit(batches, steps_per_epoch=steps, epochs=2, verbose=0, callbacks=[clock])


class Clock(keras.callbacks.Callback):
    """Times the second epoch: the first one includes tracing and filling the input buffers."""

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds = time.perf_counter() - self.started


clock = Clock()


def measure(run, way):
    started = time.perf_counter()
    run()
    return clock.seconds if way.startswith("fit") else time.perf_counter() - started


def summed(results):
    """The results for the gates."""
    return {f"fit_over_bare_{name.partition('/')[0]}": one["over_bare"]["fit"] for name, one in results.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    started, results = time.perf_counter(), {}
    rng = np.random.default_rng(0)
    source = tfgen.data.from_arrays(rng.integers(0, 256, (20_000, 28, 28, 1), dtype="uint8"), rng.integers(0, 10, 20_000))
    for name, steps in STEPS.items():
        preset = tfgen.presets.get(name)
        runs = {way: prepare(preset, source, way) for way in WAYS}
        for way, run in runs.items():
            measure(run, way)
        rounds = []
        for _ in range(args.rounds):
            rounds.append({way: measure(run, way) / steps for way, run in runs.items()})
        results[name] = {
            "ms_per_step": {way: 1e3 * statistics.median(r[way] for r in rounds) for way in WAYS},
            "over_bare": {way: statistics.median(r[way] / r["bare"] for r in rounds) for way in WAYS[1:]},
        }
        print(name, {way: round(v, 2) for way, v in results[name]["ms_per_step"].items()}, "ms a step")
        print(name, {way: round(v, 3) for way, v in results[name]["over_bare"].items()}, "of bare")
    report(
        args.out,
        "benchmarks.fit_overhead",
        seed=0,
        protocol={"steps": STEPS, "rounds": args.rounds, "statistic": "median"},
        seconds=time.perf_counter() - started,
        results={**summed(results), **results},
        gates=GATES,
    )


if __name__ == "__main__":
    main()
