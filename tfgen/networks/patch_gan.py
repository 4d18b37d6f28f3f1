"""PatchGAN: a convolutional discriminator that judges patches of an image and not the whole.

Isola, Zhu, Zhou, Efros, "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017, arXiv:1611.07004,
section 3.2.2 and appendix 6.1.2.
"""

import keras

from tfgen.layers import InstanceNormalization
from tfgen.layers.initializers import normal


def patch_gan(image_shape, *, layers=3, width=64, norm="instance", name, dtype=None):
    """Images [B, H, W, C] -> logits [B, h, w, 1] of overlapping patches, of 70 x 70 pixels with 3 layers.

    Convolutions of 4 x 4: `layers` of stride 2, whose filters double up to 8 `width`, one more of stride 1, and the logit's.
    Each pads one pixel of zeros on all sides, so that 256 x 256 pixels have 30 x 30 logits.

    Args:
        image_shape: (H, W, C).
        layers: number of convolutions of stride 2.
        width: filters of the first.
        norm: "instance", without gain and shift, of all convolutions but the first and the last; or None.
        name: of the network.
        dtype: policy of the layers.

    Raises:
        ValueError: the images are too small for so many layers.
    """
    strides, found = [2] * layers + [1, 1], []
    if min(image_shape[:2]) < 3 * 2**layers:
        raise ValueError(
            f"A PatchGAN of {layers} layers needs images of {3 * 2**layers} x {3 * 2**layers} pixels or more; received "
            f"{image_shape[0]} x {image_shape[1]}: use fewer layers."
        )
    for i, stride in enumerate(strides):
        last = i == layers + 1
        filters = 1 if last else width * 2 ** min(i, 3)
        found.append(keras.layers.ZeroPadding2D(1, dtype=dtype, name=f"pad_{i}"))
        conv = {"kernel_initializer": normal(0.02), "dtype": dtype, "name": "logits" if last else f"conv_{i}"}
        found.append(keras.layers.Conv2D(filters, 4, strides=stride, **conv))
        if not last:
            if i and norm == "instance":
                found.append(InstanceNormalization(dtype=dtype, name=f"norm_{i}"))
            found.append(keras.layers.LeakyReLU(0.2, dtype=dtype, name=f"leaky_{i}"))
    return keras.Sequential(found, name=name)
