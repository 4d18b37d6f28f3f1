"""One learned univariate density of nearly any shape for each channel.

Balle, Minnen, Singh, Hwang, Johnston, "Variational Image Compression with a Scale Hyperprior", ICLR 2018,
arXiv:1802.01436, appendix 6.1. The cumulative of a channel is a small monotone network:

    c(v) = sigmoid(f_K(... f_1(v)))
    f_k(x) = g_k(softplus(H_k) x + b_k),  g_k(x) = x + tanh(a_k) * tanh(x);  f_K without g
"""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tfgen import random
from tfgen.distributions.noisy import logistic_mass

_REACH, _HALVINGS = 2.0**12, 36  # of the search for quantiles: 2^13 / 2^36 is below the spacing of float32 near 1


def _constant(value):
    return lambda shape, dtype: tf.cast(tf.broadcast_to(value, shape), dtype)


@keras.saving.register_keras_serializable("tfgen")
class DeepFactorized(keras.layers.Layer):
    """The density of a latent plus uniform noise in (-1/2, 1/2), for each channel, in float32.

    `layer(v)` is `layer.log_prob(v)`. It has weights, so it is a layer and not a TensorFlow Probability distribution.

    Example:
        >>> density = tfgen.distributions.DeepFactorized(channels=2)
        >>> values = tf.tile(tf.range(-500.0, 501.0)[:, None], [1, 2])
        >>> tf.reduce_sum(tf.exp(density.log_prob(values)), axis=0).numpy().round(1).tolist()  # of the whole numbers
        [1.0, 1.0]

    Args:
        channels: C.
        widths: widths of the hidden layers of the network.
        init_scale: a number, or one for each channel. At the start the density is about logistic with this scale, except
            for random biases: about .46 of the mass lies within +- init_scale, .9 within three times as much.

    Raises:
        ValueError: a number that is not positive, or another number of scales than channels.
    """

    def __init__(self, channels: int, widths: Sequence[int] = (3, 3, 3), init_scale: float | np.ndarray = 10.0, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})
        init_scale = np.asarray(init_scale, "float64")
        scaled = init_scale.shape in ((), (channels,)) and np.all(init_scale > 0)
        if channels < 1 or min(widths, default=1) < 1 or not scaled:
            raise ValueError(
                "channels, widths and init_scale (a number, or one for each channel) must be positive; received "
                f"channels={channels}, widths={widths}, init_scale={init_scale}."
            )
        self.channels, self.widths, self.init_scale = int(channels), tuple(widths), init_scale.tolist()
        sizes = (1, *self.widths, 1)
        scale = np.broadcast_to(init_scale, [self.channels])[:, None, None] ** (1 / (len(sizes) - 1))
        self.matrices, self.biases, self.factors = [], [], []  # f_1, f_2, ...
        for k, (inputs, outputs) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
            start = np.log(np.expm1(1 / (scale * outputs)))  # softplus of it is 1 / (scale * outputs)
            self.matrices.append(self._add(f"matrix_{k}", (outputs, inputs), _constant(start)))
            self.biases.append(self._add(f"bias_{k}", (outputs, 1), keras.initializers.RandomUniform(-0.5, 0.5)))
            if k < len(sizes) - 2:
                self.factors.append(self._add(f"factor_{k}", (outputs, 1), "zeros"))
        self.built = True

    def _add(self, name, shape, initializer):
        return self.add_weight(name=name, shape=(self.channels, *shape), initializer=initializer, autocast=False)

    def get_config(self):
        own = {"channels": self.channels, "widths": self.widths, "init_scale": self.init_scale}
        return {**super().get_config(), **own}

    def call(self, inputs):
        return self.log_prob(inputs)

    def log_prob(self, values: tf.Tensor) -> tf.Tensor:
        """ln p(v) in nats of each value, float32 [..., C]."""
        # One pass over both edges: [C, 1, 2 n].
        flat = tf.transpose(tf.reshape(values, [-1, self.channels]))[:, None]
        lower, upper = tf.split(self._logits(tf.concat([flat - 0.5, flat + 0.5], axis=-1)), 2, axis=-1)
        return self._unflatten(logistic_mass(lower, upper), tf.shape(values))

    def logits(self, values: tf.Tensor) -> tf.Tensor:
        """logit c(v) of values float32 [..., C]: the logit of the cumulative without noise."""
        flat = tf.transpose(tf.reshape(values, [-1, self.channels]))[:, None]
        return self._unflatten(self._logits(flat), tf.shape(values))

    def _unflatten(self, values, shape):
        return tf.reshape(tf.transpose(values[:, 0]), shape)

    def _logits(self, x):
        """[C, 1, n] -> [C, 1, n]."""
        for k, (matrix, bias) in enumerate(zip(self.matrices, self.biases, strict=True)):
            x = tf.matmul(tf.nn.softplus(tf.convert_to_tensor(matrix)), x) + tf.convert_to_tensor(bias)
            if k < len(self.factors):
                x += tf.tanh(tf.convert_to_tensor(self.factors[k])) * tf.tanh(x)
        return x

    def quantile(self, logits: tf.Tensor) -> tf.Tensor:
        """v in [-4096, 4096] with logit c(v) = logits, float32 [..., C]; found by bisection."""
        low, high = tf.fill(tf.shape(logits), -_REACH), tf.fill(tf.shape(logits), _REACH)

        def halve(low, high):
            middle = 0.5 * (low + high)
            below = self.logits(middle) < logits
            return tf.where(below, middle, low), tf.where(below, high, middle)

        low, high = tf.while_loop(lambda *_: True, halve, (low, high), maximum_iterations=_HALVINGS)
        return 0.5 * (low + high)

    def rounded(self, keys: tf.Tensor, size: int) -> tf.Tensor:
        """Rounded latents, float32 [N, size, C], drawn with keys [N] (see `tfgen.random`)."""
        u = tf.reshape(random.uniform(keys, size * self.channels), [-1, size, self.channels])
        return tf.round(self.quantile(tf.math.log(u) - tf.math.log1p(-u)))
