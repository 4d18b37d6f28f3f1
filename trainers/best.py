"""The best snapshot of a training by a metric of held-out images, which are a part of the training images.

<workdir>/best/                   the best snapshot, as in <workdir>/checkpoints
<workdir>/best/evaluations.json   {"metric", "held_out": images, "values": {step: value}} of all evaluations
<workdir>/best/classifier/        the classifier whose features the metrics of samples compare
"""

from __future__ import annotations

import json
import math
import pathlib
from collections.abc import Callable

import keras
import numpy as np

from tfgen.data import Source
from tfgen.files import remove_temporaries, write_whole
from tfgen.models.capabilities import CAPABILITIES, Sampler
from tfgen.training import Checkpoints
from tfgen.training.callbacks import averaged_weights

FOLDER, VALUES = "best", "evaluations.json"
SHARE, MOST = 0.1, 5000  # the part of the training images that is held out, and the most images of it
# {metric of samples: its value in `tfgen.metrics.Evaluator`}
OF_SAMPLES = {
    "kid": "kernel_distance_mean", "fid": "frechet_classifier_distance", "score": "classifier_score", "swd": "swd",
}  # fmt: skip
OF_MODEL = tuple(sorted({c.NUMBER for c in CAPABILITIES if c.NUMBER}))  # those of `model.evaluate`
HIGHER_IS_BETTER = ("score", "accuracy")


def check(metric: str, model_class: type) -> None:
    """Raises ValueError if there is no such metric, or models of the class do not have it."""
    if metric not in (*OF_SAMPLES, *OF_MODEL):
        raise ValueError(f"keep_best must be one of {', '.join((*OF_SAMPLES, *OF_MODEL))}; received {metric!r}.")
    can = [name for name in OF_SAMPLES if issubclass(model_class, Sampler)]
    can += sorted({c.NUMBER for c in CAPABILITIES if c.NUMBER and issubclass(model_class, c)})
    if metric not in can:
        known = ", ".join(can) or "none"
        raise ValueError(f"keep_best={metric!r} is no metric of a {model_class.__name__}; its metrics are: {known}.")


def check_fits(metric: str, model: keras.Model, source: Source) -> None:
    """Raises ValueError if the images do not fit the metric, or if no snapshot of the model but the last is complete."""
    from tfgen.metrics.evaluate import WITHOUT_FEATURES, check_applies

    if model.concluded_by_data:
        raise ValueError(f"keep_best={metric!r}: this {type(model).__name__} is complete only after its last step.")
    if metric in OF_SAMPLES:
        check_applies(metric, None, source.image_shape)
        if metric not in WITHOUT_FEATURES and not source.has_labels:
            raise ValueError(f"keep_best={metric!r} needs labels, for a classifier; {source.name} has none. Take swd.")


def split(source: Source, seed: int) -> tuple[Source, Source]:
    """(the images that are trained on, the images held out of them); which ones they are depends on `seed` alone."""
    order = np.random.default_rng([seed, 3]).permutation(source.num_examples)
    cut = min(MOST, max(2, round(SHARE * source.num_examples)))
    if source.num_examples < 2 * cut:
        raise ValueError(f"keep_best holds {cut} images out; {source.name} has only {source.num_examples}.")
    return source.subset(np.sort(order[cut:])), source.subset(np.sort(order[:cut]))


def measure(metric: str, train: Source, held_out: Source, preset, seed: int, folder: pathlib.Path) -> Callable:
    """A function of a model, with the weights that are measured, that returns the metric as a float.

    Args:
        metric: see `check`.
        train, held_out: of `split`.
        preset: the resolved preset, whose binarization and noise the images get.
        seed: of samples, subsets and the classifier.
        folder: where the classifier is kept.
    """
    if metric in OF_MODEL:
        noise = {"binarization": preset.binarization, "dequantize": preset.dequantize, "seed": seed}
        batches = held_out.batches(min(100, held_out.num_examples), **noise)

        def number(model):
            found = model.evaluate(batches, verbose=0, return_dict=True)
            if metric not in found:
                raise ValueError(f"keep_best={metric!r} has no value for these images; there are: {', '.join(found)}.")
            return float(found[metric])

        return number
    from tfgen import metrics
    from tfgen.metrics.evaluate import WITHOUT_FEATURES
    from tfgen.metrics.statistics import NotFinite

    extractor = None
    if metric not in WITHOUT_FEATURES:
        extractor = metrics.train_classifier(train, held_out, seed=seed, workdir=folder / "classifier")
    real = [metrics.imitated(images, preset.binarization) for images in (train, held_out)]
    evaluator = metrics.Evaluator(*real, extractor, metrics=[metric], reference="test", seed=seed)

    def value(model):
        generator = metrics.RunGenerator(model, use_ema=False, binarization=preset.binarization)
        try:
            found = evaluator.evaluate(metrics.Samples(generator, seed), held_out.num_examples, weights=generator.weights)
        except NotFinite:
            return math.nan
        return float(found.values[OF_SAMPLES[metric]])

    return value


class KeepBest(keras.callbacks.Callback):
    """Measures a model, and keeps a snapshot of it whenever it is better than at all steps before.

    It stands before the callback that saves checkpoints: what was lost by an interruption is then measured again. The
    values are written before the snapshot, and the snapshot takes its place by one rename, so a kill loses neither.

    Args:
        model: the model; its averaged weights are measured if it has them.
        workdir: the run folder.
        metric: its name.
        measure: function of the model -> float.
        every_steps: it is measured at the end of the first epoch after each multiple of this number of steps, and of the
            last one.
        held_out: number of images that `measure` uses, for the record.
        examples: a batch as in training, see `Checkpoints`.
        report: function of a line of text, or None.
    """

    def __init__(
        self, model: keras.Model, workdir: pathlib.Path, metric: str, measure: Callable, *, every_steps: int,
        held_out: int, examples: dict | None = None, report: Callable[[str], None] | None = None,
    ):  # fmt: skip
        super().__init__()
        self.source, self.metric, self.measure, self.every_steps = model, metric, measure, every_steps
        self.path, self.report = pathlib.Path(workdir) / FOLDER / VALUES, report or (lambda line: None)
        self.snapshots = Checkpoints(model, self.path.parent, keep=1, examples=examples)
        known = json.loads(self.path.read_text()) if self.path.exists() else {"metric": metric, "values": {}}
        self.content = {**known, "held_out": held_out}

    def best(self) -> float | None:
        """The value of the snapshot that is kept."""
        step = self.snapshots.recorded[-1].removeprefix("ckpt-") if self.snapshots.recorded else None
        return self.content["values"].get(step)

    def on_train_begin(self, logs=None):
        self.snapshots.remove_leftovers()  # of a process that was killed
        remove_temporaries(self.path)
        self.step = int(self.source.step.value.numpy())

    def on_epoch_end(self, epoch, logs=None):
        step = int(self.source.step.value.numpy())
        before, self.step = self.step, step
        if epoch + 1 != self.params.get("epochs") and step // self.every_steps == before // self.every_steps:
            return
        with averaged_weights(self.source):
            value = self.measure(self.source)
        if not math.isfinite(value):
            self.report(f"step {step}: {self.metric} is {value}, which is not kept")
            return
        best = self.best()
        self.content["values"][str(step)] = value
        write_whole(self.path, (json.dumps(self.content, indent=1) + "\n").encode())
        better = best is None or (value > best if self.metric in HIGHER_IS_BETTER else value < best)
        if better:
            self.snapshots.save()
        self.report(f"step {step}: {self.metric} {value:.4g} of held-out images" + (", the best so far" if better else ""))
