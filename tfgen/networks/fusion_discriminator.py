"""The discriminator of StackGAN, which joins an image and a vector before it judges whether they belong together.

Zhang et al., "StackGAN", ICCV 2017, arXiv:1612.03242, section 3.3 and 3.4, and "StackGAN++", 2018, arXiv:1710.10916, section
3.2.2; filters as in the authors' code.
"""

from collections.abc import Sequence
from typing import Any, Literal

import tensorflow as tf

from tfgen.networks.common import Network, join, layers
from tfgen.networks.slots import batch_norm
from tfgen.settings import ImageShape, PositiveInt

SLOPE, _GRID = 0.2, 4  # slope of leaky ReLU; the largest side of the maps that are joined with the vector


class Bottleneck(layers.Layer):
    """Convolutions 1x1 and 3x3 of a quarter of the filters and 3x3 of all, whose sum with the input is activated.

    Args:
        make_conv: `Network.make_conv` of the network around it.
        filters: those of the input.
        slope: of leaky ReLU; 0: ReLU.
    """

    def __init__(self, make_conv, filters, slope=0.0, **kwargs):
        super().__init__(**kwargs)
        self.slope = slope
        widths = [max(filters // 4, 1)] * 2 + [filters]
        self.convs = [
            make_conv(n, 3 if i else 1, use_bias=False, name=f"conv_{i}") for i, n in enumerate(widths)
        ]  # fmt: skip
        self.norms = [batch_norm(self.dtype_policy, f"norm_{i}") for i in range(len(widths))]

    def call(self, x, training=False):
        h = x
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            h = norm(conv(tf.nn.leaky_relu(h, self.slope) if i else h), training=training)
        return tf.nn.leaky_relu(x + h, self.slope)


class FusionDiscriminator(Network):
    """[images [B, H, W, C], vectors [B, E]] -> {"logit": [B], and with `unconditional` "unconditional": [B]}.

    4x4 convolutions of stride 2 halve the maps until no side is above 4; then the vector is put beside each place. Beyond
    8 `width` filters, further convolutions bring their number back to that. Batch norm follows all convolutions but the
    first and the last, leaky ReLU all but the last and, with `residual`, the one before the residual unit.

    Example:
        >>> network = tfgen.networks.FusionDiscriminator(image_shape=(32, 32, 3), width=8, unconditional=True)
        >>> network.build([(None, 32, 32, 3), (None, 16)])
        >>> {name: logits.shape for name, logits in network([tf.zeros([2, 32, 32, 3]), tf.zeros([2, 16])]).items()}
        {'logit': TensorShape([2]), 'unconditional': TensorShape([2])}

    Args:
        image_shape: (H, W, C).
        width: filters of the first convolution; they double with each.
        kernel_size: of the convolutions after those of stride 2.
        residual: whether there is a `Bottleneck`.
        text_width: None, or the units of a dense layer with leaky ReLU that the vector passes first.
        unconditional: whether there is a second output, which judges the image alone.
        logit_bias: whether the last layers have biases.
        **kwargs: see `Network`.
    """

    def __init__(
        self, *, image_shape: ImageShape, width: PositiveInt = 64, kernel_size: Literal[1, 3] = 1, residual: bool = True,
        text_width: PositiveInt | None = None, unconditional: bool = False, logit_bias: bool = False, **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        sides, filters = [-(-side // 2) for side in image_shape[:2]], [width]
        while max(sides) > _GRID:
            sides, filters = [-(-side // 2) for side in sides], [*filters, 2 * filters[-1]]
        self.convs = [
            self.make_conv(n, 4, strides=2, use_bias=False, name=f"down_{i}") for i, n in enumerate(filters)
        ]  # fmt: skip
        for i in range(len(filters) - 4):  # the fourth has 8 `width`
            filters.append(filters[-1] // 2)
            self.convs.append(self.make_conv(filters[-1], kernel_size, use_bias=False, name=f"reduction_{i}"))
        self.norms = [batch_norm(self.dtype_policy, f"norm_{i}") if i else None for i in range(len(self.convs))]
        self.residual = None
        if residual:
            self.residual = Bottleneck(self.make_conv, filters[-1], SLOPE, dtype=self.dtype_policy, name="residual")
        self.text = None if text_width is None else self.make_dense(text_width, name="text")
        self.joint = self.make_conv(filters[-1], kernel_size, use_bias=False, name="joint")
        self.joint_norm = batch_norm(self.dtype_policy, "joint_norm")
        head: dict[str, Any] = {"filters": 1, "kernel_size": tuple(sides), "padding": "valid", "use_bias": logit_bias}
        self.logit = self.make_conv(**head, name="logit")
        self.unconditional = self.make_conv(**head, name="unconditional") if unconditional else None

    def call(self, inputs: Sequence[tf.Tensor], training: bool = False) -> dict[str, tf.Tensor]:
        x, vector = inputs
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = conv(x) if norm is None else norm(conv(x), training=training)
            if self.residual is None or i < len(self.convs) - 1:
                x = tf.nn.leaky_relu(x, SLOPE)
        if self.residual is not None:
            x = self.residual(x, training=training)
        found = {} if self.unconditional is None else {"unconditional": self.unconditional(x)[:, 0, 0, 0]}
        if self.text is not None:
            vector = tf.nn.leaky_relu(self.text(vector), SLOPE)
        x = tf.nn.leaky_relu(self.joint_norm(self.joint(join(x, vector)), training=training), SLOPE)
        return {"logit": self.logit(x)[:, 0, 0, 0], **found}
