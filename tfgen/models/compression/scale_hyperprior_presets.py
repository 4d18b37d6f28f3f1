"""Presets of ScaleHyperprior."""

from tfgen.models.compression.factorized_prior_presets import LADDER, adam_decay
from tfgen.models.compression.scale_hyperprior import ScaleHyperprior
from tfgen.models.preset import Preset

_PAPER = {"optimizer": {"class_name": "Adam", "config": {"learning_rate": 1e-4}}}
# The points are those of the authors' repository, in order; which lambda gave which is not stated there.
_CURVE = (
    (0.115, 27.11), (0.186, 28.68), (0.302, 30.62), (0.469, 32.55), (0.686, 34.58), (0.967, 36.72), (1.307, 38.81),
    (1.728, 40.79),
)  # fmt: skip


def _paper(i, distortion_weight):
    width, channels = (128, 192) if i < 5 else (192, 320)
    return Preset(
        f"scale-hyperprior/paper-{distortion_weight}", ScaleHyperprior,
        {"image_shape": (256, 256, 3), "width": width, "latent_channels": channels, "distortion_weight": distortion_weight},
        data="crops:photos", batch_size=8, steps=1_000_000, compile_args=_PAPER,
        source="section 4 and the authors' code bmshj2018.py: 256x256 crops, 8 in a batch, Adam 1e-4; N = 128, M = 192 for "
        "the five lower lambdas, 192 and 320 for the others; the lambdas are CompressAI's",
        paper="a point of its curve on Kodak: {} bits per pixel, {} dB".format(*_CURVE[i]),
    )  # fmt: skip


PRESETS = [
    *(_paper(i, weight) for i, weight in enumerate(LADDER)),
    Preset(
        "scale-hyperprior/kodak", ScaleHyperprior,
        {"image_shape": (256, 256, 3), "width": 64, "latent_channels": 128, "distortion_weight": 0.01},
        data="crops:kodak", batch_size=1, steps=6_000, compile_args=adam_decay(1e-3),
        source="for short runs on two cores: N = 64, M = 128, one 256x256 crop in a batch, Adam 1e-3 with cosine decay",
    ),
]  # fmt: skip
