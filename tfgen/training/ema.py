"""Exponential moving average of weights."""

import contextlib

import keras
import tensorflow as tf


class EMA:
    """Keeps a slowly moving copy ("shadow") of variables: shadow <- d * shadow + (1 - d) * variable.

    d = min(decay, (1 + t) / (10 + t)) at step t, so that a short run is not ruled by its first weights.

    Args:
        variables: float `keras.Variable`s.
        decay: in [0, 1). ProGAN's half-life form: 0.5 ** (batch_size / images until half the weight is gone).
    """

    def __init__(self, variables, decay):
        if not 0.0 <= decay < 1.0:
            raise ValueError(f"ema_decay must be in [0, 1); received {decay!r}.")
        self.decay = float(decay)
        self.variables = list(variables)
        self.shadows = [
            keras.Variable(
                keras.ops.convert_to_numpy(v), dtype=v.dtype, trainable=False, name=f"ema_{i}",
                aggregation="only_first_replica",
            )
            for i, v in enumerate(self.variables)
        ]  # fmt: skip
        self._swapped = False

    def update(self, step):
        """One step; `step` is the number of updates so far. Runs inside the training graph."""
        t = tf.cast(tf.convert_to_tensor(step), tf.float32)
        decay = tf.minimum(self.decay, (1.0 + t) / (10.0 + t))
        for shadow, variable in zip(self.shadows, self.variables, strict=True):
            shadow.assign_add((1.0 - decay) * (tf.convert_to_tensor(variable) - tf.convert_to_tensor(shadow)))

    def swap(self):
        """Exchanges shadows and variables; a second call exchanges them back."""
        for shadow, variable in zip(self.shadows, self.variables, strict=True):
            live = keras.ops.convert_to_numpy(variable)
            variable.assign(keras.ops.convert_to_numpy(shadow))
            shadow.assign(live)
        self._swapped = not self._swapped

    @contextlib.contextmanager
    def swapped(self):
        """Within the block the model has the averaged weights; afterwards its own again, whatever happened."""
        if self._swapped:
            raise RuntimeError("The averaged weights are already in the model: swapped() must not be nested.")
        self.swap()
        try:
            yield
        finally:
            self.swap()
