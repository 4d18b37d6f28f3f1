"""Pairs of views of COIL-20: which views belong together, and which no training pair has."""

import numpy as np
import pytest
from scipy.io import savemat

from tfgen import data


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """{split: Source} of pictures whose first two pixels are the numbers of the object and of the view."""
    folder = tmp_path_factory.mktemp("coil")
    pixels = np.zeros((1440, 32, 32), np.uint8)
    pixels[:, 0, 0], pixels[:, 0, 1] = np.divmod(np.arange(1440), 72)
    flat = pixels.transpose(0, 2, 1).reshape(1440, 1024)  # column by column
    savemat(folder / "COIL20.mat", {"X": flat, "Y": np.repeat(np.arange(1, 21), 72)[:, None]})
    return {split: data.load("coil20_views", split, manual_dir=folder) for split in ("train", "views", "validation", "test")}


def numbers(source, name):
    """(object, view) [N] of the pictures of a field."""
    pixels = np.round(255 * source.values(name)[:, 0, :2, 0]).astype(int)
    return pixels[:, 0], pixels[:, 1]


def test_pairs_differ_by_the_turn(sources):
    for source in sources.values():
        (one, given), (other, wanted) = numbers(source, "image"), numbers(source, "target")
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(one, source.labels())
        view = source.values("view")
        np.testing.assert_array_equal(view.sum(axis=1), 1)
        degrees = 20 * (1 + view.argmax(axis=1))
        np.testing.assert_array_equal((wanted - given) * 5 % 360, degrees)
        assert set(degrees) == set(range(20, 360, 20))
        assert len(set(zip(one, given, wanted, strict=True))) == len(source)


def test_what_is_held_out(sources):
    seen = {split: set(zip(*numbers(s, "image"), strict=True)) for split, s in sources.items()}
    wanted = {split: set(zip(*numbers(s, "target"), strict=True)) for split, s in sources.items()}
    objects = {split: set(source.labels()) for split, source in sources.items()}
    assert objects["test"] == {4, 9, 14, 19} and len(objects["train"]) == 16 and not objects["train"] & objects["test"]
    assert objects["views"] == objects["validation"] == objects["train"]
    known = seen["train"] | wanted["train"]
    assert len(known) == 16 * 56
    for split in ("views", "validation"):
        assert len(wanted[split]) == 16 * 8 and not wanted[split] & known and seen[split] <= known
    assert not wanted["views"] & wanted["validation"]
    assert [len(sources[split]) for split in sources] == [11968, 1568, 1696, 4 * 72 * 17]


def test_every_pair_of_known_views_is_there(sources):
    known = sorted(set(numbers(sources["train"], "image")[1]))
    pairs = sum((b - a) % 4 == 0 for a in known for b in known if a != b)
    assert len(sources["train"]) == 16 * pairs


def test_objects_are_held_out_whole(sources):
    rest, held_out = sources["train"].held_out(0.1)
    assert len(set(held_out.labels())) == 2 and not set(rest.labels()) & set(held_out.labels())


def test_bad_arguments(tmp_path):
    with pytest.raises(ValueError, match=r"splits \['train', 'views', 'validation', 'test'\]; received 'v'"):
        data.load("coil20_views", "v", manual_dir=tmp_path)
    with pytest.raises(ValueError, match="needs manual_dir, a folder with COIL20.mat"):
        data.load("coil20_views", "views")
