"""Presets of SNGAN."""

from tfgen.models.adversarial.sngan import SNGAN
from tfgen.models.preset import Preset, held_decay, linear_decay


def _adam(learning_rate, beta_1=0.0, beta_2=0.9):
    return {
        "class_name": "Adam",
        "config": {"learning_rate": learning_rate, "beta_1": beta_1, "beta_2": beta_2, "epsilon": 1e-8},
    }


def _both(spec):
    return {"optimizer": spec}


def standard_cnn(side):
    """Table 3 of arXiv:1802.05957: the standard CNN for images of `side` = 32 or 48 pixels."""
    return {
        "image_shape": (side, side, 3),
        "network": "conv",
        "network_args": {
            "generator": {"filters": (512, 256, 128, 64), "strides": (2, 2, 2, 1), "kernel_size": (4, 4, 4, 3)},
            "discriminator": {
                "filters": (64, 128, 128, 256, 256, 512, 512),
                "strides": (1, 2, 1, 2, 1, 2, 1),
                "kernel_size": (3, 4, 3, 4, 3, 4, 3),
            },
        },
    }


_CIFAR = {
    "image_shape": (32, 32, 3), "network": "resnet", "generator_batch_factor": 2,
    "network_args": {"generator": {"width": 256}, "discriminator": {"width": 128}},
}  # fmt: skip
_STL = {
    "image_shape": (48, 48, 3), "network": "resnet", "generator_batch_factor": 2,
    "network_args": {"generator": {"filters": (512, 256, 128, 64)},
                     "discriminator": {"filters": (64, 128, 256, 512, 1024), "downs": 4}},
}  # fmt: skip
_IMAGENET_128 = {
    "image_shape": (128, 128, 3), "network": "resnet", "generator_batch_factor": 2,
    "network_args": {"generator": {"filters": (1024, 1024, 512, 256, 128, 64)},
                     "discriminator": {"filters": (64, 128, 256, 512, 1024, 1024), "downs": 5, "logit_bias": True}},
}  # fmt: skip
_IMAGENET_64 = {
    "image_shape": (64, 64, 3), "network": "resnet",
    "network_args": {"generator": {"filters": (1024, 512, 256, 128, 64)},
                     "discriminator": {"filters": (64, 128, 256, 512, 1024), "downs": 4, "logit_bias": True}},
}  # fmt: skip
# Settings A to F of table 1: (learning rate, beta_1, beta_2, discriminator steps).
SETTINGS = {
    "a": (1e-4, 0.5, 0.9, 5), "b": (1e-4, 0.5, 0.999, 1), "c": (2e-4, 0.5, 0.999, 1),
    "d": (1e-3, 0.5, 0.9, 5), "e": (1e-3, 0.5, 0.999, 5), "f": (1e-3, 0.9, 0.999, 5),
}  # fmt: skip

PRESETS = [
    *(
        Preset(
            f"sngan/cifar10-cnn-{name}-paper", SNGAN, {**standard_cnn(32), "discriminator_steps": n}, data="cifar10",
            source=f"table 1, setting {name.upper()}, and table 3: the standard CNN, 100,000 generator steps",
            batch_size=64, steps=100_000 * n, compile_args=_both(_adam(rate, beta_1, beta_2)),
            paper="Inception score 7.42 +- .08, FID 29.3 (table 2)" if name == "c" else None,
        )
        for name, (rate, beta_1, beta_2, n) in SETTINGS.items()
    ),
    Preset(
        "sngan/stl10-cnn-paper", SNGAN, {**standard_cnn(48), "discriminator_steps": 1}, data="stl10",
        source="table 3, setting C: the standard CNN at 48 px", batch_size=64, steps=100_000,
        compile_args=_both(_adam(2e-4, 0.5, 0.999)), paper="Inception score 8.28 +- .09, FID 53.1 (table 2)",
    ),
    Preset(
        "sngan/cifar10-paper", SNGAN, _CIFAR, data="cifar10",
        source="table 4 and the code: residual networks, 50,000 generator steps, rate to 0", batch_size=64,
        steps=250_000, dequantize=True, compile_args=_both(_adam(linear_decay(2e-4))),
        paper="Inception score 8.22 +- .05, FID 21.7 +- .21 (table 2)",
    ),
    Preset(
        "sngan/stl10-paper", SNGAN, _STL, data="stl10", source="table 5: residual networks at 48 px", batch_size=64,
        steps=250_000, dequantize=True, compile_args=_both(_adam(linear_decay(2e-4))),
        paper="Inception score 9.10 +- .04, FID 40.1 +- .50 (table 2)",
    ),
    Preset(
        "sngan/cifar10-projection-paper", SNGAN, {**_CIFAR, "num_classes": 10}, data="cifar10",
        source="arXiv:1802.05637, section 4 and the code", batch_size=64, steps=250_000, dequantize=True,
        compile_args=_both(_adam(linear_decay(2e-4))), paper="Inception score 8.62, FID 17.5",
    ),
    Preset(
        "sngan/cifar100-projection-paper", SNGAN, {**_CIFAR, "num_classes": 100}, data="cifar100",
        source="arXiv:1802.05637, section 4 and the code", batch_size=64, steps=250_000, dequantize=True,
        compile_args=_both(_adam(linear_decay(2e-4))), paper="Inception score 9.04, FID 23.2",
    ),
    Preset(
        "sngan/imagenet64-projection-paper", SNGAN, {**_IMAGENET_64, "num_classes": 1000}, data="imagenet_resized/64x64",
        source="the code: 250,000 generator steps, the rate falls to 0 from step 200,000", batch_size=64,
        steps=1_250_000, dequantize=True, compile_args=_both(_adam(held_decay(2e-4, 200 / 250))),
    ),
    Preset(
        "sngan/imagenet128-projection-paper", SNGAN, {**_IMAGENET_128, "num_classes": 1000}, data="imagenet2012",
        source="arXiv:1802.05637, section 4.1 and the code: batch 4 x 16, 450,000 generator steps, the rate falls "
        "to 0 from step 400,000",
        batch_size=64, steps=2_250_000, dequantize=True, compile_args=_both(_adam(held_decay(2e-4, 400 / 450))),
        paper="Inception score 29.7, intra-class FID 103.1 (table 1)",
    ),
    Preset(
        "sngan/mnist", SNGAN,
        {"image_shape": (28, 28, 1), "network": "conv", "width": 32, "discriminator_steps": 1,
         "network_args": {"kernel_size": 4, "dense_width": 256}},
        data="mnist", source="the 28 px networks at half width", batch_size=64, steps=15_000,
        compile_args={**_both(_adam(2e-4, 0.5, 0.999)), "ema_decay": 0.999},
    ),
    Preset(
        "sngan/digits", SNGAN,
        {"image_shape": (8, 8, 1), "network": "mlp", "width": 256, "latent_dim": 32, "discriminator_steps": 2},
        data="digits", source="fully connected, on scikit-learn's 8x8 digits: 6,000 generator steps", batch_size=64,
        steps=12_000, compile_args={**_both(_adam(4e-4)), "ema_decay": 0.999},
    ),
    Preset(
        "sngan/digits-projection", SNGAN,
        {"image_shape": (8, 8, 1), "network": "mlp", "width": 256, "latent_dim": 32, "discriminator_steps": 2,
         "num_classes": 10},
        data="digits", source="as sngan/digits, with labels", batch_size=64, steps=12_000,
        compile_args={**_both(_adam(4e-4)), "ema_decay": 0.999},
    ),
]  # fmt: skip
