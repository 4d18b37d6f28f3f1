"""Deep feature consistent variational autoencoder (DFC-VAE).

Hou, Shen, Sun, Qiu, "Deep Feature Consistent Variational Autoencoder", WACV 2017, arXiv:1610.00291. Code: houxianxu/DFC-VAE.

The idea: a VAE whose reconstruction x~ is compared with x not pixel by pixel but in the layers of a trained, frozen network
Phi. Small errors of pixels change these features little, blurred edges and textures change them much, so reconstructions are
sharp. Differences of mean codes are directions of attributes: see `tfgen.sampling.attribute_vector`.

    loss = kl_weight KL(q(z|x) || N(0, I)) + feature_weight sum_l 1/(2 C_l H_l W_l) |Phi_l(x) - Phi_l(x~)|^2

KL is the sum over the latent dimensions, and both terms are means over images (alpha and beta of the paper, per image). The
feature weight depends on Phi: VGG's features are tens to hundreds, those of other networks about 1.

Without Phi the features are the pixels. With feature_weight = 2 H W C that is the plain VAE on summed squared errors, which
the paper compares with (PVAE).

What differs from the paper: its decoder gives images in VGG's input space (BGR, 0 ... 255 less the means). Ours gives a
linear output in units of [0, 1], and Phi begins with the map to its own space. This map is affine, so the functions are the
same. Phi's input is the output as it is; public methods clip it. Kernels start from Glorot's uniform instead of N(0,
0.02^2), and gains of batch norm from 1 instead of N(1, 0.02^2).

The released code differs from the paper and from this model. It sums KL over its batch of 40, while its feature term is a
mean: as if kl_weight were 40. Its feature term lacks the factor 1/2. Its networks, for 128 pixels,
have a fifth convolution, no activation behind the encoder's last batch norm, and a ReLU behind the decoder's first layer. It
halves the rate at every step of each second epoch; the paper halves it after each epoch.
"""

import math
from collections.abc import Sequence

import keras
import tensorflow as tf
from keras import layers
from tensorflow_probability import distributions as tfd

from tfgen import features
from tfgen.layers import BatchNormalization
from tfgen.models.autoencoders.base import AutoencodingModel
from tfgen.settings import Count, ImageShape, NonNegativeFloat, PositiveInt


@keras.saving.register_keras_serializable("tfgen")
class ReplicationPadding(layers.Layer):
    """Adds one pixel on each side, equal to its neighbour: [B, H, W, C] -> [B, H + 2, W + 2, C]."""

    def call(self, inputs):
        return tf.pad(inputs, [[0, 0], [1, 1], [1, 1], [0, 0]], "SYMMETRIC")


