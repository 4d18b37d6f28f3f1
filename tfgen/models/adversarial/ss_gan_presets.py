"""Presets of SS-GAN."""

from typing import Any

from tfgen.models.adversarial.ss_gan import SSGAN
from tfgen.models.preset import Preset, adam

_CIFAR: dict[str, Any] = {
    "image_shape": (32, 32, 3), "network": "resnet",
    "network_args": {"generator": {"width": 256}, "discriminator": {"width": 128}},
}  # fmt: skip
_128 = {
    "image_shape": (128, 128, 3), "network": "resnet",
    "network_args": {"generator": {"filters": (512, 512, 256, 256, 128, 64)},
                     "discriminator": {"filters": (64, 128, 256, 256, 512, 512), "downs": 5}},
}  # fmt: skip
_PAPER: dict[str, Any] = {"batch_size": 64, "compile_args": adam(2e-4, beta_1=0.0, beta_2=0.9, epsilon=1e-8)}
_28 = {
    "image_shape": (28, 28, 1), "network": "conv", "width": 32, "network_args": {"kernel_size": 4, "dense_width": 256},
}  # fmt: skip
_SMALL: dict[str, Any] = {
    "batch_size": 64, "compile_args": {**adam(2e-4, beta_1=0.5, beta_2=0.999, epsilon=1e-8), "ema_decay": 0.999},
}  # fmt: skip

PRESETS = [
    Preset(
        "ss-gan/cifar10-paper", SSGAN, _CIFAR, data="cifar10", steps=100_000,
        source="the code: residual networks, batch 64, rate 2e-4, 100,000 steps; one update of D each",
        paper="FID 17.11; without rotations 19.73", **_PAPER,
    ),
    Preset(
        "ss-gan/cifar10-sbn-paper", SSGAN, {**_CIFAR, "self_modulated": True}, data="cifar10", steps=100_000,
        source="as ss-gan/cifar10-paper, with self-modulated batch norm", paper="FID 15.65", **_PAPER,
    ),
    Preset(
        "ss-gan/imagenet128-paper", SSGAN, _128, data="imagenet2012", steps=1_000_000,
        source="the code: residual networks at 128 px, batch 64, 1,000,000 steps; one update of D each",
        paper="FID 47.56; without rotations 56.67", **_PAPER,
    ),
    Preset(
        "ss-gan/lsun-bedrooms-paper", SSGAN, _128, data="lsun/bedroom", steps=100_000,
        source="the networks of ss-gan/imagenet128-paper, 100,000 steps",
        paper="FID 13.66; without rotations 16.02", **_PAPER,
    ),
    Preset(
        "ss-gan/mnist", SSGAN, _28, data="mnist", source="the networks of sngan/mnist", steps=15_000, **_SMALL,
    ),
    Preset(
        "ss-gan/fashion-mnist", SSGAN, _28, data="fashion_mnist", source="as ss-gan/mnist", steps=15_000, **_SMALL,
    ),
    Preset(
        "ss-gan/digits", SSGAN,
        {"image_shape": (8, 8, 1), "network": "mlp", "width": 256, "latent_dim": 32, "discriminator_steps": 2},
        data="digits", source="the networks of sngan/digits: 6,000 generator steps", batch_size=64, steps=12_000,
        compile_args={**adam(4e-4, beta_1=0.0, beta_2=0.9, epsilon=1e-8), "ema_decay": 0.999},
    ),
]  # fmt: skip
