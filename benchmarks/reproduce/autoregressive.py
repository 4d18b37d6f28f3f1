"""One run of an autoregressive preset: its exact likelihood on the test split.

    python -m benchmarks.reproduce.autoregressive pixel_cnn_digits
    python -m benchmarks.reproduce.autoregressive gated_mnist --manual_dir FOLDER     of binarized_mnist_{train,valid,test}.*
    python -m benchmarks.reproduce.autoregressive pixel_cnn_pp_cifar10_jpeg --data folder:FOLDER     with train/ and test/

The number of steps is chosen on validation images, which are not in the training or test set. The weights that are best on
them (averaged if the preset averages) are kept and evaluated on the test split. A run also ends after a given number of
minutes.
"""

import argparse
import dataclasses
import math
import time

import keras
import numpy as np
import tensorflow as tf

import tfgen
from benchmarks.record import report
from benchmarks.reproduce.common import training_here
from benchmarks.zoo import keep
from tfgen.sampling import save_png
from tfgen.training.callbacks import averaged_weights, grid_of
from tfgen_trainers.first_steps import FirstSteps
from tfgen_trainers.train import STEPS_PER_CALL, TrainConfig, initialize, make_strategy, prepared

VALIDATION_BATCH = 500


@dataclasses.dataclass(frozen=True)
class Run:
    """The settings of a record.

    Attributes:
        preset: name of the preset.
        gates: {name of a result: bounds}, see `benchmarks.record.judged`.
        data: default of --data.
        paper: published numbers for comparison.
        beside: another preset, trained and measured in the same way; "difference" is the preset's bits per dimension minus
            those of `beside`.
        overrides: settings of the preset; `steps` is the largest number of steps.
        validation: number of validation images: the first of a shuffled split "valid" if the data have one, else taken from
            the train split.
        every: steps between validations; a multiple of `STEPS_PER_CALL`.
        minutes: training ends at the first validation after this time.
        mixed_precision: train in bfloat16; likelihoods are computed in float32 with the same weights.
        note: a text for the record.
    """

    preset: str
    gates: dict
    data: str
    paper: str | None = None
    beside: str | None = None
    overrides: dict = dataclasses.field(default_factory=dict)
    validation: int = 200
    every: int = 20
    minutes: float = 30.0
    mixed_precision: bool = False
    note: str = ""


def _digits(preset, highest, steps, **more):
    bounds = (">=", 1.5) if highest is None else (">=", 1.5, "<=", highest)
    gates = {"bits_per_dim": bounds, **more.pop("gates", {})}
    return Run(preset, gates, "digits", overrides={"steps": steps}, **more)


def _mnist(preset, highest, paper, steps=100_000, **more):
    gates = {"nats": (">=", 75.0)}
    if highest is not None:
        gates = {"nats": (">=", 75.0, "<=", highest), "train_seconds": ("<=", 1800.0)}
    overrides = {"binarization": None, "steps": steps}  # the files are binarised
    return Run(preset, gates, "binarized_mnist", paper, overrides=overrides, validation=2000, every=500, **more)


# A result below the lower bound of a gate would mean that the network sees the pixels that it predicts.
RUNS = {
    "pixel_cnn_digits": _digits("pixel-cnn/digits", 1.95, 2000),
    "gated_digits": _digits("gated-pixel-cnn/digits", 1.95, 1000),
    "gated_classes_digits": _digits("gated-pixel-cnn/digits-classes", 1.95, 1000, beside="gated-pixel-cnn/digits",
                                    gates={"difference": ("<=", -0.03)}),
    "pixel_cnn_pp_digits": _digits("pixel-cnn-pp/digits", 1.97, 2000),
    "pixel_rnn_digits": _digits("pixel-rnn/digits", 2.05, 1500),
    "pixel_rnn_row_digits": _digits("pixel-rnn/digits-row", 2.05, 1500),
    "multi_scale_digits": _digits("multi-scale-pixel-rnn/digits", None, 1500, beside="pixel-rnn/digits",
                                  gates={"difference": ("<=", 0.05)}),
    "pixel_cnn_mnist": _mnist("pixel-cnn/mnist", 86.0, "81.30 nats (arXiv:1601.06759, table 4)", steps=21_000,
                              mixed_precision=True),
    "gated_mnist": _mnist("gated-pixel-cnn/mnist", 86.0, "81.30 nats of PixelCNN (arXiv:1601.06759, table 4)",
                          steps=13_000, mixed_precision=True),
    "pixel_rnn_mnist": _mnist("pixel-rnn/mnist", None, "79.20 nats (arXiv:1601.06759, table 4)"),
    "pixel_cnn_pp_cifar10_jpeg": Run(
        "pixel-cnn-pp/cifar10", {"bits_per_dim": (">=", 1.5, "<=", 6.5)}, "folder:runs/cifar10-jpg",
        "2.92 bits/dim on the original images (arXiv:1701.05517, table 1)", overrides={"steps": 100_000}, validation=1000,
        every=200, note="JPEG copies of CIFAR-10, quality 75: easier to predict, not to be compared with the published",
    ),
}  # fmt: skip


