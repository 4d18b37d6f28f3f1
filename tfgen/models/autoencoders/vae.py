"""Variational autoencoder.

Kingma, Welling, "Auto-Encoding Variational Bayes", 2013, arXiv:1312.6114. Evaluation: Burda, Grosse, Salakhutdinov,
"Importance Weighted Autoencoders", 2015, arXiv:1509.00519.

The idea: an encoder network gives q(z|x) = N(mean, diag stddev^2), a decoder network gives p(x|z), and both are trained at
once on a lower bound of log p(x). With z = mean + stddev * noise the gradient passes through the sample. The KL term has a
closed form.

    ELBO(x) = E_q[log p(x|z)] - KL(q(z|x) || p(z))                                          (eq. 3, estimator B eq. 7)
    KL(N(m, s^2) || N(0, 1)) = (s^2 + m^2 - 1 - ln s^2) / 2, summed over the latent dimensions (appendix B)

All terms are sums over pixels and latent dimensions, in nats, averaged over the batch.

What differs from the paper: weights start from Glorot's uniform instead of N(0, 0.01), and there is no weight decay (the
paper's MAP prior on the weights). The `mlp` network may have several hidden layers. The `conv` network (two strided
convolutions) is an addition. The stddev of the Gaussian decoder is at least one grey level; without a bound its likelihood
has no maximum on quantised images. The discretized logistic decoder comes from Kingma et al. 2016 (arXiv:1606.04934).
"""

from collections.abc import Sequence
from typing import Literal

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.distributions import DiscretizedLogistic
from tfgen.models.autoencoders.base import LatentVariableModel, pixels_of
from tfgen.networks.common import Activation
from tfgen.settings import ImageShape, NonNegativeFloat, PositiveInt, Seed, TwoOrMore

tfd = tfp.distributions
layers = keras.layers


@keras.saving.register_keras_serializable("tfgen")
class VAE(LatentVariableModel):
    """Variational autoencoder with a Gaussian posterior.

    Example:
        >>> vae = tfgen.models.VAE(image_shape=(8, 8, 1), latent_dim=2, hidden=(16,))
        >>> vae.sample(3).shape, vae.codes(vae.sample(3)).shape
        (TensorShape([3, 8, 8, 1]), TensorShape([3, 2]))

    Args:
        image_shape: (H, W, C); for `network="conv"` H and W are multiples of 4.
        latent_dim: number of latent dimensions.
        network: "mlp" (fully connected) or "conv" (two convolutions of stride 2, mirrored in the decoder).
        hidden: "mlp": widths of the encoder's hidden layers. "conv": filters of the two convolutions and width of the dense
            layer behind them. The decoder mirrors them.
        activation: of the hidden layers.
        likelihood: "bernoulli" (images must be 0 or 1: binarise), "gaussian" (dequantise) or "discretized_logistic"
            (grey levels unchanged).
        levels: number of grey levels of the images; used by the last two likelihoods.
        kl_weight: weight of the KL term in the loss; 1 is the bound. Reported bounds always use 1.
        encoder, decoder: None, or networks of your own (see `tfgen.networks.given_network`; copied, with their weights):
            images [B, H, W, C] in [0, 1] -> mean and ln variance of q(z|x), [B, 2 latent_dim]; latents [B, latent_dim] ->
            logits [B, H, W, C], or [B, H, W, 2C] for "gaussian". With both, leave out `network`, `hidden` and `activation`.
        seed: int, of the training noise.
    """

    own_networks = {("encoder", "decoder"): ("network", "hidden", "activation")}

    def __init__(
        self,
        *,
        image_shape: ImageShape,
        latent_dim: PositiveInt = 20,
        network: Literal["mlp", "conv"] = "mlp",
        hidden: Sequence[PositiveInt] = (500,),
        activation: Activation = "tanh",
        likelihood: Literal["bernoulli", "gaussian", "discretized_logistic"] = "bernoulli",
        levels: TwoOrMore = 256,
        kl_weight: NonNegativeFloat = 1.0,
        encoder: keras.Model | str | dict | None = None,
        decoder: keras.Model | str | dict | None = None,
        seed: Seed = 0,
        **kwargs,
    ):
        super().__init__(image_shape=image_shape, seed=seed, **kwargs)
        self.latent_dim, self.likelihood, self.levels = latent_dim, likelihood, levels
        self.kl_weight = float(kl_weight)
        # The Gaussian decoder also gives a stddev for every value.
        out_channels = self.image_shape[2] * (2 if likelihood == "gaussian" else 1)
        build = {"mlp": _mlp, "conv": _conv}[network]
        self.choose_networks(
            lambda: build(self.image_shape, latent_dim, tuple(hidden), activation, out_channels, self.dtype_policy),
            encoder=(encoder, self.image_shape, (2 * latent_dim,)),
            decoder=(decoder, (latent_dim,), (*self.image_shape[:2], out_channels)),
        )
        if likelihood == "discretized_logistic":
            self.log_scale = self.add_weight(
                name="log_scale",
                shape=(self.image_shape[2],),
                initializer=keras.initializers.Constant(np.log(0.1)),
                autocast=False,
            )
        self.built = True

    def decode(self, latents, training=False):
        lead = tf.shape(latents)[:-1]  # [B], or [chunk, B] for importance samples
        flat = tf.reshape(latents, [-1, self.latent_dim])
        out = tf.cast(self.decoder(flat, training=training), tf.float32)  # [prod(lead), H, W, C or 2C]
        out = tf.reshape(out, tf.concat([lead, [*self.image_shape[:2], out.shape[-1]]], axis=0))
        if self.likelihood != "discretized_logistic":
            return pixels_of(out, self.likelihood, self.levels)
        log_scale = tf.convert_to_tensor(self.log_scale)
        return tfd.Independent(DiscretizedLogistic(tf.sigmoid(out), log_scale, levels=self.levels), 3)


