"""What varies in the batches of a FactorSource, and that they are a pure function of the step; COIL-20's arrays."""

import numpy as np
import pytest
from scipy.io import savemat

from tfgen import data
from tfgen.data.factors import coil20

SIZES = {"azimuth": 5, "shape": 4, "light": 3, "texture": 2}
GROUPS = ("azimuth", "light")


def make(sizes=SIZES, groups=GROUPS, **attributes):
    """Images in a mixed-up order that say which they are: pixel value = index. Factor values are 10, 20, ..."""
    indices = np.indices(tuple(sizes.values())).reshape(len(sizes), -1).T
    indices = 10 * (1 + indices[np.random.RandomState(0).permutation(len(indices))])
    n = len(indices)
    images = np.array(np.broadcast_to(np.arange(n, dtype=np.uint8)[:, None, None, None], (n, 2, 2, 1)))
    attributes = {"name": "numbers", "split": "train", "labels": np.arange(n) % 3, **attributes}
    return data.FactorSource(images, indices, tuple(sizes), groups=groups, **attributes)


def take(source, steps, batch_size=6, repeat=True, **options):
    batches = source.batches(batch_size, shuffle=True, repeat=repeat, seed=3, **options)
    return [{k: v.numpy() for k, v in batch.items()} for batch in batches.take(steps)]


def factors(source, batch):
    return source.indices[np.round(batch["image"][:, 0, 0, 0] * 255).astype(int)]


def varying(source, batch):
    """The names of the factors with more than one value in the batch."""
    return {name for name, column in zip(source.factor_names, factors(source, batch).T, strict=True) if len(set(column)) > 1}


def test_one_group_varies_and_active_names_it():
    source = make()
    batches = take(source, 120)
    assert {b["active"][0] for b in batches} == {0, 1, 2}
    for batch in batches:
        assert batch["active"].dtype == np.int32 and batch["active"].shape == (6,) and len(set(batch["active"])) == 1
        expected = [{"azimuth"}, {"light"}, {"shape", "texture"}][batch["active"][0]]
        assert varying(source, batch) <= expected and varying(source, batch)
        values = factors(source, batch)
        if batch["active"][0] == 0:
            assert len(np.unique(values, axis=0)) == 5  # six images of five values
        elif batch["active"][0] == 1:
            assert np.unique(values, axis=0, return_counts=True)[1].tolist() == [2, 2, 2]
        else:
            assert len(np.unique(values, axis=0)) == 6  # of eight
        np.testing.assert_array_equal(np.round(batch["image"][:, 0, 0, 0] * 255) % 3, batch["label"])


def test_every_image_is_drawn_and_groups_come_in_the_ratio():
    source = make()
    batches = take(source, 600, ratio=(1, 2, 3))
    counts = np.bincount([b["active"][0] for b in batches], minlength=3)
    # Three standard deviations of a binomial count of 600.
    for count, share in zip(counts, (1 / 6, 1 / 3, 1 / 2), strict=True):
        assert abs(count - 600 * share) < 3 * np.sqrt(600 * share * (1 - share))
    seen = np.concatenate([np.round(b["image"][:, 0, 0, 0] * 255).astype(int) for b in batches])
    assert set(seen) == set(range(120)) and np.bincount(seen).max() < 4 * np.bincount(seen).min()
    default = np.bincount([b["active"][0] for b in take(source, 600)], minlength=3) / 600
    np.testing.assert_allclose(default, [1 / 12, 1 / 12, 10 / 12], atol=0.05)
    assert {b["active"][0] for b in take(source, 30, ratio=(0, 1, 0))} == {1}


def test_a_batch_is_a_pure_function_of_the_step():
    source = make()
    whole = take(source, 45, binarization="dynamic")  # 20 a round
    for begin in (1, 20, 37):
        for a, b in zip(whole[begin : begin + 3], take(source, 3, binarization="dynamic", start_step=begin), strict=True):
            assert a.keys() == b.keys() == {"image", "label", "factors", "active"}
            for name in a:
                np.testing.assert_array_equal(a[name], b[name])
    other = next(iter(source.batches(6, shuffle=True, repeat=True, seed=4)))["image"]
    assert np.any(other != take(source, 1)[0]["image"])
    once = source.batches(6, shuffle=True, seed=3)
    rounds = [[b["image"].numpy() for b in once] for _ in range(2)]
    assert len(rounds[0]) == 20 and any(np.any(a != b) for a, b in zip(*rounds, strict=True))


