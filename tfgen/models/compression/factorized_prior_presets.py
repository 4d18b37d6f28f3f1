"""Presets of FactorizedPrior."""

from tfgen.models.compression.factorized_prior import FactorizedPrior
from tfgen.models.preset import Preset, adam, cosine_decay


def adam_decay(learning_rate):
    """Compile arguments of a short run: Adam with cosine decay, and a bound on what one step may do."""
    return adam(cosine_decay(learning_rate), global_clipnorm=1.0)


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
