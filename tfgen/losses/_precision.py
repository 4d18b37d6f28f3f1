"""The precision in which losses are summed."""

import tensorflow as tf


def at_least_float32(values):
    """`values` as a tensor, float64 or float32: in a half precision, sums over a batch would lose most digits."""
    values = tf.convert_to_tensor(values)
    return values if values.dtype == tf.float64 else tf.cast(values, tf.float32)
