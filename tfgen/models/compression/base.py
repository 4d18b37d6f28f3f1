"""The family of learned image codecs: transform, rounding, entropy coding; trained on rate and distortion."""

import math
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tfgen import fields, random
from tfgen.models.base import TrainableModel
from tfgen.models.capabilities import Codec as CodecCapability
from tfgen.models.capabilities import Encoder, Sampler
from tfgen.models.compression.codec import Codec
from tfgen.models.compression.start import begin_as_block_code
from tfgen.networks.given import check_network
from tfgen.settings import ImageShape, PositiveFloat, PositiveInt, Seed

_STDDEV_OF_PHOTOS = 0.25  # of their pixels in [0, 1]


class CompressionModel(Sampler, Encoder, CodecCapability, TrainableModel):
    """A model trained on the rate-distortion loss. Its latents are rounded, and a range coder writes them to a file.

        loss = R + distortion_weight * D
        R    = bits of the latents / pixels, with noise in (-1/2, 1/2) instead of rounding
        D    = squared error, mean over pixels and channels, on the scale 0 to 255

    In evaluation latents are rounded. `codec()` writes and reads files. The networks are convolutional: training images and
    samples have the size of `image_shape`; `encode`, `reconstruct`, `bits` and the codec take images of any size. An image
    is padded to a multiple of `stride` by repeating its edge.

    A subclass calls `build_transforms`, sets `built`, and implements `rate`, `code`, `draw_latents` and `entropy_coder`.

    The built-in transforms start as a linear block code, see `tfgen.models.compression.start`. Inputs of `analysis` are
    images with 0 for grey. Latents are `latent_scale` times its outputs, so that rounding is as coarse as lambda
    requires from the start.

    Args:
        image_shape: (H, W, C).
        width: N, channels of the hidden layers.
        latent_channels: M, channels of the latents; None: as `width`. Each channel has one latent for 256 pixels, so a small
            M bounds the quality at high rates: the best linear code of Kodak has a mean PSNR of 29.7 dB with 64 numbers for
            256 pixels, 33.8 with 128 and 37.9 with 192.
        distortion_weight: lambda, positive: bits per pixel that a unit of squared error is worth.
        analysis, synthesis: None, or networks of your own (see `tfgen.networks.given_network`; copied, with their weights),
            convolutional, so that they take any size: [B, 16 h, 16 w, C] with 0 for grey -> [B, h, w, M], and back. They
            start from the weights that they have; the one that is not given starts from random weights.
        seed: int, of the training noise.
    """

    loss_names = ("loss", "bits_per_pixel", "mse")
    stride = 16
    own_networks = {("analysis",): (), ("synthesis",): ()}

    def __init__(
        self, *, image_shape: ImageShape, width: PositiveInt = 128, latent_channels: PositiveInt | None = None,
        distortion_weight: PositiveFloat = 0.01, analysis: keras.Model | dict | str | None = None,
        synthesis: keras.Model | dict | str | None = None, seed: Seed = 0, **kwargs,
    ):  # fmt: skip
        super().__init__(image_shape=image_shape, seed=seed, **kwargs)
        latent_channels = width if latent_channels is None else latent_channels
        self.width, self.latent_channels = int(width), int(latent_channels)
        self.distortion_weight = float(distortion_weight)
        # Rounding to steps d after an orthonormal transform costs d^2 / 12 of squared error and -log2 d bits. Their sum in
        # the loss of an image of C channels is smallest at d^2 = 6 C / (lambda ln 2).
        self.latent_scale = 255.0 * (self.distortion_weight * math.log(2.0) / (6.0 * self.image_shape[2])) ** 0.5

    def build_transforms(self, make: Callable) -> np.ndarray:
        """Sets and builds `analysis` and `synthesis` with their initial weights, and sets the shape of the latents.

        Args:
            make: function () -> the built-in networks, Keras models whose convolutions mirror each other.

        Returns:
            float64 [M]: approximate standard deviations of the latents of photos at the start.
        """
        height, width = (-(-n // self.stride) for n in self.image_shape[:2])
        self.latent_shape = (height, width, self.latent_channels)
        self.latent_dim = math.prod(self.latent_shape)
        channels = {"analysis": (self.image_shape[2], self.latent_channels)}
        channels["synthesis"] = channels["analysis"][::-1]
        own = {name: self._own_transform(name, *ends) for name, ends in channels.items()}
        made = [None, None] if None not in own.values() else make()
        for (name, given), built_in in zip(own.items(), made, strict=True):
            if given is None:
                built_in.build((None, None, None, channels[name][0]))
            setattr(self, name, built_in if given is None else given)
        stddev = np.ones(self.latent_channels)
        if not any(own.values()):
            stddev = begin_as_block_code(self.analysis, self.synthesis, self.image_shape[2], self.stride)
        return self.latent_scale * _STDDEV_OF_PHOTOS * stddev

    def _own_transform(self, name, inputs, outputs):
        """The user's own network of this name with these numbers of input and output channels, or None."""

        def shapes(times):
            small = [times * n for n in self.latent_shape[:2]]
            large = [self.stride * n for n in small]
            before, after = (large, small) if name == "analysis" else (small, large)
            return [(*before, inputs)], (*after, outputs)

        network = self.own_network(name, self._config[name], *shapes(1))
        if network is not None:
            check_network(network, name, *shapes(2))  # it must take any size
        return network

    # ---- implemented by subclasses

    def rate(self, latents: tf.Tensor, quantize: Callable) -> tuple[tf.Tensor, tf.Tensor]:
        """(quantised latents [B, h, w, M], bits of the whole code [B]) of latents [B, h, w, M].

        Args:
            quantize: function of (tensor, stream) that adds noise or rounds. Each call needs another stream number.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement rate(latents, quantize).")

    def code(self, images: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """All rounded latents of a file: tuple of float32 [B, h, w, channels], beginning with the input of `synthesis`."""
        raise NotImplementedError(f"{type(self).__name__} must implement code(images).")

    def draw_latents(self, keys: tf.Tensor) -> tf.Tensor:
        """Rounded latents float32 [N, h, w, M] of images of `image_shape`, drawn from the entropy model with keys [N]."""
        raise NotImplementedError(f"{type(self).__name__} must implement draw_latents(keys).")

    def entropy_coder(self, arrays: dict | None = None) -> object:
        """The entropy coder: an object with `arrays`, `num_segments`, `compress(code)` -> list of `num_segments` bytes, and
        `decompress(segments, h, w)` -> code; `code` is the tuple of the method `code`. See `FactorizedCoder`.

        Args:
            arrays: the arrays of an earlier coder of this model; None: they are computed from the weights.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement entropy_coder(arrays).")

    # ---- transforms

    def analyze(self, images: tf.Tensor) -> tf.Tensor:
        """Latents before rounding, float32 [B, ceil(H / 16), ceil(W / 16), M], of images [B, H, W, C] in [0, 1]."""
        for axis in (1, 2):
            size = tf.shape(images)[axis]
            padded = -(-size // self.stride) * self.stride
            images = tf.gather(images, tf.minimum(tf.range(padded), size - 1), axis=axis)
        return self.latent_scale * tf.cast(self.analysis(images - 0.5), tf.float32)

    def synthesize(self, latents: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor) -> tf.Tensor:
        """Images float32 [B, height, width, C], not clipped, of latents [B, h, w, M]."""
        return 0.5 + tf.cast(self.synthesis(latents / self.latent_scale), tf.float32)[:, :height, :width]

    def call(self, images, training=False):
        return self.reconstruct(images)

    def encode(self, images: tf.Tensor) -> tf.Tensor:
        """Rounded latents float32 [B, h, w, M] of images float32 [B, H, W, C] in [0, 1] of any size."""
        return tf.round(self.analyze(self.check_any_size(images)))

    def reconstruct(self, images: tf.Tensor) -> tf.Tensor:
        """Images after compression and decompression, float32 [B, H, W, C] in [0, 1], of images of any size."""
        size = tf.shape(images)
        return tf.clip_by_value(self.synthesize(self.encode(images), size[1], size[2]), 0.0, 1.0)

    def bits(self, images: tf.Tensor) -> tf.Tensor:
        """Bits of the latents under the entropy model, float32 [B], of images [B, H, W, C] in [0, 1] of any size.

        The size of a file differs by a few per cent and by a header of about 30 bytes.
        """
        return self.rate(self.analyze(self.check_any_size(images)), lambda values, stream: tf.round(values))[1]

    def check_any_size(self, images: tf.Tensor) -> tf.Tensor:
        """As `check_images`, for any height and width."""
        return fields.image((None, None, self.image_shape[2])).check(images, type(self).__name__)

    # ---- training

    def losses_of(self, images: tf.Tensor, quantize: Callable) -> dict[str, tf.Tensor]:
        """{loss name: float32 [B]} of images [B, H, W, C] in [0, 1]; for `quantize` see `rate`."""
        latents, bits = self.rate(self.analyze(images), quantize)
        errors = images - self.synthesize(latents, *self.image_shape[:2])
        mse = 255.0**2 * tf.reduce_mean(errors**2, axis=[1, 2, 3])
        bits_per_pixel = bits / math.prod(self.image_shape[:2])
        return {"loss": bits_per_pixel + self.distortion_weight * mse, "bits_per_pixel": bits_per_pixel, "mse": mse}

    def update(self, batch: dict) -> dict[str, tf.Tensor]:
        images = batch["image"]

        def add_noise(values, stream):
            return values + 0.5 * self.noise(values.shape[1:], tf.shape(images)[0], stream, "uniform")

        def losses_fn():
            return {name: tf.reduce_mean(value) for name, value in self.losses_of(images, add_noise).items()}

        return self.step_players({"model": "loss"}, losses_fn)

    def evaluation_losses(self, batch: dict) -> dict[str, tf.Tensor]:
        return self.losses_of(batch["image"], lambda values, stream: tf.round(values))

    # ---- sampling and export

    def latents(self, seeds: tf.Tensor) -> tf.Tensor:
        """Rounded latents [N, latent_dim] of `image_shape`, drawn from the entropy model.

        The entropy model describes positions almost independently, so samples are textures, not pictures of objects.
        """
        return tf.reshape(self.draw_latents(random.keys(seeds)), [-1, self.latent_dim])

    def decode_images(self, latents: tf.Tensor) -> tf.Tensor:
        """Images float32 [B, H, W, C] in [0, 1] of `image_shape`, of latents [B, latent_dim]."""
        latents = self.check_latents(latents)
        latents = tf.reshape(latents, [-1, *self.latent_shape])
        return tf.clip_by_value(self.synthesize(latents, *self.image_shape[:2]), 0.0, 1.0)

    def codec(self) -> Codec:
        """A `tfgen.models.compression.Codec` with a copy of the current weights; later training does not change it."""
        return Codec.of(self)


def bits_of(log_prob):
    """[B] bits of ln p [B, h, w, channels]."""
    return tf.reduce_sum(log_prob, axis=[1, 2, 3]) / -math.log(2.0)
