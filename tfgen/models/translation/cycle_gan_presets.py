"""Presets of CycleGAN."""

from tfgen.models.preset import Preset, adam, held_decay
from tfgen.models.translation.cycle_gan import CycleGAN

# 100 epochs with a constant rate, 100 in which it falls to 0 (appendix 7.1).
_RATE = adam(held_decay(2e-4, held=0.5), beta_1=0.5, beta_2=0.999, epsilon=1e-8)
_SMALL = {"width": 16, "blocks": 3, "discriminator_width": 16}

PRESETS = [
    Preset(
        "cycle-gan/horse2zebra-paper", CycleGAN, {"image_shape": (256, 256, 3)}, data="unpaired:horse2zebra",
        source="appendix 7: 9 blocks, batch 1, 200 epochs of 1334 images, flipped and enlarged by 30 pixels", batch_size=1,
        steps=200 * 1334, compile_args=_RATE, augmentation={"jitter": 30, "flip": True}, data_options={},
    ),
    Preset(
        "cycle-gan/cityscapes128-paper", CycleGAN, {"image_shape": (128, 128, 3)}, data="unpaired:cityscapes",
        source="appendix 7: 6 blocks, batch 1, 200 epochs of 2975 images, flipped and enlarged by 15 pixels", batch_size=1,
        steps=200 * 2975, compile_args=_RATE, augmentation={"jitter": 15, "flip": True}, data_options={},
        paper="labels to photos: per-pixel accuracy .52, per-class accuracy .17, class IoU .11 (table 2)",
    ),
    Preset(
        "cycle-gan/mnist-usps", CycleGAN,
        {"image_shape": (28, 28, 1), "discriminator_layers": 2, "identity_weight": 0.5, **_SMALL},
        data="unpaired:mnist+usps", source="networks of 16 filters and 3 blocks at 28 px, identity loss of section 5.2; "
        "--manual_dir is a folder with MNIST's four files and that of USPS, see `tfgen.data.usps`",
        batch_size=4, steps=10_000, compile_args=_RATE, data_options={},
    ),
    Preset(
        "cycle-gan/mnist-inverted", CycleGAN,
        {"image_shape": (28, 28, 1), "discriminator_layers": 2, **_SMALL}, data="inverted:mnist",
        source="as cycle-gan/mnist-usps, without the identity loss, which would keep the images as they are",
        batch_size=4, steps=5_000, compile_args=_RATE,
    ),
    Preset(
        "cycle-gan/digits-inverted", CycleGAN,
        # Without the identity loss: with a weight of .5 the generators did not invert, in a run of 2000 steps.
        {"image_shape": (8, 8, 1), "halvings": 1, "discriminator_layers": 1, **_SMALL}, data="inverted:digits",
        source="networks of 16 filters and 3 blocks on scikit-learn's 8x8 digits and inverted ones", batch_size=16,
        steps=3_000, compile_args=_RATE,
    ),
]  # fmt: skip
