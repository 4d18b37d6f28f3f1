"""Motion and colours of synthetic pictures."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen.models.synthesis.parts.transfer import Change, motion_and_colour, transferred

STEPS = 60


def texture(seed, size=28, channels=1):
    """A smooth random picture [1, size + 8, size + 8, channels] in [0, 1]."""
    images = np.random.default_rng(seed).normal(size=(1, size + 8, size + 8, channels)).astype(np.float32)
    for _ in range(6):
        images = tf.nn.avg_pool2d(images, 3, 1, "SAME").numpy()
    return (images - images.min()) / np.ptp(images)


@pytest.fixture(scope="module")
def found():
    """The changes of three rows at once: a shift by 2 px to the right, a gain of .7, and none."""
    whole = texture(0)
    images = whole[:, 4:-4, 4:-4]
    first = np.concatenate([images] * 3)
    later = np.concatenate([whole[:, 4:-4, 2:-6], 0.7 * images, images])
    return first, later, motion_and_colour(first, later, STEPS)


def test_a_shift(found):
    flow = found[2].flow.numpy()[0, 7:-7, 7:-7]
    assert np.abs(flow.mean(axis=(0, 1)) - [-2.0, 0.0]).max() < 0.3  # to the place in the first image
    first, later, change = found
    before, after = (np.mean((x - later) ** 2, axis=(1, 2, 3)) for x in (first, change.apply(first)))
    assert (after[:2] < 0.05 * before[:2]).all()


def test_a_gain(found):
    _, _, change = found
    assert abs(np.median(change.gain.numpy()[1]) - 0.7) < 0.05
    assert np.abs(change.offset.numpy()[1]).mean() < 0.03 and np.abs(change.flow.numpy()[1]).mean() < 0.2


def test_no_change_is_exact_and_rows_are_independent(found):
    first, later, change = found
    np.testing.assert_array_equal(change.apply(first)[2], first[2])
    alone = motion_and_colour(first[:1], later[:1], STEPS)
    np.testing.assert_allclose(alone.flow[0], change.flow[0], atol=1e-3)


def constant(flow, gain, offset):
    """The same change everywhere, for 6 x 6 pixels in colour."""
    full = lambda value: tf.constant(np.broadcast_to(value, (1, 6, 6, *np.shape(value))), tf.float32)  # noqa: E731
    return Change(full(flow), full(gain), full(offset))


def test_one_change_after_another():
    """As applying both in turn; gains are matrices, which do not commute, and the first motion differs between rows."""
    rng = np.random.default_rng(0)
    first = constant([1.0, 0.0], rng.normal(size=(3, 3)), rng.normal(size=3))
    first = first._replace(flow=first.flow * tf.range(6.0)[:, None, None])
    second = constant([0.0, -1.0], rng.normal(size=(3, 3)), rng.normal(size=3))
    images = tf.constant(rng.random((1, 6, 6, 3)), tf.float32)
    both = second.after(first)
    inside = np.s_[:, 1:]  # the first row is made of what is outside
    np.testing.assert_allclose(both.apply(images)[inside], second.apply(first.apply(images))[inside], atol=1e-4)
    np.testing.assert_allclose(both.flow[0, 3, 2], [2.0, -1.0])


def test_a_path_is_chained_and_keeps_the_texture():
    """The generated images are smooth and move by 3 x 1 px and fade; the photo has a texture that they lack."""
    smooth = texture(1)
    frames = np.stack([smooth[:, 4:-4, 4 - t : 4 - t + 28] * 0.9**t for t in range(4)], axis=1)
    fine = smooth + 0.2 * np.random.default_rng(2).random(smooth.shape).astype(np.float32)
    fine /= fine.max()
    photo, wanted = fine[:, 4:-4, 4:-4], 0.729 * fine[:, 4:-4, 1:-7]
    found = transferred(photo, frames, STEPS).numpy()
    inside = np.s_[:, 7:-7, 7:-7]
    assert np.mean((found - wanted)[inside] ** 2) < 0.2 * np.mean((photo - wanted)[inside] ** 2)
    still = transferred(photo, np.repeat(frames[:, :1], 3, axis=1), 3)
    np.testing.assert_array_equal(still, photo)
