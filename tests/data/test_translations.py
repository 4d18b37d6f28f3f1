"""Tasks made from any data set: the rules by hand, the way through `load`, and the halves that share no image."""

import numpy as np
import pytest
from PIL import Image

from tfgen import data
from tfgen.data.translations import QUADRANTS, edges, inverted, tinted


def bytes_of(source, name="image"):
    return np.round(source.values(name) * 255).astype(int)


def test_edges_by_hand():
    step = np.zeros((5, 6, 1), np.uint8)
    step[:, 3:] = 128
    expected = np.zeros((5, 6))
    expected[:, 2:4] = 255  # both sides of the step
    np.testing.assert_array_equal(edges(step)[..., 0], expected)
    np.testing.assert_array_equal(edges(step.transpose(1, 0, 2))[..., 0], expected.T)
    step[:, 3:] = 127  # less than half the range
    assert not edges(step).any()
    dot = np.zeros((5, 5, 1), np.uint8)
    dot[2, 2] = 255
    # Sobel of a dot: 510 beside it, sqrt(2) 255 at the corners, 0 on it.
    ring = np.zeros((5, 5))
    ring[1, 2] = ring[3, 2] = ring[2, 1] = ring[2, 3] = 255
    np.testing.assert_array_equal(edges(dot)[..., 0], ring)
    colour = np.random.default_rng(0).integers(0, 256, (3, 9, 9, 1), np.uint8)
    np.testing.assert_array_equal(edges(np.repeat(colour, 3, axis=-1)), np.repeat(edges(colour), 3, axis=-1))


def test_edge_pairs_of_any_data_set(tmp_path):
    digits, source = data.load("digits", "test"), data.load("edges:digits", "test")
    assert source.name == "edges:digits" and source.split == "test" and source.levels == 17
    np.testing.assert_array_equal(bytes_of(source, "target"), bytes_of(digits))
    np.testing.assert_array_equal(bytes_of(source), edges(bytes_of(digits).astype(np.uint8)))
    np.testing.assert_array_equal(source.labels(), digits.labels())
    assert source.take(3).ids.tolist() == digits.take(3).ids.tolist()
    for i in range(4):
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (8, 8, 3), np.uint8)).save(tmp_path / f"{i}.png")
    now, later = (data.load(f"edges:folder:{tmp_path}", size=6, in_memory=x) for x in (None, False))
    assert now.in_memory and not later.in_memory and now.fingerprint == later.fingerprint
    part = later.subset([2, 0])
    np.testing.assert_array_equal(part.images(), now.images()[[2, 0]])
    with pytest.raises(ValueError, match="no field 'target'"):
        data.edge_pairs(source)


def test_segments_by_hand(tmp_path):
    pixels = np.zeros((2, 4, 4, 3), np.uint8)
    pixels[0, 1:3, 1:3] = 128
    pixels[1, :, 2:] = (255, 100, 28)  # 383 = 3 * 128 - 1 in all
    pixels[1, 3, 3] = (255, 100, 29)
    source = data.segment_maps(data.from_arrays(pixels, labels=[2, 0], num_classes=3))
    maps = np.zeros((2, 4, 4), int)
    maps[0, 1:3, 1:3], maps[1, 3, 3] = 3, 1
    np.testing.assert_array_equal(source.values("label_map"), np.eye(4)[maps])
    np.testing.assert_array_equal(source.values("edges"), data.instance_edges(maps))
    np.testing.assert_array_equal(bytes_of(source, "target"), pixels)
    np.testing.assert_array_equal(bytes_of(source), data.label_pictures(maps, 4))
    assert source.labels().tolist() == [2, 0] and source.levels == 256 and source.name == "segments:arrays"
    for i in range(4):
        folder = tmp_path / f"{i % 2}"
        folder.mkdir(exist_ok=True)
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (8, 8, 3), np.uint8)).save(folder / f"{i}.png")
    now, later = (data.load(f"segments:folder:{tmp_path}", size=6, in_memory=x) for x in (None, False))
    assert now.in_memory and not later.in_memory and now.fingerprint == later.fingerprint
    assert now.values("label_map")[2:, ..., 1].sum() == 0 < now.values("label_map")[2:, ..., 2].sum()  # of the second class
    with pytest.raises(ValueError, match="segments need images with labels of at most 255 classes"):
        data.segment_maps(data.from_arrays(pixels))


