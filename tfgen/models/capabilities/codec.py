"""The capability Codec: compresses images to bytes."""

import keras
import tensorflow as tf

from tfgen.models.capabilities.capability import Capability, image_spec


class Codec(Capability):
    """A model that compresses images to bytes. A subclass implements `codec` and `bits`."""

    NAME = "codec"
    SIGNATURE = "bits"

    def codec(self) -> object:
        """A `tfgen.models.compression.codec.Codec`, with `compress` and `decompress`, for the current weights."""
        raise NotImplementedError(f"{type(self).__name__} must implement codec().")

    def bits(self, images: tf.Tensor) -> tf.Tensor:
        """The number of bits of each compressed image: float32 [B], of images float32 [B, H, W, C] in [0, 1]."""
        raise NotImplementedError(f"{type(self).__name__} must implement bits(images).")

    @classmethod
    def signatures_of(cls, model: keras.Model) -> dict:
        # An export has no signature for compression: the range coder does not run in a graph.
        return {"bits": (lambda image: {"bits": model.bits(image)}, image_spec(model))}
