"""Presets of SAGAN."""

from tfgen.models.adversarial.sagan import SAGAN
from tfgen.models.preset import Preset


def _adam(learning_rate):
    return {"class_name": "Adam", "config": {"learning_rate": learning_rate, "beta_1": 0.0, "beta_2": 0.9, "epsilon": 1e-8}}


def _rates(generator, discriminator):
    return {"optimizer": {"generator": _adam(generator), "discriminator": _adam(discriminator)}}


_SMALL = {"image_shape": (28, 28, 1), "width": 32, "attention_size": 14, "num_classes": 10}

PRESETS = [
    Preset(
        "sagan/imagenet128-paper", SAGAN,
        {"image_shape": (128, 128, 3), "num_classes": 1000, "attention_size": 32,
         "network_args": {"generator": {"filters": (1024, 1024, 512, 256, 128, 64)},
                          "discriminator": {"filters": (64, 128, 256, 512, 1024, 1024), "downs": 5, "logit_bias": True}}},
        data="imagenet2012", source="section 5 and the code: batch 4 x 64, attention at 32 x 32", batch_size=256,
        steps=1_000_000, compile_args=_rates(1e-4, 4e-4),
        paper="Inception score 51.43, FID 18.28 (table 1, attention at 32 x 32)",
    ),
    Preset(
        "sagan/mnist", SAGAN, _SMALL, data="mnist", source="residual networks of 32 filters at 28 px, attention at 14 x 14",
        batch_size=64, steps=6_000, compile_args={**_rates(1e-4, 4e-4), "ema_decay": 0.999},
    ),
    Preset(
        "sagan/fashion-mnist", SAGAN, _SMALL, data="fashion_mnist", source="as sagan/mnist", batch_size=64, steps=6_000,
        compile_args={**_rates(1e-4, 4e-4), "ema_decay": 0.999},
    ),
    Preset(
        "sagan/digits", SAGAN,
        {"image_shape": (8, 8, 1), "width": 32, "latent_dim": 32, "attention_size": 4, "num_classes": 10,
         "network_args": {"generator": {"stages": 2}, "discriminator": {"downs": 1}}},
        data="digits", source="residual networks of 32 filters on scikit-learn's 8x8 digits, attention at 4 x 4",
        batch_size=64, steps=4_000, compile_args={**_rates(1e-4, 4e-4), "ema_decay": 0.999},
    ),
]  # fmt: skip
