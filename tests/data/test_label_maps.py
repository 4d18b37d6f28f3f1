"""Maps of classes and instances: stored as numbers, one-hot in batches, moved with the images, the same through records."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfgen import data, fields
from tfgen.data.label_maps import instance_numbers
from tfgen.models.capabilities.capability import serve_examples

RNG = np.random.default_rng(0)
MAPS = RNG.integers(0, 5, (6, 8, 7))
PHOTOS = RNG.integers(0, 256, (6, 8, 7, 3), np.uint8)


def test_edges_by_hand():
    ids = np.array([[1, 1, 2, 2], [1, 1, 2, 2], [1, 3, 3, 2], [3, 3, 3, 3]])
    expected = [[0, 1, 1, 0], [0, 1, 1, 0], [1, 1, 1, 1], [1, 0, 0, 1]]
    np.testing.assert_array_equal(data.instance_edges(ids), expected)
    dot = np.zeros((2, 5, 5), int)
    dot[1, 2, 2] = 7
    found = data.instance_edges(dot)
    assert found.sum() == 5 and not found[0].any() and found[1, 2, 1:4].all() and found[1, 1:4, 2].all()


def make():
    return data.label_maps(MAPS, 5, target=PHOTOS, instances=MAPS)


def nearest():
    """The maps at 4 x 4: the pixels in which the centres of the larger pixels lie."""
    return MAPS[:, [1, 3, 5, 7]][:, :, [0, 2, 4, 6]]


def test_batches_are_one_hot():
    source = make()
    assert source.fields["label_map"] == fields.label_map(8, 7, 5) and source.fields["edges"] == fields.mask(8, 7, "edges")
    one_hot = np.eye(5, dtype=np.float32)[MAPS]
    batch = next(iter(source.batches(6).as_numpy_iterator()))
    for found in (batch["label_map"], source.values("label_map")):
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, one_hot)
    np.testing.assert_array_equal(batch["edges"], data.instance_edges(MAPS))
    for i, numbers in enumerate(np.round(255 * batch["instances"]).astype(int)):  # of this image, from 0
        np.testing.assert_array_equal(np.unique(MAPS[i])[numbers], MAPS[i])
    pictures = {tuple(p) for p in np.round(batch["image"] * 255).astype(int).reshape(-1, 3)}
    assert len(pictures) == 5 and (0, 0, 0) in pictures
    assert make().fingerprint == source.fingerprint != data.label_maps((MAPS + 1) % 5, 5, target=PHOTOS).fingerprint


@pytest.mark.parametrize("settings", [{"flip": True, "shift": 2, "crop": 5}, {"jitter": 3}], ids=str)
def test_maps_are_moved_with_the_images(settings):
    grey = np.uint8(60 * MAPS)
    source = data.from_arrays(grey, fields={"label_map": (MAPS, fields.label_map(8, 7, 5)), "mask": grey})
    for batch in source.batches(3, shuffle=True, repeat=True, augmentation=settings).take(4).as_numpy_iterator():
        classes = batch["label_map"].argmax(axis=-1)
        assert np.all(batch["label_map"].sum(axis=-1) == 1)
        np.testing.assert_array_equal(np.round(batch["mask"] * 255), 60 * classes)
        if "jitter" not in settings:
            np.testing.assert_array_equal(np.round(batch["image"][..., 0] * 255), 60 * classes)


def test_through_records(tmp_path):
    source = make()
    (path,) = source.write_tfrecords(tmp_path / "x.tfrecord")
    read = data.described([path], source.description())
    assert read.fields == source.fields and read.fingerprint == source.fingerprint
    half = data.from_tfrecords(path, fields=list(source.fields.values()), size=(4, 4), resize="stretch")
    assert half.fields["label_map"].shape == (4, 4, 5)
    np.testing.assert_array_equal(half.values("label_map").argmax(axis=-1), nearest())
    with pytest.raises(ValueError, match=r"record 0: expected 'label_map' with classes in \[0, 4\), found 4"):
        data.from_tfrecords(path, fields=[fields.label_map(8, 7, 4)])


def write(root, first=0):
    for i in range(3):
        for name, picture in (
            ("label_map", Image.fromarray(MAPS[i].astype(np.uint8) + np.uint8(first))),
            ("target", Image.fromarray(PHOTOS[i])),
            ("instances", Image.fromarray((1000 * MAPS[i] + 3).astype(np.uint16))),
        ):
            (root / name / "train").mkdir(parents=True, exist_ok=True)
            picture.save(root / name / "train" / f"{i}.png")


def test_folders(tmp_path):
    write(tmp_path)
    palette = Image.fromarray(MAPS[1].astype(np.uint8), "P")
    palette.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9, 200, 100, 50])
    palette.save(tmp_path / "label_map" / "train" / "1.png")
    source, arrays = data.load(f"label_maps:{tmp_path}", num_classes=5), make().take(3)
    assert list(source.fields) == list(arrays.fields) or sorted(source.fields) == sorted(arrays.fields)
    for name in arrays.fields:
        np.testing.assert_array_equal(source.values(name), arrays.values(name))
    lazy = data.load(f"label_maps:{tmp_path}", num_classes=5, in_memory=False)
    assert lazy.fingerprint == source.fingerprint and source.ids.tolist() == ["train/0", "train/1", "train/2"]
    small = data.load(f"label_maps:{tmp_path}", num_classes=5, size=4, resize="stretch")
    assert small.fields["label_map"].shape == (4, 4, 5) and small.fields["target"].shape == (4, 4, 3)
    np.testing.assert_array_equal(small.values("label_map").argmax(axis=-1), nearest()[:3])
    np.testing.assert_array_equal(small.values("edges"), data.instance_edges(nearest()[:3]))
    np.testing.assert_array_equal(np.round(255 * small.values("instances")), instance_numbers(nearest()[:3]))
    alone = data.from_label_maps(label_map=tmp_path / "label_map", num_classes=256, split="train")
    assert list(alone.fields) == ["image", "label_map"]


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_orientation_is_that_of_photos(dtype, tmp_path):
    write(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    for name, values in (("label_map", MAPS), ("target", PHOTOS), ("instances", MAPS)):
        for i in range(3):
            pixels = values[i].astype("uint8" if name == "target" else dtype)
            Image.fromarray(pixels).save(tmp_path / name / "train" / f"{i}.png", exif=exif)
    source = data.load(f"label_maps:{tmp_path}", num_classes=5)
    turned = np.rot90(MAPS[:3], -1, axes=(1, 2))
    np.testing.assert_array_equal(source.values("label_map").argmax(axis=-1), turned)
    np.testing.assert_array_equal(source.values("edges"), data.instance_edges(turned))
    np.testing.assert_array_equal(np.round(255 * source.values("target")), np.rot90(PHOTOS[:3], -1, axes=(1, 2)))


def test_damaged_maps_and_bombs(tmp_path, monkeypatch):
    """Each error of Pillow's readers is one of the file."""
    write(tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(ValueError, match=r"label_map/train/0.png: not a readable image \(DecompressionBombError"):
        data.load(f"label_maps:{tmp_path}", num_classes=5)


def test_bad_classes(tmp_path):
    with pytest.raises(ValueError, match=r"label_map must be classes in \[0, 4\); received 4 at index \(0, \d, \d\)"):
        data.label_maps(MAPS, 4)
    with pytest.raises(ValueError, match=r"received -1 at index \(0, 0, 0\) \(336 such"):
        data.label_maps(0 * MAPS - 1, 4)
    write(tmp_path, first=1)
    message = r"label_map/train/0.png: found the class \d at \(\d, \d\) \(row, column\), expected classes in \[0, 5\)"
    with pytest.raises(ValueError, match=message):
        data.load(f"label_maps:{tmp_path}", num_classes=5)
    Image.fromarray(PHOTOS[0]).save(tmp_path / "label_map" / "train" / "0.png")
    with pytest.raises(ValueError, match=r"0.png: found an image of Pillow mode 'RGB', expected grey values or a palette"):
        data.load(f"label_maps:{tmp_path}", num_classes=8)
    with pytest.raises(ValueError, match="num_classes must be"):
        data.label_maps(MAPS, 257)
    with pytest.raises(ValueError, match=r"instances must be whole numbers \(6, 8, 7\)"):
        data.label_maps(MAPS, 5, instances=MAPS[:2])
    with pytest.raises(ValueError, match="must have pixels that are no image"):
        fields.Field("x", (4, 4, 3), classes=3)


def test_examples_of_requests():
    """The signature `serve_examples` of a model that takes maps, and clips of masks, reads what a Source writes."""
    clips = np.stack([MAPS[:3], MAPS[3:]])
    declared = [fields.label_map(8, 7, 5, num_frames=3), fields.mask(8, 7, "edges", num_frames=3)]
    edges = data.instance_edges(clips)
    source = data.from_arrays(
        PHOTOS[:2], fields={"label_map": (clips, declared[0]), "edges": (edges, declared[1])}
    )  # fmt: skip
    for wanted in (declared, [fields.label_map(8, 7, 5)]):
        written = source if wanted is declared else make()
        serve, _ = serve_examples((lambda **given: given, {}), wanted)
        found = serve(tf.constant([written.example(i).SerializeToString() for i in (1, 0)]))
        for field in wanted:
            np.testing.assert_array_equal(found[field.name], written.values(field.name)[[1, 0]])
