"""Base of the distributions of this folder."""

import tensorflow as tf
from tensorflow_probability import distributions as tfd


class FixedEvent(tfd.Distribution):
    """A float32 distribution with a known event shape.

    Args:
        parameters: `dict(locals())` of the subclass's constructor; TensorFlow Probability copies distributions with it.
        event: the event shape.
        reparameterized: whether samples have gradients.
    """

    def __init__(self, parameters, name, *, event=(), reparameterized=False, validate_args=False):
        self._event = tf.TensorShape(event)
        kind = tfd.FULLY_REPARAMETERIZED if reparameterized else tfd.NOT_REPARAMETERIZED
        super().__init__(
            dtype=tf.float32, reparameterization_type=kind, validate_args=validate_args, allow_nan_stats=True,
            parameters=parameters, name=name,
        )  # fmt: skip

    def _event_shape(self):
        return self._event

    def _event_shape_tensor(self):
        return tf.constant(self._event.as_list(), tf.int32)
