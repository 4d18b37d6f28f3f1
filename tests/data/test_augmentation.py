"""Augmentation: what each setting does, that fields stay together, and that a batch stays a pure function of its step."""

import itertools

import numpy as np
import pytest
from scipy.io import savemat

from tfgen import data
from tfgen.fields import Field

N, H, W = 12, 6, 5


def pixels(channels=1, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (N, H, W, channels), np.uint8)


def make():
    """Image, target, mask and clip of the same values, so that all must be moved alike; the label says which example."""
    image = pixels()
    fields = {"target": image, "mask": image[..., 0], "frames": np.stack([image, 255 - image], axis=1)}
    return data.from_arrays(image, np.arange(N), fields=fields, name="same")


def take(source, steps, batch_size=4, **options):
    batches = source.batches(batch_size, shuffle=True, repeat=True, seed=3, **options)
    return list(batches.take(steps).as_numpy_iterator())


def all_rows(source, augmentation, steps=60):
    """[(number of the example, its image in a batch)]."""
    batches = take(source, steps, augmentation=augmentation)
    return [(int(y), x) for b in batches for x, y in zip(b["image"], b["label"], strict=True)]


def test_flip_mirrors_half_of_the_images():
    source, flipped = make(), []
    for y, image in all_rows(source, {"flip": True}):
        straight = source.images()[y]
        assert np.array_equal(image, straight) != np.array_equal(image, straight[:, ::-1])
        flipped.append(np.array_equal(image, straight[:, ::-1]))
    assert abs(np.mean(flipped) - 0.5) < 4 * 0.5 / np.sqrt(len(flipped))


def test_shift_repeats_the_border_and_reaches_every_distance():
    source, seen = make(), []
    for y, image in all_rows(source, {"shift": 2}, steps=100):
        padded = np.pad(source.images()[y], ((2, 2), (2, 2), (0, 0)), "edge")
        found = [d for d in itertools.product(range(5), range(5)) if np.array_equal(image, padded[d[0] :, d[1] :][:H, :W])]
        assert found
        seen += found
    assert len(set(seen)) == 25


def test_crop_takes_every_window():
    source, seen = make(), set()
    for y, image in all_rows(source, {"crop": (4, 3)}, steps=100):
        assert image.shape == (4, 3, 1)
        straight = source.images()[y]
        found = {d for d in itertools.product(range(3), range(3)) if np.array_equal(image, straight[d[0] :, d[1] :][:4, :3])}
        assert found
        seen |= found
    assert len(seen) == 9
    assert data.augmented_shape((6, 5, 1), {"crop": (4, 3)}) == (4, 3, 1)
    assert data.augmented_shape((6, 5, 1), None) == (6, 5, 1)


def test_colour_changes_contrast_brightness_and_saturation():
    image = pixels(3)
    source = data.from_arrays(image, np.arange(N), fields={"target": image})
    for batch in take(source, 4, augmentation={"colour": 0.1}):
        np.testing.assert_array_equal(batch["image"], batch["target"])
        for x, y in zip(batch["image"], batch["label"], strict=True):
            assert x.min() >= 0 and x.max() <= 1
            straight = image[y].astype(np.float64) / 255
            grey = straight.mean(axis=-1, keepdims=True)
            # x = mean + c (grey + s (straight - grey) - mean) + b, where nothing was cut: three unknowns.
            inside = ((x > 0) & (x < 1)).ravel()
            columns = np.stack([(grey - straight.mean() + 0 * straight), straight - grey, np.ones_like(straight)], -1)
            columns = columns.reshape(-1, 3)[inside]
            solution, rest, *_ = np.linalg.lstsq(columns, x.ravel()[inside] - straight.mean(), rcond=None)
            c, b = solution[0], solution[2]
            s = solution[1] / c
            assert rest[0] < 1e-9 and max(abs(c - 1), abs(s - 1), abs(b)) <= 0.1 + 1e-5
            assert min(abs(c - 1), abs(s - 1), abs(b)) > 0  # all three are drawn
    grey = data.from_arrays(pixels())
    assert not np.array_equal(take(grey, 1, augmentation={"colour": 0.1})[0]["image"], take(grey, 1)[0]["image"])


