"""Autoencoder: an encoder to a small code, and a decoder that reconstructs the image from it.

The idea: an encoder maps an image x to a code h(x) of a few numbers, a decoder maps the code to an image g(h(x)), and both
are trained at once on the squared error. The code must keep what distinguishes images, and this is useful elsewhere:
clusters of codes (k-means) find classes without labels, and a linear classifier on codes needs few labels.

    loss = (1/B) sum_b |x_b - g(h(x_b))|^2,    mse = loss / (H W C)

The convolutional network: Masci, Meier, Cireşan, Schmidhuber, "Stacked Convolutional Auto-Encoders for Hierarchical Feature
Extraction", ICANN 2011. The fully connected one: Hinton, Salakhutdinov, "Reducing the Dimensionality of Data with Neural
Networks", Science 313, 2006; Xie, Girshick, Farhadi, "Unsupervised Deep Embedding for Clustering Analysis" (DEC), ICML 2016,
arXiv:1511.06335. Without hidden layers the network is linear, and its optimum is that of principal components (Baldi, Hornik
1989).

What differs from the papers: all weights are trained at once from random values, by Adam, on the squared error. The papers
pre-train layer by layer (Hinton with restricted Boltzmann machines, DEC with denoising layers), and Hinton then uses
conjugate gradients. Convolutions have strides instead of max-pooling. An autoencoder has no prior: the codes of samples are
drawn from the normal distribution that has the means and the variances of the codes seen in training.
"""

import math
from collections.abc import Sequence
from typing import Literal

import keras
import tensorflow as tf

from tfgen import random
from tfgen.models.autoencoders.code_moments import CodeMoments
from tfgen.models.base import TrainableModel
from tfgen.models.capabilities import Encoder, Sampler
from tfgen.networks.common import Activation
from tfgen.settings import ImageShape, PositiveInt

layers = keras.layers


