"""Image compression by a nonlinear transform code that is trained end to end.

Balle, Laparra, Simoncelli, "End-to-end Optimized Image Compression", ICLR 2017, arXiv:1611.01704; settings as in the
authors' later code (tensorflow/compression, models/bls2017.py).

The idea: a convolutional network with divisive normalisation maps an image to latents. These are rounded and coded by a
range coder, and a second network maps them back to an image. Rounding has no gradient: in training uniform noise of the same
width takes its place, and the rate is that of a learned density of the noisy latents. The weight of the distortion selects a
point on the curve of rate against distortion; there is one model for each.

    y = g_a(x; phi),  training: y~ = y + U(-1/2, 1/2),  else: y^ = round(y)
    loss = E[-sum log2 p(y~)] / pixels + lambda |x - g_s(y~; theta)|^2                         (eq. 11)
    p(y~_i) = c_i(y~_i + 1/2) - c_i(y~_i - 1/2), one density for each channel                  (eq. 10)

g_a is convolution 9x9 down 4, GDN, 5x5 down 2, GDN, 5x5 down 2; g_s mirrors it with IGDN (section 2, figure 3).

What differs from the paper: the density is the network of `DeepFactorized` (appendix 6.1 of arXiv:1802.01436), not a
piecewise linear one. Filters are learned in the pixel domain, not by their Fourier transforms. The last analysis convolution
has no bias, as in the code. The transforms start as a linear block code, see `tfgen.models.compression.start`, with 0 for
grey and scaled latents. Latents are coded with fixed tables; the paper's coder adapts to the latents coded before.

The code differs from this model too: its GDN is x / (beta + sum gamma |x|), here it is the paper's; its density has two
hidden layers, here three; it rounds to whole numbers plus an offset for each channel, here to whole numbers; it pads images
with zeros, here by repeating the edge; and its strided filters are centred on the first of the pixels they replace.
"""

import keras
import numpy as np

from tfgen.distributions.deep_factorized import DeepFactorized
from tfgen.layers.gdn import GDN
from tfgen.models.compression import entropy
from tfgen.models.compression.base import CompressionModel, bits_of

layers = keras.layers


@keras.saving.register_keras_serializable("tfgen")
class FactorizedPrior(CompressionModel):
    """Transform code with an independent density for each channel; see `CompressionModel` for the arguments.

    Example:
        >>> model = tfgen.models.FactorizedPrior(image_shape=(16, 16, 3), width=8)
        >>> image = np.full([20, 35, 3], 128, "uint8")  # of any size
        >>> codec = model.codec()
        >>> file = codec.compress(image)  # bytes
        >>> codec.decompress(file).shape
        (20, 35, 3)
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        # A logistic density whose scale is the deviation of the latents is 1.8 times as wide: photos differ.
        scale = np.maximum(self.build_transforms(self._make_transforms), 0.5)
        self.prior = DeepFactorized(self.latent_channels, init_scale=scale)
        self.built = True

    def _make_transforms(self):
        settings = {"padding": "same", "dtype": self.dtype_policy}
        analysis = keras.Sequential(
            [
                layers.Conv2D(self.width, 9, strides=4, name="down_0", **settings),
                GDN(dtype=self.dtype_policy, name="norm_0"),
                layers.Conv2D(self.width, 5, strides=2, name="down_1", **settings),
                GDN(dtype=self.dtype_policy, name="norm_1"),
                layers.Conv2D(self.latent_channels, 5, strides=2, use_bias=False, name="down_2", **settings),
            ],
            name="analysis",
        )
        synthesis = keras.Sequential(
            [
                layers.Conv2DTranspose(self.width, 5, strides=2, name="up_0", **settings),
                GDN(inverse=True, dtype=self.dtype_policy, name="norm_0"),
                layers.Conv2DTranspose(self.width, 5, strides=2, name="up_1", **settings),
                GDN(inverse=True, dtype=self.dtype_policy, name="norm_1"),
                layers.Conv2DTranspose(self.image_shape[2], 9, strides=4, name="up_2", **settings),
            ],
            name="synthesis",
        )
        return analysis, synthesis

    def rate(self, latents, quantize):
        latents = quantize(latents, 0)
        return latents, bits_of(self.prior.log_prob(latents))

    def code(self, images):
        return (self.encode(images),)

    def draw_latents(self, keys):
        height, width, _ = self.latent_shape
        return self.prior.rounded(keys, height * width)

    def entropy_coder(self, arrays=None):
        return FactorizedCoder(arrays or entropy.factorized_tables(self.prior).arrays("latents"))


class FactorizedCoder:
    """The entropy coder of `FactorizedPrior`: one table for each channel, one segment."""

    num_segments = 1

    def __init__(self, arrays):
        self.arrays, self.tables = arrays, entropy.Tables.of(arrays, "latents")

    def compress(self, code):
        (latents,) = code
        return [entropy.compress_channels(self.tables, latents)]

    def decompress(self, segments, height, width):
        return (entropy.decompress_channels(self.tables, segments[0], height, width),)
