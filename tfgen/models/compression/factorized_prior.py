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
from tfgen.models.compression.base import CompressionModel, adam_decay, bits_of
from tfgen.models.preset import Preset

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
        # A logistic density whose scale is the deviation of the latents is 1.8 times as wide: photos differ.
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
    """The entropy coder of `FactorizedPrior`: one table for each channel, one byte stream."""

    streams = 1

    def __init__(self, arrays):
        self.arrays, self.tables = arrays, entropy.Tables.of(arrays, "latents")

    def encode(self, code):
        (latents,) = code
        return [entropy.encode_channels(self.tables, latents)]

    def decode(self, streams, height, width):
        return (entropy.decode_channels(self.tables, streams[0], height, width),)


_PAPER = {"optimizer": {"class_name": "Adam", "config": {"learning_rate": 1e-4}}}
# The ladder of the CompressAI library, for squared errors on the scale 0 to 255.
LADDER = (0.0018, 0.0035, 0.0067, 0.013, 0.025, 0.0483, 0.0932, 0.18)


def _paper(distortion_weight, width, bits_per_pixel, psnr):
    return Preset(
        f"factorized-prior/paper-{distortion_weight}", FactorizedPrior,
        {"image_shape": (256, 256, 3), "width": width, "distortion_weight": distortion_weight},
        data="crops:imagenet", batch_size=8, steps=1_000_000, compile_args=_PAPER,
        source="section 4 and the authors' code bls2017.py: 256x256 crops, 8 in a batch, Adam 1e-4 (the paper lowers it on "
        "plateaus); 192 channels for colour, 256 for the two largest lambdas; the lambdas are CompressAI's",
        paper=f"a point of its curve on Kodak: {bits_per_pixel} bits per pixel, {psnr} dB",
    )  # fmt: skip


# The points are those of the authors' repository, in order; which lambda gave which is not stated there.
_CURVE = (
    (0.120, 26.78), (0.195, 28.35), (0.316, 30.02), (0.481, 31.73), (0.721, 33.69), (1.061, 35.82), (1.459, 38.02),
    (1.958, 40.13),
)  # fmt: skip

PRESETS = [
    *(_paper(weight, 192 if i < 6 else 256, *_CURVE[i]) for i, weight in enumerate(LADDER)),
    Preset(
        "factorized-prior/kodak", FactorizedPrior,
        {"image_shape": (256, 256, 3), "width": 64, "latent_channels": 128, "distortion_weight": 0.01},
        data="crops:kodak", batch_size=1, steps=6_000, compile_args=adam_decay(1e-3),
        source="for short runs on two cores: N = 64, M = 128, one 256x256 crop in a batch, Adam 1e-3 with cosine decay",
    ),
    Preset(
        "factorized-prior/digits", FactorizedPrior, {"image_shape": (8, 8, 1), "width": 16, "distortion_weight": 0.01},
        data="digits", batch_size=32, steps=2_000, compile_args=adam_decay(1e-3),
        source="a first try that needs no photos",
    ),
]  # fmt: skip
