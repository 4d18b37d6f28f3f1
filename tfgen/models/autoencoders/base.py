"""The families of variational autoencoders: an encoder q(z|x), a decoder and, in some, a likelihood p(x|z)."""

from collections.abc import Callable

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfgen import random, settings
from tfgen.fields import checked
from tfgen.models.base import TrainableModel
from tfgen.models.capabilities import Encoder, Likelihood, Sampler
from tfgen.settings import PositiveInt, Seed


class AutoencodingModel(Sampler, Encoder, TrainableModel):
    """A model with an approximate posterior q(z|x) and the prior N(0, I), with any loss.

    A subclass sets `latent_dim` and the network `encoder` (or implements `posterior`), and implements `decode_images`.
    """

    @property
    def prior(self) -> tfd.Distribution:
        """p(z) = N(0, I), event shape [latent_dim]."""
        return tfd.Independent(tfd.Normal(tf.zeros(self.latent_dim), tf.ones(self.latent_dim)), 1)

    @property
    def noise_dim(self) -> int:
        """Number of standard normal numbers for one draw from q(z|x)."""
        return self.latent_dim

    def evaluation_noise(self, rows: int | tf.Tensor, seed: int, draw: int | tf.Tensor = 0) -> tf.Tensor:
        """Standard normal noise float32 [rows, noise_dim], a function of (seed, draw, row)."""
        keys = random.fold(random.fold(random.key(seed), draw), tf.range(rows))
        return random.normal(keys, self.noise_dim)

    def encode(self, images: tf.Tensor, training: bool = False) -> tfd.Distribution:
        """q(z|x) of images float32 [B, H, W, C] in [0, 1]: a distribution, batch shape [B], event shape [latent_dim]."""
        return self.posterior(self.check_images(images), training=training)

    def posterior(self, images: tf.Tensor, training: bool = False) -> tfd.Distribution:
        """As `encode`, without checks of the images.

        By default N(mean, diag variance), where the network `encoder` returns mean and ln variance, [B, 2 latent_dim].
        """
        mean, log_variance = tf.split(tf.cast(self.encoder(images, training=training), tf.float32), 2, axis=-1)
        return tfd.Independent(tfd.Normal(mean, tf.exp(0.5 * log_variance)), 1)

    def call(self, images, training=False):
        return self.reconstruct(images)

    def reconstruct(self, images: tf.Tensor) -> tf.Tensor:
        """The decoded means of q(z|x): float32 [B, H, W, C] in [0, 1], of images in the same shape."""
        return self.decode_images(self.encode(images).mean())

    def latents(self, seeds: tf.Tensor) -> tf.Tensor:
        return random.normal(random.keys(seeds), self.latent_dim)

    def code_outputs(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """{"latent", "latent_stddev"}: mean and standard deviation of q(z|x), float32 [B, latent_dim]."""
        posterior = self.encode(images)
        return {"latent": posterior.mean(), "latent_stddev": posterior.stddev()}


def pixels_of(outputs, likelihood, levels):
    """p(x|z) from a decoder's outputs: "bernoulli" from logits [..., H, W, C], or "gaussian" from [..., H, W, 2C].

    The Gaussian has means in (0, 1) and standard deviations of at least one of `levels` grey levels. Without this bound its
    likelihood has no maximum on quantised images.
    """
    if likelihood == "bernoulli":
        return tfd.Independent(tfd.Bernoulli(logits=outputs, dtype=tf.float32), 3)
    mean, raw = tf.split(outputs, 2, axis=-1)
    return tfd.Independent(tfd.Normal(tf.sigmoid(mean), tf.exp(tf.nn.softplus(raw)) / levels), 3)


class LatentVariableModel(Likelihood, AutoencodingModel):
    """A model that is trained on the evidence lower bound (ELBO). The importance weighted bound is used in evaluation, too.

    A subclass also implements `decode` and sets `likelihood`, the name of the distribution p(x|z). With "bernoulli",
    training and bounds raise an error for values that are not 0 or 1, since the loss is then no bound on log p(x).
    """

    loss_names: tuple[str, ...] = ("loss", "reconstruction", "kl")
    nats_loss = "loss"  # in evaluation it is minus the ELBO for any `kl_weight`
    likelihood: str | None = None
    kl_weight = 1.0
    importance_samples = 500  # of the exported `log_prob` signature

    def decode(self, latents: tf.Tensor, training: bool = False) -> tfd.Distribution:
        """p(x|z): a distribution with batch shape latents.shape[:-1] and event shape [H, W, C]."""
        raise NotImplementedError(f"{type(self).__name__} must implement decode(latents).")

    def decode_images(self, latents: tf.Tensor) -> tf.Tensor:
        """Mean of p(x|z), clipped to [0, 1]: float32 [B, H, W, C]."""
        latents = self.check_latents(latents)
        return tf.clip_by_value(tf.cast(self.decode(latents).mean(), tf.float32), 0.0, 1.0)

    # ---- bounds

    def check_batch(self, batch: dict) -> dict:
        return {**batch, "image": self.check_pixels(batch["image"])} if "image" in batch else batch

    def bounded_images(self, images: tf.Tensor) -> tf.Tensor:
        """Checks images for a bound on log p(x) and returns them; raises ValueError if the loss is no such bound."""
        if not self.knows_likelihood:
            raise ValueError(
                f"This {type(self).__name__} has likelihood={self.likelihood!r}: its loss is no bound on log p(x)."
            )
        return self.check_pixels(self.check_images(images))

    def check_pixels(self, images: tf.Tensor) -> tf.Tensor:
        """The images, unchanged. Raises InvalidArgumentError at run time for values other than 0 and 1 with "bernoulli"."""
        if self.likelihood != "bernoulli":
            return images
        off = tf.reduce_max(tf.minimum(images, 1.0 - images))
        message = f"{type(self).__name__} has a Bernoulli likelihood, so images must be 0 or 1: binarise them; one is off by"
        return checked(images, off <= 0.0, message, off)

    def elbo_terms(self, images: tf.Tensor, noise: tf.Tensor, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """(log p(x|z), KL(q(z|x) || p(z))), each [B] nats, at z = mean + stddev * noise (estimator B of AEVB, eq. 10).

        Args:
            noise: standard normal [B, noise_dim].
        """
        posterior = self.posterior(images, training=training)
        latents = posterior.mean() + posterior.stddev() * noise
        return self.decode(latents, training=training).log_prob(images), tfd.kl_divergence(posterior, self.prior)

    def update(self, batch: dict) -> dict[str, tf.Tensor]:
        images = batch["image"]
        noise = self.noise([self.noise_dim], tf.shape(images)[0], stream=0)

        def losses_fn():
            log_likelihood, kl = self.elbo_terms(images, noise, training=True)
            reconstruction, kl = -tf.reduce_mean(log_likelihood), tf.reduce_mean(kl)
            loss = reconstruction + self.kl_weight * kl
            return {"loss": loss, "reconstruction": reconstruction, "kl": kl}

        return self.step_players({"model": "loss"}, losses_fn)

    def evaluation_losses(self, batch: dict) -> dict[str, tf.Tensor]:
        images = batch["image"]
        noise = self.evaluation_noise(tf.shape(images)[0], self.seed)
        log_likelihood, kl = self.elbo_terms(images, noise)
        return {"loss": kl - log_likelihood, "reconstruction": -log_likelihood, "kl": kl}

    def elbo(self, images: tf.Tensor, *, seed: Seed = 0) -> tf.Tensor:
        """One-sample estimate of the evidence lower bound, nats per image.

        Args:
            images: float32 [B, H, W, C] in [0, 1], as the likelihood expects them (binarised for Bernoulli).
            seed: int in [0, 2**31); the noise is a function of (seed, row).

        Returns:
            float32 [B].
        """
        settings.check(LatentVariableModel.elbo, seed=seed)
        images = self.bounded_images(images)
        noise = self.evaluation_noise(tf.shape(images)[0], seed)
        log_likelihood, kl = self.elbo_terms(images, noise)
        return log_likelihood - kl

    def log_prob(
        self, images: tf.Tensor, *, num_importance_samples: PositiveInt = 500, chunk: PositiveInt = 50, seed: Seed = 0
    ) -> tf.Tensor:  # fmt: skip
        """Importance weighted lower bound on log p(x) (Burda et al. 2015, arXiv:1509.00519, eq. 8), nats per image.

        L_k = E[log (1/k) sum_j p(x, z_j) / q(z_j|x)], z_j ~ q(z|x); L_1 is the ELBO, and L_k grows with k to log p(x).

        Args:
            images: float32 [B, H, W, C] in [0, 1].
            num_importance_samples: k >= 1.
            chunk: samples that are decoded at a time. Memory grows with B * chunk. The result depends on the chunk through
                the noise alone.
            seed: int in [0, 2**31).

        Returns:
            float32 [B].
        """
        settings.check(
            LatentVariableModel.log_prob, num_importance_samples=num_importance_samples, chunk=chunk, seed=seed
        )  # fmt: skip
        images = self.bounded_images(images)
        k, chunk = num_importance_samples, min(chunk, num_importance_samples)
        log_weights_of = self.importance(images)
        batch = tf.shape(images)[0]

        def add_chunk(i, total):
            noise = self.evaluation_noise(chunk * batch, seed, draw=i + 1)
            log_weights = log_weights_of(tf.reshape(noise, [chunk, batch, self.noise_dim]))  # [chunk, B]
            beyond = i * chunk + tf.range(chunk) >= k  # the last chunk may hold more than k samples in all
            log_weights = tf.where(beyond[:, None], -float("inf"), log_weights)
            return i + 1, tf.reduce_logsumexp(tf.concat([total[None], log_weights], axis=0), axis=0)

        start = (tf.constant(0), tf.fill([batch], -float("inf")))
        _, total = tf.while_loop(
            lambda i, _: i * chunk < k, add_chunk, start,
            shape_invariants=(tf.TensorShape([]), tf.TensorShape([None])), parallel_iterations=1,
        )  # fmt: skip
        return total - tf.math.log(float(k))

    def importance(self, images: tf.Tensor) -> Callable[[tf.Tensor], tf.Tensor]:
        """A function of standard normal noise [chunk, B, noise_dim] that returns ln p(x, z) - ln q(z|x), [chunk, B] nats.

        Values that do not depend on the noise are computed once, here.
        """
        posterior = self.posterior(images)
        mean, stddev = posterior.mean(), posterior.stddev()

        def log_weights(noise):
            latents = mean + stddev * noise
            return self.decode(latents).log_prob(images) + self.prior.log_prob(latents) - posterior.log_prob(latents)

        return log_weights

    def exported_log_prob(self, images: tf.Tensor) -> tf.Tensor:
        return self.log_prob(images, num_importance_samples=self.importance_samples)

    def signatures(self) -> dict:
        signatures = super().signatures()
        if self.knows_likelihood:
            signatures["elbo"] = (lambda image: {"elbo": self.elbo(image)}, signatures["encode"][1])
        return signatures
