"""Presets of pix2pix."""

from tfgen.models.preset import Preset
from tfgen.models.translation.pix2pix import Pix2Pix

_ADAM = {"class_name": "Adam", "config": {"learning_rate": 2e-4, "beta_1": 0.5, "epsilon": 1e-8}}
_PAPER = {"optimizer": _ADAM}
_256 = {"image_shape": (256, 256, 3)}
# Images of 256 px are enlarged to 286 px, of which random windows of 256 px are used.
_JITTER = {"jitter": 30, "flip": True}
# Files of two pictures side by side: which half is the input, and what it is.
_INPUTS = {
    "right": "from labels or maps, on the right in the archive, to photos, BtoA in the code",
    "left": "from edges, on the left in the archive, to photos, AtoB in the code",
}
_SMALL = {"width": 16, "discriminator_width": 16, "receptive_field": 34, "statistics": "moving"}

PRESETS = [
    *(
        Preset(
            f"pix2pix/{name}-paper", Pix2Pix, _256, data=f"pairs:{name}",
            source=f"section 3.3, appendix 6.2 and the code: {epochs} epochs of {examples:,} pairs in batches of "
            f"{batch_size}{', flipped and enlarged by 30 pixels' if jitter else ''}; {_INPUTS[half]}",
            batch_size=batch_size, steps=epochs * examples // batch_size, compile_args=_PAPER,
            augmentation=_JITTER if jitter else None, paper=paper, data_options={"input": half},
        )
        for name, examples, epochs, batch_size, jitter, half, paper in (
            ("facades", 400, 200, 1, True, "right", None),
            ("maps", 1_096, 200, 1, True, "right", "18.9 % of map-to-photo images taken for real (table 4)"),
            ("cityscapes", 2_975, 200, 1, True, "right", "accuracy of pixels .66, of classes .23, class IoU .17 (table 1)"),
            ("edges2shoes", 50_000, 15, 4, False, "left", None),
            ("edges2handbags", 137_000, 15, 4, False, "left", None),
        )
    ),
    Preset(
        "pix2pix/edges-digits", Pix2Pix, {"image_shape": (32, 32, 1), **_SMALL}, data="edges:mnist",
        source="32 px pairs: 5 levels of 16 to 128 filters, patches of 34 px, batches of 16 and moving statistics",
        batch_size=16, steps=6_000, compile_args=_PAPER, data_options={},
    ),
    Preset(
        "pix2pix/quadrants-digits", Pix2Pix, {"image_shape": (32, 32, 1), **_SMALL}, data="quadrants:mnist",
        source="digits of which a random quadrant is hidden, 32 px; else as pix2pix/edges-digits",
        batch_size=16, steps=6_000, compile_args=_PAPER, data_options={},
    ),
    Preset(
        "pix2pix/edges-digits-28", Pix2Pix, {"image_shape": (28, 28, 1), **_SMALL, "width": 32},
        data="edges:mnist", source="28 px pairs, which can be halved twice: 2 levels of 32 and 64 filters, else as "
        "pix2pix/edges-digits",
        batch_size=16, steps=6_000, compile_args=_PAPER,
    ),
]  # fmt: skip
