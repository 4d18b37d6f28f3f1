"""Presets of WGANGP."""

import math

from tfgen.layers.initializers import glorot
from tfgen.models.adversarial.wgan_gp import WGANGP
from tfgen.models.preset import Preset, linear_decay


def _adam(learning_rate, beta_1=0.5):
    config = {"learning_rate": learning_rate, "beta_1": beta_1, "beta_2": 0.9, "epsilon": 1e-8}
    return {"class_name": "Adam", "config": config}


def _both(spec):
    return {"optimizer": spec}


_CIFAR_RESNET = {
    "image_shape": (32, 32, 3), "network": "resnet", "width": 128, "generator_batch_factor": 2,
}  # fmt: skip
_CODE_WEIGHTS = glorot(math.sqrt(2.0))  # uniform, of variance 4 / (inputs + outputs), as in the code
_CIFAR_ADAM = _both(_adam(linear_decay(2e-4), beta_1=0.0))

PRESETS = [
    Preset(
        "wgan-gp/mnist-paper", WGANGP,
        {"image_shape": (28, 28, 1), "width": 64,
         "network_args": {"stages": 3, "kernel_initializer": _CODE_WEIGHTS,
                          "generator": {"norm": None, "use_bias": True}}},
        data="mnist", source="the code's gan_mnist.py: its initial weights, batch 50, 200,000 generator steps",
        batch_size=50, steps=1_000_000, compile_args=_both(_adam(1e-4)),
    ),
    Preset(
        "wgan-gp/cifar10-dcgan-paper", WGANGP,
        {"image_shape": (32, 32, 3), "width": 128, "network_args": {"stages": 3, "kernel_initializer": _CODE_WEIGHTS}},
        data="cifar10", source="the code's gan_cifar.py: its initial weights, DIM 128, batch norm in G, batch 64, 200,000 "
        "generator steps",
        batch_size=64, steps=1_000_000, compile_args=_both(_adam(1e-4)),
    ),
    Preset(
        "wgan-gp/cifar10-resnet-paper", WGANGP, _CIFAR_RESNET, data="cifar10",
        source="appendix F and the code's gan_cifar_resnet.py: 100,000 generator steps, rate to 0, images with noise",
        batch_size=64, steps=500_000, dequantize=True, compile_args=_CIFAR_ADAM,
        paper="Inception score 7.86 +- .07 (table 3)",
    ),
    Preset(
        "wgan-gp/cifar10-conditional-paper", WGANGP, {**_CIFAR_RESNET, "num_classes": 10}, data="cifar10",
        source="as cifar10-resnet-paper, with labels (a projection critic instead of AC-GAN's)", batch_size=64,
        steps=500_000, dequantize=True, compile_args=_CIFAR_ADAM, paper="Inception score 8.42 +- .10 with AC-GAN (table 3)",
    ),
    Preset(
        "wgan-gp/mnist", WGANGP,
        {"image_shape": (28, 28, 1), "width": 32, "penalty_weight": 10.0, "discriminator_steps": 2,
         "network_args": {"kernel_size": 4, "dense_width": 256}},
        data="mnist", source="the 28 px networks at half width, batch norm in G; for a short run two critic steps a "
        "turn and a rate that falls to 0", batch_size=64, steps=32_000,
        compile_args={**_both(_adam(linear_decay(5e-4))), "ema_decay": 0.999},
    ),
    Preset(
        "wgan-gp/digits", WGANGP,
        {"image_shape": (8, 8, 1), "network": "mlp", "width": 256, "latent_dim": 32},
        data="digits", source="fully connected, on scikit-learn's 8x8 digits: 6,000 generator steps", batch_size=64,
        steps=30_000, compile_args={**_both(_adam(3e-4)), "ema_decay": 0.999},
    ),
]  # fmt: skip
