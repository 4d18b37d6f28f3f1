"""Presets of WGAN."""

from tfgen.models.adversarial.wgan import WGAN
from tfgen.models.preset import Preset


def _rmsprop(learning_rate, rho=0.99, epsilon=1e-8):
    return {"class_name": "RMSprop", "config": {"learning_rate": learning_rate, "rho": rho, "epsilon": epsilon}}


def _both(spec):
    return {"optimizer": spec}


_PAPER = _both(_rmsprop(5e-5, epsilon=1e-16))  # Keras adds epsilon under the root, the code 1e-8 to the root
_LSUN = {"image_shape": (64, 64, 3), "network_args": {"kernel_size": 4}}

PRESETS = [
    Preset(
        "wgan/lsun-bedrooms-paper", WGAN, _LSUN, data="lsun/bedroom",
        source="section 4.2 and the code: DCGAN networks, RMSprop 5e-5, c .01, 25 epochs", batch_size=64,
        steps=1_185_000, compile_args=_PAPER,
    ),
    Preset(
        "wgan/lsun-bedrooms-no-batch-norm-paper", WGAN,
        {"image_shape": (64, 64, 3), "network_args": {"kernel_size": 4, "generator": {"norm": None}}},
        data="lsun/bedroom", source="section 4.3, figure 6: a generator without batch norm", batch_size=64,
        steps=1_185_000, compile_args=_PAPER,
    ),
    Preset(
        "wgan/lsun-bedrooms-mlp-paper", WGAN,
        {"image_shape": (64, 64, 3), "network": {"generator": "mlp", "discriminator": "conv"},
         "network_args": {"generator": {"width": 512, "depth": 3, "norm": None, "output": "linear"},
                          "discriminator": {"kernel_size": 4}}},
        data="lsun/bedroom",
        source="section 4.3, figure 7, and the code: a generator of four layers with ReLU and 512 units, the critic of "
        "wgan/lsun-bedrooms-paper", batch_size=64, steps=1_185_000, compile_args=_PAPER,
    ),
    Preset(
        "wgan/digits", WGAN,
        {"image_shape": (8, 8, 1), "network": "mlp", "width": 256, "latent_dim": 32, "weight_clip": 0.03,
         "thorough_turns": 0},
        data="digits", source="fully connected, on scikit-learn's 8x8 digits: 2,000 generator steps", batch_size=64,
        steps=10_000, compile_args=_both(_rmsprop(2e-4, rho=0.9)),
    ),
    Preset(
        "wgan/mnist", WGAN,
        {"image_shape": (28, 28, 1), "width": 32, "weight_clip": 0.03,
         "network_args": {"kernel_size": 4, "dense_width": 256}},
        data="mnist", source="the 28 px networks at half width", batch_size=64, steps=30_000,
        compile_args={**_both(_rmsprop(2e-4, rho=0.9)), "ema_decay": 0.999},
    ),
]  # fmt: skip