@keras.saving.register_keras_serializable("tfgen")
class DFCVAE(AutoencodingModel):
    """Variational autoencoder trained on the features of a frozen network.

    Losses: "loss", "feature_loss" (the sum over l above, without its weight) and "kl".

    Phi is not part of the model: the config of a saved model has the recipe and the fingerprint of Phi (see
    `tfgen.features`), and checkpoints and averages have no weights of it. If Phi cannot be made again, or has changed, a
    loaded model can still encode, decode and sample; computing its loss raises an error.

    Example:
        >>> model = tfgen.models.DFCVAE(
        ...     image_shape=(8, 8, 1), latent_dim=3, width=4, stages=2, feature_network=tfgen.features.random_conv((8,)))
        >>> images = tf.zeros([2, 8, 8, 1])
        >>> model.reconstruct(images).shape
        TensorShape([2, 8, 8, 1])
        >>> model.feature_loss(images, images).numpy().tolist()
        [0.0, 0.0]

    Args:
        image_shape: (H, W, C); H and W are multiples of 2**stages.
        latent_dim: Z.
        width: filters of the first convolution; their number doubles with each convolution.
        stages: number of convolutions of stride 2.
        feature_network: Phi: `tfgen.features.FeatureNetwork`, or what `tfgen.features.get` takes: a `keras.Model` of images
            [B, H, W, C] in [0, 1], the path of a .keras file of one, "vgg19" (at least 32 pixels; Keras fetches its ImageNet
            weights, 80 MB, once), the dict of another model's config. None: the pixels themselves.
        feature_layers: names of layers of Phi whose outputs are compared; None: the outputs of Phi itself.
        kl_weight: alpha.
        feature_weight: beta.
        encoder, decoder: None, or networks of your own (see `tfgen.networks.given_network`; copied, with their weights):
            images [B, H, W, C] in [0, 1] -> mean and ln variance of q(z|x), [B, 2 latent_dim]; latents [B, latent_dim] ->
            images [B, H, W, C]. With both, leave out `width` and `stages`.
        **kwargs: see `TrainableModel`.

    Raises:
        ValueError: Phi is not found, has no such layers, or does not take such images.
    """

    loss_names = ("loss", "feature_loss", "kl")
    own_networks = {("encoder", "decoder"): ("width", "stages")}

    def __init__(
        self, *, image_shape: ImageShape, latent_dim: PositiveInt = 100, width: PositiveInt = 32, stages: Count = 4,
        feature_network: features.FeatureNetwork | keras.Model | dict | str | None = None,
        feature_layers: Sequence[str] | None = None, kl_weight: NonNegativeFloat = 1.0,
        feature_weight: NonNegativeFloat = 0.5,
        encoder: keras.Model | dict | str | None = None, decoder: keras.Model | dict | str | None = None, **kwargs,
    ):  # fmt: skip
        super().__init__(image_shape=image_shape, **kwargs)
        if feature_network is None and feature_layers is not None:
            raise ValueError(f"feature_layers names layers of feature_network, which is None; received {feature_layers!r}.")
        self.latent_dim, self.kl_weight, self.feature_weight = latent_dim, float(kl_weight), float(feature_weight)
        self.choose_networks(
            lambda: _networks(self.image_shape, latent_dim, width, stages, self.dtype_policy),
            encoder=(encoder, self.image_shape, (2 * latent_dim,)), decoder=(decoder, (latent_dim,), self.image_shape),
        )  # fmt: skip
        if feature_network is not None:
            feature_network = features.get(feature_network, feature_layers, self.image_shape)
        self.feature_network = feature_network
        self._config["feature_network"] = self.feature_network and self.feature_network.get_config()
        self.built = True

    def decode_raw(self, latents: tf.Tensor, training: bool = False) -> tf.Tensor:
        """x~ of latents [B, latent_dim], not clipped: float32 [B, H, W, C]."""
        return tf.cast(self.decoder(latents, training=training), tf.float32)

    def decode_images(self, latents: tf.Tensor) -> tf.Tensor:
        latents = self.check_latents(latents)
        return tf.clip_by_value(self.decode_raw(latents), 0.0, 1.0)

    # ---- losses

    def features(self, images: tf.Tensor) -> list[tf.Tensor]:
        """[Phi_l(images) float32 [B, ...] of each layer l]; gradients pass through to the images."""
        if self.feature_network is None:
            return [images]
        return list(self.feature_network(images).values())

    def feature_loss(self, images: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
        """sum_l |Phi_l(images) - Phi_l(others)|^2 / (2 C_l H_l W_l): float32 [B]. `images` get no gradient."""
        total = 0.0
        for target, found in zip(self.features(images), self.features(others), strict=True):
            difference = tf.stop_gradient(target) - found
            total += 0.5 * tf.reduce_mean(difference**2, axis=range(1, len(difference.shape)))
        return total

    def losses_of(self, images: tf.Tensor, noise: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
        """{name: scalar} of `loss_names`, at z = mean + stddev * noise; noise: standard normal [B, latent_dim]."""
        posterior = self.posterior(images, training=training)
        latents = posterior.mean() + posterior.stddev() * noise
        feature_loss = tf.reduce_mean(self.feature_loss(images, self.decode_raw(latents, training=training)))
        kl = tf.reduce_mean(tfd.kl_divergence(posterior, self.prior))
        return {"loss": self.kl_weight * kl + self.feature_weight * feature_loss, "feature_loss": feature_loss, "kl": kl}

    def update(self, batch):
        noise = self.noise([self.latent_dim], tf.shape(batch["image"])[0], stream=0)

        def losses_fn():
            return self.losses_of(batch["image"], noise, training=True)

        return self.step_players({"model": "loss"}, losses_fn)

    def evaluation_losses(self, batch):
        images = batch["image"]
        return self.losses_of(images, self.evaluation_noise(tf.shape(images)[0], self.seed))


def _networks(image_shape, latent_dim, width, stages, dtype):
    height, breadth, channels = image_shape
    if height % 2**stages or breadth % 2**stages:
        raise ValueError(f"height and width must be multiples of 2**stages = {2**stages}; received {image_shape!r}.")
    widths = [width * 2**i for i in range(stages)]

    def activated(name):
        # synchronized: statistics are those of the global batch.
        norm = BatchNormalization(momentum=0.9, epsilon=1e-3, synchronized=True, dtype=dtype, name=name)
        return [norm, layers.LeakyReLU(negative_slope=0.2, dtype=dtype)]

    encoder = []
    for i, filters in enumerate(widths):
        conv = layers.Conv2D(filters, 4, strides=2, padding="same", dtype=dtype, name=f"down_{i}")
        encoder += [conv, *activated(f"norm_{i}")]
    encoder += [layers.Flatten(dtype=dtype), layers.Dense(2 * latent_dim, dtype=dtype, name="moments")]
    grid = (height // 2**stages, breadth // 2**stages, widths[-1])
    decoder = [layers.Dense(math.prod(grid), dtype=dtype, name="grid"), layers.Reshape(grid, dtype=dtype)]
    for i, filters in enumerate([*widths[-2::-1], channels]):
        decoder += [
            layers.UpSampling2D(2, dtype=dtype),  # nearest
            ReplicationPadding(dtype=dtype),
            layers.Conv2D(filters, 3, dtype=dtype, name=f"up_{i}"),
            *activated(f"norm_{i}"),
        ]
    decoder = decoder[:-2]  # linear pixels
    return keras.Sequential(encoder, name="encoder"), keras.Sequential(decoder, name="decoder")
