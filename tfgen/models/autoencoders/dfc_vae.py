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
mean: as if kl_weight were 40. Its feature term lacks the factor 1/2. Adam has beta_1 = .5. Its networks, for 128 pixels,
have a fifth convolution, no activation behind the encoder's last batch norm, and a ReLU behind the decoder's first layer. It
halves the rate at every step of each second epoch; the paper halves it after each epoch.
"""

import copy
import json
import math
import os

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.layers import BatchNormalization
from tfgen.models.autoencoders.base import AutoencodingModel
from tfgen.models.checks import check_not_negative, check_whole
from tfgen.training.players import Player

tfd = tfp.distributions
layers = keras.layers


@keras.saving.register_keras_serializable("tfgen")
class ReplicationPadding(layers.Layer):
    """Adds one pixel on each side, equal to its neighbour: [B, H, W, C] -> [B, H + 2, W + 2, C]."""

    def call(self, inputs):
        return tf.pad(inputs, [[0, 0], [1, 1], [1, 1], [0, 0]], "SYMMETRIC")


@keras.saving.register_keras_serializable("tfgen")
class VGGInput(layers.Layer):
    """RGB [B, H, W, 3] in [0, 1] -> the inputs that VGG was trained on: BGR in 0 ... 255, less ImageNet's means."""

    MEANS = (103.939, 116.779, 123.68)  # of B, G, R

    def call(self, inputs):
        return 255.0 * inputs[..., ::-1] - tf.constant(self.MEANS, inputs.dtype)


@keras.saving.register_keras_serializable("tfgen")
class DFCVAE(AutoencodingModel):
    """Variational autoencoder trained on the features of a frozen network.

    Losses: "loss", "feature_loss" (the sum over l above, without its weight) and "kl".

    Phi becomes part of the model: its architecture becomes part of the config, and its weights are variables of the model
    that are neither trained nor averaged. So a saved model needs neither the file nor the download that Phi came from.

    Args:
        image_shape: (H, W, C); H and W are multiples of 2**stages.
        latent_dim: Z.
        width: filters of the first convolution; their number doubles with each convolution.
        stages: number of convolutions of stride 2.
        features: Phi, a network whose inputs are images [B, H, W, C] in [0, 1] and which does its own preprocessing: a
            `keras.Model`, the path of a `.keras` file, "vgg19" (of `keras.applications`, for at least 32 pixels; fetches
            80 MB of ImageNet weights once), the architecture from another model's config, or None: the pixels themselves.
            Phi is copied.
        feature_layers: names of the layers of Phi whose outputs are compared; None: the outputs of Phi itself.
        kl_weight: alpha.
        feature_weight: beta.
        **kwargs: see `TrainableModel`.

    Raises:
        ValueError: Phi is not found, has no such layers, or does not take such images.
    """

    loss_names = ("loss", "feature_loss", "kl")

    def __init__(
        self, *, image_shape, latent_dim=100, width=32, stages=4, features=None, feature_layers=None, kl_weight=1.0,
        feature_weight=0.5, **kwargs,
    ):  # fmt: skip
        super().__init__(image_shape=image_shape, **kwargs)
        check_whole(latent_dim=latent_dim, width=width, stages=stages)
        check_not_negative(kl_weight=kl_weight, feature_weight=feature_weight)
        if any(side % 2**stages for side in self.image_shape[:2]):
            raise ValueError(f"height and width must be multiples of 2**stages = {2**stages}; received {image_shape!r}.")
        if features is None and feature_layers is not None:
            raise ValueError(f"feature_layers are of features, which is None; received {feature_layers!r}.")
        self.latent_dim, self.kl_weight, self.feature_weight = latent_dim, float(kl_weight), float(feature_weight)
        encoder, decoder = _networks(self.image_shape, latent_dim, width, stages, self.dtype_policy)
        self.encoder, self.decoder = keras.Sequential(encoder, name="encoder"), keras.Sequential(decoder, name="decoder")
        self.encoder.build((None, *self.image_shape))
        self.decoder.build((None, latent_dim))
        self.feature_network = None if features is None else frozen(features, feature_layers, self.image_shape)
        self.built = True

    def get_config(self):
        architecture = self.feature_network and keras.saving.serialize_keras_object(self.feature_network)
        architecture = json.loads(json.dumps(architecture))  # Keras' tuples as lists: a config read from JSON is equal
        return {**super().get_config(), "features": architecture}

    def players(self):
        return {"model": Player((self.encoder, self.decoder))}

    def decode(self, latents, training=False):
        """x~ of latents [B, latent_dim], not clipped: float32 [B, H, W, C]."""
        return tf.cast(self.decoder(latents, training=training), tf.float32)

    def decode_images(self, latents):
        return tf.clip_by_value(self.decode(latents), 0.0, 1.0)

    # ---- losses

    def features(self, images):
        """[Phi_l(images) float32 [B, ...] of each layer l]; gradients pass through to the images."""
        if self.feature_network is None:
            return [images]
        return [tf.cast(maps, tf.float32) for maps in tf.nest.flatten(self.feature_network(images, training=False))]

    def feature_loss(self, images, others):
        """sum_l |Phi_l(images) - Phi_l(others)|^2 / (2 C_l H_l W_l): float32 [B]. `images` are the target: no gradient."""
        total = 0.0
        for target, found in zip(self.features(images), self.features(others), strict=True):
            difference = tf.stop_gradient(target) - found
            total += 0.5 * tf.reduce_mean(difference**2, axis=range(1, len(difference.shape)))
        return total

    def terms(self, images, noise, training=False):
        """{name: scalar} of `loss_names`, at z = mean + stddev * noise; noise: standard normal [B, latent_dim]."""
        posterior = self.posterior(images, training=training)
        latents = posterior.mean() + posterior.stddev() * noise
        feature_loss = tf.reduce_mean(self.feature_loss(images, self.decode(latents, training=training)))
        kl = tf.reduce_mean(tfd.kl_divergence(posterior, self.prior))
        return {"loss": self.kl_weight * kl + self.feature_weight * feature_loss, "feature_loss": feature_loss, "kl": kl}

    def update(self, batch):
        noise = self.noise([self.latent_dim], tf.shape(batch["image"])[0], stream=0)

        def losses_fn():
            return self.terms(batch["image"], noise, training=True)

        return self.step_players({"model": "loss"}, losses_fn)

    def evaluation_losses(self, batch):
        images = batch["image"]
        return self.terms(images, self.evaluation_noise(tf.shape(images)[0], self.seed))


