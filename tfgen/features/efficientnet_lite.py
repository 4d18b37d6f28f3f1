"""EfficientNet-Lite0, trained on ImageNet.

Tan, Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019, arXiv:1905.11946, in the form
without squeeze-and-excitation and with ReLU6 (tensorflow/tpu, models/official/efficientnet/lite).
"""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from tfgen.features.frozen import FeatureNetwork
from tfgen.features.preprocessing import EfficientNetInput

layers = keras.layers

# (number of blocks, filters, kernel size, stride of the first block, expansion of the width)
STAGES = (
    (1, 16, 3, 1, 1), (2, 24, 3, 2, 6), (2, 40, 5, 2, 6), (3, 80, 3, 2, 6), (3, 112, 5, 1, 6), (4, 192, 5, 2, 6),
    (1, 320, 3, 1, 6),
)  # fmt: skip


def efficientnet_lite0(
    path: str | Path, layers: Sequence[str] = ("pool",), *, image_shape: Sequence[int | None] = (None, None, 3),
    resize: int | None = 224,
) -> FeatureNetwork:  # fmt: skip
    """The feature network EfficientNet-Lite0, with weights from a file.

    Example:
        network = tfgen.features.efficientnet_lite0("/data/efficientnet_lite0.npz", layers=("block_2", "pool"))
        network(images)["pool"]  # float32 [B, 1280] of images [B, H, W, 3] in [0, 1]

    Args:
        path: an .npz of float32 arrays under the names of the PyTorch state dict (`_conv_stem.weight`, [out, in / groups,
            height, width], ...), or the folder of that file.
        layers: some of "stem", "block_0" ... "block_15", "head" (maps after the last convolution), "pool" (their means, [B,
            1280]) and "logits" ([B, 1000], the classes of ImageNet).
        image_shape: (H, W, 1 or 3) of the images; None for a free side.
        resize: height and width to which images are resized, or None: no resizing. The network was trained at 224.

    Raises:
        ValueError: the file does not exist or has other arrays.
    """
    path = Path(path).expanduser()
    file = path / "efficientnet_lite0.npz" if path.is_dir() else path
    network = efficientnet_lite0_network()
    _set_weights(network, file)
    arguments = {"path": str(path), "layers": layers and list(layers), "image_shape": list(image_shape), "resize": resize}
    return FeatureNetwork(
        network, layers, preprocess=EfficientNetInput(resize, dtype="float32", name="preprocessing"),
        image_shape=image_shape, recipe={"maker": "efficientnet_lite0", "arguments": arguments},
    )  # fmt: skip


def efficientnet_lite0_network():
    """The `keras.Model`, with random weights, for images [B, H, W, 3] from `EfficientNetInput`."""

    def conv(x, name, filters=None, kernel_size=1, strides=1, activation=True):
        """Convolution (depthwise if there are no `filters`), batch norm, ReLU6."""
        settings = {"strides": strides, "padding": "same", "use_bias": False, "dtype": "float32", "name": name}
        if filters is None:
            x = layers.DepthwiseConv2D(kernel_size, **settings)(x)
        else:
            x = layers.Conv2D(filters, kernel_size, **settings)(x)
        x = layers.BatchNormalization(epsilon=1e-3, dtype="float32", name=f"{name}_norm")(x)
        return layers.ReLU(6.0, dtype="float32", name=f"{name}_relu")(x) if activation else x

    images = keras.Input((None, None, 3), dtype="float32", name="prepared")
    x, width, block = conv(images, "stem_conv", 32, 3, 2), 32, 0
    x = layers.Identity(dtype="float32", name="stem")(x)
    for count, filters, kernel_size, stride, expansion in STAGES:
        for i in range(count):
            name, before, strides = f"block_{block}", x, stride if i == 0 else 1
            if expansion > 1:
                x = conv(x, f"{name}_expand", expansion * width)
            x = conv(x, f"{name}_depthwise", None, kernel_size, strides)
            x = conv(x, f"{name}_project", filters, activation=False)
            if strides == 1 and width == filters:
                x = layers.Add(dtype="float32", name=name)([x, before])
            else:
                x = layers.Identity(dtype="float32", name=name)(x)
            width, block = filters, block + 1
    x = layers.Identity(dtype="float32", name="head")(conv(x, "head_conv", 1280))
    x = layers.GlobalAveragePooling2D(dtype="float32", name="pool")(x)
    return keras.Model(images, layers.Dense(1000, dtype="float32", name="logits")(x), name="efficientnet_lite0")


def _set_weights(network, file):
    """Sets the network's weights from a file; every array must be used and have the right shape."""
    try:
        with np.load(file) as arrays:
            left = {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"EfficientNet-Lite0 needs the .npz of its weights; {file} cannot be read ({error}).") from error
    try:
        for layer in network.layers:
            if layer.weights:
                layer.set_weights([_array(left, name, layer) for name in _names(layer)])
    except (KeyError, ValueError) as error:
        raise ValueError(f"{file} does not hold the weights of EfficientNet-Lite0: {layer.name}: {error}") from error
    if left := sorted(name for name in left if not name.endswith("num_batches_tracked")):
        raise ValueError(f"{file} does not hold the weights of EfficientNet-Lite0: it also has {left[:5]}.")


def _array(left, name, layer):
    array = left.pop(name)
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return array.transpose(2, 3, 0, 1)  # [C, 1, h, w] -> [h, w, C, 1]
    if array.ndim == 4:
        return array.transpose(2, 3, 1, 0)  # [out, in, h, w] -> [h, w, in, out]
    return array.T  # [out, in] -> [in, out]; a vector stays


def _names(layer):
    """The names in the file of a layer's weights, in Keras' order."""
    name = layer.name.removesuffix("_norm")
    if name == "logits":
        return "_fc.weight", "_fc.bias"
    if name in ("stem_conv", "head_conv"):
        conv, norm = {"stem_conv": ("_conv_stem", "_bn0"), "head_conv": ("_conv_head", "_bn1")}[name]
    else:
        _, index, kind = name.split("_")
        norm = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}[kind]
        conv, norm = f"_blocks.{index}._{kind}_conv", f"_blocks.{index}.{norm}"
    if not layer.name.endswith("_norm"):
        return (f"{conv}.weight",)
    return f"{norm}.weight", f"{norm}.bias", f"{norm}.running_mean", f"{norm}.running_var"
