import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tfgen import random


def splitmix64(state, count):
    """The reference in plain integers."""
    mask, out = 2**64 - 1, []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) & mask
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        out.append(z ^ (z >> 31))
    return out


def test_bits_are_splitmix64():
    # The first outputs for this state, as published with the reference implementation.
    assert splitmix64(1234567, 2) == [6457827717110365317, 3203168211198807973]
    state = tf.constant([1234567, 2**64 - 1], tf.uint64)
    np.testing.assert_array_equal(
        random.bits(state, 5), np.array([splitmix64(1234567, 5), splitmix64(2**64 - 1, 5)], "uint64")
    )


@pytest.mark.parametrize("name", sorted(random.DISTRIBUTIONS))
def test_same_numbers_in_every_mode_and_batch(name):
    def draw(seeds):
        return random.DISTRIBUTIONS[name](random.key(seeds), 7)

    seeds = tf.constant([3, -5, 2**62, 0], tf.int64)
    eager = draw(seeds)
    np.testing.assert_array_equal(eager, tf.function(draw)(seeds))
    np.testing.assert_allclose(eager, tf.function(draw, jit_compile=True)(seeds), atol=1e-6)
    np.testing.assert_array_equal(eager[1:3], draw(seeds[1:3]))


def test_moments_and_independence():
    keys = random.fold(random.key(1), tf.range(2000))
    uniform, normal = random.uniform(keys, 500).numpy(), random.normal(keys, 500).numpy().astype("float64")
    assert 0.0 < uniform.min() and uniform.max() < 1.0
    histogram = np.histogram(uniform, 64, (0, 1))[0]
    expected = uniform.size / 64
    assert ((histogram - expected) ** 2 / expected).sum() < 110  # chi-square with 63 degrees: 5 sigma
    for power, moment, tolerance in ((1, 0, 0.005), (2, 1, 0.007), (3, 0, 0.02), (4, 3, 0.05)):
        assert abs(np.mean(normal**power) - moment) < tolerance
    centred = uniform - 0.5
    for a, b in ((centred[:, :-1], centred[:, 1:]), (centred[:-1], centred[1:])):  # along a row, and across rows
        assert abs(np.mean(a * b) * 12) < 0.005


def test_folding_with_different_data_gives_different_keys():
    keys = random.fold(random.fold(random.key(0), tf.range(300)[:, None]), tf.range(300)[None, :]).numpy()
    assert np.unique(keys).size == keys.size


@pytest.mark.parametrize(
    ("limit", "stddev"),
    [(2, 0.87962566), (1.5, 0.7426469), (1, 0.53956009), (0.8, 0.44238566), (0.5, 0.28388229), (0.1, 0.05769654),
     (0.04, 0.02309155)],
)  # fmt: skip
def test_truncated_normal_is_that_of_drawing_again(limit, stddev):
    keys = random.fold(random.key(2), tf.range(1000))
    drawn = random.truncated_normal(keys, 200, limit).numpy().astype("float64")
    assert np.abs(drawn).max() <= np.float32(limit)
    assert np.std(drawn) == pytest.approx(stddev, rel=5e-3) and abs(np.mean(drawn)) < 5e-3 * limit
    exact = stats.truncnorm.ppf(random.uniform(keys, 200).numpy().astype("float64"), -limit, limit)
    np.testing.assert_allclose(drawn, exact, atol=3e-6 * limit + 3e-7)
    # The same numbers in every mode and batch, and of a limit for each row.
    compiled = tf.function(random.truncated_normal, jit_compile=True)(keys, 200, limit)
    np.testing.assert_allclose(drawn, compiled, atol=1e-5 * limit)
    each = random.truncated_normal(keys[:2], 200, tf.constant([limit, 2 * limit], tf.float32))
    np.testing.assert_array_equal(each[0], drawn[0])
    assert np.abs(each[1]).max() > limit


def test_truncated_normal_without_limit_is_normal():
    keys = random.fold(random.key(3), tf.range(1000))
    np.testing.assert_array_equal(random.truncated_normal(keys, 50, np.inf), random.normal(keys, 50))
