"""Gaussian mixture variational autoencoder: clusters found without labels.

Dilokthanakul, Mediano, Garnelo, Lee, Salimbeni, Arulkumaran, Shanahan, "Deep Unsupervised Clustering with Gaussian Mixture
Variational Autoencoders", 2016, arXiv:1611.02648v2; settings as in the authors' code (Nat-D/GMVAE, branches version2 and
svhn).

The idea: the code x of an image comes from a mixture of K Gaussians. A network computes their means and variances from a
second code w ~ N(0, I). No network is needed for the component z of an image: Bayes' rule gives the posterior of z from the
densities of the components. Images of one w and all z show the clusters, all in one style.

The paper's names, with y for the `images` of tfgen:

    p(y, x, w, z) = p(w) p(z) p(x|w,z) p(y|x),   w ~ N(0, I), z ~ Uniform(K), x|w,z ~ N(mu_z(w), diag sigma_z(w)^2)
    q(x, w, z | y) = q(x|y) q(w|y) p(z|x,w),     p(z=k|x,w) = softmax_k ln N(x; mu_k(w), diag sigma_k(w)^2)
    bound = E_q[ln p(y|x)] - E[sum_k p(z=k|x,w) KL(q(x|y) || p(x|w,z=k))]                    reconstruction, `x_kl`
            - KL(q(w|y) || p(w)) - E[KL(p(z|x,w) || Uniform(K))]                             `w_kl`, `z_kl` in [0, ln K]

The last term pulls p(z|x,w) to the uniform distribution before clusters have formed, and then they never form. So the loss
has max(free_bits, mean of this term over the batch) in its place: below `free_bits` nats it has no gradient. `elbo` is the
bound itself.

The second term takes the x of the weights and the x of the KL as independent. Logits and softmax weights grow together, so
this term is larger than its counterpart in E_q[ln p(y,x,w,z) - ln q(x,w,z|y)]: the bound is still a lower bound, but not the
tightest one for this q. `log_prob` sums z out instead; with one importance sample its mean is that tighter bound.

What differs from the paper: variances of the components are softplus + 1e-3; without a bound a component can collapse on few
images. MNIST is binarised (with grey values as Bernoulli targets there is no likelihood). The network of the components
starts with means and variances near those of one component: from farther apart, few components take all images at once and
the rest stay empty.

The code differs from the paper too. It multiplies the gradient of the last term by .4 (MNIST) and, where that term is above
its free bits, reverses the sign of the second term's gradient in p(z|x,w). For SVHN it has no free bits, a Bernoulli decoder
and the extra training images; here SVHN has free bits and a Gaussian decoder.
"""

import math
from collections.abc import Sequence
from typing import Literal

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from tensorflow_probability import distributions as tfd

from tfgen import fields, random, settings
from tfgen.layers import BatchNormalization
from tfgen.models.autoencoders.base import LatentVariableModel, pixels_of
from tfgen.settings import ImageShape, NaturalInt, NonNegativeFloat, PositiveInt, Seed, TwoOrMore
from tfgen.training.players import mean_over_replicas

MIN_VARIANCE = 1e-3  # of a component


