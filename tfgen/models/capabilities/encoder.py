"""The capability Encoder: encodes images, and reconstructs them from their codes."""

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.models.capabilities.capability import Capability, image_spec, one_above_another


class Encoder(Capability):
    """A model that encodes images. A subclass implements `encode(images)` and `reconstruct(images)`.

    `encode` may return a distribution of codes; `codes` returns numbers for every model.

    Attributes:
        draws_reconstructions: whether `reconstruct` draws a random image. Then `evaluate` returns no reconstruction error.
    """

    NAME = "encoder"
    SIGNATURE = "encode"
    NUMBER = "reconstruction_error"
    draws_reconstructions = False

    def encode(self, images: tf.Tensor) -> tf.Tensor | tfp.distributions.Distribution:
        """The code of images float32 [B, H, W, C] in [0, 1]: a tensor [B, ...], or a distribution with batch shape [B]."""
        raise NotImplementedError(f"{type(self).__name__} must implement encode(images).")

    def reconstruct(self, images: tf.Tensor) -> tf.Tensor:
        """Reconstructions of images from their codes, float32 [B, H, W, C] in [0, 1]."""
        raise NotImplementedError(f"{type(self).__name__} must implement reconstruct(images).")

    def codes(self, images: tf.Tensor) -> tf.Tensor:
        """The codes of images as numbers, float32 [B, Z]; if `encode` returns a distribution, its mean."""
        return self.code_outputs(images)["latent"]

    def code_outputs(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """The outputs of the signature `encode`: {"latent": float32 [B, Z], ...}."""
        code = tf.cast(self.encode(images), tf.float32)
        return {"latent": tf.reshape(code, [tf.shape(code)[0], -1])}

    @classmethod
    def number_of(cls, model: keras.Model, batch: dict, losses: dict) -> tf.Tensor | None:
        """Squared error of `reconstruct`, float32 [B], averaged over pixels and channels of images in [0, 1]."""
        if model.draws_reconstructions:
            return None
        return tf.reduce_mean(tf.square(model.reconstruct(batch["image"]) - batch["image"]), axis=[1, 2, 3])

    @classmethod
    def prediction_of(cls, model: keras.Model, data: object) -> tf.Tensor:
        """Reconstructions, float32 [B, H, W, C] in [0, 1], of images."""
        return model.reconstruct(model.named(data)["image"])

    @classmethod
    def grid_of(cls, model: keras.Model, num: int, examples: dict | None) -> np.ndarray | None:
        """Images of `examples`, each above its reconstruction."""
        if examples is None:
            return None
        images = examples["image"][: max(1, num // 2)]
        return one_above_another([images.numpy(), model.reconstruct(images).numpy()], num)

    @classmethod
    def signatures_of(cls, model: keras.Model) -> dict:
        def reconstruct(image):
            return {"image": tf.ensure_shape(model.reconstruct(image), [None, *model.image_shape])}

        return {
            "encode": (lambda image: model.code_outputs(image), image_spec(model)),
            "reconstruct": (reconstruct, image_spec(model)),
        }
