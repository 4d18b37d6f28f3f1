"""Presets of ProgressiveGAN. Their steps and batch sizes follow from numbers of images."""

from tfgen.models.adversarial.parts.growth import Growth
from tfgen.models.adversarial.progressive_gan import ProgressiveGAN
from tfgen.models.preset import Preset, adam


def _preset(name, image_shape, images, stable, fade, batch_sizes, args=None, **settings):
    """A run of `images` images, with a batch size for each level."""
    growth = Growth(batch_sizes, stable, fade)
    return Preset(
        f"progressive-gan/{name}", ProgressiveGAN,
        {"image_shape": image_shape, "stable_images": stable, "fade_images": fade, "level_batch_sizes": batch_sizes,
         **(args or {})},
        batch_size=growth.batch_schedule(), steps=growth.steps(images),
        compile_args={**adam(1e-3, beta_1=0.0, beta_2=0.99, epsilon=1e-8), "ema_decay": 0.999}, **settings,
    )  # fmt: skip


PRESETS = [
    _preset(
        "celeba-hq-1024-paper", (1024, 1024, 3), 19_000_000, 800_000, 800_000, (16,) * 6 + (14, 6, 3), {"group_size": 16},
        data="celeb_a_hq/1024", source="appendix A.1 and the code's preset v1: 800,000 images a phase, 19 million in all",
        paper="FID 7.30 (section 6.3)",
    ),
    _preset(
        "celeba-hq-1024-code", (1024, 1024, 3), 12_000_000, 600_000, 600_000, (128, 128, 128, 64, 32, 16, 8, 4, 4),
        {"level_rates": (0.001,) * 8 + (0.0015,)}, data="celeb_a_hq/1024",
        source="the code's preset v2 for one GPU: 600,000 images a phase, 12 million in all, rate .0015 at 1024 px",
    ),
    _preset(
        "cifar10-paper", (32, 32, 3), 12_000_000, 600_000, 600_000, (128, 128, 128, 64), data="cifar10",
        source="the code's preset v2 for one GPU, on CIFAR-10", paper="Inception score 8.80, mean 8.56 +- .06 (table 3)",
    ),
    _preset(
        "mnist", (28, 28, 1), 600_000, 60_000, 60_000, (64, 64, 64), {"start_size": 7, "width": 64}, data="mnist",
        source="7 -> 14 -> 28 px, 64 filters, a tenth of the code's images a phase",
    ),
    _preset(
        "digits", (8, 8, 1), 384_000, 64_000, 64_000, (64, 64), {"width": 32}, data="digits",
        source="4 -> 8 px, 32 filters, on scikit-learn's 8x8 digits",
    ),
]  # fmt: skip
