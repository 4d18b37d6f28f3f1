"""Presets of StyleGAN."""

from typing import Any

from tfgen.models.adversarial.parts.growth import Growth
from tfgen.models.adversarial.style_gan import StyleGAN
from tfgen.models.preset import Preset


def _adam(learning_rate):
    config = {"learning_rate": learning_rate, "beta_1": 0.0, "beta_2": 0.99, "epsilon": 1e-8}
    return {"optimizer": {"class_name": "Adam", "config": config}}


def _small(image_shape, width):
    return {"image_shape": image_shape, "latent_dim": width, "w_size": width, "mapping_depth": 4, "base_filters": 8 * width,
            "max_filters": width}  # fmt: skip


# Of 8 GPUs, for 4, 8, ..., 1024 pixels. The decay of the averages halves in 10,000 images, of 32 images in a step.
_GROWTH: dict[str, Any] = {
    "level_batch_sizes": (512, 256, 128, 64, 32, 32, 32, 32, 32), "stable_images": 600_000, "fade_images": 600_000,
    "first_level": 1,
}  # fmt: skip
_RATES = (1e-3,) * 5 + (1.5e-3, 2e-3, 3e-3, 3e-3)
_PLAN = Growth(*_GROWTH.values())

PRESETS = [
    Preset(
        "style-gan/celeba-hq-1024-paper", StyleGAN,
        {"image_shape": (1024, 1024, 3), "growing": True, "level_rates": _RATES, **_GROWTH},
        data="celeb_a_hq/1024", batch_size=_PLAN.batch_schedule(), steps=_PLAN.steps(25_000_000),
        source="table 1, F, grown from 8 x 8 pixels for 25 million images, as in the code with 8 GPUs",
        compile_args={**_adam(1e-3), "ema_decay": 0.99778}, paper="FID 5.17 (table 1)",
    ),
    Preset(
        "style-gan/celeba-hq-1024-fixed", StyleGAN, {"image_shape": (1024, 1024, 3)}, data="celeb_a_hq/1024",
        source="table 1, F, without growing", batch_size=32, steps=780_000,
        compile_args={**_adam(3e-3), "ema_decay": 0.99778},
    ),
    Preset(
        "style-gan/mnist", StyleGAN, {**_small((32, 32, 1), 64), "base_filters": 256, "penalty_weight": 1.0}, data="mnist",
        source="configuration F at 32 px with 64, 64, 32 and 16 filters, without growing", batch_size=32, steps=5_000,
        compile_args={**_adam(2e-3), "ema_decay": 0.995},
    ),
    Preset(
        "style-gan/mnist-28", StyleGAN, {**_small((28, 28, 1), 64), "start_size": 7, "penalty_weight": 1.0}, data="mnist",
        source="configuration F at 28 px with at most 64 filters, without growing", batch_size=64, steps=6_000,
        compile_args={**_adam(2e-3), "ema_decay": 0.995},
    ),
    Preset(
        "style-gan/digits", StyleGAN, {**_small((8, 8, 1), 32), "penalty_weight": 1.0}, data="digits",
        source="configuration F on scikit-learn's 8x8 digits with 32 filters, without growing", batch_size=64, steps=6_000,
        compile_args={**_adam(2e-3), "ema_decay": 0.995},
    ),
]  # fmt: skip
