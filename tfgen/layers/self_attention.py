"""Self-attention on feature maps: the non-local block of SAGAN.

Zhang, Goodfellow, Metaxas, Odena, "Self-Attention Generative Adversarial Networks", ICML 2019, arXiv:1805.08318, section 3;
Wang, Girshick, Gupta, He, "Non-local Neural Networks", CVPR 2018, arXiv:1711.07971. With queries, keys and values that are
1x1 convolutions f(x), g(x) and h(x) of the map x, without biases:

    beta[q, k] = softmax over k of f(x)_q . g(x)_k                      (eq. 1, without a factor 1/sqrt(width))
    y = x + gamma v(sum_k beta[q, k] h(x)_k),  gamma = 0 at first       (eq. 2 and 3)

The defaults are those of the authors' code: keys and values are max-pooled by 2, and values have half of the channels. The
paper's text has no pooling, and values of an eighth of the channels: `pool=False, value_divisor=8`.
"""

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf

from tfgen.layers.spectral_norm import SpectralConv2D
from tfgen.settings import PositiveInt, fits, shown, wanted


@keras.saving.register_keras_serializable("tfgen")
class SelfAttention2D(keras.layers.Layer):
    """Adds to each position of a map a weighted sum over all positions: [B, H, W, C] -> [B, H, W, C].

    At first the layer is the identity, since its trainable scalar `gamma` is 0.

    Args:
        key_divisor: queries and keys have C // key_divisor channels.
        value_divisor: values have C // value_divisor channels.
        pool: whether keys and values are max-pooled by 2. An odd last row or column is dropped then.
        spectral: whether the four convolutions are spectrally normalised (see `tfgen.layers.update_spectral_state`).
        kernel_initializer: of the four convolutions, as a name or config.

    Attributes:
        size: (H, W) of the maps, once built.
        key_size: (height, width) of the map of the keys: `size`, or with pooling half of it.

    Raises:
        ValueError: a divisor is no whole number >= 1; in `build`, a map with fewer channels than a divisor, or of unknown
            size, or too small to be pooled.

    Example:

    >>> layer = SelfAttention2D()
    >>> layer(tf.ones([2, 8, 8, 16])).shape
    TensorShape([2, 8, 8, 16])
    """

    def __init__(
        self, *, key_divisor: int = 8, value_divisor: int = 2, pool: bool = True, spectral: bool = False,
        kernel_initializer: str | dict = "glorot_uniform", **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        for name, divisor in (("key_divisor", key_divisor), ("value_divisor", value_divisor)):
            if not fits(PositiveInt, divisor):
                raise ValueError(f"{name} must be {wanted(PositiveInt)}; received {shown(divisor)}.")
        self.key_divisor, self.value_divisor, self.pool, self.spectral = key_divisor, value_divisor, pool, spectral
        self.kernel_initializer = kernel_initializer
        object.__setattr__(self, "_watchers", ())  # not an attribute of Keras, which would track the lists

    def build(self, input_shape):
        height, width, channels = input_shape[1:]
        least = max(self.key_divisor, self.value_divisor)
        if None in (height, width, channels) or channels < least or self.pool and min(height, width) < 2:
            raise ValueError(
                f"SelfAttention2D needs maps [batch, height, width, channels] of known size with at least {least} channels"
                f"{' and 2 x 2 positions' if self.pool else ''}; received {tuple(input_shape)}."
            )
        conv = SpectralConv2D if self.spectral else keras.layers.Conv2D
        for name, filters, before in (
            ("query", channels // self.key_divisor, channels), ("key", channels // self.key_divisor, channels),
            ("value", channels // self.value_divisor, channels), ("out", channels, channels // self.value_divisor),
        ):  # fmt: skip
            layer = conv(filters, 1, use_bias=False, kernel_initializer=self.kernel_initializer, dtype=self.dtype_policy,
                         name=name)  # fmt: skip
            layer.build((None, height, width, before))
            setattr(self, name, layer)
        self.size = (height, width)
        self.key_size = (height // 2, width // 2) if self.pool else self.size
        self.gamma = self.add_weight(name="gamma", shape=(), initializer="zeros")
        self.built = True

    def attention(self, x: tf.Tensor) -> tf.Tensor:
        """The weights beta, float32 [B, H * W, keys]: for each position a distribution over the keys.

        The keys are the positions of a map of `key_size`, row by row.
        """
        queries, keys = _rows(self.query(x)), _rows(self._pooled(self.key(x)))
        # In float32: products of half-precision features overflow.
        return tf.nn.softmax(tf.matmul(tf.cast(queries, tf.float32), tf.cast(keys, tf.float32), transpose_b=True))

    def call(self, x):
        values = _rows(self._pooled(self.value(x)))
        weights = self.attention(x)
        for seen in self._watchers:
            seen.append(weights)
        mixed = tf.matmul(tf.cast(weights, values.dtype), values)
        mixed = tf.reshape(mixed, [-1, x.shape[1], x.shape[2], values.shape[-1]])
        return x + tf.cast(self.gamma, x.dtype) * self.out(mixed)

    @contextlib.contextmanager
    def watched(self) -> Iterator[list]:
        """A context whose list receives the `attention` of every call of the layer, also of calls inside of a network."""
        seen: list[tf.Tensor] = []
        before = self._watchers
        object.__setattr__(self, "_watchers", (*before, seen))
        try:
            yield seen
        finally:
            object.__setattr__(self, "_watchers", before)

    def _pooled(self, x):
        return tf.nn.max_pool2d(x, 2, 2, "VALID") if self.pool else x

    def get_config(self):
        return super().get_config() | {name: getattr(self, name) for name in (
            "key_divisor", "value_divisor", "pool", "spectral", "kernel_initializer")}  # fmt: skip


def _rows(x):  # [B, H, W, C] -> [B, H * W, C]
    return tf.reshape(x, [-1, x.shape[1] * x.shape[2], x.shape[3]])
