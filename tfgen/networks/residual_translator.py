"""A residual network from images to images of the same size.

Johnson, Alahi, Fei-Fei, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", ECCV 2016, arXiv:1603.08155;
with instance norm in Zhu et al. 2017, arXiv:1703.10593, appendix 7.2, whose names of the layers these are:

    c7s1-64, d128, d256, R256 (several), u128, u64, c7s1-3

c7s1-k: 7 x 7 convolution; dk: 3 x 3, stride 2; Rk: two of 3 x 3 around which a shortcut goes, without an activation after
the sum; uk: 3 x 3, transposed, stride 2. Norm and ReLU follow each convolution but the last, and the second of Rk has no
ReLU. The output passes a tanh.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import tensorflow as tf

from tfgen.layers import InstanceNormalization
from tfgen.layers.initializers import normal
from tfgen.networks.common import OUTPUTS, Network, Output, layers
from tfgen.networks.slots import make_norm, normalize
from tfgen.settings import Count, ImageShape, NaturalInt, PositiveInt

Padding = Literal["reflect", "zero"]


def plain_instance_norm(dtype, name):
    """Instance norm without gain and shift: a value of the setting `norm`, see `tfgen.networks.slots.make_norm`."""
    return InstanceNormalization(dtype=dtype, name=name)


def check_sides(image_shape: Sequence[int], halvings: int) -> None:
    """Raises ValueError unless both sides of (H, W, C) can be halved so often, with a side of 2 or more left."""
    unit, sides = 2**halvings, tuple(image_shape[:2])
    if all(side % unit == 0 and side >= 2 * unit for side in sides):
        return
    near = [sorted({max(2 * unit, side // unit * unit), max(2 * unit, -(-side // unit) * unit)}) for side in sides]
    fitting = f"heights of {' or '.join(map(str, near[0]))} and widths of {' or '.join(map(str, near[1]))} fit"
    raise ValueError(
        f"The sides of the images must be multiples of {unit}, at least {2 * unit}, as the network halves them {halvings} "
        f"times; received {sides[0]} x {sides[1]}, near which {fitting}."
    )


def pad(images: tf.Tensor, pixels: int, padding: Padding) -> tf.Tensor:
    """[B, H, W, C] with `pixels` more on each side: mirrored at the border pixel, which is not repeated, or zeros."""
    return tf.pad(images, [[0, 0], [pixels] * 2, [pixels] * 2, [0, 0]], {"reflect": "REFLECT", "zero": "CONSTANT"}[padding])


class ResidualBlock(layers.Layer):
    """Convolution, norm, ReLU, convolution, norm, and the input is added: [B, h, w, F] -> same."""

    def __init__(self, make_conv, filters, norm, padding, **kwargs):
        super().__init__(**kwargs)
        self.padding = padding
        self.convs = [make_conv(filters, 3, padding="valid", name=f"conv_{i}") for i in range(2)]
        self.norms = [make_norm(norm, self.dtype_policy, f"norm_{i}") for i in range(2)]

    def call(self, x, training=False, own_statistics=False):
        how = {"training": training, "own_statistics": own_statistics}  # see `normalize`
        h = normalize(self.norms[0], self.convs[0](pad(x, 1, self.padding)), **how)
        return x + normalize(self.norms[1], self.convs[1](pad(tf.nn.relu(h), 1, self.padding)), **how)


class ResidualTranslator(Network):
    """Images [B, H, W, C] in [-1, 1] -> images [B, H, W, channels]. Unlike other networks it takes one tensor, not a list.

    As in the authors' code, convolutions of stride 2 look at the pixels before, at and after every second one, and the
    transposed ones are their transposes.

    Example:
        >>> network = tfgen.networks.ResidualTranslator(image_shape=(28, 28, 1), width=16, blocks=3)
        >>> network.build((None, 28, 28, 1))
        >>> network.count_params()
        269377

    Args:
        image_shape: (H, W, C) of its inputs.
        channels: of the output; None: those of the input.
        width: filters of the first convolution; they double with each halving.
        blocks: number of residual blocks.
        halvings: number of convolutions of stride 2, and of transposed ones.
        padding: of 7 x 7 convolutions and residual blocks: "reflect" as in the paper, or "zero". The others pad with zeros.
        norm: "batch", "instance", None or a function, see `tfgen.networks.slots.make_norm`; by default instance norm without
            gain and shift.
        output: "tanh", "sigmoid" or "linear".
        **kwargs: see `Network`.

    Raises:
        ValueError: a side cannot be halved so often.
    """

    def __init__(
        self, *, image_shape: ImageShape, channels: PositiveInt | None = None, width: PositiveInt = 64,
        blocks: NaturalInt = 9, halvings: Count = 2, padding: Padding = "reflect",
        norm: str | Callable | None = plain_instance_norm, output: Output = "tanh",
        kernel_initializer: str | dict | None = None, **kwargs,
    ):  # fmt: skip
        check_sides(image_shape, halvings)
        super().__init__(kernel_initializer=kernel_initializer or normal(0.02), **kwargs)
        self.padding, self.activation, dtype = padding, OUTPUTS[output], self.dtype_policy
        filters = [width * 2**i for i in range(halvings + 1)]
        self.first = self.make_conv(width, 7, padding="valid", name="first")
        self.downs = [self.make_conv(n, 3, strides=2, padding="valid", name=f"down_{i}") for i, n in enumerate(filters[1:])]
        self.blocks = [
            ResidualBlock(self.make_conv, filters[-1], norm, padding, dtype=dtype, name=f"block_{i}") for i in range(blocks)
        ]
        self.ups = [
            self.make_conv_transpose(n, 3, strides=2, padding="valid", name=f"up_{i}")
            for i, n in enumerate(reversed(filters[:-1]))
        ]
        self.last = self.make_conv(channels or image_shape[-1], 7, padding="valid", name="last")
        self.first_norm = make_norm(norm, dtype, "first_norm")
        self.down_norms = [make_norm(norm, dtype, f"down_norm_{i}") for i in range(halvings)]
        self.up_norms = [make_norm(norm, dtype, f"up_norm_{i}") for i in range(halvings)]

    def build(self, input_shape):
        self.call(tf.zeros([1, *input_shape[1:]]))
        self.built = True

    def call(self, inputs, training=False, added=None):
        return self.activation(self.last(pad(self.features(inputs, training, added), 3, self.padding)))

    def features(self, inputs: tf.Tensor, training: bool = False, added: tf.Tensor | None = None) -> tf.Tensor:
        """The maps [B, H, W, width] before the last convolution; `added` is added to the maps before the residual blocks."""
        x = tf.nn.relu(normalize(self.first_norm, self.first(pad(inputs, 3, self.padding)), training))
        for conv, norm in zip(self.downs, self.down_norms, strict=True):
            x = tf.nn.relu(normalize(norm, conv(pad(x, 1, "zero")), training))
        x = x if added is None else x + added
        for block in self.blocks:
            x = block(x, training=training)
        for conv, norm in zip(self.ups, self.up_norms, strict=True):
            x = conv(x)[:, 1:, 1:]  # [B, 2h, 2w, F]: without the row and column that belong to the padding
            x = tf.nn.relu(normalize(norm, x, training))
        return x
