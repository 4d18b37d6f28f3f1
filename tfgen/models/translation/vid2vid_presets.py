"""Presets of vid2vid."""

from tfgen.models.preset import Preset, adam, held_decay
from tfgen.models.translation.vid2vid import Vid2Vid


def _optimizers(rate, temporal_scales):
    """The rate falls to 0 in the second half, but never that of the discriminators of triplets, as in the code.

    Not for models in phases, in which a schedule begins anew.
    """
    constant, falling = (
        adam(r, beta_1=0.5, epsilon=1e-8)["optimizer"] for r in (rate, held_decay(rate, held=0.5))
    )  # fmt: skip
    of_triplets = {f"temporal_{3**k}": constant for k in range(temporal_scales)}
    return {"optimizer": {"generator": falling, "discriminator": falling, **of_triplets}}


_CITIES = 2_975  # sequences of 30 frames of Cityscapes' training set, batches of one
# The files are pictures, so maps are pictures in colours, in place of 35 classes with borders and a foreground of cars.
_STREETS = {"num_frames": 30, "edges": False, "flow": "matched"}

PRESETS = [
    Preset(
        "vid2vid/street-512-code", Vid2Vid,
        {"image_shape": (256, 512, 3), **_STREETS, "chunk": 6, "double_every": 5 * _CITIES}, data="clips:cityscapes",
        source="the code's script for 512 x 256: 10 epochs and 10 in which the rate falls to 0; 6 frames are made at first, "
        "and twice as many after every 5 epochs, 6 in each update",
        batch_size=1, steps=20 * _CITIES, compile_args=_optimizers(2e-4, 2), augmentation={"flip": True},
        paper="of the whole model at 2048 x 1024: video FID 4.66 (I3D), .15 (ResNeXt)",
    ),
    Preset(
        "vid2vid/street-1024-code", Vid2Vid,
        {"image_shape": (512, 1024, 3), **_STREETS, "scales": 2, "scale_steps": (20 * _CITIES,),
         "frozen_steps": 10 * _CITIES, "discriminator_scales": 3, "chunk": 4, "double_every": 2 * _CITIES,
         "first_length": 4},
        data="clips:cityscapes", source="the code's script for 1024 x 512: 20 epochs of the coarse generator, 10 of the "
        "finer one, 10 of both; the rate is that of the script's first epochs",
        batch_size=1, steps=40 * _CITIES, compile_args=adam(1e-4, beta_1=0.5, epsilon=1e-8), augmentation={"flip": True},
    ),
    Preset(
        "vid2vid/moving-digits", Vid2Vid,
        {"image_shape": (32, 32, 3), "num_frames": 6, "map_classes": 11, "width": 8, "halvings": 2, "blocks": 4,
         "flow_scale": 2.0, "statistics": "moving", "discriminator_width": 16, "discriminator_halvings": 2,
         "discriminator_scales": 1, "temporal_scales": 1, "pixel_weight": 10.0},
        data="moving:digits", source="32 px: 8 to 32 filters, patches of 34 px, flow of a few pixels, pixels in place of "
        "VGG features, batches of 8 clips",
        batch_size=8, steps=4_000, compile_args=_optimizers(2e-4, 1),
    ),
]  # fmt: skip
