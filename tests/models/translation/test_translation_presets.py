"""Every preset of a translation fits the data that it names: files of that layout pass `load` and the checks of `train`.

The files are small stand-ins of the size of the preset, so nothing is downloaded.
"""

import numpy as np
import pytest
from PIL import Image

import tfgen
from tfgen_trainers.train import check_fields_fit, check_images_fit

PRESETS = {
    name: preset
    for name, preset in tfgen.presets.all_presets().items()
    if name.split("/")[0] in ("cycle-gan", "pix2pix", "pix2pix-hd")
}


def picture(path, size, channels, low=0, high=256):
    """Writes 8 x 8 random blocks as a file of that size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (8, 8) if channels == 1 else (8, 8, channels)
    values = np.random.default_rng(0).integers(low, high, shape, np.uint8)
    Image.fromarray(values).resize(size[::-1], Image.Resampling.NEAREST).save(path)


def stand_in(preset, root):
    """The Source of files with the layout of `preset.data`, as many as there are in a batch."""
    height, width, channels = preset.model_args["image_shape"]
    kind, _, what = preset.data.partition(":")
    size, classes, num = (height, width), preset.model_args.get("map_classes"), preset.batch_size
    if kind == "label_maps":
        for folder, high in (("label_map", classes), ("instances", 256)):
            picture(root / folder / "train" / "0.png", size, 1, high=high)
        picture(root / "target" / "train" / "0.png", size, 3)
        return tfgen.data.load(f"label_maps:{root}", num_classes=classes)
    if what == "digits":
        return tfgen.data.load(preset.data)
    for i in range(num):
        if kind == "pairs":
            picture(root / "train" / f"{i}.png", (height, 2 * width), channels)
        elif kind == "unpaired":
            for folder in ("trainA", "trainB"):
                picture(root / folder / f"{i}.png", size, channels)
        else:
            assert what == "mnist" and kind in ("edges", "segments")
            for label in range(10):
                picture(root / "train" / str(label) / f"{i}.png", size, 1)
    return tfgen.data.load(f"{kind}:{root}" if kind in ("pairs", "unpaired") else f"{kind}:folder:{root}")


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_the_data_of_a_preset_fit_its_model(name, tmp_path):
    preset = PRESETS[name]
    source = stand_in(preset, tmp_path)
    check_images_fit(preset, source)
    check_fields_fit(preset, source)
    source.batches(preset.batch_size, shuffle=True, repeat=True, augmentation=preset.augmentation)


def test_jitter_needs_no_larger_files():
    for name, preset in PRESETS.items():
        jitter = (preset.augmentation or {}).get("jitter")
        size = preset.model_args["image_shape"][0]
        assert "crop" not in (preset.augmentation or {})
        assert jitter == ({256: 30, 128: 15}[size] if "enlarged by" in preset.source else None), name
