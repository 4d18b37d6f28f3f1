"""Likelihood: how probable images are."""

import math

import keras
import tensorflow as tf

from tfgen.models.capabilities.capability import Capability, condition_specs, image_spec


class Likelihood(Capability):
    """A model that knows log p(x), or a lower bound on it. A subclass implements `log_prob(images)`.

    Attributes:
        exact_likelihood: whether `log_prob` is log p(x) itself, and not a bound.
    """

    NAME = "likelihood"
    SIGNATURE = "log_prob"
    exact_likelihood = False

    def log_prob(self, images: tf.Tensor, **conditions) -> tf.Tensor:
        """log p(x), or a lower bound on it, of images float32 [B, H, W, C] in [0, 1]: float32 [B], nats per image."""
        raise NotImplementedError(f"{type(self).__name__} must implement log_prob(images).")

    def bits_per_dim(self, images: tf.Tensor, **conditions) -> tf.Tensor:
        """-log2 p(x) per pixel and channel, float32 [B]; an upper bound where `log_prob` is a lower one."""
        return -self.log_prob(images, **conditions) / (math.prod(self.image_shape) * math.log(2.0))

    def exported_log_prob(self, images: tf.Tensor, **conditions) -> tf.Tensor:
        """`log_prob` as the signature of that name computes it."""
        return self.log_prob(images, **conditions)

    @classmethod
    def signatures_of(cls, model: keras.Model) -> dict:
        def log_prob(image, **conditions):
            return {"log_prob": model.exported_log_prob(image, **conditions)}

        return {"log_prob": (log_prob, {**image_spec(model), **condition_specs(model)})}
