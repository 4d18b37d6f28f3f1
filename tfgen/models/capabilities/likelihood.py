"""The capability Likelihood: computes log p(x) of images, or a bound on it."""

import math

import keras
import tensorflow as tf

from tfgen import fields
from tfgen.models.capabilities.capability import Capability, condition_specs, image_spec


class Likelihood(Capability):
    """A model with log p(x) of images, or a lower bound on it. A subclass implements `log_prob(images)`.

    Attributes:
        knows_likelihood: whether this instance has the capability.
        exact_likelihood: whether `log_prob` is log p(x) itself, and not a bound.
        nats_loss: None, or the name of an evaluation loss that is -log p(x), or a bound on it, in nats per image. `evaluate`
            computes bits per dimension from this loss, or from `log_prob` if it is None.
        importance_samples: number of importance samples of the exported `log_prob`; None if it takes none.
    """

    NAME = "likelihood"
    SIGNATURE = "log_prob"
    NUMBER = "bits_per_dim"
    knows_likelihood = True
    exact_likelihood = False
    nats_loss: str | None = None
    importance_samples: int | None = None

    def log_prob(self, images: tf.Tensor, **conditions) -> tf.Tensor:
        """log p(x), or a lower bound on it, of images float32 [B, H, W, C] in [0, 1]: float32 [B], nats per image."""
        raise NotImplementedError(f"{type(self).__name__} must implement log_prob(images).")

    def bits_per_dim(self, images: tf.Tensor, **conditions) -> tf.Tensor:
        """-log2 p(x) per pixel and channel, float32 [B]; an upper bound if `log_prob` is a lower bound."""
        return self.in_bits_per_dim(-self.log_prob(images, **conditions))

    def in_bits_per_dim(self, nats: tf.Tensor) -> tf.Tensor:
        """Converts nats per image to bits per pixel and channel."""
        return nats / (math.prod(self.image_shape) * math.log(2.0))

    def exported_log_prob(self, images: tf.Tensor, **conditions) -> tf.Tensor:
        """The `log_prob` of the export's signature of this name."""
        return self.log_prob(images, **conditions)

    @classmethod
    def offered_by(cls, model: keras.Model) -> bool:
        return model.knows_likelihood

    @classmethod
    def number_of(cls, model: keras.Model, batch: dict, losses: dict) -> tf.Tensor | None:
        """-log2 p(x) per pixel and channel, or a bound on it."""
        if model.nats_loss:
            return model.in_bits_per_dim(losses[model.nats_loss])
        return model.bits_per_dim(batch["image"], **model.conditions_of(batch))

    @classmethod
    def prediction_of(cls, model: keras.Model, data: object) -> tf.Tensor:
        """log p(x), float32 [B] in nats, of images and the model's conditions."""
        batch = model.as_batch(data, (model.batch_fields()[0], *model.conditions()))
        return model.log_prob(batch["image"], **model.conditions_of(batch))

    @classmethod
    def request_fields_of(cls, model: keras.Model) -> tuple[fields.Field, ...]:
        return (*super().request_fields_of(model), *model.conditions())

    @classmethod
    def signatures_of(cls, model: keras.Model) -> dict:
        def log_prob(image, **conditions):
            return {"log_prob": model.exported_log_prob(image, **conditions)}

        return {"log_prob": (log_prob, {**image_spec(model), **condition_specs(model)})}