def test_options_of_a_source_work():
    batch = take(make(), 1, binarization="threshold", threshold=60 / 255)[0]
    assert set(np.unique(batch["image"])) <= {0.0, 1.0}
    fixed = {}
    for batch, bits in zip(take(make(), 40), take(make(), 40, binarization="fixed"), strict=True):
        for image, drawn in zip(batch["image"], bits["image"], strict=True):
            assert np.array_equal(fixed.setdefault(image.tobytes(), drawn), drawn)  # the same whenever the image comes


def test_stored_order_without_shuffle():
    source = make()
    batches = list(source.batches(50).as_numpy_iterator())
    assert [len(b["image"]) for b in batches] == [50, 50, 20] and "active" not in batches[0]
    np.testing.assert_array_equal(np.concatenate([b["image"] for b in batches]), source.images())


def test_the_images_with_some_values_of_a_factor():
    source = make()
    part = source.where("shape", [20, 40])
    assert isinstance(part, data.FactorSource) and len(part) == 60 and set(part.factor("shape")) == {20, 40}
    np.testing.assert_array_equal(part.images(), source.images()[np.isin(source.factor("shape"), [20, 40])])
    assert part.fingerprint != source.fingerprint
    assert {b["active"][0] for b in take(part, 40)} == {0, 1, 2}
    with pytest.raises(ValueError, match="has no factor 'colour'"):
        source.where("colour", [1])
    with pytest.raises(ValueError, match=r"has shape among \[3\]"):
        source.where("shape", [3])


def test_the_fingerprint_tells_factors_apart():
    prints = {make().fingerprint, make(groups=("light", "azimuth")).fingerprint, make(groups=("azimuth",)).fingerprint}
    assert len(prints) == 3 and make().fingerprint in prints


def test_bad_arguments():
    source = make()
    for options, message in (
        ({"drop_remainder": False}, "drop_remainder must be True"), ({"ratio": (1, 2)}, "ratio must be 3 numbers"),
        ({"ratio": (0, 0, 0)}, "ratio must be"), ({"ratio": (1, -1, 1)}, "ratio must be"), ({"batch_size": 1}, "at least 2"),
        ({"batch_size": 121}, "larger than the 120"), ({"shuffle": False, "ratio": (1, 1, 1)}, "needs shuffle=True"),
        ({"binarization": "often"}, "binarization must be"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            source.batches(**{"batch_size": 6, "shuffle": True, "repeat": True, **options})
    with pytest.raises(ValueError, match="one value of light, which cannot vary"):
        source.where("light", [10]).batches(6, shuffle=True)
    assert source.where("light", [10]).batches(6, shuffle=True, ratio=(1, 0, 1))
    with pytest.raises(ValueError, match="groups must be different names among .*colour"):
        make(groups=("colour",))
    images, indices = np.zeros((3, 2, 2, 1), np.uint8), np.array([[0, 0], [0, 1], [1, 0]])
    for wrong, message in (
        (indices, r"one image of each combination.*3 images, 3 different.*\{'a': 2, 'b': 2\}"),
        (indices[[0, 0, 1]], "3 images, 2 different"), (indices[:2], "indices must be whole numbers"),
        (indices + 0.5, "indices must be whole numbers"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            data.FactorSource(images.copy(), wrong, ("a", "b"), groups=("a",), name="x", split="train")


def test_coil20(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (1440, 1024), np.uint8)
    savemat(tmp_path / "COIL20.mat", {"X": pixels, "Y": np.repeat(np.arange(1, 21), 72)[:, None]})
    train, test = (data.load("coil20", split, manual_dir=str(tmp_path)) for split in ("train", "test"))
    assert (len(train), len(test), train.image_shape) == (16 * 72, 4 * 72, (32, 32, 1))
    assert set(test.labels()) == {4, 9, 14, 19} and not set(test.labels()) & set(train.labels())
    assert test.factor("azimuth").tolist() == list(range(72)) * 4
    # Row 4 * 72 + 7 is view 7 of object 4; its pixels are stored column by column.
    assert np.round(test.images()[7, 3, 9, 0] * 255) == pixels[4 * 72 + 7, 9 * 32 + 3]
    batch = take(test, 1, batch_size=72, ratio=(1, 0))[0]
    assert len(np.unique(batch["image"], axis=0)) == 72 and len(set(batch["label"])) == 1

    with pytest.raises(ValueError, match="splits 'train' and 'test'; received 'valid'"):
        coil20("valid", manual_dir=tmp_path)
    for folder in (None, tmp_path / "none"):
        with pytest.raises(ValueError, match="needs manual_dir, a folder with COIL20.mat"):
            coil20(manual_dir=folder)
    savemat(tmp_path / "COIL20.mat", {"X": pixels[:1000], "Y": np.ones(1000)})
    with pytest.raises(ValueError, match=r"found X uint8 \(1000, 1024\)"):
        coil20(manual_dir=tmp_path)
