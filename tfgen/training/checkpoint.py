"""Checkpoints from which training continues exactly."""

import json
import os
import pathlib
import re
import shutil
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from tfgen.files import to_disk, write_whole
from tfgen.training.callbacks import averaged_weights
from tfgen.training.finite import TrainingDiverged, not_finite, outputs_finite
from tfgen.training.state import FORMAT, fixed_networks

_PREFIX = "variables/"
_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"  # of the names in TensorFlow's checkpoints
_FIRST = ".first"  # a file that exists while the first checkpoint is written


class Checkpoints(keras.callbacks.Callback):
    """Saves all of a model's training state; a callback for `fit`, or used on its own.

    The state is `model.state()`: weights, optimisers, averaged weights and the step. Noise and data order are
    functions of (seed, step), so nothing else is needed.

    The index file `checkpoint` records the checkpoints. It is replaced, by one rename, when the files of a new checkpoint
    are complete and on the disk. The next `save` removes files that it does not record, which an interrupted process left.
    Only one process may save to a folder.

    Example:
        >>> model = tfgen.models.VAE(image_shape=(8, 8, 1), hidden=(8,), latent_dim=2)
        >>> model.compile()
        >>> checkpoints = tfgen.training.Checkpoints(model, "checkpoints")
        >>> images = np.zeros([4, 8, 8, 1], "float32")
        >>> history = model.fit(images, batch_size=2, verbose=0, callbacks=[checkpoints])
        >>> checkpoints.restore()  # the step
        2

    Args:
        model: a compiled `TrainableModel`.
        directory: folder of the checkpoints; made if missing.
        every_steps: `fit` saves at the end of the first epoch after this number of steps, and at the end of the last one.
        keep: number of the newest checkpoints to keep.
        examples: a batch as in training. A checkpoint is saved only if the losses of this batch are finite; None: only if
            samples are finite.
        report: function that takes a line of text, called if a damaged checkpoint is skipped; None: a warning is logged.

    Raises:
        ValueError: there are checkpoints in the folder, but no readable index.
    """

    def __init__(
        self, model: keras.Model, directory: str | os.PathLike, *, every_steps: int = 1, keep: int = 2,
        examples: dict | None = None, report: Callable[[str], None] | None = None,
    ):  # fmt: skip
        super().__init__()
        self.source, self.directory = model, pathlib.Path(directory)
        self.every_steps, self.keep = every_steps, keep
        self.examples = None if examples is None else model.as_batch(examples)
        self.report = report or logging.warning
        self.variables = model.state()
        self.fixed = {name: network.fingerprint for name, network in fixed_networks(model).items()}
        variables = {k: v.value for k, v in self.variables.items()}
        fixed = {"fixed": tf.Variable(json.dumps(self.fixed))} if self.fixed else {}
        self.checkpoint = tf.train.Checkpoint(variables=variables, format=tf.Variable(FORMAT), **fixed)
        self.recorded = self._read_index()

    @property
    def latest(self) -> str | None:
        """Path prefix of the newest checkpoint, or None."""
        return str(self.directory / self.recorded[-1]) if self.recorded else None

    def _read_index(self):
        """The names in the index file, oldest first."""
        index = self.directory / "checkpoint"
        text = index.read_text(errors="replace") if index.exists() else ""
        found = re.findall(r'^(all_)?model_checkpoint_paths?: "(?:.*/)?(ckpt-\d+)"$', text, re.MULTILINE)
        names, newest = [name for every, name in found if every], [name for every, name in found if not every]
        there = {found[1] for p in self.directory.glob("ckpt-*") if (found := re.fullmatch(r"(ckpt-\d+)\.index", p.name))}
        there = sorted(there, key=lambda name: int(name.removeprefix("ckpt-")))
        if names[-1:] == newest and (names or not there or (self.directory / _FIRST).exists()):
            return names
        raise ValueError(
            f"{index} is {'damaged' if index.exists() else 'missing'}, but there are the checkpoints {', '.join(there)}. "
            "Training would start again at step 0. Restore the file, or delete the checkpoints, or, to continue from "
            f'{there[-1]}, write the lines model_checkpoint_path: "{there[-1]}" and all_model_checkpoint_paths: '
            f'"{there[-1]}" to it.'
        )

    def save(self) -> str:
        """Saves now and returns the path prefix.

        Raises:
            OSError: writing failed (full disk, read-only folder); the message names the last good checkpoint.
            TrainingDiverged: a variable, a loss or a sample is not finite; nothing is written.
        """
        if self.source.ema is not None:
            self.source.ema.check_not_swapped("A checkpoint")
        step = int(self.source.step.value.numpy())
        bad = not_finite(self.source, self.variables)
        if not bad:
            with averaged_weights(self.source):
                bad = None if outputs_finite(self.source, self.examples) else "the weights are finite, the outputs are not"
        if bad:
            raise TrainingDiverged(f"Not saved at step {step}: {bad}. {self.last_good()}")
        name = f"ckpt-{step}"
        try:
            self.remove_leftovers()
            self.directory.mkdir(parents=True, exist_ok=True)
            if not self.recorded:
                (self.directory / _FIRST).touch()
            self.checkpoint.write(str(self.directory / name))
            for path in self.directory.glob(f"{name}.*"):
                to_disk(path)
            recorded = [*(one for one in self.recorded if one != name), name][-self.keep :]
            lines = [f'model_checkpoint_path: "{name}"', *(f'all_model_checkpoint_paths: "{one}"' for one in recorded)]
            write_whole(self.directory / "checkpoint", ("\n".join(lines) + "\n").encode())
        except (tf.errors.OpError, OSError) as error:
            self.remove_leftovers()
            raise OSError(
                f"Checkpoint of step {step} could not be written to {self.directory}: {error}. {self.last_good()}"
            ) from error
        self.recorded = recorded
        self.remove_leftovers()
        return str(self.directory / name)

    def last_good(self) -> str:
        """A sentence for error messages."""
        return f"Last good checkpoint: {self.latest or 'none'}."

    def remove_leftovers(self) -> None:
        """Removes files of checkpoints that the index does not record. Only for the process that saves."""
        for path in self.directory.glob("*"):
            ours = re.fullmatch(r"(ckpt-\d+)(_temp|\..*)", path.name)
            other = re.fullmatch(rf"checkpoint\.tmp.*|\.checkpoint\.\d+\.tmp|{re.escape(_FIRST)}", path.name)
            if other or (ours and (ours[1] not in self.recorded or ours[2] == "_temp" or "tempstate" in ours[2])):
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)

    def restore(self) -> int:
        """Restores the newest checkpoint that can be read and returns its step, or 0 if there is no checkpoint.

        Damaged checkpoints, and those with a missing file, are reported by name and skipped.

        Raises:
            ValueError: there are checkpoints, but none can be read; the checkpoint has another format, or is of another
                model (the message names variables that are missing, unknown or of another shape), or of other fixed
                networks.
        """
        problems = []
        for number in range(len(self.recorded), 0, -1):
            path = str(self.directory / self.recorded[number - 1])
            try:
                values = _read(path)
            except _Damaged as error:
                problems.append(str(error))
                continue
            self._check(path, values)
            for key, variable in self.variables.items():
                variable.assign(values[_name(key)])
            for problem in problems:
                self.report(f"{problem}: restored {path} instead")
            del self.recorded[number:]
            return int(self.source.step.value.numpy())
        if problems:
            raise ValueError(
                f"No checkpoint in {self.directory} can be read: {'; '.join(problems)}. Start a new run in another folder."
            )
        return 0

    def _check(self, path, values):
        # The first format had no number.
        written = int(values.get(f"format{_SUFFIX}", 1))
        if written != FORMAT:
            hint = "its variables are numbered, not named" if written == 1 else "a newer tfgen wrote it"
            raise ValueError(
                f"Checkpoint {path} has the format {written} ({hint}); this tfgen reads the format {FORMAT}. Start a new "
                "run, or continue with the version of tfgen that wrote it."
            )
        fixed = json.loads(values.get(f"fixed{_SUFFIX}", "{}"))
        for name in sorted({*fixed, *self.fixed}):
            if fixed.get(name) != self.fixed.get(name):
                raise ValueError(
                    f"Checkpoint {path} was trained with another {name}: its fingerprint is {fixed.get(name)}, that of the "
                    f"network here {self.fixed.get(name)}."
                )
        escaped = {_name(key): v for key, v in self.variables.items()}
        for name, variable in escaped.items():
            if name not in values or np.shape(values[name]) != tuple(variable.shape):
                found = f"has shape {tuple(np.shape(values[name]))}" if name in values else "does not exist"
                raise ValueError(
                    f"Checkpoint {path} is of another model: {_key(name)} ({variable.path}) {found} in it; the model needs "
                    f"shape {tuple(variable.shape)}."
                )
        unknown = sorted(_key(name) for name in values if name.startswith(_PREFIX) and name not in escaped)
        if unknown:
            raise ValueError(
                f"Checkpoint {path} is of another model: {len(unknown)} of its values are unknown to this model, such as "
                f"{', '.join(unknown[:3])} (was the saved model compiled with ema_decay?)."
            )

    def on_train_begin(self, logs=None):
        self.saved_at = int(self.source.step.value.numpy())

    def on_epoch_end(self, epoch, logs=None):
        step = int(self.source.step.value.numpy())
        if epoch + 1 == self.params.get("epochs") or step - self.saved_at >= self.every_steps:
            self.save()
            self.saved_at = step


class _Damaged(ValueError):
    """A checkpoint cannot be read; the message names the file."""


def _read(path):
    """{name in TensorFlow's checkpoint: value} of the checkpoint with the path prefix `path`."""
    index, data = f"{path}.index", f"{path}.data-00000-of-00001"
    for file in (index, data):
        if not pathlib.Path(file).exists():
            raise _Damaged(f"{file} is missing")
    file = index
    try:
        reader = tf.train.load_checkpoint(path)
        names = list(reader.get_variable_to_shape_map())
        file = data
        return {name: reader.get_tensor(name) for name in names}
    except Exception as error:  # the reader raises errors of many classes
        raise _Damaged(f"{file} is damaged ({(str(error) or type(error).__name__).splitlines()[0]})") from error


def _name(key):
    """The name in TensorFlow's checkpoint of a key in `model.state()`."""
    return f"{_PREFIX}{key.replace('.', '..').replace('/', '.S')}{_SUFFIX}"


def _key(name):
    """The key in `model.state()` of a name in TensorFlow's checkpoint."""
    return re.sub(r"\.([.S])", lambda found: {".": ".", "S": "/"}[found[1]], name[len(_PREFIX) : -len(_SUFFIX)])
