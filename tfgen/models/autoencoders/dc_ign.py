"""DC-IGN: an autoencoder whose latents are pose, light and identity.

Kulkarni, Whitney, Kohli, Tenenbaum, "Deep Convolutional Inverse Graphics Network", 2015, arXiv:1503.03167. Code:
willwhitney/dc-ign.

The idea: train a variational autoencoder on mini-batches in which one factor of the scene varies, or all intrinsic ones
(shape, texture, ...). Only the latents of the factors that vary may differ within such a batch: in place of all other
latents the decoder gets their mean over the batch. So it must draw the differences from the latents of the varying factor.
The other latents get a gradient towards their mean, and the encoder learns to be invariant.

With A the latents of the factor that varies, B images and z = mean + stddev * noise (section 3, algorithm 1):

    decoder input   z_k of each image for k in A;  the mean over the batch, zbar_k, for all others
    gradient        that of -E[log p(x|z)] + KL for k in A;  c (z_k - zbar_k) for all others

which is the gradient of

    loss = mean over the batch of ( -log p(x | clamped z) + sum_{k in A} KL_k + c/2 sum_{k not in A} (z_k - zbar_k)^2 )

with no gradient through zbar. Latent k stands for factor k of `factors`; all further ones are intrinsic.

The description leaves three choices. The sample z is clamped, since the gradient above is written for z; the code clamps
mean and ln variance, so the noise of clamped latents differs between images. The KL term is that of the latents in A: with a
KL term in every batch, a latent that is clamped in 12 of 13 batches would be pulled to the prior 13 times for each use, and
collapse; the code filters this gradient in the same way. The mean is that of the whole batch, also where replicas hold parts
of it.

What differs from the paper: convolutions start from Glorot's uniform. Images are grey, and -log p(x|z) is the cross-entropy
of a Bernoulli decoder, as in the paper: its least value is not 0, and neither `elbo` nor `log_prob` is a likelihood of them.

The code differs from the paper: it clamps to the first sample (`clamp="first"`), its gradient towards the mean is off by
default, it draws the four kinds of batches equally often, and it starts from a network trained as a plain VAE. Its losses
are sums over the batch, ours are means.
"""

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Literal

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from tensorflow_probability import distributions as tfd

from tfgen import fields
from tfgen.layers.initializers import normal
from tfgen.models.autoencoders.base import AutoencodingModel
from tfgen.settings import DIFFERENT, ImageShape, NonNegativeFloat, PositiveInt, Seed, Text, Widths
from tfgen.training.players import mean_over_replicas

Clamp = Literal["mean", "first", "none"]


