"""Checkpoints from which training goes on as if it had never stopped."""

import keras
import tensorflow as tf

from tfgen.training.state import FORMAT


class Checkpoints(keras.callbacks.Callback):
    """Saves all of a model's training state; a callback for `fit`, or used on its own.

    The state is what `model.state()` names: weights, optimisers, averaged weights and the step. Noise and data order are
    functions of (seed, step), so nothing else is needed. TensorFlow writes a checkpoint under a temporary name and moves
    it into place before the index file names it: killed at any moment, the last recorded checkpoint is whole.

    Args:
        model: a compiled `TrainableModel`.
        directory: where checkpoints go; made if missing.
        every_steps: `fit` saves at the end of the first epoch after so many steps, and at the end of the last one.
        keep: how many of the newest are kept.
    """

    def __init__(self, model, directory, *, every_steps=1, keep=2):
        super().__init__()
        self.source = model
        self.every_steps = every_steps
        self.variables = model.state()
        variables = {k: v.value for k, v in self.variables.items()}
        checkpoint = tf.train.Checkpoint(variables=variables, format=tf.Variable(FORMAT))
        self.manager = tf.train.CheckpointManager(checkpoint, str(directory), max_to_keep=keep)

    @property
    def latest(self):
        """Path prefix of the newest whole checkpoint, or None."""
        return self.manager.latest_checkpoint

    def save(self):
        """Saves now; -> path prefix.

        Raises:
            OSError: nothing could be written (full disk, read-only folder); names the last good checkpoint.
            FloatingPointError: a weight is not finite; nothing is written.
        """
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

    def restore(self):
        """Restores the newest checkpoint; -> its step, or 0 where there is none.

        Raises:
            ValueError: the checkpoint has another format, or is of another model; names what is missing or has another
                shape.
        """
        path = self.latest
        if path is None:
            return 0
        reader, prefix, suffix = tf.train.load_checkpoint(path), "variables/", "/.ATTRIBUTES/VARIABLE_VALUE"
        saved = reader.get_variable_to_shape_map()
        # The first format had no number.
        written = int(reader.get_tensor(f"format{suffix}")) if f"format{suffix}" in saved else 1
        if written != FORMAT:
            hint = "its variables are numbered, not named" if written == 1 else "a newer tfgen wrote it"
            raise ValueError(
                f"Checkpoint {path} has the format {written} ({hint}); this tfgen reads the format {FORMAT}. Train anew, or "
                "go on with the tfgen that wrote it."
            )
        escaped = {prefix + key.replace("/", ".S") + suffix: v for key, v in self.variables.items()}
        for name, variable in escaped.items():
            if name not in saved or tuple(saved[name]) != tuple(variable.shape):
                key = name[len(prefix) : -len(suffix)].replace(".S", "/")
                raise ValueError(
                    f"Checkpoint {path} is of another model: {key} ({variable.path}) has shape "
                    f"{tuple(variable.shape)} here and {saved.get(name, 'does not exist')} there."
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
