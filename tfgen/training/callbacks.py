"""Callbacks for `fit`: stop when a loss is not finite, record the losses, draw sample grids."""

import contextlib
import json
import math
import pathlib
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from tfgen import progress, sampling
from tfgen.files import to_disk, write_whole
from tfgen.progress import duration
from tfgen.training.finite import TrainingDiverged, not_finite

ANNOUNCED_AFTER = 100  # steps


class StopOnNonFinite(keras.callbacks.Callback):
    """Raises `TrainingDiverged` at the end of a call in which a loss was not finite.

    The message names the step, the largest weight of each player before it, a variable that is not finite now, and the last
    good checkpoint.

    Example:
        >>> model = tfgen.models.VAE(image_shape=(8, 8, 1), hidden=(8,), latent_dim=2)
        >>> model.compile(keras.optimizers.SGD(1e30))
        >>> images = np.zeros([8, 8, 8, 1], "float32")
        >>> try:
        ...     history = model.fit(images, batch_size=2, verbose=0, callbacks=[tfgen.training.StopOnNonFinite()])
        ... except tfgen.training.TrainingDiverged:
        ...     print("diverged")
        diverged

    Args:
        checkpoints: None, or a `Checkpoints`.
    """

    def __init__(self, checkpoints: keras.callbacks.Callback | None = None):
        super().__init__()
        self.checkpoints = checkpoints

    def on_train_batch_end(self, batch, logs=None):
        if logs and not all(np.isfinite(float(v)) for v in logs.values()):
            step = int(self.model.bad_step.value.numpy())
            losses = ", ".join(f"{name} {float(value):g}" for name, value in logs.items())
            good = self.checkpoints.last_good() if self.checkpoints else "Last good checkpoint: none."
            raise TrainingDiverged(
                f"A loss was not finite at step {step} ({losses}). {self._culprit()}{good} "
                "A smaller learning rate or a penalty usually helps."
            )

    def _culprit(self):
        """Sentences about the weights, also before the step: a loss that is not finite makes all weights of the step NaN."""
        largest = self.model.largest_before_bad_step.numpy()
        names = list(self.model.players())
        before = ", ".join(f"{size:.3g} of the player {name!r}" for name, size in zip(names, largest, strict=True))
        worst = names[int(largest.argmax())]
        state = {key: v for key, v in self.model.state().items() if key.startswith("weights/")}
        now = not_finite(self.model, state, worst)
        return f"Before that step the largest weight was {before}. {f'Now {now}. ' if now else ''}"


class History(keras.callbacks.Callback):
    """Writes the mean losses of every epoch to TensorBoard and to `history.jsonl`, and reports the progress.

    Example:
        >>> model = tfgen.models.VAE(image_shape=(8, 8, 1), hidden=(8,), latent_dim=2)
        >>> model.compile()
        >>> history = tfgen.training.History(model, "run", total_steps=2)
        >>> losses = model.fit(np.zeros([4, 8, 8, 1], "float32"), batch_size=2, verbose=0, callbacks=[history])
        >>> sorted(json.loads(pathlib.Path("run/history.jsonl").read_text()))
        ['kl', 'loss', 'reconstruction', 'step']

    Args:
        model: the model that is trained (its `step` counts).
        directory: run folder; lines of an interrupted run after its last checkpoint are dropped. Damaged lines are dropped
            with a warning.
        total_steps: number of steps of the run, for the remaining time.
        report: function of a line of text; None: silent. After `ANNOUNCED_AFTER` steps a line says how long the run will
            take; others come at the ends of epochs, at most one in `tfgen.progress.EVERY` seconds, and of the run.
    """

    def __init__(
        self, model: keras.Model, directory: str | pathlib.Path, *, total_steps: int,
        report: Callable[[str], None] | None = None,
    ):  # fmt: skip
        super().__init__()
        self.source, self.total, self.report = model, total_steps, report
        self.path = pathlib.Path(directory) / "history.jsonl"
        step = int(model.step.value.numpy())
        kept = [line for line in read_history(self.path) if line["step"] <= step]
        content = "".join(json.dumps(line) + "\n" for line in kept).encode()
        if not self.path.exists() or self.path.read_bytes() != content:
            write_whole(self.path, content)
        self.writer = tf.summary.create_file_writer(str(pathlib.Path(directory) / "tensorboard"))
        self.first_step, self.announced, self.said = step, report is None, -float("inf")
        self.since: Any = None  # (step, time) of the end of the first call of the graph

    def on_train_batch_end(self, batch, logs=None):
        if self.since is None:  # the first call of the graph is mostly tracing
            self.since = int(self.source.step.value.numpy()), time.perf_counter()
        elif not self.announced and (step := int(self.source.step.value.numpy())) - self.first_step >= ANNOUNCED_AFTER:
            self.announced = True
            if step >= self.total:
                return
            _, left = self._rate_and_left(step)
            until = time.strftime("%H:%M" if left < 20 * 3600 else "%d %B %H:%M", time.localtime(time.time() + left))
            assert self.report is not None
            self.report(f"the {self.total - step:,} steps to go will take about {duration(left)}, until {until}")

    def _rate_and_left(self, step):
        """(steps per second as a text, seconds that the rest of the run will take)."""
        first, since = self.since
        per_step = (time.perf_counter() - since) / (step - first) if step > first else math.nan
        rate = f"{1 / per_step:.3g} steps/s" if per_step < 1 else f"{per_step:.3g} s/step"
        return rate, (self.total - step) * per_step

    def on_epoch_end(self, epoch, logs=None):
        step = int(self.source.step.value.numpy())
        logs = {name: float(value) for name, value in (logs or {}).items()}
        with self.writer.as_default(step=step):
            for name, value in logs.items():
                tf.summary.scalar(name, value)
        try:
            with self.path.open("a") as file:
                file.write(json.dumps({"step": step, **logs}) + "\n")
            to_disk(self.path)
        except OSError as error:
            raise OSError(error.errno, f"{self.path} could not be written: {error.strerror}") from error
        if self.report and (step == self.total or time.perf_counter() - self.said >= progress.EVERY):
            self.said = time.perf_counter()
            losses = "  ".join(f"{name} {value:.4g}" for name, value in logs.items())
            pace = ""
            if step > self.since[0]:
                rate, left = self._rate_and_left(step)
                pace = f"  {rate}" + (f", {duration(left)} left" if step < self.total else "")
            self.report(f"step {step}/{self.total}  {losses}{pace}")

    def on_train_end(self, logs=None):
        self.writer.flush()


