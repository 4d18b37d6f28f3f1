"""Random numbers as a pure function of integers, the same in eager, graph and XLA mode and for any split into batches.

TensorFlow's stateless samplers return other numbers under XLA, and take one seed for a whole tensor. Here each row has its
own key, so the noise of a row does not depend on its batch, replica or request.

Generator: SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014). `fold` is one step
    of it from a key and an integer; the numbers of a row are the steps 0, 1, ... from its key.
"""

import math

import tensorflow as tf

from tfgen import fields

_GOLDEN = 0x9E3779B97F4A7C15


def key(seed: int | tf.Tensor) -> tf.Tensor:
    """The keys, uint64, of integer seeds of any shape."""
    return fold(tf.zeros([], tf.uint64), seed)


def keys(seeds: tf.Tensor) -> tf.Tensor:
    """The keys, uint64 [B], of integer seeds [B]; ValueError for another dtype or shape."""
    return key(fields.seeds().check(seeds))


def fold(keys: tf.Tensor, data: int | tf.Tensor) -> tf.Tensor:
    """New keys, uint64, from keys and integers, which are broadcast."""
    data = tf.bitcast(tf.cast(data, tf.int64), tf.uint64)
    return _mix(keys + (data + tf.constant(1, tf.uint64)) * tf.constant(_GOLDEN, tf.uint64))


def bits(keys: tf.Tensor, size: int) -> tf.Tensor:
    """64 random bits for each key and each of `size` numbers: uint64 [N] -> uint64 [N, size]."""
    return fold(keys[:, None], tf.range(size, dtype=tf.int64)[None, :])


def uniform(keys: tf.Tensor, size: int) -> tf.Tensor:
    """float32 [N, size] in (0, 1): the centres of 2**23 equal intervals, all exact in float32."""
    top = tf.cast(tf.bitcast(tf.bitwise.right_shift(bits(keys, size), tf.constant(41, tf.uint64)), tf.int64), tf.float32)
    return (top + 0.5) * 2.0**-23


def normal(keys: tf.Tensor, size: int) -> tf.Tensor:
    """float32 [N, size] from N(0, 1), by the inverse distribution function; at most 5.3 in absolute value."""
    return tf.math.ndtri(uniform(keys, size))


def truncated_normal(keys: tf.Tensor, size: int, limit: float | tf.Tensor) -> tf.Tensor:
    """float32 [N, size] from N(0, 1) under the condition |z| <= limit, as if larger numbers were drawn again.

    They come from the inverse distribution function of `uniform(keys, size)`, so a number changes smoothly with the limit,
    and with an infinite limit it is that of `normal`.

    Args:
        limit: positive, float or float32 [N].
    """
    limit = tf.reshape(tf.cast(limit, tf.float32), [-1, 1])
    share = tf.math.erf(limit / math.sqrt(2.0))  # of N(0, 1) within the limit
    drawn = tf.math.ndtri(0.5 + (uniform(keys, size) - 0.5) * share)
    return tf.clip_by_value(drawn, -limit, limit)  # against rounding


def symmetric(keys: tf.Tensor, size: int) -> tf.Tensor:
    """float32 [N, size], uniform in (-1, 1)."""
    return 2.0 * uniform(keys, size) - 1.0


def unit_uniform(keys: tf.Tensor, size: int) -> tf.Tensor:
    """float32 [N, size], uniform with mean 0 and variance 1: in (-sqrt 3, sqrt 3)."""
    return math.sqrt(3.0) * symmetric(keys, size)


DISTRIBUTIONS = {"normal": normal, "uniform": symmetric, "unit_uniform": unit_uniform}


def _mix(z):
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        z = tf.bitwise.bitwise_xor(z, tf.bitwise.right_shift(z, tf.constant(shift, tf.uint64)))
        z *= tf.constant(factor, tf.uint64)
    return tf.bitwise.bitwise_xor(z, tf.bitwise.right_shift(z, tf.constant(31, tf.uint64)))
