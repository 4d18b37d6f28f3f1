"""Image compression whose entropy model gets the local scale of the latents from a second, small code.

Balle, Minnen, Singh, Hwang, Johnston, "Variational Image Compression with a Scale Hyperprior", ICLR 2018, arXiv:1802.01436;
settings as in the authors' later code (tensorflow/compression, models/bmshj2018.py).

The idea: the latents of a transform code are large where the picture has texture and edges. A second pair of networks sends
a map of their scales as side information, z, and each latent is then coded as a normal variable of its scale. z itself has a
factorized prior. The side information costs fewer bits than it saves.

    y = g_a(x), z = h_a(|y|); training: y~ = y + U, z~ = z + U with U(-1/2, 1/2), else rounded
    sigma = h_s(z~), at least 0.11
    p(y~_i | z~) = Phi((y~_i + 1/2) / sigma_i) - Phi((y~_i - 1/2) / sigma_i)                  (eq. 7, 8)
    loss = E[-sum log2 p(y~ | z~) - sum log2 p(z~)] / pixels + lambda |x - g_s(y~)|^2

g_a is four convolutions 5x5 down 2 with GDN between them, h_a 3x3, 5x5 down 2, 5x5 down 2 with ReLU; g_s and h_s mirror them
(figure 4).

What differs from the paper: as in the code, h_s gives the index of sigma in a table of 64 scales (equal steps of the
logarithm from 0.11 to 256), not sigma by a last ReLU; coding rounds it to the nearest index. For coding, h_s is evaluated
with whole numbers (`tfgen.models.compression.integer`), so that a file can be read on another machine. Filters are learned
in the pixel domain. An image is padded to a multiple of 16 by repeating its edge, and the scales are cropped to the size of
the latents. The transforms start as a linear block code, see `tfgen.models.compression.start`.

The code differs from this model too: its GDN is x / (beta + sum gamma |x|), here it is the paper's; the density of z has two
hidden layers, here three; it rounds z to whole numbers plus an offset for each channel, here to whole numbers; its filters,
but for h_s, are learned by their Fourier transforms; and all its layers have the same number of channels.
"""

import keras
import numpy as np
import tensorflow as tf

from tfgen import random
from tfgen.distributions.deep_factorized import DeepFactorized
from tfgen.distributions.noisy import NoisyNormal
from tfgen.layers.gdn import GDN, lower_bound
from tfgen.models.compression import entropy
from tfgen.models.compression.base import CompressionModel, bits_of
from tfgen.models.compression.integer import IntegerNetwork

layers = keras.layers

SCALES = np.exp(np.linspace(np.log(0.11), np.log(256.0), 64))
_STEP = float(np.log(SCALES[1] / SCALES[0]))
_HYPER_STRIDES = (2, 2, 1)  # of h_s; of h_a in reverse order


