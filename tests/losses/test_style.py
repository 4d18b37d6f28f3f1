"""Losses of style transfer: golden values, equal maps, gradients."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen import losses
from tfgen.losses import gram_loss, gram_matrix, statistics_loss, total_variation

CONTENT, STYLE = [1.0, 2.0, 3.0, 6.0], [0.0, 4.0, 1.0, -1.0, 6.0, 2.0]
PAIRS = np.array([[1.0, 3.0], [2.0, 3.0], [3.0, -1.0], [6.0, -1.0]])


def maps(values, shape=(1, 2, -1, 1)):
    return tf.constant(np.reshape(values, shape), tf.float64)


def random_maps(seed, shape=(3, 4, 5, 6)):
    return tf.constant(np.random.default_rng(seed).normal(size=shape), tf.float64)


def test_statistics_of_golden_values():
    """Means 3 and 2, biased deviations 1.8708286934 and 2.3804761428."""
    expected = 1.0 + (1.8708286934 - 2.3804761428) ** 2
    assert float(statistics_loss(maps(CONTENT), maps(STYLE))) == pytest.approx(expected, abs=1e-6)


def test_statistics_are_summed_over_channels_and_averaged_over_images():
    both = tf.tile(maps(CONTENT), [1, 1, 1, 3])
    other = tf.concat([maps(STYLE)] * 3, axis=-1)
    one = float(statistics_loss(maps(CONTENT), maps(STYLE)))
    assert float(statistics_loss(both, other)) == pytest.approx(3.0 * one)
    assert float(statistics_loss(tf.concat([both, both], 0), tf.concat([other, other], 0))) == pytest.approx(3.0 * one)
    a, b = random_maps(0).numpy(), random_maps(1).numpy()
    expected = np.sum((a.mean((1, 2)) - b.mean((1, 2))) ** 2 + (a.std((1, 2)) - b.std((1, 2))) ** 2, -1).mean()
    assert float(statistics_loss(a, b)) == pytest.approx(expected, rel=1e-5)


def test_equal_statistics_have_no_loss():
    x = random_maps(0)
    moved = tf.reverse(x, [1, 2])  # pixels may change places
    for loss in (statistics_loss, gram_loss):
        assert float(loss(x, x)) == 0.0 and float(loss(x, moved)) < 1e-20 < 1e-3 < float(loss(x, random_maps(1)))


def test_gram_matrices_of_golden_values():
    found = gram_matrix(maps(PAIRS, (1, 2, 2, 2)))
    np.testing.assert_allclose(found, [[[12.5, 0.0], [0.0, 5.0]]], atol=1e-12)
    x = random_maps(0).numpy()
    np.testing.assert_allclose(gram_matrix(x), np.einsum("bhwi,bhwj->bij", x, x) / 20, atol=1e-12)
    # Differences 12.5 - 1, 0 - 1 (twice), 5 - 1.
    assert float(gram_loss(maps(PAIRS, (1, 2, 2, 2)), tf.ones([1, 3, 1, 2], tf.float64))) == pytest.approx(
        (11.5**2 + 1 + 1 + 16) / 4
    )


def test_total_variation_of_golden_values():
    image = maps([[1.0, 0, 2], [0, 4, 0], [3, 0, 8]], (1, 3, 3, 1))
    assert float(total_variation(image)) == pytest.approx(18.3333333333, abs=1e-9)
    assert float(total_variation(tf.ones([2, 4, 3, 3]))) == 0.0
    rows = tf.tile(maps([0.0, 1.0, 3.0], (1, 3, 1, 1)), [1, 1, 2, 1])  # differences 1 and 2, and none side by side
    assert float(total_variation(rows)) == pytest.approx(0.5 * (1 + 4) / 2)


@pytest.mark.parametrize("loss", [statistics_loss, gram_loss])
def test_gradients_go_into_the_maps_alone_and_are_finite(loss):
    flat, target = tf.Variable(tf.ones([1, 2, 2, 3])), tf.Variable(tf.random.stateless_normal([1, 3, 2, 3], [0, 1]))
    with tf.GradientTape() as tape:
        value = loss(flat, target)
    found, none = tape.gradient(value, [flat, target])
    assert none is None and np.all(np.isfinite(found)) and np.any(found != 0)


def test_half_precision_is_summed_in_float32():
    x = 256.0 + 2.0 * tf.reshape(tf.range(4.0), [1, 2, 2, 1])
    found = statistics_loss(tf.cast(x, tf.bfloat16), tf.zeros([1, 2, 2, 1]))
    assert found.dtype == tf.float32 and float(found) == pytest.approx(259.0**2 + 5.0, rel=1e-4)


def test_maps_that_do_not_fit():
    for other in (tf.ones([3, 4, 5, 7]), tf.ones([2, 4, 5, 6]), tf.ones([3, 4, 6])):
        with pytest.raises(ValueError, match="maps and targets must be .* with the same B and F; received"):
            losses.statistics_loss(random_maps(0), other)
