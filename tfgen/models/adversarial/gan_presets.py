"""Presets of GAN."""

from tfgen.models.adversarial.gan import GAN
from tfgen.models.preset import Preset


def _sgd(learning_rate):
    """Divided by 1.000004 at each update; over 1,000 at once, as float32 cannot tell that factor from its neighbours."""
    schedule = {
        "module": "keras.optimizers.schedules",
        "class_name": "ExponentialDecay",
        "config": {"initial_learning_rate": learning_rate, "decay_steps": 1000, "decay_rate": 1.000004**-1000},
    }
    return {"class_name": "SGD", "config": {"learning_rate": schedule, "momentum": 0.5}}


def _paper(learning_rate):
    return {"optimizer": {"generator": _sgd(learning_rate), "discriminator": _sgd(learning_rate / 2)}}


_ADAM = {"class_name": "Adam", "config": {"learning_rate": 2e-4, "beta_1": 0.5, "epsilon": 1e-8}}
_OURS = {"optimizer": _ADAM, "ema_decay": 0.995}
_DIGITS = {"image_shape": (8, 8, 1), "network": "mlp", "width": 256, "latent_dim": 32}

PRESETS = [
    Preset(
        "gan/mnist-paper", GAN,
        {"image_shape": (28, 28, 1), "network": "maxout", "width": 1200, "network_args": {"discriminator": {"width": 240}},
         "latent_distribution": "unit_uniform"},
        data="mnist",
        source="the code's mnist.yaml; it has no last epoch: 250 of 500 updates, as long as its momentum rises",
        batch_size=100, steps=125_000, compile_args=_paper(0.1),
        paper="Parzen log-likelihood 225 +- 2 nats (table 1)",
    ),
    Preset(
        "gan/cifar10-paper", GAN,
        {"image_shape": (32, 32, 3), "network": "conv_maxout", "width": 80,
         "network_args": {"discriminator": {"width": 32}}},
        data="cifar10", source="the code's cifar10_convolutional.yaml; 250 epochs of 312 updates, as for MNIST",
        batch_size=128, steps=78_000, compile_args=_paper(0.004),
    ),
    Preset(
        "gan/mnist", GAN, {"image_shape": (28, 28, 1), "network": "mlp", "width": 512, "latent_dim": 64}, data="mnist",
        source="fully connected with batch norm in G, Adam as DCGAN", batch_size=64, steps=20_000, compile_args=_OURS,
    ),
    Preset(
        "gan/digits", GAN, _DIGITS, data="digits",
        source="G 32-256-256-64 with batch norm, D 256-256, Adam as DCGAN", batch_size=64, steps=6_000, compile_args=_OURS,
    ),
    Preset(
        "gan-minimax/digits", GAN, {**_DIGITS, "objective": "minimax"}, data="digits",
        source="gan/digits with the objective of eq. 1", batch_size=64, steps=6_000, compile_args=_OURS,
    ),
]  # fmt: skip
