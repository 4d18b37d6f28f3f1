"""Dropout and Gaussian noise as pure functions of keys (see `tfgen.random`): the same step draws the same noise.

Keras' layers draw noise from a state, so a resumed run, or the same batch on two replicas, gets different noise. Here each
row has a key, and its noise depends only on this key, not on the other rows.

Each noise layer of a network has a different `stream` number, and all layers get the keys of the network's call. Without
keys, as in sampling and evaluation, the layers are the identity:

    self.noises = [GaussianNoise(0.3, stream=0), Dropout(0.5, stream=1)]
    ...
    x = self.noises[0](x, keys)         # keys: uint64 [B] or None

In the adversarial family a `Discriminator` with `noisy` = True is called with `keys` in training. The training loop computes
them from (seed, step, row), with different keys for each pass: `AdversarialModel.discriminator_noise` returns them for
`discriminate`.
"""

import math

import keras
import tensorflow as tf

from tfgen import random


def dropout(x: tf.Tensor, keys: tf.Tensor, rate: float) -> tf.Tensor:
    """Sets each value to 0 with probability `rate` and divides the others by 1 - rate, so that the mean is kept.

    Example:
        >>> found = tfgen.layers.dropout(tf.ones([1, 1000]), tfgen.random.keys([0]), rate=0.75)
        >>> sorted(set(found.numpy().ravel().tolist()))
        [0.0, 4.0]

    Args:
        x: float [B, ...], all but B static.
        keys: uint64 [B].
        rate: in [0, 1).
    """
    kept = _rows(random.uniform, x, keys) >= rate  # [B, ...]
    return x * tf.cast(tf.where(kept, 1.0 / (1.0 - rate), 0.0), x.dtype)


def gaussian_noise(x: tf.Tensor, keys: tf.Tensor, stddev: float) -> tf.Tensor:
    """Adds N(0, stddev^2) to each value of x, float [B, ...] with all but B static; keys: uint64 [B].

    Example:
        >>> noise = tfgen.layers.gaussian_noise(tf.zeros([1, 10000]), tfgen.random.keys([0]), stddev=0.3)
        >>> round(float(tf.math.reduce_std(noise)), 1)
        0.3
    """
    return x + tf.cast(stddev * _rows(random.normal, x, keys), x.dtype)


class _Noise(keras.layers.Layer):
    """A layer that is the identity without keys.

    Args:
        stream: int, different for all layers that get the same keys; the noise is a function of key and stream.
    """

    def __init__(self, amount, *, stream, **kwargs):
        super().__init__(**kwargs)
        self.amount, self.stream = float(amount), int(stream)

    def call(self, x, keys=None):
        if keys is None or not self.amount:
            return x
        return self.apply_noise(x, random.fold(keys, self.stream))


@keras.saving.register_keras_serializable("tfgen")
class Dropout(_Noise):
    """`dropout` of `rate` in [0, 1). Called with x, float [B, ...], and keys, uint64 [B]; with None it returns x.

    Example:
        >>> layer = tfgen.layers.Dropout(0.5, stream=0)
        >>> found = layer(tf.ones([2, 1000]), tfgen.random.keys(tf.range(2)))
        >>> sorted(set(found.numpy().ravel().tolist()))
        [0.0, 2.0]
        >>> bool(tf.reduce_all(layer(tf.ones([2, 1000]), None) == 1.0))
        True
    """

    def __init__(self, rate: float, *, stream: int, **kwargs):
        if not 0.0 <= rate < 1.0:
            raise ValueError(f"rate must be in [0, 1); received {rate!r}.")
        super().__init__(rate, stream=stream, **kwargs)

    def apply_noise(self, x: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        return dropout(x, keys, self.amount)

    def get_config(self):
        return {**super().get_config(), "rate": self.amount, "stream": self.stream}


@keras.saving.register_keras_serializable("tfgen")
class GaussianNoise(_Noise):
    """`gaussian_noise` of `stddev` >= 0. Called with x, float [B, ...], and keys, uint64 [B]; with None it returns x.

    Example:
        >>> layer = tfgen.layers.GaussianNoise(0.1, stream=0)
        >>> found = layer(tf.zeros([1, 10000]), tfgen.random.keys(tf.range(1)))
        >>> round(float(tf.math.reduce_std(found)), 2)
        0.1
    """

    def __init__(self, stddev: float, *, stream: int, **kwargs):
        if not 0.0 <= stddev < math.inf:
            raise ValueError(f"stddev must be at least 0 and finite; received {stddev!r}.")
        super().__init__(stddev, stream=stream, **kwargs)

    def apply_noise(self, x: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        return gaussian_noise(x, keys, self.amount)

    def get_config(self):
        return {**super().get_config(), "stddev": self.amount, "stream": self.stream}


def _rows(distribution, x, keys):
    """float32 of the shape of x, row i drawn from keys[i]."""
    shape = x.shape[1:]
    if x.shape.rank is None or None in shape:
        raise ValueError(f"Noise needs inputs [batch, ...] with all axes but the first known; received shape {x.shape}.")
    return tf.reshape(distribution(keys, math.prod(shape)), [-1, *shape])
