"""The capability Projector: finds the codes of images by optimisation, and edits images with them."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from tfgen import fields
from tfgen.models.capabilities.capability import Capability, image_spec, in_graph, one_above_another


class Projector(Capability):
    """A model that finds codes of images by optimisation. A subclass sets `latent_dim` and implements `invert` and
    `decode_images`.

    `evaluate` returns no number for it, since a batch needs hundreds of gradients; `tfgen.metrics.measure` does. To edit one
    image in many ways, project it once and decode changed codes.
    """

    NAME = "projector"
    SIGNATURE = "project"

    def invert(self, images: tf.Tensor) -> tf.Tensor:
        """Codes float32 [B, latent_dim] whose images are close to images float32 [B, H, W, C] in [0, 1].

        The code of an image does not depend on the others in the batch. See `tfgen.sampling.ascend`.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement invert(images).")

    def decode_images(self, latents: tf.Tensor) -> tf.Tensor:
        """Images float32 [B, H, W, C] in [0, 1] of codes [B, latent_dim], by the generator."""
        raise NotImplementedError(f"{type(self).__name__} must implement decode_images(latents).")

    def project(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """The generator's images that are closest to images float32 [B, H, W, C] in [0, 1].

        Returns:
            {"latent": float32 [B, latent_dim], "image": float32 [B, H, W, C], its image}.
        """
        return in_graph(self, "project_rows")(self.check_images(images))

    def project_rows(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """`project` of checked images."""
        latents = self.invert(images)
        return {"latent": latents, "image": self.decode_images(latents)}

    def edit_fields(self) -> tuple[fields.Field, ...]:
        """The `tfgen.fields.Field`s that `edit` takes in addition to images: `direction` [latent_dim], `amount`.

        A model with other edits, such as strokes and their mask, returns its own fields and implements `edit_rows`.
        """
        return fields.vector("direction", self.latent_dim), fields.Field("amount", ())

    def edit(self, images: tf.Tensor, **given) -> dict[str, tf.Tensor]:
        """Projects images and changes their codes, by default along a direction.

        Args:
            images: float32 [B, H, W, C] in [0, 1].
            **given: the fields of `edit_fields`, by name: `direction` float [B, latent_dim] and `amount` float [B].

        Returns:
            {"latent": float32 [B, latent_dim], "image": float32 [B, H, W, C] in [0, 1]}.

        Raises:
            ValueError: an argument is missing or unknown, has another dtype or shape, or another number of rows.
            InvalidArgumentError: a value is out of range or not finite.
        """
        return in_graph(self, "edit_rows")(**self.check_edit(images, **given))

    def edit_rows(self, images: tf.Tensor, **given) -> dict[str, tf.Tensor]:
        """`edit` of checked images and fields."""
        latents = self.invert(images) + given["amount"][:, None] * given["direction"]
        return {"latent": latents, "image": self.decode_images(latents)}

    def check_edit(self, images: tf.Tensor, **given) -> dict[str, tf.Tensor]:
        """{"images", and the fields of `edit_fields`}, checked; raises as `edit`."""
        image = dataclasses.replace(fields.image(self.image_shape), argument="images")
        return fields.check_given((image, *self.edit_fields()), {"images": images, **given}, "edit")

    @classmethod
    def prediction_of(cls, model: keras.Model, data: object) -> tf.Tensor:
        """The projections, float32 [B, H, W, C] in [0, 1], of images."""
        return model.project_rows(model.check_images(model.named(data)["image"]))["image"]

    @classmethod
    def grid_of(cls, model: keras.Model, num: int, examples: dict | None) -> np.ndarray | None:
        """Images of `examples`, each above its projection."""
        if examples is None:
            return None
        images = examples["image"][: max(1, num // 2)]
        return one_above_another([images.numpy(), model.project(images)["image"].numpy()], num)

    @classmethod
    def signatures_of(cls, model: keras.Model) -> dict:
        def project(image):
            return model.project_rows(model.check_images(image))

        def edit(image, **given):
            return model.edit_rows(**model.check_edit(image, **given))

        specs = {field.argument: field.spec for field in model.edit_fields()}
        return {"project": (project, image_spec(model)), "edit": (edit, {**image_spec(model), **specs})}