@pytest.mark.parametrize("settings", [{"flip": True, "shift": 2, "crop": 4}, {"flip": True}], ids=str)
def test_all_fields_with_pixels_are_moved_in_the_same_way(settings):
    for batch in take(make(), 10, augmentation=settings):
        np.testing.assert_array_equal(batch["target"], batch["image"])
        np.testing.assert_array_equal(batch["mask"], batch["image"][..., 0])
        np.testing.assert_array_equal(batch["frames"][:, 0], batch["image"])
        np.testing.assert_allclose(batch["frames"][:, 1], 1 - batch["image"], atol=1e-6)


def test_masks_keep_their_values():
    batches = take(make(), 6, augmentation={"colour": 0.5})
    for batch, straight in zip(batches, take(make(), 6), strict=True):
        np.testing.assert_array_equal(batch["mask"], straight["mask"])
        assert np.any(batch["target"] != straight["target"])


@pytest.mark.parametrize("mode", [{}, {"binarization": "dynamic"}], ids=str)
def test_a_batch_is_a_pure_function_of_the_step(mode):
    source, options = make(), dict(augmentation={"flip": True, "shift": 1, "crop": 4, "colour": 0.3}, **mode)
    whole = take(source, 10, **options)
    for start in (2, 7):  # an epoch has 3 steps
        for a, b in zip(take(source, 3, start_step=start, **options), whole[start:], strict=False):
            for name in a:
                np.testing.assert_array_equal(a[name], b[name])


def test_what_happens_to_a_row_does_not_depend_on_the_batch_size():
    options = dict(augmentation={"flip": True, "shift": 1, "colour": 0.3}, repeat=True)
    small = [b["image"] for b in make().batches(3, **options).take(8).as_numpy_iterator()]
    large = [b["image"] for b in make().batches(N, **options).take(2).as_numpy_iterator()]
    np.testing.assert_array_equal(np.concatenate(small), np.concatenate(large))
    assert np.any(large[0] != large[1])  # drawn anew in each epoch


def test_settings_that_do_nothing():
    plain = take(make(), 3)
    for settings in ({}, None, {"flip": False, "shift": 0, "colour": 0}):
        for a, b in zip(take(make(), 3, augmentation=settings), plain, strict=True):
            np.testing.assert_array_equal(a["image"], b["image"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mirror": True}, "no setting 'mirror'; it has flip, shift, crop, colour"),
        ("flip", "must be a dict .* received 'flip'"),
        ({"flip": 1}, "flip of augmentation must be True or False; received 1"),
        ({"shift": -1}, "shift of augmentation must be a whole number of pixels >= 0; received -1"),
        ({"shift": 1.5}, "received 1.5"),
        ({"crop": 0}, "crop of augmentation must be a positive whole number"),
        ({"crop": (7, 2)}, r"crop \(7, 2\) .* larger than the images \(6, 5\) of same"),
        ({"colour": 2}, r"colour of augmentation must be a number in \[0, 1\]; received 2"),
    ],
    ids=str,
)
def test_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        make().batches(4, augmentation=settings)


def test_crops_of_fields_of_different_sizes():
    source = data.from_arrays(pixels(), fields={"target": np.zeros((N, 12, 10, 3), np.uint8)})
    assert source.batches(4, augmentation={"flip": True})
    with pytest.raises(ValueError, match=r"the same height and width; .*'image': \(6, 5\), 'target': \(12, 10\)"):
        source.batches(4, augmentation={"shift": 1})