class KeepBest(keras.callbacks.Callback):
    """Evaluates the weights on `validation` at the end of each epoch; `put_back` sets the model to the best weights."""

    def __init__(self, validation, minutes):
        super().__init__()
        self.validation, self.minutes = validation, minutes
        self.history, self.best = [], None  # [(step, bits per dimension)]; the best weights

    def on_train_begin(self, logs=None):
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        step = int(self.model.step.value.numpy())
        with averaged_weights(self.model):
            bits = float(np.mean(bits_per_dim(self.model, self.validation)))
            if not self.history or bits < min(value for _, value in self.history):
                self.best = [variable.numpy() for variable in weights(self.model)]
        self.history.append((step, bits))
        seconds = time.perf_counter() - self.started
        losses = "  ".join(f"{name} {float(value):.4g}" for name, value in logs.items())
        print(f"step {step}  {losses}  validation {bits:.4f}  {seconds:.0f} s", flush=True)
        self.model.stop_training = seconds > 60.0 * self.minutes or not math.isfinite(bits)

    def put_back(self):
        for variable, value in zip(weights(self.model), self.best, strict=True):
            variable.assign(value)


def weights(model):
    return model.players()["model"].averaged_variables


def bits_per_dim(model, source):
    """Bits per dimension of every image, [N]."""
    if not hasattr(model, "_bits_of_batch"):
        conditions = model.conditions_of
        found = tf.function(lambda batch: model.bits_per_dim(batch["image"], **conditions(batch)), reduce_retracing=True)
        object.__setattr__(model, "_bits_of_batch", found)
    return np.concatenate([model._bits_of_batch(batch) for batch in source.batches(VALIDATION_BATCH)])


def split_validation(train, num, data, manual_dir):
    """(train, validation)."""
    try:
        valid = tfgen.data.load(data, "valid", manual_dir=manual_dir)
    except ValueError:
        order = np.random.default_rng(0).permutation(len(train))
        return train.subset(np.sort(order[num:])), train.subset(np.sort(order[:num]))
    return train, valid.subset(np.random.default_rng(0).permutation(len(valid))[:num])


def marginal_bits_per_dim(train, test):
    """Bits per dimension of independent pixels, each with its histogram in the train split (plus one image of each
    level).
    """
    levels = train.levels

    def of(source):
        return np.round(source.images() * (levels - 1)).astype(np.int32).reshape(len(source), -1)

    seen, wanted, total = of(train), of(test), 0.0
    for pixel in range(seen.shape[1]):
        counts = np.bincount(seen[:, pixel], minlength=levels) + 1
        total -= np.log2(counts[wanted[:, pixel]] / counts.sum()).mean()
    return total / seen.shape[1]


