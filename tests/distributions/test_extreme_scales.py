"""Log probabilities and their gradients at scales from exp(-15) to exp(15), against float64 and its finite differences."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from tfgen.distributions import DeepFactorized, DiscretizedLogistic, NoisyNormal
from tfgen.distributions.log1mexp import log1mexp
from tfgen.distributions.logistic_mixture import LogisticMixturePixels
from tfgen.distributions.noisy import logistic_mass

LOG_SCALES = np.linspace(-15.0, 15.0, 21).astype("float32").astype("float64")


def float32(function, *inputs):
    """Values, and their gradients with respect to each input, of an elementwise function."""
    inputs = [tf.constant(x, tf.float32) for x in inputs]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value = function(*inputs)
    return [found.numpy() for found in (value, *tape.gradient(value, inputs))]


def slope(function, x, h):
    return (function(x + h) - function(x - h)) / (2 * h)


def level_mass(level, loc, log_scale, top):
    """ln P(level), float64.

    A plain difference of sigmoids has no digits in a tail, so it is sigmoid(u) sigmoid(-l) (1 - exp(l - u)), which is equal.
    """
    scale = np.exp(log_scale)
    upper, width = ((level + 0.5) / top - loc) / scale, 1.0 / top / scale
    lower = ((level - 0.5) / top - loc) / scale
    if level == 0:
        return special.log_expit(upper)
    if level == top:
        return special.log_expit(-lower)
    return special.log_expit(upper) + special.log_expit(-lower) + np.log(-np.expm1(-width))


def test_the_reference_is_the_difference_of_sigmoids():
    for log_scale in (-3.0, 0.0, 3.0):
        upper, lower = (special.expit((100 / 255 + side / 510 - 0.4) / np.exp(log_scale)) for side in (1, -1))
        np.testing.assert_allclose(level_mass(100, 0.4, log_scale, 255), np.log(upper - lower), rtol=1e-9)


@pytest.mark.parametrize("levels", [2, 256])
def test_discretized_logistic(levels):
    top = levels - 1
    for level in sorted({0, 1, top // 2, top}):
        for loc in (-0.25, 0.3, 1.0):
            loc = float(np.float32(loc))
            found, by_loc, by_log_scale = float32(
                lambda loc, log_scale, x=level / top: DiscretizedLogistic(loc, log_scale, levels).log_prob(np.float32(x)),
                np.full(21, loc), LOG_SCALES,
            )  # fmt: skip
            steps = 1e-3 * np.minimum(np.exp(LOG_SCALES), 1.0)
            np.testing.assert_allclose(found, level_mass(level, loc, LOG_SCALES, top), rtol=1e-4, atol=1e-5)
            expected = slope(lambda m, x=level: level_mass(x, m, LOG_SCALES, top), loc, steps)
            np.testing.assert_allclose(by_loc, expected, rtol=1e-3, atol=1e-4)
            expected = slope(lambda s, x=level, m=loc: level_mass(x, m, s, top), LOG_SCALES, 1e-5)
            np.testing.assert_allclose(by_log_scale, expected, rtol=1e-3, atol=1e-4)


def test_log1mexp():
    x = np.exp(np.linspace(-40.0, 4.0, 89)).astype("float32")
    found, gradient = float32(log1mexp, x)
    np.testing.assert_allclose(found, np.log(-np.expm1(-x.astype("float64"))), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(gradient, 1.0 / np.expm1(x.astype("float64")), rtol=1e-4)


def test_logistic_mixture():
    pixels = LogisticMixturePixels(levels=256, channels=1, components=1)  # logit, mean, log scale in units of [-1, 1]
    bounded = np.maximum(LOG_SCALES, -7.0) - np.log(2.0)  # in units of [0, 1]
    for level in (0, 128, 255):
        parameters = np.stack([np.zeros(21), np.full(21, 0.25), LOG_SCALES], axis=-1)
        found, gradient = float32(lambda p, x=level: pixels.log_prob(p, tf.fill([21, 1], float(x))), parameters)
        np.testing.assert_allclose(found, level_mass(level, 0.625, bounded, 255), rtol=1e-4, atol=1e-4)
        expected = slope(lambda s, x=level: level_mass(x, 0.625, s, 255), bounded, 1e-5)
        np.testing.assert_allclose(gradient[:, 2], np.where(LOG_SCALES > -7.0, expected, 0.0), rtol=1e-3, atol=1e-4)
    several = LogisticMixturePixels(levels=256, channels=3, components=2)
    for log_scale in LOG_SCALES:
        parameters = np.random.default_rng(0).uniform(-15, 15, [8, several.num_parameters])
        parameters[:, 8:14] = log_scale
        found, gradient = float32(lambda p: several.log_prob(p, tf.fill([8, 3], 255.0)), parameters)
        assert np.isfinite(found).all() and np.isfinite(gradient).all()


def test_noisy_normal():
    def exact(value, log_scale):
        upper, lower = ((side - value) / np.exp(log_scale) for side in (0.5, -0.5))
        upper, lower = special.log_ndtr(upper), special.log_ndtr(lower)
        return upper + np.log(-np.expm1(lower - upper))

    for value in (0.0, 0.4, 3.0, 2000.0):
        found, gradient = float32(lambda s, v=value: NoisyNormal(tf.exp(s)).log_prob(v), LOG_SCALES)
        np.testing.assert_allclose(found, exact(value, LOG_SCALES), rtol=1e-4, atol=2e-4)
        expected = slope(lambda s, v=value: exact(v, s), LOG_SCALES, 1e-3)
        np.testing.assert_allclose(gradient, expected, rtol=1e-2, atol=1e-2)
    values = np.array([-3e6, -1e5, 1e5, 3e6])  # where the density changes within the box
    found, by_value = float32(lambda v: NoisyNormal(1000.0).log_prob(v), values)
    np.testing.assert_allclose(found, exact(np.abs(values), np.log(1000.0)), rtol=1e-5)
    np.testing.assert_allclose(by_value, -values / 1e6 + 0.5 * np.sign(values) * (np.abs(values) > 2e6), rtol=0.2)


def test_logistic_mass_of_edges_that_round_to_one():
    found, *gradients = float32(logistic_mass, [-5.0, 5.0, 0.0, -1e6], [-5.0, 5.0, 0.0, -1e6])
    assert all(np.isfinite(values).all() for values in (found, *gradients))


def test_deep_factorized():
    values = tf.constant([[-1e4], [-1.0], [0.0], [0.5], [1e4]])
    for log_scale in (-15.0, 0.0, 15.0):
        layer = DeepFactorized(1, init_scale=float(np.exp(log_scale)))
        with tf.GradientTape() as tape:
            tape.watch(values)
            found = layer.log_prob(values)
        for gradient in (found, *tape.gradient(found, [values, *(v.value for v in layer.trainable_variables)])):
            assert np.isfinite(gradient).all()
