"""ln(1 - exp(-x)) with gradients."""

import math

import tensorflow as tf


def log1mexp(x):
    """ln(1 - exp(-x)) of a float tensor x > 0: values as those of `tfp.math.log1mexp`, gradient 1 / (exp(x) - 1) for all x.

    The gradient of `tfp.math.log1mexp` is NaN below 3e-8, where exp(-x) rounds to 1: `tf.where` multiplies the infinite
    gradient of the branch that is not taken by 0.
    """
    x = tf.convert_to_tensor(x)
    small = x < math.log(2.0)
    one = tf.ones_like(x)
    below, above = tf.where(small, x, one), tf.where(small, one, x)
    return tf.where(small, tf.math.log(-tf.math.expm1(-below)), tf.math.log1p(-tf.exp(-above)))