@keras.saving.register_keras_serializable("tfgen")
class GMVAE(LatentVariableModel):
    """Gaussian mixture VAE. Its latents are x; its logs have the loss and the three KL terms, in nats per image.

    Example:
        >>> model = tfgen.models.GMVAE(image_shape=(8, 8, 1), num_clusters=3, latent_dim=4, style_dim=2, hidden=(16,))
        >>> model.cluster_probabilities(tf.zeros([5, 8, 8, 1])).shape
        TensorShape([5, 3])
        >>> model.sweep(columns=2).shape  # a row of images for each cluster
        TensorShape([3, 2, 8, 8, 1])

    Args:
        image_shape: (H, W, C); for `network="conv"` H - 10 and W - 10 are even and positive, for "strided" H and W are
            multiples of 8.
        num_clusters: K >= 1.
        latent_dim: dimensions of x.
        style_dim: dimensions of w.
        network: "mlp" (fully connected, batch norm in the encoder alone), "conv" (the code's for MNIST: convolutions
            6x6, 6x6, 4x4 of stride 2, and a dense layer; mirrored in the decoder; batch norm in both) or "strided" (the
            code's for SVHN: the same with three convolutions 4x4 of stride 2).
        hidden: widths of the hidden layers of the encoder, mirrored in the decoder; for "conv" and "strided" three numbers
            of filters and a width.
        prior_hidden: width of the hidden layer of the network that maps w to the components.
        likelihood: "bernoulli" (images must be 0 or 1: binarise) or "gaussian" (dequantise).
        levels: number of grey levels of the images; the Gaussian's deviation is at least one level.
        free_bits: lambda, in nats, in [0, ln K]: the least value of the z-term in the loss. At 0 the loss is the bound.
        num_samples: M >= 1, draws of x and w for each image in a training step.
        encoder, decoder: None, or networks of your own (see `tfgen.networks.given_network`; copied, with their weights):
            images [B, H, W, C] in [0, 1] -> mean and ln variance of x, then of w, [B, 2 latent_dim + 2 style_dim]; x [B,
            latent_dim] -> logits [B, H, W, C], or [B, H, W, 2C] for "gaussian". With both, leave out `network` and `hidden`.
        seed: int, of the training noise.
    """

    loss_names = ("loss", "reconstruction", "x_kl", "w_kl", "z_kl")
    own_networks = {("encoder", "decoder"): ("network", "hidden")}

    def __init__(
        self, *, image_shape: ImageShape, num_clusters: PositiveInt = 10, latent_dim: PositiveInt = 200,
        style_dim: PositiveInt = 150, network: Literal["mlp", "conv", "strided"] = "mlp",
        hidden: Sequence[PositiveInt] = (500, 500), prior_hidden: PositiveInt = 500,
        likelihood: Literal["bernoulli", "gaussian"] = "bernoulli", levels: TwoOrMore = 256,
        free_bits: NonNegativeFloat = 0.5, num_samples: PositiveInt = 1, encoder: keras.Model | dict | str | None = None,
        decoder: keras.Model | dict | str | None = None, seed: Seed = 0, **kwargs,
    ):  # fmt: skip
        super().__init__(image_shape=image_shape, seed=seed, **kwargs)
        if not free_bits <= math.log(num_clusters):
            raise ValueError(
                f"free_bits must lie in [0, ln num_clusters = {math.log(num_clusters):.4f}], as the z-term does; "
                f"received {free_bits!r}."
            )
        build = {"mlp": _mlp, "conv": _conv, "strided": _strided}[network]
        self.num_clusters, self.latent_dim, self.style_dim = num_clusters, latent_dim, style_dim
        self.likelihood, self.levels = likelihood, levels
        self.free_bits, self.num_samples = float(free_bits), num_samples
        out_channels = self.image_shape[2] * (2 if likelihood == "gaussian" else 1)
        outputs = 2 * (latent_dim + style_dim)  # mean and ln variance of x and of w
        self.choose_networks(
            lambda: build(self.image_shape, tuple(hidden), outputs, out_channels, self.dtype_policy),
            encoder=(encoder, self.image_shape, (outputs,)),
            decoder=(decoder, (latent_dim,), (*self.image_shape[:2], out_channels)),
        )
        near_zero = keras.initializers.VarianceScaling(1e-6, "fan_avg", "uniform")  # a thousandth of Glorot's
        self.prior_network = keras.Sequential(
            [
                layers.Dense(prior_hidden, "tanh", dtype=self.dtype_policy, name="hidden"),
                # Mean and raw variance of each x|w,z.
                layers.Dense(
                    num_clusters * 2 * latent_dim, kernel_initializer=near_zero, dtype=self.dtype_policy, name="moments"
                ),
            ],
            name="prior_network",
        )
        self.prior_network.build((None, style_dim))
        self.built = True

    # ---- distributions

    @property
    def noise_dim(self):
        return self.latent_dim + self.style_dim

    @property
    def prior(self):
        """p(w) = N(0, I), event shape [style_dim]. p(x) has no closed form; `components` gives p(x|w,z)."""
        return _diagonal(tf.zeros(self.style_dim), tf.ones(self.style_dim))

    def posteriors(self, images: tf.Tensor, training: bool = False) -> tuple[tfd.Distribution, tfd.Distribution]:
        """(q(x|y), q(w|y)): batch shape [B], event shapes [latent_dim] and [style_dim]."""
        outputs = tf.cast(self.encoder(images, training=training), tf.float32)
        sizes = [self.latent_dim] * 2 + [self.style_dim] * 2
        x_mean, x_log_variance, w_mean, w_log_variance = tf.split(outputs, sizes, axis=-1)
        return _diagonal(x_mean, tf.exp(0.5 * x_log_variance)), _diagonal(w_mean, tf.exp(0.5 * w_log_variance))

    def posterior(self, images, training=False):
        """q(x|y): batch shape [B], event shape [latent_dim]."""
        return self.posteriors(images, training)[0]

    def components(self, styles: tf.Tensor) -> tfd.Distribution:
        """p(x|w,z) of w float32 [..., style_dim], for each z: batch shape [..., K], event shape [latent_dim]."""
        flat = tf.cast(self.prior_network(tf.reshape(styles, [-1, self.style_dim])), tf.float32)
        shape = tf.concat([tf.shape(styles)[:-1], [self.num_clusters, 2 * self.latent_dim]], axis=0)
        mean, raw = tf.split(tf.reshape(flat, shape), 2, axis=-1)  # [..., K, latent_dim]
        return _diagonal(mean, tf.sqrt(tf.nn.softplus(raw) + MIN_VARIANCE))

    def decode(self, latents, training=False):
        """p(y|x) of x float32 [..., latent_dim]: batch shape [...], event shape [H, W, C]."""
        flat = tf.reshape(latents, [-1, self.latent_dim])
        out = tf.cast(self.decoder(flat, training=training), tf.float32)  # [prod(...), H, W, C or 2C]
        out = tf.reshape(out, tf.concat([tf.shape(latents)[:-1], out.shape[1:]], axis=0))
        return pixels_of(out, self.likelihood, self.levels)

    # ---- bounds

    def bound_terms(self, images: tf.Tensor, noise: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
        """The four terms of the bound: float32 [B] nats each, means over M draws of x and w.

        Args:
            images: float32 [B, H, W, C] in [0, 1].
            noise: standard normal [M, B, noise_dim], for x and w.

        Returns:
            {"reconstruction": -ln p(y|x), "x_kl", "w_kl", "z_kl"}; their sum is minus the bound.
        """
        q_x, q_w = self.posteriors(images, training)
        x, w = self._draw(q_x, q_w, noise)
        components = self.components(w)
        log_z = tf.nn.log_softmax(components.log_prob(x[..., None, :]))  # [M, B, K]
        z = tf.exp(log_z)
        of_each = _diagonal(q_x.mean()[:, None], q_x.stddev()[:, None])  # batch shape [B, 1]
        terms = {
            "reconstruction": -self.decode(x, training).log_prob(images),
            "x_kl": tf.reduce_sum(z * tfd.kl_divergence(of_each, components), axis=-1),
            "w_kl": tfd.kl_divergence(q_w, self.prior)[None],
            "z_kl": tf.reduce_sum(z * (log_z + math.log(self.num_clusters)), axis=-1),
        }
        return {name: tf.reduce_mean(value, axis=0) for name, value in terms.items()}

    def elbo_terms(self, images, noise, training=False):
        terms = self.bound_terms(images, noise[None], training)
        return -terms["reconstruction"], terms["x_kl"] + terms["w_kl"] + terms["z_kl"]

    def update(self, batch):
        images = batch["image"]
        noise = self.noise([self.num_samples, self.noise_dim], tf.shape(images)[0], stream=0)
        noise = tf.transpose(noise, [1, 0, 2])  # [M, B, noise_dim]

        def losses_fn():
            terms = {name: tf.reduce_mean(value) for name, value in self.bound_terms(images, noise, training=True).items()}
            loss = terms["reconstruction"] + terms["x_kl"] + terms["w_kl"] + self.above_free_bits(terms["z_kl"])
            return {"loss": loss, **terms}

        return self.step_players({"model": "loss"}, losses_fn)

    def above_free_bits(self, z_kl: tf.Tensor) -> tf.Tensor:
        """max(free_bits, z-term), for the scalar mean of the z-term over this replica's examples.

        The mean over the global batch decides whether the term is above free_bits, as on one device.
        """
        everyone = mean_over_replicas(tf.stop_gradient(z_kl))
        return tf.where(everyone > self.free_bits, z_kl, self.free_bits)

    def evaluation_losses(self, batch):
        """Minus the bound (without free bits) and its terms."""
        images = batch["image"]
        terms = self.bound_terms(images, self.evaluation_noise(tf.shape(images)[0], self.seed)[None])
        return {"loss": tf.add_n(list(terms.values())), **terms}

    def importance(self, images):
        q_x, q_w = self.posteriors(images)

        def log_weights(noise):
            x, w = self._draw(q_x, q_w, noise)
            log_each = self.components(w).log_prob(x[..., None, :])  # [chunk, B, K]
            log_x = tf.reduce_logsumexp(log_each, axis=-1) - math.log(self.num_clusters)  # ln p(x|w)
            joint = self.decode(x).log_prob(images) + log_x + self.prior.log_prob(w)
            return joint - q_x.log_prob(x) - q_w.log_prob(w)

        return log_weights

    def _draw(self, q_x, q_w, noise):
        """x and w, each [..., B, dim], of standard normal noise [..., B, noise_dim]."""
        x_noise, w_noise = tf.split(noise, [self.latent_dim, self.style_dim], axis=-1)
        return q_x.mean() + q_x.stddev() * x_noise, q_w.mean() + q_w.stddev() * w_noise

    # ---- clusters

    def cluster_probabilities(self, images: tf.Tensor, *, num_samples: NaturalInt = 0, seed: Seed = 0) -> tf.Tensor:
        """q(z|y) = E[p(z|x,w)] over q(x|y) q(w|y), of images float32 [B, H, W, C] in [0, 1].

        Args:
            num_samples: draws of x and w for the expectation; 0: p(z|x,w) at the means of q(x|y) and q(w|y).
            seed: int in [0, 2**31); the draws are a function of (seed, row).

        Returns:
            float32 [B, K]; rows sum to 1.
        """
        settings.check(GMVAE.cluster_probabilities, num_samples=num_samples, seed=seed)
        images = self.check_images(images)
        draws, rows = max(1, num_samples), tf.shape(images)[0]
        noise = tf.reshape(self.evaluation_noise(draws * rows, seed), [draws, rows, self.noise_dim])
        x, w = self._draw(*self.posteriors(images), noise if num_samples else tf.zeros_like(noise))
        return tf.reduce_mean(tf.nn.softmax(self.components(w).log_prob(x[..., None, :])), axis=0)

    def cluster(self, images: tf.Tensor, **kwargs) -> tf.Tensor:
        """The most probable cluster of each image, int32 [B] in [0, K); arguments as `cluster_probabilities`."""
        return tf.argmax(self.cluster_probabilities(images, **kwargs), axis=-1, output_type=tf.int32)

    # ---- sampling

    def latents(self, seeds: tf.Tensor, clusters: tf.Tensor | None = None) -> tf.Tensor:
        """x float32 [B, latent_dim] of integer seeds [B], drawn from p(w) p(z) p(x|w,z).

        Args:
            clusters: None, or z as integers [B] in [0, K), in place of those of the seeds; w and the noise of x are kept.
        """
        key = random.keys(seeds)
        if clusters is None:
            clusters = tf.cast(random.uniform(random.fold(key, 0), 1)[:, 0] * self.num_clusters, tf.int32)
        else:
            clusters = fields.label(self.num_clusters, "clusters").check(clusters)
            if not clusters.shape.is_compatible_with(key.shape):
                raise ValueError(
                    f"clusters and seeds must be of one length; received {clusters.shape[0]} and {key.shape[0]}."
                )
        each = self.components(random.normal(random.fold(key, 1), self.style_dim))
        mean, stddev = (tf.gather(values, clusters, batch_dims=1) for values in (each.mean(), each.stddev()))
        return mean + stddev * random.normal(random.fold(key, 2), self.latent_dim)

    def generate(self, seeds: tf.Tensor, clusters: tf.Tensor | None = None) -> tf.Tensor:
        """As `Sampler.generate`. `clusters`, integers [B] in [0, K), replace those of the seeds."""
        return self.decode_images(self.latents(seeds, clusters))

    def sweep(self, columns: int = 10, *, seed: int = 0) -> tf.Tensor:
        """Images of every cluster: w (the style) and the noise of x are the same along a column.

        Args:
            columns: number of styles; column i has w and noise of image i of `sample(columns, seed=seed)`.

        Returns:
            float32 [K, columns, H, W, C] in [0, 1].
        """
        rows = [self.sample(columns, seed=seed, clusters=tf.fill([columns], k)) for k in range(self.num_clusters)]
        return tf.stack(rows)

    # ---- export

    def input_fields(self):
        return (*super().input_fields(), fields.label(self.num_clusters, "clusters"))

    def signatures(self):
        """The signatures of the family; `cluster` (probabilities of clusters); `sample_clusters` (of given clusters)."""
        signatures = super().signatures()
        clusters = tf.TensorSpec([None], tf.int32)

        def cluster(image):
            return {"probabilities": self.cluster_probabilities(image)}

        def sample_clusters(seeds, clusters):
            return {"image": self.generate(seeds, clusters)}

        return {
            **signatures,
            "cluster": (cluster, signatures["encode"][1]),
            "sample_clusters": (sample_clusters, {**signatures["sample"][1], "clusters": clusters}),
        }


def _diagonal(mean, stddev):
    return tfd.Independent(tfd.Normal(mean, stddev), 1)


def _normalised(layer, dtype):
    # synchronized: statistics are those of the global batch.
    norm = BatchNormalization(momentum=0.9, epsilon=1e-5, synchronized=True, dtype=dtype, name=f"{layer.name}_norm")
    return [layer, norm, layers.ReLU(dtype=dtype)]


def _mlp(image_shape, hidden, outputs, out_channels, dtype):
    out_shape = (*image_shape[:2], out_channels)
    encoder = [layers.Flatten(dtype=dtype)]
    for i, width in enumerate(hidden):
        encoder += _normalised(layers.Dense(width, use_bias=False, dtype=dtype, name=f"hidden_{i}"), dtype)
    decoder = [
        *(layers.Dense(n, "relu", dtype=dtype, name=f"hidden_{i}") for i, n in enumerate(reversed(hidden))),
        layers.Dense(int(np.prod(out_shape)), dtype=dtype, name="out"),
        layers.Reshape(out_shape, dtype=dtype),
    ]
    return _sequential(encoder, outputs, decoder, dtype)


_HALVED = {"kernel_size": 4, "strides": 2, "padding": "same"}


def _conv(image_shape, hidden, outputs, out_channels, dtype):
    height, width, _ = image_shape
    if min(height, width) < 12 or height % 2 or width % 2:
        raise ValueError(f"network 'conv' needs an even height and width of at least 12; received {image_shape}.")
    valid = {"kernel_size": 6}
    grid = ((height - 10) // 2, (width - 10) // 2)
    return _convolutions([valid, valid, _HALVED], grid, hidden, outputs, out_channels, dtype)


def _strided(image_shape, hidden, outputs, out_channels, dtype):
    height, width, _ = image_shape
    if height % 8 or width % 8:
        raise ValueError(f"network 'strided' needs a height and width that are multiples of 8; received {image_shape}.")
    return _convolutions([_HALVED] * 3, (height // 8, width // 8), hidden, outputs, out_channels, dtype)


def _convolutions(steps, grid, hidden, outputs, out_channels, dtype):
    """Three convolutions with the arguments `steps`, whose last maps have the height and width `grid`, and their mirror."""
    if len(hidden) != 4:
        raise ValueError(f"A convolutional network takes four widths (three of filters, dense); received hidden={hidden}.")
    first, second, third, dense = hidden
    settings = {"use_bias": False, "dtype": dtype}
    encoder = [
        *_normalised(layers.Conv2D(first, name="conv_0", **steps[0], **settings), dtype),
        *_normalised(layers.Conv2D(second, name="conv_1", **steps[1], **settings), dtype),
        *_normalised(layers.Conv2D(third, name="conv_2", **steps[2], **settings), dtype),
        layers.Flatten(dtype=dtype),
        *_normalised(layers.Dense(dense, name="hidden", **settings), dtype),
    ]
    decoder = [
        *_normalised(layers.Dense(dense, name="hidden", **settings), dtype),
        layers.Dense(grid[0] * grid[1] * third, name="grid", **settings),
        *_normalised(layers.Reshape((*grid, third), dtype=dtype, name="maps"), dtype),
        *_normalised(layers.Conv2DTranspose(second, name="deconv_0", **steps[2], **settings), dtype),
        *_normalised(layers.Conv2DTranspose(first, name="deconv_1", **steps[1], **settings), dtype),
        layers.Conv2DTranspose(out_channels, dtype=dtype, name="deconv_2", **steps[0]),
    ]
    return _sequential(encoder, outputs, decoder, dtype)


def _sequential(encoder, outputs, decoder, dtype):
    encoder = [*encoder, layers.Dense(outputs, dtype=dtype, name="moments")]
    return keras.Sequential(encoder, name="encoder"), keras.Sequential(decoder, name="decoder")
