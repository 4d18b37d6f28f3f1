"""Image folders and the rules by which images are read."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfgen import data, fields
from tfgen.data import source as source_module

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
COLOUR = np.stack([GREY, GREY[::-1], 255 - GREY], -1)


def save(path, array=GREY, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


def one(path, **options):
    return np.round(data.from_folder(path, **options).images()[0] * 255).astype(int)


def test_flat_folder_in_order(tmp_path):
    for name, value in (("b.PNG", 2), ("a.png", 1), ("c.Bmp", 3), (".hidden.png", 9)):
        save(tmp_path / name, np.full((4, 4), value, np.uint8))
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".cache").mkdir()
    source = data.from_folder(tmp_path)
    assert np.round(source.images()[:, 0, 0, 0] * 255).tolist() == [1, 2, 3]
    assert not source.has_labels and source.split == "train" and source.image_shape == (4, 4, 1)


@pytest.mark.parametrize("suffix", ["png", "PNG", "bmp", "gif", "webp", "tif", "TIFF", "pgm"])
def test_lossless_suffixes(tmp_path, suffix):
    options = dict(lossless=True) if suffix == "webp" else {}
    save(tmp_path / f"x.{suffix}", **options)
    np.testing.assert_array_equal(one(tmp_path, channels=1)[..., 0], GREY)


def test_jpeg_and_ppm(tmp_path):
    save(tmp_path / "a.JPG", COLOUR)
    save(tmp_path / "b.jpeg", COLOUR)
    save(tmp_path / "c.ppm", COLOUR)
    source = data.from_folder(tmp_path)
    assert source.image_shape == (6, 8, 3)
    np.testing.assert_array_equal(np.round(source.images()[2] * 255), COLOUR)


def test_class_folders_and_links(tmp_path):
    save(tmp_path / "real" / "dog" / "deep" / "x.png", np.full((4, 4), 7, np.uint8))
    save(tmp_path / "real" / "cat" / "y.png", np.full((4, 4), 8, np.uint8))
    (tmp_path / "real" / "dog" / "deep" / "loop").symlink_to(tmp_path / "real" / "dog")
    (tmp_path / "real" / "ant").symlink_to(tmp_path / "real" / "cat")
    source = data.from_folder(tmp_path / "real")
    assert source.class_names == ["ant", "cat", "dog"] and source.labels().tolist() == [0, 1, 2]
    assert np.round(source.images()[:, 0, 0, 0] * 255).tolist() == [8, 8, 7]


def test_splits_share_their_class_numbers(tmp_path):
    for path in ("train/b/x.png", "train/c/x.png", "test/a/x.png", "test/c/x.png"):
        save(tmp_path / path)
    train, test = (data.from_folder(tmp_path, split=s) for s in ("train", "test"))
    assert train.class_names == test.class_names == ["a", "b", "c"]
    assert train.labels().tolist() == [1, 2] and test.labels().tolist() == [0, 2]
    for split in (None, "valid"):
        with pytest.raises(ValueError, match=r"splits \['test', 'train'\]; received split="):
            data.from_folder(tmp_path, split=split)


def test_a_folder_without_splits_has_no_test_split(tmp_path):
    save(tmp_path / "x.png")
    assert data.from_folder(tmp_path, split="train").num_examples == 1
    with pytest.raises(ValueError, match="all training data; received split='test'"):
        data.from_folder(tmp_path, split="test")


def test_resize_rules(tmp_path):
    left, right = np.full((6, 4), 50, np.uint8), np.full((6, 4), 200, np.uint8)
    save(tmp_path / "x.png", np.concatenate([left, right], 1))  # 6 high, 8 wide
    crop, pad, stretch = (one(tmp_path, size=6, resize=r) for r in ("center_crop", "pad", "stretch"))
    np.testing.assert_array_equal(crop[..., 0], np.concatenate([left[:, :3], right[:, :3]], 1))
    assert pad.shape == (6, 6, 1) and pad[0].max() == 0 and pad[-1].max() == 0 and pad[3, 0, 0] == 50
    assert stretch.shape == (6, 6, 1) and stretch[0, 0, 0] == 50 and stretch[0, 5, 0] == 200
    assert one(tmp_path, size=(3, 12)).shape == (3, 12, 1)
    np.testing.assert_array_equal(one(tmp_path, size=(6, 8), resize="none"), one(tmp_path))
    with pytest.raises(ValueError, match=r"x\.png: found 6x8 pixels, expected 8x6"):
        data.from_folder(tmp_path, size=(8, 6), resize="none")


def test_channels(tmp_path):
    save(tmp_path / "x.png", COLOUR)
    luma = COLOUR @ np.array([0.299, 0.587, 0.114])
    assert np.abs(one(tmp_path, channels=1)[..., 0] - luma).max() <= 1
    save(tmp_path / "x.png", GREY)
    np.testing.assert_array_equal(one(tmp_path, channels=3), np.stack([GREY] * 3, -1))


def test_alpha_is_composited_over_white(tmp_path):
    alpha = np.full(GREY.shape, 255, np.uint8)
    alpha[0] = 0
    save(tmp_path / "x.png", np.dstack([COLOUR, alpha]))
    image = one(tmp_path)
    assert image[0].min() == 255
    np.testing.assert_array_equal(image[1:], COLOUR[1:])
    Image.fromarray(np.dstack([GREY, alpha])).save(tmp_path / "x.png")
    assert one(tmp_path).shape == (6, 8, 1)


def test_palette_16_bit_1_bit_and_orientation(tmp_path):
    Image.fromarray(COLOUR).quantize(64).save(tmp_path / "x.png")
    assert one(tmp_path).shape == (6, 8, 3)
    Image.fromarray(GREY).convert("P").save(tmp_path / "x.png")
    np.testing.assert_array_equal(one(tmp_path)[..., 0], GREY)
    save(tmp_path / "x.png", GREY.astype(np.uint16) * 257)
    np.testing.assert_array_equal(one(tmp_path)[..., 0], GREY)
    Image.fromarray(GREY > 100).save(tmp_path / "x.png")
    np.testing.assert_array_equal(one(tmp_path)[..., 0], (GREY > 100) * 255)
    exif = Image.Exif()
    exif[0x0112] = 6  # the viewer has to turn the picture by 90 degrees clockwise
    save(tmp_path / "x.png", exif=exif)
    np.testing.assert_array_equal(one(tmp_path)[..., 0], np.rot90(GREY, -1))
    (tmp_path / "x.png").unlink()
    save(tmp_path / "x.tif", GREY.astype(np.float32))
    with pytest.raises(ValueError, match=r"x\.tif: found pixels of Pillow mode 'F'"):
        data.from_folder(tmp_path)


def broken(path, kind):
    if kind == "truncated":
        content = save(path, np.random.default_rng(0).integers(0, 256, (6, 8), np.uint8)).read_bytes()
        path.write_bytes(content[: len(content) // 2])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("not an image at all")
    elif kind == "small":
        save(path, GREY[:3])
    elif kind == "colour":
        save(path, COLOUR)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("truncated", "not a readable image"),
        ("empty", "not a readable image"),
        ("text", "not a readable image"),
        ("small", r"found 3x8 pixels, but .*a\.png has 6x8; pass size="),
        ("colour", r"found a colour image, but .*a\.png is grey; pass channels="),
    ],
)
@pytest.mark.parametrize("limit", [source_module.MEMORY_LIMIT, 10], ids=["memory", "lazy"])
def test_bad_images(tmp_path, monkeypatch, caplog, kind, message, limit):
    monkeypatch.setattr(source_module, "MEMORY_LIMIT", limit)
    for name in "ac":
        save(tmp_path / f"{name}.png")
    broken(tmp_path / "b.png", kind)
    with pytest.raises(ValueError, match=rf"b\.png: {message}"):
        data.from_folder(tmp_path).images()
    source = data.from_folder(tmp_path, on_error="skip")
    assert source.num_examples == 2
    np.testing.assert_array_equal(source.images()[1, ..., 0], GREY.astype(np.float32) / 255)
    ((file, reason),) = source.skipped
    assert file == str(tmp_path / "b.png") and reason
    assert [r for r in caplog.messages if "1 of 3 images skipped" in r]


def test_lazy_error_reaches_the_training_loop(tmp_path, monkeypatch):
    monkeypatch.setattr(source_module, "MEMORY_LIMIT", 10)
    save(tmp_path / "a.png")
    broken(tmp_path / "b.png", "text")
    with pytest.raises(Exception, match=r"b\.png: not a readable image"):
        list(data.from_folder(tmp_path).batches(2))


def test_nothing_usable(tmp_path):
    with pytest.raises(ValueError, match="found nothing"):
        data.from_folder(tmp_path / "missing")
    with pytest.raises(ValueError, match="holds no images.*found nothing"):
        data.from_folder(tmp_path)
    broken(tmp_path / "b.png", "text")
    with pytest.raises(ValueError, match="no usable image .1 skipped, the first: .*b.png"):
        data.from_folder(tmp_path, on_error="skip")
    save(tmp_path / "class" / "x.png")
    with pytest.raises(ValueError, match="both images and class folders"):
        data.from_folder(tmp_path)


@pytest.mark.parametrize(
    "options", [dict(size=0), dict(size=(1, 2, 3)), dict(channels=2), dict(resize="fit"), dict(on_error="no")]
)
def test_wrong_options(tmp_path, options):
    with pytest.raises(ValueError, match=f"{next(iter(options))} must be .*received"):
        data.from_folder(tmp_path, **options)


def test_ids_are_paths_in_the_folder(tmp_path):
    for name in ("train/a/x.png", "train/b/x.png", "test/a/x.png"):
        save(tmp_path / name)
    assert data.from_folder(tmp_path, split="train").ids.tolist() == ["train/a/x.png", "train/b/x.png"]


def test_in_memory_false_reads_files_when_they_are_needed(tmp_path):
    for i in range(3):
        save(tmp_path / f"{i}.png", GREY + i)
    (tmp_path / "2.png").write_bytes(b"no image")
    lazy = data.from_folder(tmp_path, in_memory=False)
    assert not lazy.in_memory and len(lazy) == 3
    np.testing.assert_array_equal(np.round(lazy.images(2) * 255)[1, ..., 0], GREY + 1)
    with pytest.raises(ValueError, match="2.png"):
        lazy.images()
    assert len(data.from_folder(tmp_path, in_memory=False, on_error="skip")) == 2


def test_two_pictures_side_by_side(tmp_path):
    for i in range(3):
        save(tmp_path / "train" / f"{i}.png", np.concatenate([COLOUR + i, 255 - COLOUR], axis=1))
    left, right = (data.load(f"pairs:{tmp_path}", input=side) for side in (None, "right"))
    for source, names in ((left, ("image", "target")), (right, ("target", "image"))):
        assert list(source.fields) == ["image", "target"] and source.image_shape == (6, 8, 3)
        np.testing.assert_array_equal(np.round(255 * source.values(names[0]))[2], COLOUR + 2)
        np.testing.assert_array_equal(np.round(255 * source.values(names[1]))[2], 255 - COLOUR)
    assert left.ids.tolist() == [f"train/{i}.png" for i in range(3)] and left.fingerprint != right.fingerprint
    lazy = data.side_by_side(tmp_path, split="train", size=4, channels=1, in_memory=False)
    assert lazy.image_shape == lazy.fields["target"].shape == (4, 4, 1) and not lazy.in_memory
    save(tmp_path / "train" / "3.png", COLOUR[:, :7])
    with pytest.raises(ValueError, match=r"3\.png: found a width of 7 pixels, expected an even one"):
        data.side_by_side(tmp_path, split="train", size=4)
    assert data.side_by_side(tmp_path, split="train", size=4, on_error="skip").skipped[0][0].endswith("3.png")
    with pytest.raises(ValueError, match="input must be"):
        data.side_by_side(tmp_path, split="train", input="A")


def pair_folders(root):
    """root/{image,target,mask}, three files each with other suffixes, in two classes."""
    for i, name in enumerate(("a/1", "a/2", "b/1")):
        save(root / "image" / f"{name}.png", GREY + i)
        save(root / "target" / f"{name}.bmp", np.stack([GREY + 10 * i] * 3, axis=-1))
        save(root / "mask" / f"{name}.png", np.uint8(255) * (GREY > 5 + i))


def test_files_of_the_same_name_are_one_example(tmp_path):
    pair_folders(tmp_path)
    source = data.from_folders(**{name: tmp_path / name for name in ("image", "target", "mask")})
    assert source.fields == {
        "image": fields.image((6, 8, 1)), "target": fields.image((6, 8, 3), "target"), "mask": fields.mask(6, 8),
        "label": fields.label(2),
    }  # fmt: skip
    for i in range(3):
        np.testing.assert_array_equal(np.round(source.images()[i, ..., 0] * 255), GREY + i)
        np.testing.assert_array_equal(np.round(source.values("target")[i, ..., 1] * 255), GREY + 10 * i)
        np.testing.assert_array_equal(source.values("mask")[i], GREY > 5 + i)
    assert source.labels().tolist() == [0, 0, 1] and source.ids.tolist() == ["a/1", "a/2", "b/1"]
    loaded = data.load(f"folders:{tmp_path}", size=2)
    assert loaded.fields["target"].shape == (2, 2, 3) and loaded.fields["mask"].shape == (2, 2)
    assert set(np.unique(loaded.values("mask"))) <= {0.0, 1.0}, "a mask is not interpolated"
    source.write_tfrecords(tmp_path / "x.tfrecord")
    assert data.from_tfrecords(tmp_path / "x.tfrecord").fingerprint == source.fingerprint


def test_pairs_in_splits(tmp_path):
    for split, n in (("train", 3), ("test", 2)):
        for name in ("image", "target"):
            for i in range(n):
                save(tmp_path / name / split / f"{i}.png", GREY)
    assert len(data.load(f"folders:{tmp_path}")) == 3 and len(data.load(f"folders:{tmp_path}", "test")) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: (root / "target/a/2.bmp").unlink(), r"image/a/2.png has no target: expected 'a/2' .*target \(1 such"),
        (
            lambda root: (root / "image/b/1.png").rename(root / "image/b/2.png"),
            r"image/b/2.png has no mask: .*; .*mask/b/1.png has no image: expected 'b/1' .*image \(1 such",
        ),
        (lambda root: (root / "image/b/1.png").unlink(), r"mask/b/1.png has no image: expected 'b/1' .*image \(1 such"),
        (lambda root: save(root / "target/a/2.png"), "expected one target of 'a/2'; found .*a/2.bmp and .*a/2.png"),
        (lambda root: (root / "mask/a/1.png").write_bytes(b"no"), r"mask/a/1.png: not a readable image"),
        (lambda root: save(root / "mask/b/1.png", GREY[:3]), r"mask/b/1.png: found the shape \(3, 8\), but .* has \(6, 8\)"),
    ],
    ids=["no-target", "neither", "no-image", "two", "unreadable", "size"],
)
def test_pairs_that_do_not_fit(tmp_path, change, message):
    pair_folders(tmp_path)
    change(tmp_path)
    with pytest.raises(ValueError, match=message):
        data.load(f"folders:{tmp_path}")


def test_a_pair_that_cannot_be_used_is_skipped_whole(tmp_path):
    pair_folders(tmp_path)
    (tmp_path / "mask/a/2.png").write_bytes(b"no")
    source = data.load(f"folders:{tmp_path}", on_error="skip")
    assert source.ids.tolist() == ["a/1", "b/1"] and source.labels().tolist() == [0, 1] and len(source.skipped) == 1


def test_folders_without_images_of_their_own(tmp_path):
    save(tmp_path / "target" / "1.png")
    with pytest.raises(ValueError, match=r"expected the folders image, and target, mask, .*found \['target'\]"):
        data.load(f"folders:{tmp_path}")


def write_damaged(folder, count=12, bad=(2, 5, 9)):
    """PNG files 00.png ... in two classes; those of `bad` are no images."""
    for i in range(count):
        path = folder / "ab"[i % 2] / f"{i:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = tf.io.encode_png(np.full((4, 4, 1), i, np.uint8)).numpy()
        path.write_bytes(b"no image" if i in bad else pixels)


def test_all_unreadable_files_are_listed_at_once_with_the_option_that_skips_them(tmp_path):
    write_damaged(tmp_path)
    with pytest.raises(ValueError, match='3 files cannot be used; on_error="skip" leaves them out:') as error:
        data.from_folder(tmp_path)
    assert [name in str(error.value) for name in ("02.png", "05.png", "09.png", "01.png")] == [True] * 3 + [False]
    write_damaged(tmp_path, bad=range(12))
    with pytest.raises(ValueError, match="12 files cannot be used"):
        data.from_folder(tmp_path)
    write_damaged(tmp_path, count=60, bad=range(55))
    with pytest.raises(ValueError, match="55 files cannot be used") as error:
        data.from_folder(tmp_path)
    assert str(error.value).count("\n") == 51 and str(error.value).endswith("and 5 more")


def test_parts_of_a_source_keep_what_was_skipped_classes_and_names(tmp_path):
    write_damaged(tmp_path)
    whole = data.from_folder(tmp_path, on_error="skip")
    assert len(whole) == 9 and len(whole.skipped) == 3
    for part in (whole.subset([3, 1]), whole.take(2), data.semi_supervised(whole, 1, seed=0), whole.take(5).take(1)):
        assert part.skipped == whole.skipped and part.class_names == ["a", "b"] and part.num_classes == 2
        assert part.name == whole.name and part.split == whole.split
