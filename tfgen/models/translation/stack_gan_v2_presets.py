"""Presets of StackGAN v2."""

from tfgen.models.preset import Preset, adam
from tfgen.models.translation.stack_gan_v2 import StackGANv2

_ADAM = {**adam(2e-4, beta_1=0.5, epsilon=1e-8), "ema_decay": 0.999}
_SMALL = {"noise_dim": 16, "condition_dim": 16, "discriminator_width": 16, "passes": "joint"}
# The divergence is a mean over 16 components in place of the code's 128, so with .25 a nat costs as much as there.
_CAPTIONS = {
    "image_shape": (32, 32, 3), "embedding_dim": 32, **_SMALL, "ups": 1, "mismatches": "given", "kl_weight": 0.25
}  # fmt: skip

PRESETS = [
    *(
        Preset(
            f"stack-gan-v2/{name}-code", StackGANv2, {"image_shape": (256, 256, 3), "embedding_dim": 1024},
            data=f"tfrecord:{name}-{{split}}*", source="the code's settings of three branches: 600 epochs in batches of 24; "
            f"the records have the embedding of a caption for each of the {images:,} images",
            batch_size=24, steps=600 * (images // 24), compile_args=_ADAM, augmentation={"jitter": 48, "flip": True},
            paper=paper,
        )
        for name, images, paper in (
            ("cub", 8_855, "Inception score 4.04, FID 15.30 (tables 3 and 4)"),
            ("flowers", 7_034, "Inception score 3.26, FID 48.68 (tables 3 and 4)"),
        )
    ),
    Preset(
        "stack-gan-v2/mnist", StackGANv2,
        {"image_shape": (28, 28, 1), "embedding_dim": 32, **_SMALL, "width": 32, "ups": 0}, data="named:mnist",
        source="MNIST by the names of its classes, 7, 14 and 28 px, batches of 64", batch_size=64, steps=6_000,
        compile_args=_ADAM,
    ),
    Preset(
        "stack-gan-v2/captions-mnist", StackGANv2, {**_CAPTIONS, "width": 32}, data="captioned:mnist",
        source="captions of MNIST digits, 8, 16 and 32 px, batches of 64", batch_size=64, steps=8_000, compile_args=_ADAM,
    ),
    Preset(
        "stack-gan-v2/captions-digits", StackGANv2, {**_CAPTIONS, "width": 16}, data="captioned:digits",
        source="captions of the 8x8 digits, 8, 16 and 32 px, batches of 64", batch_size=64, steps=4_000, compile_args=_ADAM,
    ),
]  # fmt: skip
