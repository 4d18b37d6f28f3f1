"""Presets of PixelCNNPP."""

from typing import Any

from tfgen.models.autoregressive.pixel_cnn_pp import PixelCNNPP
from tfgen.models.preset import Preset


def _adam(learning_rate, decay=0.999995, **more):
    """Adam as in the authors' code; the rate falls by the factor `decay` each step."""
    schedule = {
        "module": "keras.optimizers.schedules",
        "class_name": "ExponentialDecay",
        "config": {"initial_learning_rate": learning_rate, "decay_steps": 1000, "decay_rate": decay**1000},
    }
    config = {"learning_rate": schedule, "beta_1": 0.95, "beta_2": 0.9995, **more}
    return {"optimizer": {"class_name": "Adam", "config": config}}


# Epsilon: the code adds 1e-8 under the root, as if 1e-4 to it, for gradients of nats that are summed over 128 images. For
# those of mean bits per dimension that is 4e-10.
_CIFAR: dict[str, Any] = {"image_shape": (32, 32, 3)}
_PAPER: dict[str, Any] = {
    "data": "cifar10", "batch_size": 128, "steps": 1_950_000,
    "compile_args": {**_adam(1e-3, epsilon=4e-10), "ema_decay": 0.9995},
}  # fmt: skip

PRESETS = [
    Preset(
        "pixel-cnn-pp/cifar10-paper", PixelCNNPP, _CIFAR, **_PAPER,
        source="section 3.1 and the code: 8 batches of 16; up to 5,000 epochs", paper="2.92 bits/dim test (table 1)",
    ),
    Preset(
        "pixel-cnn-pp/cifar10-classes-paper", PixelCNNPP, {**_CIFAR, "num_classes": 10}, **_PAPER,
        source="section 3.2: as pixel-cnn-pp/cifar10-paper, conditioned on the class",
        paper="2.94 bits/dim test (section 3.2)",
    ),
    Preset(
        "pixel-cnn-pp/cifar10", PixelCNNPP, {**_CIFAR, "width": 32, "resnets": 1, "dropout": 0.0}, data="cifar10",
        source="for a short run: 32 channels, one residual layer at each resolution, no dropout", batch_size=16, steps=3_000,
        compile_args={**_adam(1e-3), "ema_decay": 0.995},
    ),
    Preset(
        "pixel-cnn-pp/digits", PixelCNNPP,
        {"image_shape": (8, 8, 1), "levels": 17, "width": 24, "resnets": 1, "halvings": 1, "components": 5, "dropout": 0.1},
        data="digits", source="scikit-learn's 8x8 digits: 24 channels, one residual layer at two resolutions, 5 components",
        batch_size=100, steps=1_000, compile_args={**_adam(3e-3), "ema_decay": 0.99},
    ),
]  # fmt: skip
