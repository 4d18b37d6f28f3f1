"""Canvases: where the images are, what else there is, and that a seed decides."""

import numpy as np
import pytest

import tfgen
from tfgen.data import cluttered_canvas, two_digits


@pytest.fixture(scope="module")
def source():
    return tfgen.data.load("digits").take(30)


def holds(canvas, image):
    """Whether `image` lies somewhere in `canvas` with every pixel at least as bright."""
    windows = np.lib.stride_tricks.sliding_window_view(canvas[..., 0], image.shape[:2])
    return bool((windows >= image[..., 0] - 1e-6).all(axis=(2, 3)).any())


def test_without_distractors_only_the_digit(source):
    canvases = cluttered_canvas(source, size=20, num_distractors=0)
    assert canvases.image_shape == (20, 20, 1) and canvases.levels == 17 and len(canvases) == 30
    np.testing.assert_array_equal(canvases.labels(), source.labels())
    assert canvases.class_names == source.class_names
    images = source.images()
    np.testing.assert_allclose(canvases.images().sum(axis=(1, 2)), images.sum(axis=(1, 2)), rtol=1e-5)
    assert all(holds(canvas, image) for canvas, image in zip(canvases.images(), images, strict=True))
    places = {tuple(np.argwhere(canvas[..., 0] > 0)[0]) for canvas in canvases.images()}
    assert len(places) > 15


def test_distractors_are_added_to_the_digit(source):
    plain, cluttered = (cluttered_canvas(source, size=24, num_distractors=n, distractor_size=4) for n in (0, 5))
    assert all(holds(canvas, image) for canvas, image in zip(cluttered.images(), source.images(), strict=True))
    more = cluttered.images().sum() - plain.images().sum()
    patch = source.images().mean() * 16  # of 4 x 4 pixels; some overlap
    assert 0.6 * 5 * 30 * patch < more < 1.3 * 5 * 30 * patch


def test_two_digits_add_up(source):
    pairs = two_digits(source, size=18, num_images=40)
    assert pairs.image_shape == (18, 18, 1) and len(pairs) == 40 and not pairs.has_labels and pairs.levels == 17
    found = pairs.images().sum(axis=(1, 2, 3))
    assert found.mean() == pytest.approx(2 * source.images().sum() / 30, rel=0.15)
    # On a canvas of its own size both lie on top of each other.
    one = tfgen.data.from_arrays(np.full((1, 4, 4, 1), 10 / 16), levels=17)
    np.testing.assert_array_equal(two_digits(one, size=4).images(), 1.0)
    dark = tfgen.data.from_arrays(np.full((1, 4, 4, 1), 3 / 16), levels=17)
    np.testing.assert_allclose(two_digits(dark, size=4).images(), 6 / 16, atol=2e-3)


@pytest.mark.parametrize("make", [lambda s, **k: cluttered_canvas(s, size=20, distractor_size=4, **k), two_digits])
def test_seed_decides(source, make):
    one, again, other = make(source), make(source), make(source, seed=1)
    assert one.fingerprint == again.fingerprint != other.fingerprint


def test_bad_arguments(source):
    for bad in ({"size": 7}, {"num_distractors": -1}, {"distractor_size": 9}, {"distractor_size": 0}, {"seed": -1}):
        with pytest.raises(ValueError, match="received"):
            cluttered_canvas(source, **{"size": 20, "distractor_size": 4, **bad})
    for bad in ({"size": 7}, {"num_images": 0}, {"seed": -1}):
        with pytest.raises(ValueError, match="received"):
            two_digits(source, **bad)
