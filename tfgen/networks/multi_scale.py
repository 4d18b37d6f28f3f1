"""Discriminators of patches at several scales.

Wang, Liu, Zhu, Tao, Kautz, Catanzaro, "High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs",
CVPR 2018, arXiv:1711.11585, section 3.2.
"""

from collections.abc import Sequence

import tensorflow as tf

from tfgen.networks.common import Network
from tfgen.networks.patch_gan import PatchGAN
from tfgen.settings import Count


def halved(images: tf.Tensor) -> tf.Tensor:
    """Means over windows of 3x3 around every second pixel, [B, H, W, C] -> [B, ceil(H / 2), ceil(W / 2), C].

    Windows at the border have fewer pixels: the zeros around the image are not counted.

    Example:
        >>> tfgen.networks.halved(tf.ones([1, 5, 8, 1])).shape
        TensorShape([1, 3, 4, 1])
        >>> float(tfgen.networks.halved(tf.ones([1, 5, 8, 1]))[0, 0, 0, 0])
        1.0
    """
    pads = [[0, 0], [1, 1], [1, 1], [0, 0]]
    ones = tf.pad(tf.ones_like(images[:1, ..., :1]), pads)
    return tf.nn.avg_pool2d(tf.pad(images, pads), 3, 2, "VALID") / tf.nn.avg_pool2d(ones, 3, 2, "VALID")


class MultiScalePatchGAN(Network):
    """A `PatchGAN` for the images, another one for them at half the size, and so on. Inputs: as of `PatchGAN`.

    Example:
        >>> network = tfgen.networks.MultiScalePatchGAN(scales=2, width=4, halvings=1)
        >>> [tuple(found["logit"].shape) for found in network([tf.zeros([1, 16, 16, 3])])]
        [(1, 6, 6, 1), (1, 2, 2, 1)]

    Args:
        scales: number of discriminators.
        dtype, name: as in Keras.
        **settings: arguments of each `PatchGAN`.

    Call returns:
        [{"logit": ..., "maps": ...} for each scale, the finest first], see `PatchGAN`.

    Raises:
        ValueError: when it is built, images that are too small at a scale.
    """

    def __init__(self, *, scales: Count = 2, dtype: object = None, name: str | None = None, **settings):
        super().__init__(dtype=dtype, name=name)
        self.discriminators = [PatchGAN(**settings, dtype=self.dtype_policy, name=f"scale_{i}") for i in range(scales)]

    def build(self, input_shape):
        shapes = [tuple(shape) for shape in input_shape]
        for discriminator in self.discriminators:
            discriminator.build(shapes)
            shapes = [(shape[0], -(-shape[1] // 2), -(-shape[2] // 2), shape[3]) for shape in shapes]
        self.built = True

    def call(self, inputs: Sequence[tf.Tensor], training: bool = False):
        x, found = tf.concat(list(inputs), axis=-1), []
        for i, discriminator in enumerate(self.discriminators):
            x = halved(x) if i else x
            found.append(discriminator([x], training=training))
        return found
