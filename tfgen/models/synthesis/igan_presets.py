"""Presets of iGAN. Each names the file of a generator, which another run trains first:

tfgen train --preset dcgan/mnist --workdir runs/dcgan-mnist
tfgen export --workdir runs/dcgan-mnist --to runs/dcgan-mnist.keras
tfgen train --preset igan/mnist --workdir runs/igan-mnist
"""

from tfgen.models.preset import Preset, adam
from tfgen.models.synthesis.igan import IGAN

_RATE = adam(2e-4, beta_1=0.5)

PRESETS = [
    Preset(
        "igan/outdoor-paper", IGAN,
        {"image_shape": (64, 64, 3), "generator": "runs/dcgan-outdoor.keras", "width": 128, "edge_cell": 8},
        data="folder:outdoor", source="section 4.1 and the code: P in the form of D, Adam 2e-4 beta_1 .5, batch 128; 25 "
        "epochs of 150,000 photos, a number that the paper leaves open; without features of AlexNet, and without the code's "
        "weight decay of 1e-5", batch_size=128, steps=29_000, compile_args=_RATE,
    ),
    Preset(
        "igan/mnist", IGAN,
        {"image_shape": (28, 28, 1), "generator": "runs/dcgan-mnist.keras", "width": 32, "sample_steps": 2000,
         "smoothness_weight": 20.0},
        data="mnist", source="the generator of dcgan/mnist; 2,000 steps on its samples, then as many on images, batch 64; "
        "edits with 4 x the paper's smoothness stay closer to digits",
        batch_size=64, steps=4_000, compile_args=adam(5e-4, beta_1=0.5),
    ),
    Preset(
        "igan/digits", IGAN,
        {"image_shape": (8, 8, 1), "generator": "runs/dcgan-digits.keras", "width": 32, "sample_steps": 1500},
        data="digits", source="the generator of dcgan/digits; 1,500 steps on its samples, then as many on images, batch 64",
        batch_size=64, steps=3_000, compile_args=adam(5e-4, beta_1=0.5),
    ),
    Preset(
        "igan/images-64", IGAN,
        {"image_shape": (64, 64, 3), "generator": "runs/dcgan-images.keras", "width": 24, "sample_steps": 1500,
         "edge_cell": 8},
        data="folder:images", source="images of your own: the generator of dcgan/images-64, for minutes on two cores",
        batch_size=32, steps=3_000, compile_args=_RATE, own_images=True,
    ),
]  # fmt: skip
