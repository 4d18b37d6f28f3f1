"""Presets of BigGAN."""

from tfgen.models.adversarial.biggan import BigGAN
from tfgen.models.preset import Preset


def _rates(generator, discriminator, epsilon=1e-8, **averages):
    rates = {"generator": generator, "discriminator": discriminator}
    adam = {"beta_1": 0.0, "beta_2": 0.999, "epsilon": epsilon}
    optimizer = {n: {"class_name": "Adam", "config": {"learning_rate": rate, **adam}} for n, rate in rates.items()}
    return {"optimizer": optimizer, **averages}


def _imagenet(side, paper):
    # The discriminator's updates are the steps: two for each of the generator.
    return Preset(
        f"biggan/imagenet{side}-paper", BigGAN,
        {"image_shape": (side, side, 3), "width": 96, "num_classes": 1000, "attention_size": 64}, data="imagenet2012",
        source="sections 3 and 4, appendices B and C: batch 2048, 2 discriminator steps; the start of the averages and the "
        "number of steps are the code's and ours",
        batch_size=2048, steps=300_000, augmentation={"flip": True},
        compile_args=_rates(5e-5, 2e-4, ema_decay=0.9999, ema_start=20_000), paper=paper,
    )  # fmt: skip


PRESETS = [
    _imagenet(128, "Inception score 98.8, FID 8.7 without truncation; 166.3, 9.6 at the real images' score (table 2)"),
    _imagenet(256, "Inception score 142.3, FID 8.7 without truncation; 233.1, 9.3 at the real images' score (table 2)"),
    _imagenet(512, "Inception score 144.2, FID 8.1 without truncation; 241.4, 11.8 at the real images' score (table 2)"),
    Preset(
        "biggan/cifar10-paper", BigGAN,
        {"image_shape": (32, 32, 3), "width": 64, "num_classes": 10, "shared_dim": None, "latent_dim": 128,
         "discriminator_steps": 4, "regularizer": None,
         "network_args": {"kernel_initializer": {"class_name": "RandomNormal", "config": {"mean": 0.0, "stddev": 0.02}}}},
        data="cifar10", source="the code's script for CIFAR-10: 500 epochs of batches of 50, 4 discriminator steps",
        batch_size=50, steps=500_000, augmentation={"flip": True},
        compile_args=_rates(2e-4, 2e-4, ema_decay=0.9999, ema_start=1000),
        paper="Inception score 9.22, FID 14.73 (appendix C.2)",
    ),
    Preset(
        "biggan/mnist", BigGAN,
        {"image_shape": (28, 28, 1), "width": 16, "num_classes": 10, "shared_dim": 32, "latent_dim": 24},
        data="mnist", source="the networks of 32 pixels with a grid of 7 x 7 and 64 filters, latents of 8 in each part",
        batch_size=64, steps=12_000, compile_args=_rates(2e-4, 2e-4, ema_decay=0.999, ema_start=1000),
    ),
    Preset(
        "biggan/digits", BigGAN,
        {"image_shape": (8, 8, 1), "width": 8, "num_classes": 10, "shared_dim": 16, "latent_dim": 24,
         "network_args": {"generator": {"filters": (32, 32, 32)}, "discriminator": {"downs": 1}}},
        data="digits", source="networks of 32 filters on scikit-learn's 8x8 digits", batch_size=64, steps=6_000,
        compile_args=_rates(2e-4, 2e-4, ema_decay=0.999, ema_start=500),
    ),
]  # fmt: skip