@pytest.mark.parametrize("in_memory", [None, False])
def test_quadrants(tmp_path, in_memory):
    rng = np.random.default_rng(0)
    for i in range(24):
        Image.fromarray(rng.integers(1, 256, (5, 6), np.uint8)).save(tmp_path / f"{i:02d}.png")
    source, seen = data.load(f"quadrants:folder:{tmp_path}", seed=2, in_memory=in_memory), set()
    for image, target, mask in zip(*(source.values(name) for name in ("image", "target", "mask")), strict=True):
        np.testing.assert_array_equal(image, target * mask[..., None])
        rows, columns = np.flatnonzero((mask == 0).any(axis=1)), np.flatnonzero((mask == 0).any(axis=0))
        assert (mask == 0).sum() == len(rows) * len(columns)
        place = f"{'upper' if rows[0] == 0 else 'lower'}_{'left' if columns[0] == 0 else 'right'}"
        assert len(rows) == (2 if place.startswith("upper") else 3) and len(columns) == 3
        seen.add(place)
    assert seen == set(QUADRANTS)
    fixed = data.load(f"quadrants:folder:{tmp_path}", quadrant="lower_left")
    assert set(np.argwhere(fixed.values("mask")[7] == 0)[:, 0]) == {2, 3, 4} and fixed.images()[7, 4, 0, 0] == 0
    again = data.load(f"quadrants:folder:{tmp_path}", seed=2)
    assert again.fingerprint == source.fingerprint != data.load(f"quadrants:folder:{tmp_path}", seed=3).fingerprint
    with pytest.raises(ValueError, match="quadrant must be"):
        data.load("quadrants:digits", quadrant="left")


@pytest.mark.parametrize(("kind", "function"), [("inverted", None), ("tinted", tinted), ("outlined", edges)])
def test_domains_share_no_image(kind, function):
    digits = bytes_of(data.load("digits", "test"))
    source = data.load(f"{kind}:digits", "test")
    assert isinstance(source, data.UnpairedSource) and source.name == f"{kind}:digits"
    translated = function(digits.astype(np.uint8)) if function else None
    if kind == "inverted":
        translated = 255 - digits + (digits == 128)  # level 8 of 16 is 128 of 255, and its own negative
    np.testing.assert_array_equal(bytes_of(source.image_source)[..., :1], digits[::2])
    np.testing.assert_array_equal(bytes_of(source.other_source), translated[1::2])
    np.testing.assert_array_equal(bytes_of(source.image_source, "target"), translated[::2])
    np.testing.assert_array_equal(source.image_source.labels(), data.load("digits", "test").labels()[::2])
    assert source.image_shape == source.fields["other"].shape == source.fields["target"].shape


def test_rules_of_domains():
    ramp = np.arange(256, dtype=np.uint8)[:, None]
    np.testing.assert_array_equal(inverted(ramp), ramp[::-1])
    assert tinted(np.uint8([[0], [255], [51]])).tolist() == [[0, 160, 255], [255, 200, 120], [51, 168, 228]]
    with pytest.raises(ValueError, match='"tinted" needs grey images'):
        data.domains(data.from_arrays(np.zeros((2, 3, 3, 3), np.uint8)), other="tinted")
    with pytest.raises(ValueError, match="2 images or more"):
        data.domains(data.load("digits").take(1))
    with pytest.raises(ValueError, match="data must be edges:DATA, the name of another data set; received 'edges:'"):
        data.load("edges:")