@keras.saving.register_keras_serializable("tfgen")
class DCIGN(AutoencodingModel):
    """Deep convolutional inverse graphics network.

    Batches must have `active`, int32 [B], the same number k in all rows. Factor k of `factors` varies in the batch; with
    k = len(factors) the intrinsic factors vary. `tfgen.data.FactorSource` makes such batches.

    Example:
        >>> model = tfgen.models.DCIGN(
        ...     image_shape=(10, 10, 1), latent_dim=4, factors=("azimuth",), filters=(4,), kernel_size=3,
        ...     decoder_filters=(4,), decoder_kernel_size=3)
        >>> model.rerender(tf.zeros([2, 10, 10, 1]), "azimuth", [-1.0, 0.0, 1.0]).shape
        TensorShape([2, 3, 10, 10, 1])

    Args:
        image_shape: (H, W, C).
        latent_dim: number of latents; more than the number of factors.
        factors: the names of the factors of latents 0, 1, ...
        filters: of the convolutions of the encoder, each followed by max pooling over 2x2.
        kernel_size: of the encoder; no padding.
        decoder_filters: of all convolutions of the decoder but the last, which has C; each follows a doubling of the size.
        decoder_kernel_size: no padding. Doubling and convolving must lead to H and W.
        clamp: the value of latents that do not vary: the "mean" of the batch (paper) or the "first" sample (released code).
            "none": nothing is clamped and `active` is ignored; the model is a plain variational autoencoder.
        invariance: c, the weight of the gradient that pulls latents that do not vary to their mean.
        kl_weight: weight of the KL term in the loss.
        encoder, decoder: None, or networks of your own (see `tfgen.networks.given_network`; copied, with their weights):
            images [B, H, W, C] in [0, 1] -> mean and ln variance of q(z|x), [B, 2 latent_dim]; latents [B, latent_dim] ->
            logits [B, H, W, C]. With a network of your own, leave out the settings of the built-in
            one.
        seed: int, of the training noise.
    """

    loss_names = ("loss", "reconstruction", "kl", "invariance")
    own_networks = {
        ("encoder",): ("kernel_size",),
        ("decoder",): ("decoder_filters", "decoder_kernel_size"),
        ("encoder", "decoder"): ("filters",),  # the last of them are the decoder's first, too
    }

    def __init__(
        self, *, image_shape: ImageShape, latent_dim: PositiveInt = 200,
        factors: Annotated[Sequence[Text], DIFFERENT] = ("azimuth", "elevation", "light"),
        filters: Widths = (96, 48, 24), kernel_size: PositiveInt = 5, decoder_filters: Sequence[PositiveInt] = (48, 96, 96),
        decoder_kernel_size: PositiveInt = 7, clamp: Clamp = "mean", invariance: NonNegativeFloat = 0.01,
        kl_weight: NonNegativeFloat = 1.0,
        encoder: keras.Model | dict | str | None = None, decoder: keras.Model | dict | str | None = None, seed: Seed = 0,
        **kwargs,
    ):  # fmt: skip
        super().__init__(image_shape=image_shape, seed=seed, **kwargs)
        factors = tuple(factors)
        if latent_dim <= len(factors):
            raise ValueError(f"latent_dim must be more than the {len(factors)} factors; received {latent_dim}.")
        self.latent_dim, self.factors, self.clamp = latent_dim, factors, clamp
        self.invariance, self.kl_weight = float(invariance), float(kl_weight)
        shape, dtype = self.image_shape, self.dtype_policy
        self.choose_networks(
            lambda: (
                _encoder(shape, filters, kernel_size, latent_dim, dtype) if encoder is None else None,
                _decoder(shape, filters[-1], decoder_filters, decoder_kernel_size, dtype) if decoder is None else None,
            ),
            encoder=(encoder, shape, (2 * latent_dim,)), decoder=(decoder, (latent_dim,), shape),
        )  # fmt: skip
        self.built = True

    def decode(self, latents: tf.Tensor, training: bool = False) -> tfd.Distribution:
        """p(x|z) of latents float32 [B, latent_dim]: batch shape [B], event shape [H, W, C]."""
        logits = tf.cast(self.decoder(latents, training=training), tf.float32)  # [B, H, W, C]
        return tfd.Independent(tfd.Bernoulli(logits=logits, dtype=tf.float32), 3)

    def decode_images(self, latents: tf.Tensor) -> tf.Tensor:
        """Mean of p(x|z): float32 [B, H, W, C] in [0, 1]."""
        latents = self.check_latents(latents)
        return self.decode(latents).mean()

    # ---- training

    @classmethod
    def check_source(cls, config, source):
        factors, groups = tuple(config["factors"]), getattr(source, "groups", None)
        if config["clamp"] != "none" and factors != groups:
            raise ValueError(
                f"The model has factors={factors}; {source.name} varies {groups or 'none'} one at a time. They must be the "
                "same in the same order."
            )

    @classmethod
    def fields_of(cls, config):
        active = fields.label(len(config["factors"]) + 1, "active")
        active = dataclasses.replace(active, hint="those of a tfgen.data.FactorSource with shuffle=True have it")
        return (*super().fields_of(config), *([] if config["clamp"] == "none" else [active]))

    def conditions(self):
        return ()

    def check_batch(self, batch):
        if "active" not in batch:
            return batch
        with tf.control_dependencies([self.active_latents(batch)]):
            return {**batch, "image": tf.identity(batch["image"])}

    def active_latents(self, batch: dict) -> tf.Tensor:
        """float32 [B, latent_dim]: 1 for the latents of the factor that varies in the batch, 0 for the others."""
        if self.clamp == "none":
            return tf.ones([tf.shape(batch["image"])[0], self.latent_dim])
        active = fields.label(len(self.factors) + 1, "active").check(batch["active"])
        message = "active must be one number, the same in the whole batch; received"
        active = fields.checked(active, tf.reduce_all(tf.equal(active, active[0])), message, active)
        group = np.minimum(np.arange(self.latent_dim), len(self.factors))  # of each latent
        return tf.cast(tf.equal(active[:, None], tf.constant(group, active.dtype)), tf.float32)

    def clamped(self, latents: tf.Tensor, active: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """(decoder input [B, Z], mean over the whole batch [1, Z]) of latents [B, Z]; those with `active` 1 vary."""
        mean, first = _mean_and_first(tf.stop_gradient(latents))
        return active * latents + (1.0 - active) * (first if self.clamp == "first" else mean), mean

    def loss_terms(
        self, images: tf.Tensor, active: tf.Tensor, noise: tf.Tensor, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """(-log p(x | clamped z), KL of the active latents, invariance loss), each [B], at z = mean + stddev * noise.

        Args:
            active: [B, latent_dim], see `active_latents`.
            noise: standard normal [B, latent_dim].
        """
        posterior = self.posterior(images, training=training)
        latents = posterior.mean() + posterior.stddev() * noise
        seen, mean = self.clamped(latents, active)
        kl = tfd.kl_divergence(posterior.distribution, tfd.Normal(0.0, 1.0))  # [B, Z]
        invariance = 0.5 * self.invariance * tf.reduce_sum((1.0 - active) * (latents - mean) ** 2, axis=-1)
        return -self.decode(seen, training=training).log_prob(images), tf.reduce_sum(active * kl, axis=-1), invariance

    def update(self, batch):
        images, active = batch["image"], self.active_latents(batch)
        noise = self.noise([self.noise_dim], tf.shape(images)[0], stream=0)

        def losses_fn():
            terms = [tf.reduce_mean(term) for term in self.loss_terms(images, active, noise, training=True)]
            loss = terms[0] + self.kl_weight * terms[1] + terms[2]
            return dict(zip(self.loss_names, (loss, *terms), strict=True))

        return self.step_players({"model": "loss"}, losses_fn)

    def evaluation_fields(self):
        return self.batch_fields()[:1]

    def evaluation_losses(self, batch):
        """The terms of a plain variational autoencoder: nothing is clamped, and batches need no `active`."""
        images = batch["image"]
        noise = self.evaluation_noise(tf.shape(images)[0], self.seed)
        reconstruction, kl, _ = self.loss_terms(images, tf.ones([tf.shape(images)[0], self.latent_dim]), noise)
        return {"loss": reconstruction + self.kl_weight * kl, "reconstruction": reconstruction, "kl": kl}

    # ---- re-rendering

    def rerender(self, images: tf.Tensor, factor: str | int, values: Sequence[float]) -> tf.Tensor:
        """Reconstructions with other values of one latent; the other latents are those of the encoder.

        Args:
            images: float32 [B, H, W, C] in [0, 1].
            factor: a name of `factors`, or the number of any latent.
            values: [V], values of that latent; its prior is N(0, 1).

        Returns:
            float32 [B, V, H, W, C] in [0, 1].

        Raises:
            ValueError: the factor does not exist, or `values` has another rank.
        """
        if factor in self.factors:
            factor = self.factors.index(factor)
        if not isinstance(factor, (int, np.integer)) or not 0 <= factor < self.latent_dim:
            raise ValueError(
                f"factor must be one of {self.factors} or a latent in [0, {self.latent_dim}); received {factor!r}."
            )
        values = tf.convert_to_tensor(values, tf.float32)
        if values.shape.rank != 1:
            raise ValueError(f"values must be numbers [V]; received shape {values.shape}.")
        latents = self.encode(images).mean()
        rows, columns = tf.shape(latents)[0], tf.shape(values)[0]
        latents = tf.repeat(latents, columns, axis=0)  # [B V, Z]
        latents = self.replaced(latents, tf.fill([rows * columns], factor), tf.tile(values, [rows]))
        return tf.reshape(self.decode_images(latents), [rows, columns, *self.image_shape])

    def replaced(self, latents: tf.Tensor, factor: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
        """Latents [N, Z] in which latent factor[n] of row n is value[n]."""
        return tf.where(tf.equal(tf.range(self.latent_dim), factor[:, None]), value[:, None], latents)

    def input_fields(self):
        return (*super().input_fields(), fields.label(self.latent_dim, "factor"), fields.Field("value", ()))

    def signatures(self):
        def rerender(image, factor, value):
            known = tf.reduce_all((factor >= 0) & (factor < self.latent_dim))
            factor = fields.checked(factor, known, f"factor must lie in [0, {self.latent_dim}); received", factor)
            latents = self.encode(image).mean()
            return {"image": self.decode_images(self.replaced(latents, factor, value))}

        inputs = {
            "image": tf.TensorSpec([None, *self.image_shape], tf.float32),
            "factor": tf.TensorSpec([None], tf.int32),
            "value": tf.TensorSpec([None], tf.float32),
        }
        return {**super().signatures(), "rerender": (rerender, inputs)}


def _near_zero(dtype):
    return {"kernel_initializer": normal(0.01), "bias_initializer": normal(0.01), "dtype": dtype}


def _encoder(image_shape, filters, kernel_size, latent_dim, dtype):
    for size in image_shape[:2]:
        for _ in filters:
            size = (size - kernel_size + 1) // 2
        if size < 1:
            raise ValueError(
                f"{len(filters)} convolutions of size {kernel_size} with pooling need larger images; received {image_shape}."
            )
    found = []
    for i, n in enumerate(filters):
        found.append(layers.Conv2D(n, kernel_size, dtype=dtype, name=f"conv_{i}"))  # a side: less kernel_size - 1
        found += [layers.MaxPool2D(2, dtype=dtype), layers.ReLU(dtype=dtype)]
    found.append(layers.Flatten(dtype=dtype))
    found.append(layers.Dense(2 * latent_dim, name="moments", **_near_zero(dtype)))  # mean and ln variance
    return keras.Sequential(found, name="encoder")


def _decoder(image_shape, first, filters, kernel_size, dtype):
    *sides, channels = image_shape
    grid = (*(_before(size, len(filters) + 1, kernel_size) for size in sides), first)
    found = [layers.Dense(int(np.prod(grid)), "relu", name="grid", **_near_zero(dtype)), layers.Reshape(grid, dtype=dtype)]
    for i, n in enumerate((*filters, channels)):
        activation = "relu" if i < len(filters) else None
        found.append(layers.UpSampling2D(2, dtype=dtype))
        found.append(layers.Conv2D(n, kernel_size, activation=activation, dtype=dtype, name=f"conv_{i}"))
    return keras.Sequential(found, name="decoder")


def _before(size, times, kernel):
    """The size that becomes `size` after doubling and convolving `times` times."""
    wanted = size
    for _ in range(times):
        if (size + kernel - 1) % 2 or size < 1:
            raise ValueError(
                f"No size becomes {wanted} by {times} doublings, each before a convolution of size {kernel}. Choose other "
                "images, decoder_filters or decoder_kernel_size."
            )
        size = (size + kernel - 1) // 2
    return size


def _mean_and_first(latents):
    """The mean and the first row, each [1, Z], of the whole batch; a replica holds a part of it."""
    mean, first = tf.reduce_mean(latents, axis=0, keepdims=True), latents[:1]
    context = tf.distribute.get_replica_context()
    if context is not None and context.num_replicas_in_sync > 1:  # only the first replica's counts
        own = tf.cast(tf.equal(tf.convert_to_tensor(context.replica_id_in_sync_group), 0), latents.dtype)
        first = context.num_replicas_in_sync * own * first
    return mean_over_replicas(mean), mean_over_replicas(first)