def _mlp(image_shape, latent_dim, hidden, activation, out_channels, dtype):
    height, width, _ = image_shape
    out_shape = (height, width, out_channels)
    encoder = keras.Sequential(
        [
            layers.Flatten(dtype=dtype),
            *(layers.Dense(n, activation, dtype=dtype, name=f"hidden_{i}") for i, n in enumerate(hidden)),
            layers.Dense(2 * latent_dim, dtype=dtype, name="moments"),  # mean and ln variance
        ],
        name="encoder",
    )
    decoder = keras.Sequential(
        [
            *(layers.Dense(n, activation, dtype=dtype, name=f"hidden_{i}") for i, n in enumerate(reversed(hidden))),
            layers.Dense(int(np.prod(out_shape)), dtype=dtype, name="out"),
            layers.Reshape(out_shape, dtype=dtype),
        ],
        name="decoder",
    )
    return encoder, decoder


def _conv(image_shape, latent_dim, hidden, activation, out_channels, dtype):
    height, width, _ = image_shape
    if height % 4 or width % 4:
        raise ValueError(f"network 'conv' needs a height and width that are multiples of 4; received {image_shape}.")
    if len(hidden) != 3:
        raise ValueError(f"network 'conv' takes three widths (filters, filters, dense); received hidden={hidden}.")
    first, second, dense = hidden
    conv = {"strides": 2, "padding": "same", "dtype": dtype}
    encoder = keras.Sequential(
        [
            layers.Conv2D(first, 4, activation=activation, name="down_0", **conv),  # [B, H/2, W/2, first]
            layers.Conv2D(second, 4, activation=activation, name="down_1", **conv),  # [B, H/4, W/4, second]
            layers.Flatten(dtype=dtype),
            layers.Dense(dense, activation, dtype=dtype, name="hidden"),
            layers.Dense(2 * latent_dim, dtype=dtype, name="moments"),
        ],
        name="encoder",
    )
    decoder = keras.Sequential(
        [
            layers.Dense(dense, activation, dtype=dtype, name="hidden"),
            layers.Dense(height // 4 * (width // 4) * second, activation, dtype=dtype, name="grid"),
            layers.Reshape((height // 4, width // 4, second), dtype=dtype),
            layers.Conv2DTranspose(first, 4, activation=activation, name="up_0", **conv),
            layers.Conv2DTranspose(out_channels, 4, name="up_1", **conv),
        ],
        name="decoder",
    )
    return encoder, decoder
