"""The family of GANs that draw images of embeddings of texts: what StackGAN and StackGAN v2 share."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Literal

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from tfgen import fields, random, settings
from tfgen.features.text import CharacterEncoder
from tfgen.layers.batch_norm import statistics_unmoved
from tfgen.layers.image_pool import gathered
from tfgen.models.base import TrainableModel
from tfgen.models.capabilities import Sampler
from tfgen.models.capabilities.capability import seeds_spec
from tfgen.settings import ImageShape, NonNegativeFloat, PositiveInt

_HINT = {
    "embedding": "a vector for each image, such as that of a sentence by an encoder; see tfgen.data.captioned",
    "mismatched": 'an image that the embedding does not describe; mismatches="batch" takes other images of the batch',
}


class TextToImageModel(Sampler, TrainableModel):
    """A GAN whose condition is an `embedding`, float32 [B, embedding_dim], and whose discriminators see mismatched pairs.

    The latents of an image are the noise z, followed by the noise of each conditioning augmentation. With zeros in place of
    the latter an image is that of the mean condition.

    With a `text_encoder`, that whose vectors it was trained with, it can be asked with sentences: `sample` and `generate`
    take `text` in place of `embedding`. If the encoder is a `tfgen.features.CharacterEncoder`, an export holds its network
    and has the signature `sample_text`. It is no part of the model's weights and config: `.keras` files, `save_to_preset`
    and checkpoints are without it, so save its network and set it again after loading.

    Example:
        >>> model = tfgen.models.StackGANv2(
        ...     image_shape=(8, 8, 1), embedding_dim=4, width=4, ups=0, discriminator_width=2, noise_dim=2, condition_dim=2)
        >>> sentences = ["a red seven", "a blue one"]
        >>> model.text_encoder = tfgen.features.train_text_encoder(sentences, np.array([[7], [1]]), size=4, epochs=1)
        >>> model.sample(2, text=sentences).shape
        TensorShape([2, 8, 8, 1])
        >>> sorted(model.signatures()["sample_text"][1])
        ['seeds', 'text']

    Args:
        image_shape: (H, W, C).
        embedding_dim: width of the embeddings, which any encoder of texts may have made.
        noise_dim: width of z.
        condition_dim: width of the condition that is drawn around the mean of an embedding.
        kl_weight: factor of `tfgen.losses.augmentation_divergence` in the generator's loss.
        mismatches: the real images that discriminators see with an embedding that is not theirs. "batch": for each row the
            image of the next row of the batch; rows with equal embeddings do not count. "given": the field `mismatched`.
        passes: of discriminators, in training. "separate": matching, mismatched and generated images are batches of their
            own, as in the papers' code. Then batch norm lets a discriminator tell the kind of a whole batch, by how images
            and texts vary together in it, without judging any single pair: with captions of digits it was always right in
            training, and knew 66 % of pairs by its moving statistics, which are those of matching pairs alone. "joint": the
            three are one batch.
        **kwargs: see `TrainableModel`.

    Attributes:
        augmentations: number of conditioning augmentations.
        noise_limit: None, or the largest absolute value of their noise.
        text_encoder: None, or any function from N sentences to vectors [N, embedding_dim]. Setting it calls it once, and
            raises ValueError for no such function, or a Keras layer.
    """

    loss_names: tuple[str, ...] = (
        "generator_loss", "discriminator_loss", "divergence", "matching_logit", "mismatched_logit", "fake_logit"
    )  # fmt: skip
    augmentations = 1
    noise_limit: float | None = None
    text_encoder = None

    def __init__(
        self, *, image_shape: ImageShape, embedding_dim: PositiveInt, noise_dim: PositiveInt = 100,
        condition_dim: PositiveInt = 128, kl_weight: NonNegativeFloat = 2.0,
        mismatches: Literal["batch", "given"] = "batch", passes: Literal["separate", "joint"] = "separate", **kwargs,
    ):  # fmt: skip
        super().__init__(image_shape=image_shape, **kwargs)
        self.embedding_dim, self.noise_dim, self.condition_dim = int(embedding_dim), int(noise_dim), int(condition_dim)
        self.latent_dim = self.noise_dim + self.augmentations * self.condition_dim
        self.kl_weight, self.mismatches, self.passes = float(kl_weight), mismatches, passes

    @classmethod
    def fields_of(cls, config):
        found = [fields.image(config["image_shape"]), fields.vector("embedding", config["embedding_dim"])]
        if config["mismatches"] == "given":
            found.append(fields.image(config["image_shape"], "mismatched"))
        return tuple(dataclasses.replace(field, hint=_HINT.get(field.name, "")) for field in found)

    def conditions(self):
        return tuple(field for field in self.batch_fields() if field.name == "embedding")

    # ---- texts

    def __setattr__(self, name, value):
        if name == "text_encoder":
            self._check_encoder(value)
            object.__setattr__(self, name, value)  # past Keras, so that it is no part of the model
        else:
            super().__setattr__(name, value)

    def _check_encoder(self, encoder):
        wanted = f"text_encoder must be a function from N sentences to vectors [N, {self.embedding_dim}]"
        if encoder is None:
            return
        if not callable(encoder) or isinstance(encoder, keras.layers.Layer):
            raise ValueError(f"{wanted}, such as a tfgen.features.CharacterEncoder; received {settings.shown(encoder)}.")
        found = np.shape(np.asarray(encoder(["a"])))
        if found != (1, self.embedding_dim):
            raise ValueError(f"{wanted}, the embedding_dim of the model; of one sentence it returned the shape {found}.")

    def embedded(self, text: Sequence[str]) -> np.ndarray:
        """Vectors float32 [N, embedding_dim] of N sentences by the `text_encoder`.

        Raises:
            ValueError: there is none, `text` is no list of sentences, one is empty, or the encoder refuses it.
        """
        if self.text_encoder is None:
            raise ValueError(f"This {type(self).__name__} has no text_encoder: set model.text_encoder, or give embedding.")
        if np.ndim(text) != 1 or not all(isinstance(one, str) and one for one in text):
            raise ValueError(f"text must be a list of sentences, none of them empty; received {settings.shown(text)}.")
        return np.asarray(self.text_encoder(list(text)), np.float32)

    def check_conditions(self, num, given):
        if given.get("text") is not None:
            if given.get("embedding") is not None:
                raise ValueError("Give text or embedding, not both.")
            given = {**given, "text": None, "embedding": self.embedded(given["text"])}
        return super().check_conditions(num, given)

    def signatures(self):
        found, encoder = super().signatures(), self.text_encoder
        if isinstance(encoder, CharacterEncoder):

            def sample_text(seeds, text):
                embedding = encoder.network(_characters(text, encoder.length), training=False)
                return {"image": self.generate(seeds, embedding=tf.cast(embedding, tf.float32))}

            found["sample_text"] = (sample_text, {**seeds_spec(), "text": tf.TensorSpec([None], tf.string)})
        elif encoder is not None:
            logging.warning(
                "There is no signature sample_text: for one, text_encoder must be a tfgen.features.CharacterEncoder; it is "
                "a %s.", type(encoder).__name__,
            )  # fmt: skip
        return found

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

    def judged(self, judge: Callable, kinds: Sequence[tf.Tensor], network: keras.layers.Layer) -> list:
        """What a discriminator says of each kind of images, in training; its moving statistics become those of
        the first, or of all with passes="joint".

        Args:
            judge: function of images [n B, H, W, C] -> tensors [n B].
            kinds: real images [B, H, W, C] for their own texts, real ones for other texts, generated ones.
            network: the discriminator.
        """
        if self.passes == "joint":
            return self._parted(judge, kinds)
        found = [judge(kinds[0])]
        with statistics_unmoved(network):
            return found + [judge(images) for images in kinds[1:]]

    def judged_alone(self, judge: Callable, kinds: Sequence[tf.Tensor], network: keras.layers.Layer) -> tf.Tensor | dict:
        """What a discriminator says of the last of the kinds of `judged`, for the generator; no statistics move."""
        with statistics_unmoved(network):
            return self._parted(judge, kinds)[-1] if self.passes == "joint" else judge(kinds[-1])

    @staticmethod
    def _parted(judge, kinds):
        found = judge(tf.concat(kinds, axis=0))
        parts = [tf.split(one, len(kinds)) for one in tf.nest.flatten(found)]
        return [tf.nest.pack_sequence_as(found, part) for part in zip(*parts, strict=True)]

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


def repeated(texts: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
    """Vectors of texts [B, E] for n B images of as many kinds: [n B, E]."""
    found = tf.tile(texts, [tf.shape(images)[0] // tf.shape(texts)[0], 1])
    return tf.ensure_shape(found, [None, texts.shape[-1]])


def _characters(text, length):
    """`tfgen.features.to_characters` in a graph: int32 [B, length] of string [B]; an empty sentence is an error too."""
    codes = tf.cast(tf.io.decode_raw(tf.strings.lower(text), tf.uint8, fixed_length=length), tf.int32)
    count = tf.reduce_sum(tf.cast((codes > 0) & (codes < 128), tf.int32), axis=1)
    good = (count > 0) & (count == tf.strings.length(text))  # of a longer text only the first `length` bytes were counted
    wrong = tf.boolean_mask(text, ~good)[:1]
    # A message is UTF-8, whatever bytes were received.
    begins = tf.strings.unicode_transcode(wrong, "UTF-8", "UTF-8", replace_control_characters=True)
    begins = tf.strings.substr(begins, 0, 40, unit="UTF8_CHAR")
    message = f"text must be sentences of 1 to {length} ASCII characters; received one of"
    return fields.checked(codes, tf.reduce_all(good), message, tf.strings.length(wrong), "bytes, which begins", begins)
