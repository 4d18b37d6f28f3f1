"""PatchGAN: a fully convolutional discriminator, which judges every patch of an image on its own.

Isola, Zhu, Zhou, Efros, "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017, arXiv:1611.07004,
section 3.2.2 and appendix 6.1.2; also the discriminator of CycleGAN and, at several scales, of pix2pixHD.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import tensorflow as tf

from tfgen.layers.initializers import normal
from tfgen.networks.common import Network
from tfgen.networks.slots import make_norm, normalize
from tfgen.settings import NonNegativeFloat, PositiveInt, within

# {side of the patch that one output sees: number of convolutions of stride 2}
ReceptiveField = Literal[1, 16, 34, 70, 142, 286]
RECEPTIVE_FIELDS: dict[ReceptiveField, int] = {1: 0, 16: 1, 34: 2, 70: 3, 142: 4, 286: 5}


class PatchGAN(Network):
    """Images -> one logit for each patch. The inputs are a list of images [B, H, W, any], whose channels are joined.

    `halvings` convolutions of 4x4 with stride 2, one with stride 1, and one to the logit with stride 1. The filters double
    up to 8 `width`. With 0 halvings all three convolutions are 1x1, so a patch is a pixel. Norm and leaky ReLU follow every
    convolution but the first, which has no norm, and the last, which has neither.

    Example:
        >>> network = tfgen.networks.PatchGAN(width=4, halvings=3)
        >>> network.patch
        70
        >>> network([tf.zeros([1, 64, 64, 3]), tf.zeros([1, 64, 64, 3])])["logit"].shape
        TensorShape([1, 6, 6, 1])

    Args:
        width: filters of the first convolution.
        halvings: number of convolutions of stride 2. The patches have 1, 16, 34, 70, 142, 286 pixels for 0 to 5.
        norm: "batch", "instance" (with gain and shift), None or a function, see `tfgen.networks.slots.make_norm`.
        padding: zeros around the input of each 4x4 convolution: 1, or 2 as in CycleGAN's first code and in pix2pixHD.
        slope: of the leaky ReLU.
        use_bias: whether the convolutions have biases.
        **kwargs: see `Network`.

    Call returns:
        {"logit": [B, h, w, 1], "maps": [[B, h, w, filters], ...] of all convolutions but the last, after the leaky ReLU}.

    Raises:
        ValueError: when it is built, images that are too small.
    """

    def __init__(
        self, *, width: PositiveInt = 64, halvings: Annotated[int, within(0, 10)] = 3, norm: str | Callable | None = "batch",
        padding: Literal[1, 2] = 1, slope: NonNegativeFloat = 0.2, use_bias: bool = True,
        kernel_initializer: str | dict | None = None, **kwargs,
    ):  # fmt: skip
        super().__init__(kernel_initializer=kernel_initializer or normal(0.02), **kwargs)
        self.halvings, self.slope = halvings, slope
        self.kernel, self.padding = (4, padding) if halvings else (1, 0)
        hidden = max(halvings, 1) + 1
        filters = [*(width * min(2**i, 8) for i in range(hidden)), 1]
        self.strides = [2 if i < halvings else 1 for i in range(hidden + 1)]
        self.convs = [
            self.make_conv(n, self.kernel, strides=stride, padding="valid", use_bias=use_bias, name=f"conv_{i}")
            for i, (n, stride) in enumerate(zip(filters, self.strides, strict=True))
        ]
        self.norms = [make_norm(norm if i else None, self.dtype_policy, f"norm_{i}") for i in range(hidden)]

    @property
    def patch(self) -> int:
        """Side of the patch that one logit depends on, the receptive field."""
        side = 1
        for stride in reversed(self.strides):
            side = (side - 1) * stride + self.kernel
        return side

    def size_of_maps(self, side: int) -> int:
        """The side of the map of logits for images of this side; below 1 if they are too small."""
        for stride in self.strides:
            side = (side + 2 * self.padding - self.kernel) // stride + 1
        return side

    def build(self, input_shape):
        sides = input_shape[0][1:3]
        if min(self.size_of_maps(side) for side in sides) < 1:
            least = next(side for side in range(1, 2**14) if self.size_of_maps(side) >= 1)
            raise ValueError(
                f"A PatchGAN with {self.halvings} halvings (patches of {self.patch} pixels, padding {self.padding}) needs "
                f"images of at least {least} x {least} pixels; received {sides[0]} x {sides[1]}."
            )
        super().build(input_shape)

    def call(self, inputs: Sequence[tf.Tensor], training: bool = False):
        x, maps = tf.concat(list(inputs), axis=-1), []
        pads = [[0, 0], [self.padding] * 2, [self.padding] * 2, [0, 0]]
        for conv, norm in zip(self.convs, self.norms, strict=False):
            x = tf.nn.leaky_relu(normalize(norm, conv(tf.pad(x, pads)), training), self.slope)
            maps.append(x)
        return {"logit": self.convs[-1](tf.pad(x, pads)), "maps": maps}
