"""VGG-16 and VGG-19 with Keras' ImageNet weights.

Simonyan, Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015, arXiv:1409.1556.
"""

from collections.abc import Sequence
from typing import Literal

import keras

from tfgen.features.applications import application
from tfgen.features.frozen import FeatureNetwork
from tfgen.features.preprocessing import VGGInput


def vgg16(
    weights: str | None = "imagenet", layers: Sequence[str] | None = None, *,
    image_shape: Sequence[int | None] = (None, None, 3), pooling: Literal["max", "average"] = "max",
) -> FeatureNetwork:  # fmt: skip
    """The feature network VGG-16; see `vgg19`.

    Example:
        network = tfgen.features.vgg16(layers=("block2_conv2", "block4_conv3"))  # Keras downloads the weights once
        network(images)["block2_conv2"]  # float32 [B, H / 2, W / 2, 128] of images [B, H, W, 3] in [0, 1]
    """
    return _vgg("VGG16", weights, layers, image_shape, pooling)


def vgg19(
    weights: str | None = "imagenet", layers: Sequence[str] | None = None, *,
    image_shape: Sequence[int | None] = (None, None, 3), pooling: Literal["max", "average"] = "max",
) -> FeatureNetwork:  # fmt: skip
    """The feature network VGG-19, without its dense layers.

    Example:
        >>> network = tfgen.features.vgg19(None, layers=("block1_conv2", "block2_conv1"))  # random weights
        >>> {name: tuple(maps.shape) for name, maps in network(keras.ops.zeros([1, 32, 32, 3])).items()}
        {'block1_conv2': (1, 32, 32, 64), 'block2_conv1': (1, 16, 16, 128)}

    Args:
        weights: "imagenet" (Keras downloads 80 MB once), the path of the file of `keras.applications` without the top, or
            None: random.
        layers: "block1_conv1" ... "block5_conv4", each after its activation, and "block1_pool" ... "block5_pool"; None: the
            last.
        image_shape: (H, W, 1 or 3) of images of 32 pixels or more; None for a free side. Grey is repeated to three channels.
        pooling: "max" as in the paper, or "average", of which Gatys et al. (CVPR 2016) say that it suits style transfer.

    Raises:
        ValueError: another pooling; images of another shape; the weights cannot be loaded.
    """
    return _vgg("VGG19", weights, layers, image_shape, pooling)


def _vgg(cls, weights, layers, image_shape, pooling):
    name = cls.lower()
    if pooling not in ("max", "average"):
        raise ValueError(f"pooling must be 'max' or 'average'; received {pooling!r}.")
    if image_shape[2] not in (1, 3) or min(side or 32 for side in image_shape[:2]) < 32:
        raise ValueError(f"{name!r} takes images of 32 pixels or more with 1 or 3 channels; received {tuple(image_shape)}.")
    network = application(cls, weights, f"{name}_weights_tf_dim_ordering_tf_kernels_notop.h5", include_top=False)
    if pooling == "average":
        network = _averaging(network)
    arguments = {"weights": weights and str(weights), "layers": layers and list(layers), "image_shape": list(image_shape)}
    arguments |= {} if pooling == "max" else {"pooling": pooling}
    return FeatureNetwork(
        network, layers, preprocess=VGGInput(dtype="float32", name="preprocessing"), image_shape=image_shape,
        recipe={"maker": name, "arguments": arguments},
    )  # fmt: skip


def _averaging(network):
    """The network with average pooling in place of max pooling."""

    def replaced(layer):
        if not isinstance(layer, keras.layers.MaxPooling2D):
            return type(layer).from_config(layer.get_config())
        return keras.layers.AveragePooling2D(layer.pool_size, layer.strides, dtype=layer.dtype_policy, name=layer.name)

    found = keras.models.clone_model(network, clone_function=replaced)
    found.set_weights(network.get_weights())
    return found
