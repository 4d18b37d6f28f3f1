"""The family of GANs that draw images of embeddings of texts: what StackGAN and StackGAN v2 share."""

import dataclasses
from typing import Literal

import tensorflow as tf

from tfgen import fields, random
from tfgen.layers.image_pool import gathered
from tfgen.models.base import TrainableModel
from tfgen.models.capabilities import Sampler
from tfgen.settings import ImageShape, NonNegativeFloat, PositiveInt

_HINT = {
    "embedding": "a vector for each image, such as that of a sentence by an encoder; see tfgen.data.captioned",
    "mismatched": 'an image that the embedding does not describe; mismatches="batch" takes other images of the batch',
}


class TextToImageModel(Sampler, TrainableModel):
    """A GAN whose condition is an `embedding`, float32 [B, embedding_dim], and whose discriminators see mismatched pairs.

    The latents of an image are the noise z, followed by the noise of each conditioning augmentation. With zeros in place of
    the latter an image is that of the mean condition.

    Args:
        image_shape: (H, W, C).
        embedding_dim: width of the embeddings, which any encoder of texts may have made.
        noise_dim: width of z.
        condition_dim: width of the condition that is drawn around the mean of an embedding.
        kl_weight: factor of `tfgen.losses.augmentation_divergence` in the generator's loss.
        mismatches: the real images that discriminators see with an embedding that is not theirs. "batch": for each row the
            image of the next row of the batch; rows with equal embeddings do not count. "given": the field `mismatched`.
        **kwargs: see `TrainableModel`.

    Attributes:
        augmentations: number of conditioning augmentations.
        noise_limit: None, or the largest absolute value of their noise.
    """

    loss_names = (
        "generator_loss", "discriminator_loss", "divergence", "matching_logit", "mismatched_logit", "fake_logit"
    )  # fmt: skip
    augmentations = 1
    noise_limit = None

    def __init__(
        self, *, image_shape: ImageShape, embedding_dim: PositiveInt, noise_dim: PositiveInt = 100,
        condition_dim: PositiveInt = 128, kl_weight: NonNegativeFloat = 2.0,
        mismatches: Literal["batch", "given"] = "batch", **kwargs,
    ):  # fmt: skip
        super().__init__(image_shape=image_shape, **kwargs)
        self.embedding_dim, self.noise_dim, self.condition_dim = int(embedding_dim), int(noise_dim), int(condition_dim)
        self.latent_dim = self.noise_dim + self.augmentations * self.condition_dim
        self.kl_weight, self.mismatches = float(kl_weight), mismatches

    @classmethod
    def fields_of(cls, config):
        found = [fields.image(config["image_shape"]), fields.vector("embedding", config["embedding_dim"])]
        if config["mismatches"] == "given":
            found.append(fields.image(config["image_shape"], "mismatched"))
        return tuple(dataclasses.replace(field, hint=_HINT.get(field.name, "")) for field in found)

    def conditions(self):
        return tuple(field for field in self.batch_fields() if field.name == "embedding")

    # ---- training

    def mismatched(self, batch: dict) -> tuple[tf.Tensor, tf.Tensor]:
        """(real images [B, H, W, C] in [0, 1] for the embeddings of other rows, float [B]: 0 in rows that do not count).

        Raises:
            ValueError: mismatches="batch" with a batch of one row.
        """
        if self.mismatches == "given":
            return batch["mismatched"], tf.ones(tf.shape(batch["image"])[:1])
        (images, embeddings), first = gathered(batch["image"], batch["embedding"])
        if images.shape[0] == 1:
            raise ValueError(
                f'{type(self).__name__} with mismatches="batch" needs batches of two or more rows, since it takes images of '
                "other rows; received one of 1 row."
            )
        rows = tf.shape(batch["image"])[0]
        images, embeddings = (tf.roll(values, -1, axis=0)[first : first + rows] for values in (images, embeddings))
        differs = tf.reduce_any(embeddings != batch["embedding"], axis=-1)
        return images, tf.cast(differs, tf.float32)

    def training_latents(self, batch: dict, stream: int) -> tf.Tensor:
        """Latents [B, latent_dim] for the rows of a batch; each update has its own `stream`."""
        return self.draw_latents(self.noise_keys(tf.shape(batch["image"])[0], stream))

    # ---- sampling

    def draw_latents(self, keys: tf.Tensor) -> tf.Tensor:
        """Latents float32 [B, latent_dim]; row i is a function of keys[i] (uint64 [B]) alone."""
        found = [random.normal(random.fold(keys, 0), self.noise_dim)]
        for i in range(self.augmentations):
            own = random.fold(keys, 1 + i)
            limit = self.noise_limit
            found.append(
                random.normal(own, self.condition_dim) if limit is None
                else random.truncated_normal(own, self.condition_dim, limit)
            )  # fmt: skip
        return tf.concat(found, axis=-1)

    def latents(self, seeds):
        return self.draw_latents(random.keys(seeds))

    def parts(self, latents: tf.Tensor) -> list[tf.Tensor]:
        """[z [B, noise_dim], and the noise [B, condition_dim] of each conditioning augmentation]."""
        return tf.split(latents, [self.noise_dim] + [self.condition_dim] * self.augmentations, axis=-1)

    def decode_images(self, latents: tf.Tensor, embedding: tf.Tensor | None = None) -> tf.Tensor:
        """Images float32 [B, H, W, C] in [0, 1] of latents [B, latent_dim] and embeddings [B, embedding_dim]."""
        latents = self.check_latents(latents)
        given = self.check_conditions(latents.shape[0], {"embedding": embedding})
        return tf.clip_by_value(0.5 + 0.5 * self.drawn(latents, given["embedding"]), 0.0, 1.0)

    def drawn(self, latents: tf.Tensor, embedding: tf.Tensor) -> tf.Tensor:
        """`decode_images` of checked values, float32 in [-1, 1], with moving statistics."""
        raise NotImplementedError(f"{type(self).__name__} must implement drawn(latents, embedding).")
