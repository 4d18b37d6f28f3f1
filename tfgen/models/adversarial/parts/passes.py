"""Images in training, with the outputs of the discriminator for them."""

import dataclasses

import tensorflow as tf

from tfgen import random
from tfgen.models.mixin import Mixin

_LABELS = 1 << 20  # added to a stream number, it gives the stream of the labels


@dataclasses.dataclass(frozen=True)
class Pass:
    """A batch of real or generated images with the discriminator's outputs; the hooks of `AdversarialModel` receive it.

    Attributes:
        images: float32 [B, H, W, C] in [-1, 1].
        one_hot: labels float32 [B, K], or None.
        latents: float32 [B, latent_dim] of generated images; None for real images.
        outputs: {"logit": ..., "features": ..., ...}, see `PassMixin.discriminate`.
        logit: `outputs["logit"]`.
    """

    images: tf.Tensor
    one_hot: tf.Tensor | None = None
    latents: tf.Tensor | None = None
    outputs: dict | None = None

    @property
    def logit(self) -> tf.Tensor:
        assert self.outputs is not None
        return self.outputs["logit"]


class PassMixin(Mixin):
    """The part of `AdversarialModel` that calls the generator and the discriminator, and draws their noise."""

    def generate_raw(self, latents: tf.Tensor, one_hot: tf.Tensor | None = None, training: bool = False) -> tf.Tensor:
        """The images of the generator, float32 [B, H, W, C] in [-1, 1]; `one_hot` float32 [B, K] in a conditional model."""
        inputs = [latents] if one_hot is None else [latents, one_hot]
        return tf.cast(self.generator(inputs, training=training), tf.float32)

    def discriminate(
        self, raw_images: tf.Tensor, one_hot: tf.Tensor | None = None, training: bool = False, **noise
    ) -> dict[str, tf.Tensor]:
        """The discriminator's outputs for images.

        Args:
            raw_images: float32 [B, H, W, C] in [-1, 1].
            one_hot: labels float32 [B, K], or None.
            training: whether the discriminator runs in training mode.
            **noise: the result of `discriminator_noise`; none outside of training.

        Returns:
            {"logit": float32 [B] or [B, h, w, 1], "features": ..., ...}, all float32.
        """
        inputs = [raw_images] if one_hot is None else [raw_images, one_hot]
        outputs = self.discriminator(inputs, training=training, **noise)
        outputs = {key: tf.cast(value, tf.float32) for key, value in outputs.items()}
        if outputs["logit"].shape[1:] == (1,):
            outputs["logit"] = outputs["logit"][:, 0]
        return outputs

    def logits(self, raw_images: tf.Tensor, one_hot: tf.Tensor | None = None, training: bool = False, **noise) -> tf.Tensor:
        """The output "logit" of `discriminate`, float32 [B]."""
        return self.discriminate(raw_images, one_hot, training, **noise)["logit"]

    def discriminator_noise(self, batch_size: int | tf.Tensor, stream: int, part: int = 0) -> dict[str, tf.Tensor]:
        """{"keys": uint64 [batch_size]} for a `noisy` discriminator (see `tfgen.layers.noise`), else {}.

        Args:
            batch_size: number of images.
            stream: number of the noise stream of the update; its latents have other keys.
            part: a different number for each call of the discriminator in one update.
        """
        if not getattr(self.discriminator, "noisy", False):
            return {}
        return {"keys": random.fold(self.noise_keys(batch_size, -1 - stream), part)}

    def generator_stream(self, turn: int) -> int:
        """The number of the noise stream of the generator's update `turn`, counted from 0 in each step."""
        return 2 + turn

    def passed(self, images: Pass, stream: int, part: int = 0) -> Pass:
        """Calls the discriminator in training mode, with augmented images, and returns the `Pass` with its outputs.

        For `stream` and `part` see `discriminator_noise`.
        """
        noise = self.discriminator_noise(tf.shape(images.images)[0], stream, part)
        shown = self.augmented(images.images, stream, part)
        outputs = self.discriminate(shown, images.one_hot, training=True, **noise)
        return dataclasses.replace(images, outputs=outputs)

    def generated(self, size: int | tf.Tensor, stream: int) -> Pass:
        """A `Pass` of `size` generated images in training mode, with noise of the stream `stream`."""
        latents = self.draw_latents(self.noise_keys(size, stream))
        one_hot = self.draw_labels(self.noise_keys(size, stream + _LABELS)) if self.num_classes else None
        return Pass(self.generate_raw(latents, one_hot, training=True), one_hot, latents)