def _networks(image_shape, latent_dim, width, stages, dtype):
    height, breadth, channels = image_shape
    widths = [width * 2**i for i in range(stages)]

    def activated():
        # synchronized: statistics are those of the global batch.
        norm = BatchNormalization(momentum=0.9, epsilon=1e-3, synchronized=True, dtype=dtype)
        return [norm, layers.LeakyReLU(negative_slope=0.2, dtype=dtype)]

    encoder = []
    for filters in widths:
        encoder += [layers.Conv2D(filters, 4, strides=2, padding="same", dtype=dtype), *activated()]
    encoder += [layers.Flatten(dtype=dtype), layers.Dense(2 * latent_dim, dtype=dtype)]  # mean and ln variance
    grid = (height // 2**stages, breadth // 2**stages, widths[-1])
    decoder = [layers.Dense(math.prod(grid), dtype=dtype), layers.Reshape(grid, dtype=dtype)]
    for filters in [*widths[-2::-1], channels]:
        decoder += [
            layers.UpSampling2D(2, dtype=dtype),  # nearest
            ReplicationPadding(dtype=dtype),
            layers.Conv2D(filters, 3, dtype=dtype),
            *activated(),
        ]
    return encoder, decoder[:-2]  # linear pixels


def frozen(features, feature_layers, image_shape):
    """A copy, not trainable, of the network `features` up to its `feature_layers`. See `DFCVAE`."""
    network = _network(features, image_shape)
    outputs = network.outputs
    if feature_layers is not None:
        known = [layer.name for layer in network.layers]
        if not feature_layers or not set(feature_layers) <= set(known):
            raise ValueError(f"feature_layers must be some of {known}; received {feature_layers!r}.")
        outputs = [network.get_layer(name).output for name in feature_layers]
    taken = tuple(network.inputs[0].shape[1:])
    if len(network.inputs) != 1 or not tf.TensorShape(taken).is_compatible_with(image_shape):
        raise ValueError(f"features must take images {tuple(image_shape)}; received a network whose input is {taken}.")
    part = keras.Model(network.inputs[0], outputs, name="features")
    copied = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(part))
    copied.set_weights(part.get_weights())
    copied.trainable = False
    return copied


def _network(features, image_shape):
    if isinstance(features, dict):
        return keras.saving.deserialize_keras_object(copy.deepcopy(features))  # Keras changes the configs that it reads
    if isinstance(features, keras.Model):
        if not getattr(features, "inputs", None):
            raise ValueError(f"features must be a functional or sequential model with known inputs; received {features!r}.")
        return features
    if features == "vgg19":
        return vgg19(image_shape)
    if isinstance(features, (str, os.PathLike)) and os.path.isfile(features) and str(features).endswith(".keras"):
        return keras.saving.load_model(features, compile=False)
    raise ValueError(
        f"features must be a keras.Model, the path of a .keras file that exists, 'vgg19' or None; received {features!r}."
    )


def vgg19(image_shape, weights="imagenet"):
    """VGG-19 of images [B, H, W, 1 or 3] in [0, 1], with its preprocessing; grey becomes three equal channels.

    Args:
        weights: "imagenet", the path of a file of them, or None: random.
    """
    if image_shape[2] not in (1, 3) or min(image_shape[:2]) < 32:
        raise ValueError(f"'vgg19' takes images of 32 pixels or more with 1 or 3 channels; received {tuple(image_shape)}.")
    images = keras.Input(image_shape, dtype="float32")
    colour = images if image_shape[2] == 3 else layers.Concatenate(dtype="float32")([images] * 3)
    try:
        return keras.applications.VGG19(
            include_top=False, weights=weights, input_tensor=VGGInput(dtype="float32")(colour), input_shape=None
        )
    except Exception as error:  # Keras raises Exception where a download fails
        raise ValueError(
            "features='vgg19' needs the ImageNet weights vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5 of "
            f"keras.applications, which could not be had ({error}). Put the file into ~/.keras/models, or give another "
            "network as features."
        ) from error
