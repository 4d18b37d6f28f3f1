"""Attributes of strokes: what shears, scales and mirrors do to them."""

import numpy as np
import pytest
from scipy.ndimage import affine_transform, gaussian_filter

import tfgen
from tfgen.metrics import stroke_attributes


@pytest.fixture(scope="module")
def image():
    rng = np.random.default_rng(0)
    drawn = np.zeros([41, 41])
    drawn[13:28, 16:25] = rng.random([15, 9])
    return gaussian_filter(drawn, 1.0)


def of(image):
    return {name: float(value[0]) for name, value in stroke_attributes(image[None, :, :, None]).items()}


@pytest.mark.parametrize("shear", [-0.5, 0.2, 0.5])
def test_a_shear_adds_to_the_tangent_of_the_slant(image, shear):
    matrix = [[1.0, 0.0], [shear, 1.0]]  # of the coordinates from which the result is read: the top moves to the right
    sheared = affine_transform(image, matrix, offset=20.0 - np.array(matrix) @ [20.0, 20.0], order=1)
    before, after = of(image), of(sheared)
    tangents = [np.tan(np.radians(one["slant"])) for one in (before, after)]
    assert tangents[1] - tangents[0] == pytest.approx(shear, abs=0.02)
    for name in ("ink", "height"):
        assert after[name] == pytest.approx(before[name], rel=0.01)


def test_a_mirror_turns_the_slant_and_a_quarter_turn_swaps_width_and_height(image):
    before, mirrored, turned = of(image), of(image[:, ::-1]), of(np.rot90(image))
    assert mirrored["slant"] == pytest.approx(-before["slant"], abs=1e-9)
    assert (turned["width"], turned["height"]) == pytest.approx((before["height"], before["width"]))


def test_brightness_is_ink_and_nothing_else(image):
    before, half = of(image), of(0.5 * image)
    assert half.pop("ink") == pytest.approx(0.5 * before.pop("ink")) and half == pytest.approx(before)


def test_channels_are_averaged(image):
    coloured = np.stack([image, 0.0 * image, 0.5 * image], axis=-1)[None]
    assert {name: float(value[0]) for name, value in stroke_attributes(coloured).items()} == pytest.approx(of(0.5 * image))


def test_without_ink_and_in_one_row():
    row = np.zeros([1, 5, 5, 1])
    row[0, 2, 1:4] = 1.0
    for shown in (np.zeros([1, 5, 5, 1]), row):
        found = stroke_attributes(shown)
        assert found["slant"] == 0.0 and found["height"] == 0.0 and np.isfinite(list(found.values())).all()


def test_ones_are_narrow():
    digits = tfgen.data.load("digits")
    width = stroke_attributes(digits.images())["width"]
    means = [width[digits.labels() == label].mean() for label in range(10)]
    assert np.argmin(means) == 1
