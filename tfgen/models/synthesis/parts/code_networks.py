"""The networks between codes and images: a generator of images, and a discriminator of images beside their codes."""

import math
from collections.abc import Sequence

import keras
import tensorflow as tf

from tfgen.layers import Dropout
from tfgen.networks.common import Network, flatten
from tfgen.settings import OddInt, PositiveInt, Rate, Widths

layers = keras.layers

SLOPE = 0.3  # of all leaky ReLUs


def generator_network(
    code_shape: Sequence[int], image_shape: Sequence[int], *, hidden: Sequence[PositiveInt], grid: PositiveInt,
    filters: Sequence[Widths], output: str, dtype: str | None = None,
) -> keras.Sequential:  # fmt: skip
    """The generator: codes -> images [B, H, W, C], from layers of Keras alone, so that it can be saved without tfgen.

    A vector passes dense layers, a map 3 x 3 convolutions; both give the grid. Transposed 4 x 4 convolutions of stride 2
    double its sides, and what exceeds the image is cut off. Between layers are leaky ReLUs of slope 0.3.

    Args:
        code_shape: (Z,), or (h, w, F) of a map.
        image_shape: (H, W, C).
        hidden: units of the dense layers, or filters of the convolutions, before the grid.
        grid: filters of the grid.
        filters: groups of filters between two doublings: a transposed convolution, then 3 x 3 convolutions. A last
            transposed convolution gives the channels.
        output: "linear" or "sigmoid".
        dtype: policy of the layers.

    Raises:
        ValueError: a map cannot become the grid.
    """
    height, width, channels = image_shape
    times = 2 ** (len(filters) + 1)
    sides = [-(-side // times) for side in (height, width)]
    found = []

    def add(layer, activation=True):
        found.append(layer)
        if activation:
            found.append(layers.LeakyReLU(negative_slope=SLOPE, dtype=dtype, name=f"{layer.name}_relu"))

    if len(code_shape) == 1:
        for i, units in enumerate(hidden):
            add(layers.Dense(units, dtype=dtype, name=f"hidden_{i}"))
        add(layers.Dense(math.prod(sides) * grid, dtype=dtype, name="grid"))
        found.append(layers.Reshape((*sides, grid), dtype=dtype, name="reshape"))
    else:
        # A convolution without padding takes 2 off each side.
        excess = [code - side for code, side in zip(code_shape[:2], sides, strict=True)]
        cut, widths = excess[0] // 2, [*hidden, grid]
        if excess[0] != excess[1] or excess[0] != 2 * cut or not 0 <= cut <= len(widths):
            raise ValueError(
                f"generator_filters of {len(filters)} groups make {height} x {width} of a grid {sides[0]} x {sides[1]}; "
                "the code must be a map with the sides of the grid, or 2 more for each of the "
                f"{len(widths)} convolutions before it; received {tuple(code_shape)}."
            )
        for i, n in enumerate(widths):
            padding = "valid" if i >= len(widths) - cut else "same"
            name = "grid" if i == len(hidden) else f"hidden_{i}"
            add(layers.Conv2D(n, 3, padding=padding, dtype=dtype, name=name))
    for i, (first, *others) in enumerate(filters):
        add(layers.Conv2DTranspose(first, 4, strides=2, padding="same", dtype=dtype, name=f"up_{i}"))
        for j, n in enumerate(others):
            add(layers.Conv2D(n, 3, padding="same", dtype=dtype, name=f"conv_{i}_{j}"))
    last = {"activation": output, "dtype": dtype, "name": "image"}
    add(layers.Conv2DTranspose(channels, 4, strides=2, padding="same", **last), activation=False)
    over = [side * times - wanted for side, wanted in zip(sides, (height, width), strict=True)]
    if any(over):
        found.append(layers.Cropping2D([(n // 2, n - n // 2) for n in over], dtype=dtype, name="crop"))
    return keras.Sequential(found, name="generator")


class CodeDiscriminator(Network):
    """[images [B, H, W, C] in [-1, 1], codes [B, ...]] -> logits [B, 1].

    Args:
        convs: (filters, kernel size, stride) of each convolution; their means over the pixels are joined to the code.
        code_widths: units of the dense layers that the code passes before.
        units: of the dense layer between.
        dropout: rate before and after that layer.
        **kwargs: see `Network`.
    """

    def __init__(
        self, *, convs: Sequence[tuple[PositiveInt, OddInt, PositiveInt]], code_widths: Sequence[PositiveInt],
        units: PositiveInt, dropout: Rate, **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        self.convs = [self.make_conv(n, size, strides=s, name=f"conv_{i}") for i, (n, size, s) in enumerate(convs)]
        self.of_code = [self.make_dense(n, name=f"code_{i}") for i, n in enumerate(code_widths)]
        self.dense, self.logit = self.make_dense(units, name="dense"), self.make_dense(1, name="logit")
        self.dropouts = [Dropout(dropout, stream=i, dtype=self.dtype_policy, name=f"dropout_{i}") for i in range(2)]

    def call(self, inputs, training=False, keys=None):
        x, code = inputs
        for conv in self.convs:
            x = tf.nn.leaky_relu(conv(x), SLOPE)
        code = code if code.shape.rank == 2 else flatten(code)
        for dense in self.of_code:
            code = tf.nn.leaky_relu(dense(code), SLOPE)
        x = tf.concat([tf.reduce_mean(x, axis=[1, 2]), tf.cast(code, x.dtype)], axis=-1)
        x = tf.nn.leaky_relu(self.dense(self.dropouts[0](x, keys)), SLOPE)
        return self.logit(self.dropouts[1](x, keys))