@keras.saving.register_keras_serializable("tfgen")
class Autoencoder(Sampler, Encoder, TrainableModel):
    """Autoencoder with a linear code.

    Losses: "loss", the squared error summed over an image, and "mse", its mean over the values of an image. Both use the
    decoder's output before it is clipped to [0, 1].

    Example:
        >>> model = tfgen.models.Autoencoder(image_shape=(8, 8, 1), latent_dim=4, hidden=(8, 16))
        >>> codes = model.encode(tf.zeros([2, 8, 8, 1]))
        >>> codes.shape, model.decode_images(codes).shape
        (TensorShape([2, 4]), TensorShape([2, 8, 8, 1]))

    Args:
        image_shape: (H, W, C).
        latent_dim: Z, the size of a code.
        network: "conv": 3x3 convolutions of stride 2 to the code, and 4x4 transposed convolutions of stride 2 back; sides
            may be odd. "mlp": fully connected layers.
        hidden: filters of the encoder's convolutions, or widths of its fully connected layers; the decoder has them in
            reverse. () with "mlp": a linear autoencoder.
        activation: of the hidden layers.
        output_activation: of the decoder: "linear", or "sigmoid", whose gradient vanishes at black and at white.
        encoder, decoder: None, or networks of your own (see `tfgen.networks.given_network`; copied, with their weights):
            images [B, H, W, C] in [0, 1] -> codes [B, latent_dim] -> images [B, H, W, C], which are clipped to [0, 1]. With
            both, leave out `network`, `hidden` and `activation`; with a decoder, `output_activation`.
        **kwargs: see `TrainableModel`.
    """

    loss_names = ("loss", "mse")
    own_networks = {("encoder", "decoder"): ("network", "hidden", "activation"), ("decoder",): ("output_activation",)}

    def __init__(
        self, *, image_shape: ImageShape, latent_dim: PositiveInt = 32, network: Literal["conv", "mlp"] = "conv",
        hidden: Sequence[PositiveInt] = (32, 64), activation: Activation = "relu",
        output_activation: Literal["linear", "sigmoid"] = "linear", encoder: keras.Model | dict | str | None = None,
        decoder: keras.Model | dict | str | None = None, **kwargs,
    ):  # fmt: skip
        super().__init__(image_shape=image_shape, **kwargs)
        build = {"conv": _conv, "mlp": _mlp}[network]
        if network == "conv" and not hidden:
            raise ValueError(f"hidden must be positive widths, at least one for 'conv'; received {hidden!r}.")
        self.latent_dim = latent_dim

        def make():
            made = build(self.image_shape, latent_dim, list(hidden), activation, output_activation, self.dtype_policy)
            return [keras.Sequential(found, name=name) for found, name in zip(made, ("encoder", "decoder"), strict=True)]

        self.choose_networks(
            make, encoder=(encoder, self.image_shape, (latent_dim,)), decoder=(decoder, (latent_dim,), self.image_shape)
        )
        self.code_moments = CodeMoments(latent_dim)
        self.built = True

    # ---- codes

    def encode(self, images):
        """Codes float32 [B, latent_dim] of images float32 [B, H, W, C] in [0, 1]."""
        return self._encode(self.check_images(images))

    def _encode(self, images, training=False):
        return tf.cast(self.encoder(images, training=training), tf.float32)

    def decode_raw(self, latents: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Images of codes [B, latent_dim], not clipped: float32 [B, H, W, C]."""
        return tf.cast(self.decoder(latents, training=training), tf.float32)

    def decode_images(self, latents: tf.Tensor) -> tf.Tensor:
        latents = self.check_latents(latents)
        return tf.clip_by_value(self.decode_raw(latents), 0.0, 1.0)

    def reconstruct(self, images):
        """Reconstructions of images from their codes: float32 [B, H, W, C] in [0, 1]."""
        return self.decode_images(self.encode(images))

    def call(self, images, training=False):
        return self.reconstruct(images)

    def latents(self, seeds):
        return self.code_moments.draw(random.keys(seeds))

    # ---- training

    def losses_and_codes(self, images: tf.Tensor, training: bool = False) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        codes = self._encode(images, training)
        loss = tf.reduce_mean(tf.reduce_sum((images - self.decode_raw(codes, training)) ** 2, axis=[1, 2, 3]))
        return {"loss": loss, "mse": loss / math.prod(self.image_shape)}, codes

    def update(self, batch):
        def losses_fn():
            losses, codes = self.losses_and_codes(batch["image"], training=True)
            self.code_moments.update(codes)
            return losses

        return self.step_players({"model": "loss"}, losses_fn)

    def evaluation_losses(self, batch):
        return self.losses_and_codes(batch["image"])[0]


def _mlp(image_shape, latent_dim, hidden, activation, output_activation, dtype):
    encoder = [
        layers.Flatten(dtype=dtype),
        *(layers.Dense(n, activation, dtype=dtype, name=f"hidden_{i}") for i, n in enumerate(hidden)),
        layers.Dense(latent_dim, dtype=dtype, name="code"),
    ]
    decoder = [
        *(layers.Dense(n, activation, dtype=dtype, name=f"hidden_{i}") for i, n in enumerate(reversed(hidden))),
        layers.Dense(math.prod(image_shape), output_activation, dtype=dtype, name="out"),
        layers.Reshape(image_shape, dtype=dtype),
    ]
    return encoder, decoder


def _conv(image_shape, latent_dim, hidden, activation, output_activation, dtype):
    settings = {"strides": 2, "padding": "same", "dtype": dtype}
    encoder = [
        *(layers.Conv2D(n, 3, activation=activation, name=f"down_{i}", **settings) for i, n in enumerate(hidden)),
        layers.Flatten(dtype=dtype),
        layers.Dense(latent_dim, dtype=dtype, name="code"),
    ]
    sizes = [image_shape[:2]]  # of the maps, from the image to the smallest
    for _ in hidden:
        sizes.append(tuple(-(-side // 2) for side in sizes[-1]))
    grid = (*sizes.pop(), hidden[-1])
    decoder = [layers.Dense(math.prod(grid), activation, dtype=dtype, name="grid"), layers.Reshape(grid, dtype=dtype)]
    shapes = zip([*hidden[-2::-1], image_shape[2]], reversed(sizes), strict=True)
    for i, (width, (height, breadth)) in enumerate(shapes):
        last = i == len(hidden) - 1
        # The kernel is a multiple of the stride: with another one, outputs get unequal numbers of terms (a checkerboard).
        ends = {"activation": output_activation if last else activation, "name": f"up_{i}"}
        decoder.append(layers.Conv2DTranspose(width, 4, **ends, **settings))
        decoder.append(layers.Cropping2D(((0, height % 2), (0, breadth % 2)), dtype=dtype))  # [B, height, breadth, width]
    return encoder, decoder
