"""Images on their way through the generator and the discriminator in training."""

import dataclasses

import tensorflow as tf

from tfgen import random

_LABELS = 1 << 20  # added to the number of a noise stream: that of the labels of the same images


@dataclasses.dataclass(frozen=True)
class Pass:
    """Images, real or generated, on their way through the discriminator: what the hooks of a paper see.

    Attributes:
        images: [B, H, W, C] in [-1, 1].
        one_hot: the labels that the images were made for or have, [B, K]; None where there are none.
        latents: [B, latent_dim] of generated images; None of real ones.
        outputs: what the discriminator returned for the images, {"logit": ..., "features": ..., ...}, in the shapes that it
            has them.
    """

    images: tf.Tensor
    one_hot: tf.Tensor | None = None
    latents: tf.Tensor | None = None
    outputs: dict | None = None

    @property
    def logit(self) -> tf.Tensor:
        return self.outputs["logit"]


class PassMixin:
    """The part of `AdversarialModel` that calls the generator and the discriminator, and draws their noise."""

    def generate_raw(self, latents: tf.Tensor, one_hot: tf.Tensor | None = None, training: bool = False) -> tf.Tensor:
        """The generator's own output, float32 [B, H, W, C] in [-1, 1]."""
        inputs = [latents] if one_hot is None else [latents, one_hot]
        return tf.cast(self.generator(inputs, training=training), tf.float32)

    def discriminate(
        self, raw_images: tf.Tensor, one_hot: tf.Tensor | None = None, training: bool = False, **noise
    ) -> dict[str, tf.Tensor]:
        """What the discriminator returns for images in [-1, 1]: {"logit": float32 [B], "features": ...}.

        Values are float32 and keep their shapes; only a logit [B, 1] becomes [B].

        Args:
            noise: what `discriminator_noise` draws for this pass; nothing outside of training.
        """
        inputs = [raw_images] if one_hot is None else [raw_images, one_hot]
        outputs = self.discriminator(inputs, training=training, **noise)
        outputs = {key: tf.cast(value, tf.float32) for key, value in outputs.items()}
        if outputs["logit"].shape[1:] == (1,):
            outputs["logit"] = outputs["logit"][:, 0]
        return outputs

    def logits(self, raw_images: tf.Tensor, one_hot: tf.Tensor | None = None, training: bool = False, **noise) -> tf.Tensor:
        """The logits alone of `discriminate`, float32 [B]."""
        return self.discriminate(raw_images, one_hot, training, **noise)["logit"]

    def discriminator_noise(self, batch_size: int | tf.Tensor, stream: int, part: int = 0) -> dict[str, tf.Tensor]:
        """{"keys": uint64 [batch_size]} for one pass of a discriminator that is `noisy` (see `tfgen.layers.noise`), else {}.

        Args:
            stream: of the update that the pass belongs to. Its latents are drawn from other keys.
            part: tells the passes of one update apart.
        """
        if not getattr(self.discriminator, "noisy", False):
            return {}
        return {"keys": random.fold(self.noise_keys(batch_size, -1 - stream), part)}

    def generator_stream(self, turn: int) -> int:
        """The number of the noise stream of the generator's update `turn`, counted from 0, of a step."""
        return 2 + turn

    def passed(self, images: Pass, stream: int, part: int = 0) -> Pass:
        """The `Pass` with the outputs of the discriminator in training; `stream` and `part` as for `discriminator_noise`."""
        noise = self.discriminator_noise(tf.shape(images.images)[0], stream, part)
        outputs = self.discriminate(images.images, images.one_hot, training=True, **noise)
        return dataclasses.replace(images, outputs=outputs)

    def generated(self, size: int | tf.Tensor, stream: int) -> Pass:
        """A `Pass` of `size` images that the generator makes in training, for an update with the noise `stream`."""
        latents = self.draw_latents(self.noise_keys(size, stream))
        one_hot = self.draw_labels(self.noise_keys(size, stream + _LABELS)) if self.num_classes else None
        return Pass(self.generate_raw(latents, one_hot, training=True), one_hot, latents)
