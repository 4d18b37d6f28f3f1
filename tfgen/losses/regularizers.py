"""Regularisers: functions of a network's trainable variables -> scalar, added to that network's loss."""

import tensorflow as tf


def l2_regularizer(variables):
    """Half the sum of squares of the weights of rank 2 and more: its gradient is the weight itself."""
    kernels = [tf.convert_to_tensor(v) for v in variables if len(v.shape) > 1]
    return tf.add_n([tf.nn.l2_loss(tf.cast(k, tf.float32)) for k in kernels])


REGULARIZERS = {"l2": l2_regularizer}
