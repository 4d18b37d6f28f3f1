"""Presets of StackGAN."""

from typing import Any

from tfgen.models.preset import Preset
from tfgen.models.translation.stack_gan import StackGAN


def halved(stage_1_steps: int, epochs: tuple[int, int] = (50, 100), total: int = 600) -> dict:
    """Compile arguments: Adam, whose rate 2e-4 is halved every `epochs` of Stage I and of Stage II.

    Args:
        stage_1_steps: steps in which Stage I has `total` epochs.
    """
    found: dict[str, dict] = {}
    for stage, every in zip((1, 2), epochs, strict=True):
        rate = {
            "module": "keras.optimizers.schedules", "class_name": "ExponentialDecay",
            "config": {"initial_learning_rate": 2e-4, "decay_steps": stage_1_steps * every // total, "decay_rate": 0.5,
                       "staircase": True},
        }  # fmt: skip
        spec = {"class_name": "Adam", "config": {"learning_rate": rate, "beta_1": 0.5, "epsilon": 1e-8}}
        found |= {f"generator_{stage}": spec, f"discriminator_{stage}": spec}
    return {"optimizer": found}


_SMALL: dict[str, Any] = {
    "factor": 2, "noise_dim": 16, "condition_dim": 16, "discriminator_width": 16, "blocks": 2, "downs": 1, "passes": "joint",
}  # fmt: skip
_CAPTIONS: dict[str, Any] = {"image_shape": (32, 32, 3), "embedding_dim": 32, **_SMALL, "ups": 2, "mismatches": "given"}


def _small(name, args, data, what, stage_1_steps, steps):
    return Preset(
        f"stack-gan/{name}", StackGAN, {**args, "stage_1_steps": stage_1_steps}, data=data,
        source=f"{what}; batches of 64, the rate is halved in the middle of each stage", batch_size=64, steps=steps,
        compile_args=halved(stage_1_steps, epochs=(300, 300)),
    )  # fmt: skip


PRESETS = [
    *(
        # 76 pixels are stored for Stage I and 304 for Stage II, of which windows of 64 and 256 are used.
        Preset(
            f"stack-gan/{name}-code", StackGAN,
            {"image_shape": (256, 256, 3), "embedding_dim": 1024, "stage_1_steps": 600 * (images // 64)},
            data=f"tfrecord:{name}-{{split}}*", source="the code: 600 epochs of Stage I, 600 of Stage II, batches of 64; "
            f"the records have an embedding for each of the {images:,} images, the mean of those of four captions",
            batch_size=64, steps=1200 * (images // 64), compile_args=halved(600 * (images // 64)),
            augmentation={"jitter": 48, "flip": True}, paper=paper,
        )
        for name, images, paper in (
            ("cub", 8_855, "Inception score 3.70 +- .04 (table 1)"),
            ("flowers", 7_034, "Inception score 3.20 +- .01 (table 1)"),
        )
    ),
    _small("mnist", {"image_shape": (28, 28, 1), "embedding_dim": 32, **_SMALL, "width": 32, "ups": 1}, "named:mnist",
           "MNIST by the names of its classes, 14 and 28 px", 6_000, 12_000),
    _small("captions-mnist", {**_CAPTIONS, "width": 32}, "captioned:mnist", "captions of MNIST digits, 16 and 32 px", 5_000,
           10_000),
    _small("captions-digits", {**_CAPTIONS, "width": 16}, "captioned:digits", "captions of the 8x8 digits, 16 and 32 px",
           2_000, 4_000),
]  # fmt: skip
