"""Codec: files of images."""

import keras
import tensorflow as tf

from tfgen.models.capabilities.capability import Capability, image_spec


class Codec(Capability):
    """A model that compresses images to bytes. A subclass implements `codec` and `bits`."""

    NAME = "codec"
    SIGNATURE = "bits"

    def codec(self) -> object:
        """A `tfgen.models.compression.codec.Codec` (with `compress` and `decompress`) of the weights as they are now."""
        raise NotImplementedError(f"{type(self).__name__} must implement codec().")

    def bits(self, images: tf.Tensor) -> tf.Tensor:
        """The bits that the code of each image [B, H, W, C] takes: float32 [B]."""
        raise NotImplementedError(f"{type(self).__name__} must implement bits(images).")

    @classmethod
    def signatures_of(cls, model: keras.Model) -> dict:
        # Not the files: no graph holds the range coder.
        return {"bits": (lambda image: {"bits": model.bits(image)}, image_spec(model))}