def fit(config, train, validation, minutes):
    """Trains a preset, with a validation every `config.log_every` steps: (the model with the best weights, results, the
    first steps).
    """
    preset, every = config.resolve(), config.log_every
    with make_strategy().scope():
        model, batches_from = prepared(config, train)
        initialize(model, config, train)
    model.steps_per_execution = STEPS_PER_CALL
    keep, first = KeepBest(validation, minutes), FirstSteps(model)
    started = time.perf_counter()
    model.fit(batches_from(0), epochs=-(-preset.steps // every), steps_per_epoch=every, verbose=0, callbacks=[keep, first])
    seconds = time.perf_counter() - started
    keep.put_back()
    step, best = min(keep.history, key=lambda at: at[1])
    return model, {
        "train_seconds": seconds, "steps": keep.history[-1][0], "best_step": step, "validation_bits_per_dim": best,
        "parameters": model.count_params(), "validations": [[step, round(bits, 4)] for step, bits in keep.history],
    }, first.found  # fmt: skip


def measure(preset, run, seed, train, validation, test, data):
    """Trains and evaluates a run: (the model, its results, what a record says of the training)."""
    config = TrainConfig(
        preset=preset, overrides=run.overrides, seed=seed, mixed_precision=run.mixed_precision, log_every=run.every
    )
    training = training_here(
        config, train, "benchmarks.reproduce.autoregressive", spec=data, split="train", validation=run.validation
    )
    model, results, training["first_steps"] = fit(config, train, validation, run.minutes)
    if run.mixed_precision:
        trained, model = model, dataclasses.replace(config, mixed_precision=False).model()
        for variable, value in zip(weights(model), weights(trained), strict=True):
            variable.assign(value)
    bits = bits_per_dim(model, test)
    train_bits = bits_per_dim(model, train.take(min(len(train), len(test))))
    to_nats = math.log(2.0) * math.prod(model.image_shape)
    results = {
        "bits_per_dim": float(bits.mean()), "standard_error": float(bits.std() / math.sqrt(len(bits))),
        "nats": float(bits.mean()) * to_nats, "train_bits_per_dim": float(train_bits.mean()), **results,
    }  # fmt: skip
    return model, results, training


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=RUNS)
    parser.add_argument("--out", help="the record; default benchmarks/reproduce/NAME.json")
    parser.add_argument("--data", help="data set, see tfgen.data.load")
    parser.add_argument("--manual_dir", help="folder with the original files of the data set, offline")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, help="limit of training")
    parser.add_argument("--picture", action="store_true", help="save 100 samples as docs/images/NAME.png")
    args = parser.parse_args()
    run, started = RUNS[args.name], time.perf_counter()
    run = run if args.minutes is None else dataclasses.replace(run, minutes=args.minutes)
    data = args.data or run.data
    whole, test = (tfgen.data.load(data, split, manual_dir=args.manual_dir) for split in ("train", "test"))
    train, validation = split_validation(whole, run.validation, data, args.manual_dir)
    model, results, training = measure(run.preset, run, args.seed, train, validation, test, data)
    preset, trainings = tfgen.presets.get(run.preset).override(run.overrides), {run.preset: training}
    results |= {"uniform_bits_per_dim": math.log2(test.levels), "marginal_bits_per_dim": marginal_bits_per_dim(train, test)}
    if run.beside:
        _, other, trainings[run.beside] = measure(run.beside, run, args.seed, train, validation, test, data)
        results |= {"difference": results["bits_per_dim"] - other["bits_per_dim"], "beside": {"preset": run.beside, **other}}
    report(
        args.out or f"benchmarks/reproduce/{args.name}.json", "benchmarks.reproduce.autoregressive",
        seed=args.seed,
        protocol={
            "preset": preset.config(), "train": f"{train.name} {train.split}", "n_train": len(train),
            "validation": f"{validation.name} {validation.split}, not trained on", "n_validation": len(validation),
            "test": f"{test.name} {test.split}", "n_test": len(test), "test_fingerprint": test.fingerprint,
            "tuning": f"number of steps by the validation images, seen every {run.every} steps; the rest is the preset's",
            "weights": "raw" if model.ema is None else "ema", "minutes_at_most": run.minutes, "likelihood": "exact",
            "mixed_precision": run.mixed_precision,
            **({"note": run.note} if run.note else {}),
        },
        seconds=time.perf_counter() - started,
        results=results,
        gates=run.gates,
        trainings=trainings,
        paper=run.paper or preset.paper,
    )  # fmt: skip
    keep(args.out or f"benchmarks/reproduce/{args.name}.json", model, "bits_per_dim", training=trainings[run.preset],
         train=train, test=test, averaged=model.ema is not None)  # fmt: skip
    if args.picture:
        model.ema = None  # the best weights, averaged or not, are the model's own now
        samples, scale = grid_of(model, 100).reshape(100, *model.image_shape), max(1, 48 // test.image_shape[0])
        save_png(f"docs/images/{args.name}.png", samples, columns=10, scale=scale)


if __name__ == "__main__":
    main()
