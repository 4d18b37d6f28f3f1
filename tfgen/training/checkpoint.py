"""Checkpoints from which training continues exactly."""

import json
import pathlib
import re

import keras
import tensorflow as tf

from tfgen.training.state import FORMAT, fixed_networks

_PREFIX = "variables/"
_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"  # of the names in TensorFlow's checkpoints


class Checkpoints(keras.callbacks.Callback):
    """Saves all of a model's training state; a callback for `fit`, or used on its own.

    The state is `model.state()`: weights, optimisers, averaged weights and the step. Noise and data order are
    functions of (seed, step), so nothing else is needed. TensorFlow writes a checkpoint under a temporary name and renames
    it before it is recorded in the index file, so the last recorded checkpoint is complete after an interruption at any
    moment.

    Args:
        model: a compiled `TrainableModel`.
        directory: folder of the checkpoints; made if missing.
        every_steps: `fit` saves at the end of the first epoch after so many steps, and at the end of the last one.
        keep: number of the newest checkpoints to keep.
    """

    def __init__(self, model: keras.Model, directory: str | pathlib.Path, *, every_steps: int = 1, keep: int = 2):
        super().__init__()
        self.source = model
        self.every_steps = every_steps
        self.variables = model.state()
        self.fixed = {name: network.fingerprint for name, network in fixed_networks(model).items()}
        variables = {k: v.value for k, v in self.variables.items()}
        fixed = {"fixed": tf.Variable(json.dumps(self.fixed))} if self.fixed else {}
        checkpoint = tf.train.Checkpoint(variables=variables, format=tf.Variable(FORMAT), **fixed)
        self.manager = tf.train.CheckpointManager(checkpoint, str(directory), max_to_keep=keep)

    @property
    def latest(self) -> str | None:
        """Path prefix of the newest complete checkpoint, or None."""
        return self.manager.latest_checkpoint

    def save(self) -> str:
        """Saves now and returns the path prefix.

        Raises:
            OSError: writing failed (full disk, read-only folder); the message names the last good checkpoint.
            FloatingPointError: a weight is not finite; nothing is written.
        """
        if self.source.ema is not None:
            self.source.ema.check_not_swapped("A checkpoint")
        for variable in self.variables.values():
            if variable.dtype.startswith(("float", "bfloat")) and not bool(
                tf.reduce_all(tf.math.is_finite(tf.convert_to_tensor(variable.value)))
            ):
                raise FloatingPointError(f"Not saved: {variable.path} is not finite. Last good checkpoint: {self.latest}.")
        last = self.latest
        try:
            return self.manager.save(checkpoint_number=int(self.source.step.value.numpy()))
        except (tf.errors.OpError, OSError) as error:
            raise OSError(
                f"Checkpoint of step {int(self.source.step.value.numpy())} could not be written to "
                f"{self.manager.directory}: {error}. Last good checkpoint: {last}."
            ) from error

    def restore(self) -> int:
        """Restores the newest checkpoint and returns its step, or 0 if there is no checkpoint.

        Raises:
            ValueError: the checkpoint has another format, or is of another model (names what is missing, unknown or has
                another shape), or of other fixed networks.
        """
        path = self.latest
        if path is None:
            return 0
        reader = tf.train.load_checkpoint(path)
        saved = reader.get_variable_to_shape_map()
        # The first format had no number.
        written = int(reader.get_tensor(f"format{_SUFFIX}")) if f"format{_SUFFIX}" in saved else 1
        if written != FORMAT:
            hint = "its variables are numbered, not named" if written == 1 else "a newer tfgen wrote it"
            raise ValueError(
                f"Checkpoint {path} has the format {written} ({hint}); this tfgen reads the format {FORMAT}. Train anew, or "
                "go on with the tfgen that wrote it."
            )
        fixed = json.loads(reader.get_tensor(f"fixed{_SUFFIX}")) if f"fixed{_SUFFIX}" in saved else {}
        for name in sorted({*fixed, *self.fixed}):
            if fixed.get(name) != self.fixed.get(name):
                raise ValueError(
                    f"Checkpoint {path} was trained with another {name}: its fingerprint is {fixed.get(name)}, that of the "
                    f"network here {self.fixed.get(name)}."
                )
        escaped = {_name(key): v for key, v in self.variables.items()}
        for name, variable in escaped.items():
            if name not in saved or tuple(saved[name]) != tuple(variable.shape):
                key = _key(name)
                raise ValueError(
                    f"Checkpoint {path} is of another model: {key} ({variable.path}) has shape "
                    f"{tuple(variable.shape)} here and {saved.get(name, 'does not exist')} there."
                )
        unknown = sorted(_key(name) for name in saved if name.startswith(_PREFIX) and name not in escaped)
        if unknown:
            raise ValueError(
                f"Checkpoint {path} is of another model: it has {', '.join(unknown[:3])} and {len(unknown)} such values in "
                "all, which this model has not (was it compiled with ema_decay then?)."
            )
        self.manager.checkpoint.restore(path).assert_consumed()
        return int(self.source.step.value.numpy())

    def on_train_begin(self, logs=None):
        self.saved_at = int(self.source.step.value.numpy())

    def on_epoch_end(self, epoch, logs=None):
        step = int(self.source.step.value.numpy())
        if epoch + 1 == self.params.get("epochs") or step - self.saved_at >= self.every_steps:
            self.save()
            self.saved_at = step


def _name(key):
    """The name in TensorFlow's checkpoint of a key in `model.state()`."""
    return f"{_PREFIX}{key.replace('.', '..').replace('/', '.S')}{_SUFFIX}"


def _key(name):
    """The key in `model.state()` of a name in TensorFlow's checkpoint."""
    return re.sub(r"\.([.S])", lambda found: {".": ".", "S": "/"}[found[1]], name[len(_PREFIX) : -len(_SUFFIX)])