def read_history(path):
    """The lines of a `history.jsonl` as dicts with an int `step`. Other lines are ignored; a warning has their numbers."""
    path = pathlib.Path(path)
    lines = []
    texts = path.read_text(errors="replace").split("\n") if path.exists() else []
    for number, text in enumerate(texts, 1):
        try:
            line = json.loads(text) if text else None
        except json.JSONDecodeError:
            line = text
        if isinstance(line, dict) and isinstance(line.get("step"), int):
            lines.append(line)
        elif line is not None:
            what = "incomplete, as an interrupted run leaves it" if number == len(texts) else "damaged"
            logging.warning("%s: line %d is %s and is ignored: %.60r", path, number, what, text)
    return lines


class SampleGrid(keras.callbacks.Callback):
    """Draws pictures of the model's outputs to `<directory>/step-<n>.png`, and to TensorBoard if a writer is given.

    It draws the grid of the model's first capability that has one (see `Capability.grid_of`): samples of the same seeds each
    time, or images of `examples` above their reconstructions or translations. For a model without a grid, such as a
    classifier, it draws nothing. Of translated clips it also writes animations, as GIF.

    Example:
        >>> model = tfgen.models.VAE(image_shape=(8, 8, 1), hidden=(8,), latent_dim=2)
        >>> model.compile()
        >>> grid = tfgen.training.SampleGrid(model, "samples", num=4)
        >>> losses = model.fit(np.zeros([4, 8, 8, 1], "float32"), batch_size=2, verbose=0, callbacks=[grid])
        >>> [path.name for path in pathlib.Path("samples").iterdir()]
        ['step-00000002.png']

    Args:
        model: the model; its averaged weights are used if it has them.
        directory: folder of the pictures.
        every_steps: a picture is drawn at the end of the first epoch after each multiple of this number of steps, and of the
            last epoch. A resumed run draws at the same steps as an uninterrupted one.
        num: approximate maximum number of images.
        examples: a batch as in training, for models with images as inputs; None: only samples can be drawn.
        writer: a `tf.summary` writer, or None.
    """

    def __init__(
        self, model: keras.Model, directory: str | pathlib.Path, *, every_steps: int = 1, num: int = 64,
        examples: dict | None = None, writer: tf.summary.SummaryWriter | None = None,
    ):  # fmt: skip
        super().__init__()
        self.source, self.directory, self.writer = model, pathlib.Path(directory), writer
        self.every_steps, self.num = every_steps, num
        self.examples = None if examples is None else model.as_batch(examples)

    def on_train_begin(self, logs=None):
        self.step = int(self.source.step.value.numpy())

    def on_epoch_end(self, epoch, logs=None):
        step = int(self.source.step.value.numpy())
        before, self.step = self.step, step
        if epoch + 1 != self.params.get("epochs") and step // self.every_steps == before // self.every_steps:
            return
        images = grid_of(self.source, self.num, self.examples)
        if images is None:
            return
        if not np.isfinite(images).all():
            logging.warning("No picture of step %d was drawn: the images are not finite.", step)
            return
        rows, columns, *shape = images.shape
        images = images.reshape(rows * columns, *shape)
        self.directory.mkdir(parents=True, exist_ok=True)
        sampling.save_png(self.directory / f"step-{step:08d}.png", images, columns)
        self._animate(step)
        if self.writer:
            with self.writer.as_default(step=step):
                tf.summary.image("samples", sampling.image_grid(images, columns)[None])


    def _animate(self, step):
        """Saves an animation of clips beside the picture."""
        with averaged_weights(self.source):
            found = (c.animation_of(self.source, self.num, self.examples) for c in self.source.capabilities())
            clips = next((clips for clips in found if clips is not None), None)
        if clips is None or clips.shape[-1] not in (1, 3) or not np.isfinite(clips).all():
            return
        _, columns, *shape = clips.shape
        path = self.directory / f"step-{step:08d}.gif"
        sampling.save_animation(path, clips.reshape(-1, *shape), columns=columns, scale=max(1, 128 // shape[1]))


def grid_of(model, num, examples=None):
    """The grid [rows, columns, H, W, C] in [0, 1] of the model's first capability that has one; None if none has.

    The model's averaged weights are used if it has them. For the arguments see `Capability.grid_of`.
    """
    with averaged_weights(model):
        grids = (capability.grid_of(model, num, examples) for capability in model.capabilities())
        return next((grid for grid in grids if grid is not None), None)


def averaged_weights(model):
    """A context in which the model has its averaged weights, if there are any."""
    return contextlib.nullcontext() if model.ema is None else model.ema.swapped()
