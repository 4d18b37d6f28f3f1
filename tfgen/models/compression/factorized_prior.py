"""Image compression by a nonlinear transform code that is trained end to end.

Balle, Laparra, Simoncelli, "End-to-end Optimized Image Compression", ICLR 2017, arXiv:1611.01704.

The idea: a convolutional network with divisive normalisation turns an image into latents, these are rounded and coded by a
range coder, and a second network turns them back. Rounding has no gradient; in training uniform noise of the same width
takes its place, and the rate becomes the density of the noisy latents, which is learnt besides. The weight of the
distortion chooses a point on the curve of rate against distortion; there is one model for each.

    y = g_a(x; phi),  training: y~ = y + U(-1/2, 1/2),  else: y^ = round(y)
    loss = E[-sum log2 p(y~)] / pixels + lambda |x - g_s(y~; theta)|^2                         (eq. 11)
    p(y~_i) = c_i(y~_i + 1/2) - c_i(y~_i - 1/2), one density for each channel                  (eq. 10)

g_a is convolution 9x9 down 4, GDN, 5x5 down 2, GDN, 5x5 down 2; g_s mirrors it with IGDN (section 2, figure 3).

What differs from the paper: the density is the network of `DeepFactorized` (appendix 6.1 of arXiv:1802.01436), not a
piecewise linear one; filters are learnt in the pixel domain, not by their Fourier transforms, and are all of one set of
channels; the last analysis convolution has no bias, as in the authors' later code; the transforms begin as a linear block
code, see `tfgen.models.compression.start`. Latents are coded by fixed tables, where the paper's coder adapts to what it has
seen.
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
    """Transform code with an independent density for each channel; see `CompressionModel` for the arguments."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        settings = {"padding": "same", "dtype": self.dtype_policy}
        self.analysis = keras.Sequential(
            [
                layers.Conv2D(self.width, 9, strides=4, **settings),
                GDN(dtype=self.dtype_policy),
                layers.Conv2D(self.width, 5, strides=2, **settings),
                GDN(dtype=self.dtype_policy),
                layers.Conv2D(self.latent_channels, 5, strides=2, use_bias=False, **settings),
            ],
            name="analysis",
        )
        self.synthesis = keras.Sequential(
            [
                layers.Conv2DTranspose(self.width, 5, strides=2, **settings),
                GDN(inverse=True, dtype=self.dtype_policy),
                layers.Conv2DTranspose(self.width, 5, strides=2, **settings),
                GDN(inverse=True, dtype=self.dtype_policy),
                layers.Conv2DTranspose(self.image_shape[2], 9, strides=4, **settings),
            ],
            name="synthesis",
        )
        # A logistic density of the scale of the latents' deviation is 1.8 times as wide as they: photos differ.
        self.prior = DeepFactorized(self.latent_channels, init_scale=np.maximum(self.build_transforms(), 0.5))
        self.built = True

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
    """The entropy coder of `FactorizedPrior`: one table for each channel, one stream."""

    streams = 1

    def __init__(self, arrays):
        self.arrays, self.tables = arrays, entropy.Tables.of(arrays, "latents")

    def encode(self, code):
        (latents,) = code
        return [entropy.encode_channels(self.tables, latents)]

    def decode(self, streams, height, width):
        return (entropy.decode_channels(self.tables, streams[0], height, width),)
