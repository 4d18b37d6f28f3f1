"""The networks of the first GAN: discriminators of maxout units under dropout, and the generator for 32 x 32 images.

Sizes as in the authors' code (goodfeli/adversarial, mnist.yaml and cifar10_convolutional.yaml); layers as in the paper on
maxout, arXiv:1302.4389.
"""

from collections.abc import Sequence
from typing import Literal

import tensorflow as tf

from tfgen.layers import Dropout, Maxout
from tfgen.layers.initializers import uniform
from tfgen.networks.common import OUTPUTS, Discriminator, Network, Output, flatten, join, split
from tfgen.settings import Count, PositiveInt, Rate


class Maxouts(Discriminator):
    """Base of both discriminators, with dropout before each layer and before the logit.

    Args:
        dropout: (rate for the images, rate before every other layer), only in training.
        kernel_initializer: of all kernels.
    """

    noisy = True

    def __init__(self, *, dropout: tuple[Rate, Rate] = (0.2, 0.5), kernel_initializer: str | dict | None = None, **kwargs):
        super().__init__(kernel_initializer=kernel_initializer or uniform(0.005), **kwargs)
        self.rates = tuple(dropout)

    def make_dropouts(self, num):
        dtype = self.dtype_policy
        return [Dropout(self.rates[min(i, 1)], stream=i, dtype=dtype, name=f"dropout_{i}") for i in range(num)]