def test_flips_and_shifts_of_directional_fields(tmp_path):
    """The sentence "on the left" is wrong of a mirrored image, the turn to the left of two mirrored views."""
    captioned = data.load("captioned:digits", num=4, size=8)
    encoded = data.embedded(captioned, lambda sentences: np.ones([len(sentences), 3]))
    described = data.Source(**{**encoded._part(), "fields": {"embedding": encoded._part()["fields"]["embedding"]}})
    pixels = np.zeros((2, 8, 8, 1), np.uint8)
    view = data.from_arrays(pixels, fields={"view": (np.eye(2), Field("view", (2,), directional=True))})
    for source, field in ((captioned, "caption"), (encoded, "caption"), (described, "embedding"), (view, "view")):
        for settings in ({"flip": True}, {"shift": 1}):
            with pytest.raises(ValueError, match=f"by flip or shift would contradict the field '{field}' of {source.name},"):
                source.batches(2, augmentation=settings)
    assert view.batches(2, augmentation={"flip": False, "jitter": 1, "crop": 7, "colour": 0.1})
    savemat(tmp_path / "COIL20.mat", {"X": np.zeros([1440, 1024], np.uint8), "Y": np.repeat(np.arange(1, 21), 72)[:, None]})
    turntables = data.load("coil20_views", "test", manual_dir=tmp_path)
    declared = {"view": [turntables, data.load("rendered_views", "test")], "caption embedding scene": [captioned]}
    for names, sources in declared.items():
        for source in sources:
            assert [name for name, field in source.fields.items() if field.directional] == names.split()
    named = data.load("named:digits").take(4)  # names of classes say nothing of places
    assert named.batches(2, augmentation={"flip": True, "shift": 1})


def enlarged(image, more, row, column):
    """The window of the old size at (row, column) of `image` enlarged by `more` pixels, in float64."""
    for axis, offset in ((0, row), (1, column)):
        n = image.shape[axis]
        at = (offset + np.arange(n) + 0.5) * n / (n + more) - 0.5
        image = np.apply_along_axis(lambda line, at=at, n=n: np.interp(at, np.arange(n), line), axis, image.astype(float))
    return image


def test_jitter_enlarges_and_takes_every_window():
    source, seen = make(), set()
    straight = pixels()
    windows = {(y, d): enlarged(straight[y, ..., 0], 2, *d) for y in range(N) for d in itertools.product(range(3), repeat=2)}
    for y, image in all_rows(source, {"jitter": 2}, steps=60):
        assert image.shape == (H, W, 1)
        far = {d: np.abs(255 * image[..., 0] - windows[y, d]).max() for d in itertools.product(range(3), repeat=2)}
        assert min(far.values()) < 1.5  # rounding to whole levels, and of the weights to 1/256 on each axis
        seen.add(min(far, key=far.get))
    assert len(seen) == 9


def test_jitter_is_the_same_for_all_fields_and_takes_the_nearest_pixel_of_masks():
    whole = take(make(), 4, augmentation={"jitter": 3, "flip": True})
    plain = take(make(), 4)
    for batch, straight in zip(whole, plain, strict=True):
        np.testing.assert_array_equal(batch["target"], batch["image"])
        np.testing.assert_array_equal(batch["frames"][:, 0], batch["image"])
        for mask, old, image in zip(batch["mask"], straight["mask"], batch["image"], strict=True):
            assert set(mask.ravel()) <= set(old.ravel())
            assert np.abs(mask - image[..., 0]).mean() < 0.25  # moved with the image
    ramp = np.broadcast_to(np.arange(0, 250, 25, dtype=np.uint8)[:, None, None], (8, 10, 10, 1))
    ramps = data.from_arrays(ramp, fields={"mask": ramp[..., 0]})
    for batch in take(ramps, 4, augmentation={"jitter": 4}):
        assert np.abs(batch["image"][..., 0] - batch["mask"]).max() <= 13.5 / 255  # half a step of 25
        assert np.all(np.diff(batch["image"][:, :, 0, 0], axis=1) >= 0)
