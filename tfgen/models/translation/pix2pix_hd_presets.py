"""Presets of pix2pixHD."""

from tfgen.models.preset import Preset, held_decay
from tfgen.models.translation.pix2pix_hd import Pix2PixHD


def _adam(rate):
    return {"optimizer": {"class_name": "Adam", "config": {"learning_rate": rate, "beta_1": 0.5, "epsilon": 1e-8}}}


_CITIES = 2_975  # pairs of Cityscapes' training set, batches of one
_SMALL = {
    "map_classes": 11, "target_channels": 1, "width": 16, "halvings": 1, "blocks": 3, "enhancer_blocks": 2,
    "discriminator_width": 16, "discriminator_halvings": 2,
}  # fmt: skip

PRESETS = [
    Preset(
        "pix2pix-hd/cityscapes-1024-code", Pix2PixHD,
        {"image_shape": (512, 1024, 3), "map_classes": 35, "enhancer": False}, data="label_maps:cityscapes",
        source="the code's script for 1024 x 512: the global generator alone, two discriminators, 100 epochs and 100 in "
        "which the rate falls to 0", batch_size=1, steps=200 * _CITIES, compile_args=_adam(held_decay(2e-4, 0.5)),
        augmentation={"flip": True}, data_options={"num_classes": 35},
    ),
    Preset(
        "pix2pix-hd/cityscapes-2048-code", Pix2PixHD,
        {"image_shape": (1024, 2048, 3), "map_classes": 35, "scales": 3, "global_steps": 200 * _CITIES,
         "frozen_steps": 10 * _CITIES},
        data="label_maps:cityscapes", source="the code's script for 2048 x 1024 and 24 GB: 200 epochs of the global "
        "generator, 10 of the enhancer and 90 of both, three discriminators; the rate is that of the first epochs",
        batch_size=1, steps=300 * _CITIES, compile_args=_adam(2e-4), augmentation={"flip": True},
        data_options={"num_classes": 35},
    ),
    Preset(
        "pix2pix-hd/digit-maps", Pix2PixHD,
        {"image_shape": (28, 28, 3), **_SMALL, "global_steps": 2_000, "frozen_steps": 500},
        data="segments:mnist", source="digits from maps of their classes: 16 filters, one halving, patches of 34 px, "
        "batches of 8",
        batch_size=8, steps=5_000, compile_args=_adam(2e-4),
    ),
    Preset(
        "pix2pix-hd/coloured-digits", Pix2PixHD,
        {"image_shape": (32, 32, 3), **_SMALL, "target_channels": 3, "feature_channels": 3, "clusters": 5,
         "encoder_width": 8, "encoder_halvings": 2},
        data="coloured:mnist", source="digits whose colours only the features of their instances tell, 32 px; else as "
        "pix2pix-hd/digit-maps, in one phase",
        batch_size=8, steps=5_000, compile_args=_adam(2e-4),
    ),
]  # fmt: skip