class MaxoutDiscriminator(Maxouts):
    """Images [B, H, W, C] in [-1, 1] -> mapped to [0, 1] -> `depth` maxout layers -> logit.

    Example:
        >>> network = tfgen.networks.MaxoutDiscriminator(image_shape=(8, 8, 1), width=16)
        >>> network([tf.zeros([2, 8, 8, 1])])["logit"].shape
        TensorShape([2, 1])

    Args:
        width: units of each layer.
        depth: number of maxout layers.
        pieces: number of linear functions of each unit.
        **kwargs: see `Maxouts` and `Discriminator`.
    """

    def __init__(
        self, *, image_shape: Sequence[int], width: PositiveInt = 240, depth: Literal[0] | Count = 2,
        pieces: PositiveInt = 5, **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        self.dense = [self.make_dense(width * pieces, name=f"hidden_{i}") for i in range(depth)]
        self.maxout = Maxout(pieces, dtype=self.dtype_policy, name="maxout")
        self.dropouts = self.make_dropouts(depth + 1)

    def features(self, x: tf.Tensor, one_hot: tf.Tensor | None, training: bool, keys: tf.Tensor | None = None) -> tf.Tensor:
        """The features [B, F] of images [B, H, W, C] in [-1, 1]; one_hot: labels [B, K], or None."""
        x = flatten(0.5 + 0.5 * x)
        for dropout, dense in zip(self.dropouts, self.dense, strict=False):
            x = self.maxout(dense(join(dropout(x, keys), one_hot)))
        return self.dropouts[-1](x, keys)


class ConvMaxoutDiscriminator(Maxouts):
    """Images [B, H, W, C] in [-1, 1] -> three times (conv, maxout of 2, max pooling) -> dense maxout of 5 -> the logit.

    Example:
        >>> network = tfgen.networks.ConvMaxoutDiscriminator(image_shape=(32, 32, 3), width=8)
        >>> network([tf.zeros([2, 32, 32, 3])])["logit"].shape
        TensorShape([2, 1])

    Args:
        width: filters of the first two convolutions; the third has 6 times as many, the dense layer 125 / 8 times.
        **kwargs: see `Maxouts` and `Discriminator`.
    """

    KERNELS, PADDING, POOLS = (8, 8, 5), (4, 3, 3), (4, 4, 2)  # all pools have stride 2

    def __init__(self, *, image_shape: Sequence[int], width: PositiveInt = 32, **kwargs):
        super().__init__(**kwargs)
        dtype = self.dtype_policy
        self.convs = [
            self.make_conv(2 * filters, kernel, padding="valid", name=f"conv_{i}")
            for i, (filters, kernel) in enumerate(zip((width, width, 6 * width), self.KERNELS, strict=True))
        ]
        self.maxout = Maxout(2, dtype=dtype, name="maxout")
        self.dense = self.make_dense(5 * (125 * width // 8), name="dense")
        self.dense_maxout = Maxout(5, dtype=dtype, name="dense_maxout")
        self.dropouts = self.make_dropouts(len(self.convs) + 2)

    def features(self, x: tf.Tensor, one_hot: tf.Tensor | None, training: bool, keys: tf.Tensor | None = None) -> tf.Tensor:
        """The features [B, F] of images [B, H, W, C] in [-1, 1]; one_hot: labels [B, K], or None."""
        for dropout, conv, pad, pool in zip(self.dropouts, self.convs, self.PADDING, self.POOLS, strict=False):
            x = join(dropout(x, keys), one_hot)
            x = self.maxout(conv(tf.pad(x, [[0, 0], [pad, pad], [pad, pad], [0, 0]])))
            x = max_pool(x, pool)
        x = self.dropouts[-2](flatten(x), keys)
        return self.dropouts[-1](self.dense_maxout(self.dense(join(x, one_hot))), keys)


def max_pool(x, size):
    """Max pooling of stride 2 to ceil((side - size) / 2) + 1; the last windows may extend over the lower right border."""
    over = [(max(0, -(-(side - size) // 2)) * 2 + size) - side for side in x.shape[1:3]]
    x = tf.pad(x, [[0, 0], [0, over[0]], [0, over[1]], [0, 0]], constant_values=x.dtype.min)
    return tf.nn.max_pool2d(x, size, 2, "VALID")


class DeconvGenerator(Network):
    """z [B, Z] -> Dense, ReLU -> Dense, sigmoid -> a grid of `width` maps -> one transposed convolution -> images.

    Kernel 5, stride 3, no padding: a side is 3 * grid + 2 (32 px from a grid of 10). Each pixel and channel of the image has
    its own bias.

    Example:
        >>> network = tfgen.networks.DeconvGenerator(image_shape=(32, 32, 3), width=4)
        >>> network([tf.zeros([2, 5])]).shape
        TensorShape([2, 32, 32, 3])

    Args:
        width: maps of the grid; both dense layers have width * grid units.
        output: see `OUTPUTS`.
        **kwargs: see `Network`.
    """

    def __init__(
        self, *, image_shape: Sequence[int], width: PositiveInt = 80, output: Output = "linear",
        kernel_initializer: str | dict | None = None, **kwargs,
    ):  # fmt: skip
        super().__init__(kernel_initializer=kernel_initializer or uniform(0.05), **kwargs)
        height, width_px = image_shape[:2]
        if min(height, width_px) < 5 or (height - 2) % 3 or (width_px - 2) % 3:
            raise ValueError(f"The deconvolutional generator makes sides of 3 n + 2, n >= 1; received {image_shape}.")
        self.grid = ((height - 2) // 3, (width_px - 2) // 3, width)
        units = self.grid[0] * self.grid[1] * width
        self.activation = OUTPUTS[output]
        self.dense = [self.make_dense(units, name=name) for name in ("hidden", "grid")]
        self.deconv = self.make_conv_transpose(
            image_shape[-1], 5, strides=3, padding="valid", use_bias=False, name="deconv"
        )
        self.bias = self.add_weight(name="bias", shape=tuple(image_shape), initializer="zeros")

    def call(self, inputs, training=False):
        x, one_hot = split(inputs)
        for dense, activation in zip(self.dense, (tf.nn.relu, tf.sigmoid), strict=True):
            x = activation(dense(join(x, one_hot)))
        x = self.deconv(join(tf.reshape(x, [-1, *self.grid]), one_hot))
        return self.activation(x + tf.cast(self.bias, x.dtype))
