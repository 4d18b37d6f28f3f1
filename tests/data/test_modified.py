"""Modified classes: what each modification does, by hand, and how images and labels go together."""

import numpy as np
import pytest

from tfgen import data
from tfgen.data.modified import MOSAIC, blurred_images, inverted_images, mosaic_images, swapped_images

SOURCE = data.load("digits").take(20)


@pytest.mark.parametrize("modification", ["inverted", "mosaic", "blur"])
def test_images_and_classes(modification):
    source = data.load("modified:digits", modification=modification)
    assert source.num_classes == 20 and source.class_names[13] == f"3, {modification}" and len(source) == 2800
    images, labels = source.images(40), source.labels(40)
    np.testing.assert_array_equal(images[::2], SOURCE.images())
    np.testing.assert_array_equal(labels[::2], SOURCE.labels())
    np.testing.assert_array_equal(labels[1::2], SOURCE.labels() + 10)
    make = {"inverted": inverted_images, "mosaic": mosaic_images, "blur": blurred_images}[modification]
    np.testing.assert_allclose(images[1::2], make(SOURCE.images()), atol=0.5 / 255 + 1e-6)
    assert np.any(images[1::2] != images[::2])
    assert list(source.origins[:4]) == ["0", "0", "1", "1"]
    assert source.fingerprint == data.load("modified:digits", modification=modification).fingerprint


def test_a_mosaic_has_all_tiles_and_none_in_its_place():
    assert sorted(MOSAIC) == list(range(16)) and all(i != tile for i, tile in enumerate(MOSAIC))
    numbers = np.arange(64.0).reshape(1, 8, 8, 1) / 63
    mixed = mosaic_images(numbers)
    tiles = [[x[0, 2 * (i // 4) : 2 * (i // 4) + 2, 2 * (i % 4) : 2 * (i % 4) + 2, 0] for i in range(16)]
             for x in (numbers, mixed)]  # fmt: skip
    for i, tile in enumerate(MOSAIC):
        np.testing.assert_array_equal(tiles[1][i], tiles[0][tile])


def test_swapped_channels():
    images = np.random.default_rng(0).integers(0, 256, [3, 4, 4, 3]) / 255
    source = data.modified_classes(data.from_arrays(images, np.array([0, 1, 0]), split="test"), modification="swapped")
    np.testing.assert_allclose(source.images()[1::2], images[..., [2, 1, 0]], atol=1e-6)
    np.testing.assert_array_equal(swapped_images(images)[..., 0], images[..., 2])
    assert source.labels().tolist() == [0, 2, 1, 3, 0, 2] and source.split == "test"


def test_the_blur_is_a_gaussian_of_two_pixels():
    spot = np.zeros([1, 33, 33, 1])
    spot[0, 16, 16] = 1.0
    found = blurred_images(spot)[0, :, :, 0]
    assert found.sum() == pytest.approx(1.0)
    distance = np.arange(33) - 16.0
    assert (found.sum(axis=0) * distance**2).sum() == pytest.approx(4.0, rel=0.03)  # cut off at 3 deviations
    assert (found.sum(axis=1) * distance**2).sum() == pytest.approx(4.0, rel=0.03)
    np.testing.assert_allclose(blurred_images(np.full([1, 8, 8, 3], 0.4)), 0.4)


def test_wrong_sources():
    with pytest.raises(ValueError, match="need labels"):
        data.modified_classes(data.from_arrays(SOURCE.images()))
    with pytest.raises(ValueError, match="sides that are multiples of 4; received images 6 x 8"):
        data.modified_classes(data.from_arrays(np.zeros([2, 6, 8, 1]), np.arange(2)), modification="mosaic")
    with pytest.raises(ValueError, match="'inverted', 'mosaic', 'blur' or 'swapped'"):
        data.modified_classes(SOURCE, modification="turned")
    with pytest.raises(ValueError, match="need coloured images; received images of 1 channel"):
        data.modified_classes(SOURCE, modification="swapped")
