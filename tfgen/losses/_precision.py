"""The dtype in which losses are summed."""

import tensorflow as tf


def at_least_float32(values):
    """`values` as a float32 tensor, or float64 if they are float64. In half precision sums over a batch lose digits."""
    values = tf.convert_to_tensor(values)
    return values if values.dtype == tf.float64 else tf.cast(values, tf.float32)
