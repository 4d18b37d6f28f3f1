"""Every preset of a translation fits the data that it names: files of that layout pass `load` and the checks of `train`.

The files are small stand-ins of the size of the preset, so nothing is downloaded.
"""

import shutil

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

import tfgen
from tfgen_trainers.train import check_fields_fit, check_images_fit

PRESETS = {
    name: preset
    for name, preset in tfgen.presets.all_presets().items()
    if name.split("/")[0] in ("adain", "cycle-gan", "fast-style-transfer", "pix2pix", "pix2pix-hd", "tvsn", "vid2vid")
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
        spec = f"label_maps:{root}"
        return tfgen.data.load(spec, **preset.options_for(spec))
    if kind == "clips":
        for folder in ("frames", "target"):
            picture(root / folder / "train" / "0" / "00.png", size, 3)
            for i in range(1, preset.model_args["num_frames"]):
                shutil.copy(root / folder / "train" / "0" / "00.png", root / folder / "train" / "0" / f"{i:02}.png")
        return tfgen.data.load(preset.data.replace("cityscapes", str(root)))
    if kind == "tfrecord":
        num = max(size for _, size in num)
        images = np.zeros([num, height, width, channels], "uint8")
        known = {"target": images, "mask": images[..., 0], "view": np.zeros([num, 17], "float32")}
        tfgen.data.from_arrays(images, fields=known).write_tfrecords(root / "train-0.tfrecord")
        return tfgen.data.load(f"tfrecord:{root}/{{split}}*")
    if kind == "coil20_views":
        savemat(root / "COIL20.mat", {"X": np.zeros((1440, 1024), "uint8"), "Y": np.repeat(np.arange(1, 21), 72)[:, None]})
        return tfgen.data.load(kind, manual_dir=root)
    if kind == "rendered_views":
        return tfgen.data.load(kind, "test")
    if what == "digits":
        return tfgen.data.load(preset.data, **({"num": num} if kind == "moving" else {}))
    if kind == "styles":  # as large as before the crop
        size = tuple(2 * side for side in size) if "crop" in (preset.augmentation or {}) else size
        for folder, count in (("image", num), ("style", preset.model_args.get("num_styles", num))):
            for i in range(count):
                picture(root / folder / f"{i}.png", size, channels)
        return tfgen.data.load(f"styles:{root}")
    for i in range(num):
        if kind == "pairs":
            picture(root / "train" / f"{i}.png", (height, 2 * width), channels)
        elif kind == "unpaired":
            for folder in ("trainA", "trainB"):
                picture(root / folder / f"{i}.png", size, channels)
        else:
            assert what == "mnist" and kind in ("coloured", "edges", "inverted", "quadrants", "segments", "textured")
            for label in range(10):
                picture(root / "train" / str(label) / f"{i}.png", size, 1)
    spec = f"{kind}:{root}" if kind in ("pairs", "unpaired") else f"{kind}:folder:{root}"
    options = {k: v for k, v in preset.options_for(spec).items() if k != "size"}  # the files have the size
    return tfgen.data.load(spec, **options)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_the_data_of_a_preset_fit_its_model(name, tmp_path):
    preset = PRESETS[name]
    source = stand_in(preset, tmp_path)
    check_images_fit(preset, source)
    check_fields_fit(preset, source)
    source.batches(preset.batch_size, shuffle=True, repeat=True, augmentation=preset.augmentation)


def test_options_are_those_of_the_data():
    """Which half of the archives' files is the input, and the number of classes; also for a folder elsewhere."""
    for name, options in {
        "facades": {"input": "right"}, "maps": {"input": "right"}, "cityscapes": {"input": "right"},
        "edges2shoes": {"input": "left"}, "edges2handbags": {"input": "left"},
    }.items():  # fmt: skip
        preset = PRESETS[f"pix2pix/{name}-paper"]
        for spec in (preset.data, "pairs:/elsewhere"):
            assert preset.options_for(spec) == {**options, "size": (256, 256)}
        assert preset.options_for("folders:x") == {}  # which has no input
    city = PRESETS["pix2pix-hd/cityscapes-1024-code"]
    assert city.options_for(city.data) == {"num_classes": 35, "size": (512, 1024)}
    small = PRESETS["pix2pix/edges-digits"]
    assert small.options_for("edges:kmnist") == {"size": (32, 32)}
    assert small.options_for("edges:digits") == {}  # which have one size
    assert small.override({"image_shape": (64, 64, 1)}).options_for(small.data) == {"size": (64, 64)}
    assert "data_options" not in small.config()
    assert tfgen.presets.get("vae/mnist").options_for("mnist") == {}


def test_presets_of_small_digits_are_resized(tmp_path):
    preset, spec = PRESETS["pix2pix/edges-digits"], f"edges:folder:{tmp_path}"
    for i in range(16):
        picture(tmp_path / f"{i}.png", (28, 28), 1)
    check_images_fit(preset, tfgen.data.load(spec, **preset.options_for(spec)))


def test_jitter_needs_no_larger_files():
    for name, preset in PRESETS.items():
        jitter = (preset.augmentation or {}).get("jitter")
        size = preset.model_args["image_shape"][0]
        assert "crop" not in (preset.augmentation or {}) or preset.data.startswith("styles:")
        assert jitter == ({256: 30, 128: 15}[size] if "enlarged by" in preset.source else None), name
