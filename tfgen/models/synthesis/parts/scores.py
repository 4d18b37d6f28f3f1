"""`Scores`: a fixed network with units, which may also be a classifier of tfgen or of other channels than the images."""

import os
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfgen.models.capabilities import Classifier
from tfgen.models.fixed import Fixed
from tfgen.models.synthesis.parts.fixed_features import Given, fixed_features
from tfgen.models.synthesis.parts.maximization import Units


class Scores:
    """The scores of units, as a function of images: those of `Units`, or the logits of a `Classifier` of tfgen.

    Images are resized to the input of the network, bicubic; grey ones become coloured, or the reverse. Gradients flow
    through to the images.

    Args:
        name: of the argument of the network, for messages.
        given: what `tfgen.features.get` takes; or a `Classifier` of tfgen, or the path of its .keras file.
        layer: its layer with the units; None: the output. Of a `Classifier` of tfgen it must be None.
        image_shape: (H, W, C) of the images.
        position: None, or (row, column) in a layer of maps; None: the centre.

    Attributes:
        network: the `FeatureNetwork` or `Fixed`.
        count: number of units.

    Raises:
        ValueError: as `Units`; the channels cannot be changed into those of the network; a layer or a position of a
            `Classifier`.
    """

    def __init__(
        self, name: str, given: Given, layer: str | None, image_shape: Sequence[int],
        position: Sequence[int] | None = None,
    ):  # fmt: skip
        layers, classifies = None if layer is None else (layer,), _is_classifier(given)
        network: Any = Fixed(given, name) if classifies else fixed_features(name, given, layers, None)
        self.network = network
        taken, channels = tuple((network.network if classifies else network).image_shape), image_shape[2]
        if len(taken) != 3 or taken[2] != channels and {taken[2], channels} != {1, 3}:
            raise ValueError(
                f"{name} must take images of {'1 or 3' if channels in (1, 3) else channels} channels; received one whose "
                f"input is {taken}."
            )
        self.size, self.channels, self.units = taken[:2], taken[2], None
        if not classifies:
            shape = (*image_shape[:2], taken[2])
            self.units = Units(self.network, None, shape, resize="bicubic", position=position, name=name)
            self.count = self.units.count
            return
        self.count, kind = getattr(self.network.network, "num_labels", 0), type(self.network.network).__name__
        if not self.count:
            raise ValueError(f"{name} must be a classifier; received a {kind} that is none.")
        if layer is not None or position is not None:
            raise ValueError(f"{name} is a {kind}, whose units are the classes: it takes no layer and no position.")

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """Scores float32 [B, count] of images float32 [B, H, W, C] in [0, 1]."""
        if self.channels != images.shape[3]:
            images = (tf.image.grayscale_to_rgb if self.channels == 3 else tf.image.rgb_to_grayscale)(images)
        if self.units is not None:
            return self.units(images)
        if self.size != tuple(images.shape[1:3]):
            images = within(tf.image.resize(images, self.size, "bicubic", antialias=True))  # bicubic overshoots
        return tf.cast(self.network.network.class_logits(images), tf.float32)


def _is_classifier(given):
    """Whether a network, the path of its file or the config of a `Fixed` is a `Classifier` of tfgen."""
    if isinstance(given, dict):
        return given.keys() == {"path", "fingerprint"}
    if isinstance(given, (str, os.PathLike)) and str(given).endswith(".keras") and os.path.isfile(given):
        given = keras.saving.load_model(given, compile=False)
    return isinstance(given, Classifier)


@tf.custom_gradient
def within(images: tf.Tensor) -> tuple:
    """Images clipped to [0, 1], with the gradient of images that are not, so that a pixel can come back from outside."""
    return tf.clip_by_value(images, 0.0, 1.0), lambda gradient: gradient