@keras.saving.register_keras_serializable("tfgen")
class ScaleHyperprior(CompressionModel):
    """Transform code with normal latents whose scales are sent as side information.

    The sides of z are a sixty-fourth of those of an image. For training images of 64x64 z is a single pixel: most weights of
    the filters see only padding and stay at their initial values. For 128x128 all pixels of z lie at an edge. The code of
    larger images is then too long: train on 256x256 or more.

    Example:
        >>> model = tfgen.models.ScaleHyperprior(image_shape=(32, 32, 3), width=8)
        >>> images = tf.fill([1, 40, 70, 3], 0.5)  # of any size
        >>> model.encode(images).shape, model.bits(images).shape
        (TensorShape([1, 3, 5, 8]), TensorShape([1]))

    Args:
        width: N, channels of all hidden layers and of z.
        latent_channels: M, channels of y; None: as `width`.
        **kwargs: see `CompressionModel`.

    Raises:
        ValueError: images of at most 32 pixels in bfloat16.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        # TensorFlow 2.16 with oneDNN leaves gradients of a strided filter unset if its input is a single bfloat16 pixel.
        if self.compute_dtype == "bfloat16" and min(self.image_shape[:2]) <= 32:
            raise ValueError(
                f"ScaleHyperprior in bfloat16 needs images of more than 32 pixels a side; received image_shape "
                f"{self.image_shape}. Use larger crops, or float32."
            )
        channels = self.latent_channels
        settings = {"padding": "same", "dtype": self.dtype_policy}
        # At the start sigma is that of photos: with a smaller one latents would cost hundreds of bits.
        stddev = np.clip(self.build_transforms(self._make_transforms), 1.0, SCALES[-1])
        self.hyper_analysis = keras.Sequential(
            [
                layers.Conv2D(self.width, 3, activation="relu", name="conv", **settings),
                layers.Conv2D(self.width, 5, strides=2, activation="relu", name="down_0", **settings),
                layers.Conv2D(self.width, 5, strides=2, use_bias=False, name="down_1", **settings),
            ],
            name="hyper_analysis",
        )
        start = (np.log(stddev) - np.log(SCALES[0])) / _STEP
        self.hyper_synthesis = keras.Sequential(
            [
                layers.Conv2DTranspose(self.width, 5, strides=2, activation="relu", name="up_0", **settings),
                layers.Conv2DTranspose(self.width, 5, strides=2, activation="relu", name="up_1", **settings),
                layers.Conv2DTranspose(channels, 3, strides=1, name="conv", **settings),
            ],
            name="hyper_synthesis",
        )
        self.hyper_analysis.build((None, None, None, channels))
        self.hyper_synthesis.build((None, None, None, self.width))
        self.hyper_synthesis.layers[-1].bias.assign(start)
        self.prior = DeepFactorized(self.width)
        self.built = True

    def _make_transforms(self):
        settings = {"padding": "same", "dtype": self.dtype_policy}
        analysis, synthesis = keras.Sequential(name="analysis"), keras.Sequential(name="synthesis")
        for k in range(4):
            if k:
                analysis.add(GDN(dtype=self.dtype_policy, name=f"norm_{k - 1}"))
                synthesis.add(GDN(inverse=True, dtype=self.dtype_policy, name=f"norm_{k - 1}"))
            down, up = (self.latent_channels, self.image_shape[2]) if k == 3 else (self.width, self.width)
            analysis.add(layers.Conv2D(down, 5, strides=2, name=f"down_{k}", **settings))
            synthesis.add(layers.Conv2DTranspose(up, 5, strides=2, name=f"up_{k}", **settings))
        return analysis, synthesis

    def analyze_scales(self, latents: tf.Tensor) -> tf.Tensor:
        """z before rounding, float32 [B, ceil(h / 4), ceil(w / 4), N], of y before rounding."""
        return tf.cast(self.hyper_analysis(tf.abs(latents)), tf.float32)

    def scales(self, hyper_latents: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor) -> tf.Tensor:
        """sigma float32 [B, height, width, M] of z."""
        places = tf.cast(self.hyper_synthesis(hyper_latents), tf.float32)[:, :height, :width]
        places = -lower_bound(-lower_bound(places, 0.0), 1.0 - len(SCALES))
        return float(SCALES[0]) * tf.exp(_STEP * places)

    def rate(self, latents, quantize):
        shape = tf.shape(latents)
        hyper_latents = quantize(self.analyze_scales(latents), 1)
        latents = quantize(latents, 0)
        scales = self.scales(hyper_latents, shape[1], shape[2])
        bits = bits_of(NoisyNormal(scales).log_prob(latents)) + bits_of(self.prior.log_prob(hyper_latents))
        return latents, bits

    def code(self, images):
        latents = self.analyze(self.check_any_size(images))
        return tf.round(latents), tf.round(self.analyze_scales(latents))

    def draw_latents(self, keys):
        height, width, channels = self.latent_shape
        rows, columns = -(-height // 4), -(-width // 4)
        hyper_latents = tf.reshape(self.prior.rounded(keys, rows * columns), [-1, rows, columns, self.width])
        normal = tf.reshape(random.normal(random.fold(keys, 1), self.latent_dim), [-1, height, width, channels])
        return tf.round(self.scales(hyper_latents, height, width) * normal)

    def entropy_coder(self, arrays=None):
        if arrays is None:
            network = IntegerNetwork.of(self.hyper_synthesis.layers)
            arrays = {
                **entropy.factorized_tables(self.prior).arrays("hyper_latents"),
                **entropy.normal_tables(SCALES).arrays("latents"),
                **{f"kernel_{k}": kernel for k, kernel in enumerate(network.kernels)},
                **{f"bias_{k}": bias for k, bias in enumerate(network.biases)},
            }
        return HyperpriorCoder(arrays)


class HyperpriorCoder:
    """The entropy coder of `ScaleHyperprior`: one segment of z, with a table for each channel, and one of y."""

    num_segments = 2

    def __init__(self, arrays):
        self.arrays = arrays
        self.hyper_tables = entropy.Tables.of(arrays, "hyper_latents")
        self.tables = entropy.Tables.of(arrays, "latents")
        kernels, biases = ([arrays[f"{name}_{k}"] for k in range(len(_HYPER_STRIDES))] for name in ("kernel", "bias"))
        self.network = IntegerNetwork(kernels, biases, list(_HYPER_STRIDES))

    def places(self, hyper_latents, height, width):
        """The table index of each latent, int [height * width * M], of z int32 [h, w, N]."""
        return np.clip(self.network(hyper_latents)[:height, :width], 0, len(self.tables.low) - 1).reshape(-1)

    def compress(self, code):
        latents, hyper_latents = code
        places = self.places(hyper_latents, *latents.shape[:2])
        return [
            entropy.compress_channels(self.hyper_tables, hyper_latents),
            entropy.compress(self.tables, latents.reshape(-1), places),
        ]

    def decompress(self, segments, height, width):
        hyper_latents = entropy.decompress_channels(self.hyper_tables, segments[0], -(-height // 4), -(-width // 4))
        latents = entropy.decompress(self.tables, segments[1], self.places(hyper_latents, height, width))
        return latents.reshape(height, width, -1), hyper_latents
