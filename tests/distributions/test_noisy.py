"""Values with uniform noise, which stands for rounding: the normal, and the mass of a logistic."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tfgen.distributions.noisy import NoisyNormal, logistic_mass


def test_normal_against_scipy():
    scale = np.array([0.11, 0.5, 3.0, 256.0])[:, None]
    values = np.arange(-6, 7.0)
    lower, upper = (values[None] - 0.5) / scale, (values[None] + 0.5) / scale
    expected = np.where(
        values > 0, stats.norm.sf(lower) - stats.norm.sf(upper), stats.norm.cdf(upper) - stats.norm.cdf(lower)
    )
    found = NoisyNormal(scale.astype("float32")).log_prob(values.astype("float32"))
    good = expected > 1e-290
    np.testing.assert_allclose(found.numpy()[good], np.log(expected[good]), rtol=2e-4, atol=2e-4)


def test_normal_in_its_tails_and_its_gradients():
    # -log p(50) at scale 1: the mass next to 49.5 by the asymptotic series of the normal tail.
    value = tf.constant([50.0, -50.0, 0.0])
    scale = tf.ones(3)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([value, scale])
        log_prob = NoisyNormal(scale).log_prob(value)
    expected = stats.norm.logsf(49.5)
    np.testing.assert_allclose(log_prob[:2], [expected, expected], rtol=1e-5)
    np.testing.assert_allclose(tape.gradient(log_prob, value), [-49.52, 49.52, 0.0], rtol=1e-3, atol=1e-5)
    assert np.isfinite(tape.gradient(log_prob, scale)).all()


@pytest.mark.parametrize("scale", [0.11, 0.7, 12.3])
def test_normal_masses_sum_to_one(scale):
    values = tf.range(-200.0, 201.0)
    np.testing.assert_allclose(np.exp(NoisyNormal(scale).log_prob(values)).sum(), 1.0, atol=1e-5)


def test_normal_moments_of_samples():
    sample = NoisyNormal([0.5, 4.0]).sample(20_000, seed=1).numpy()
    np.testing.assert_allclose(sample.var(axis=0), [0.25 + 1 / 12, 16 + 1 / 12], rtol=0.05)
    np.testing.assert_allclose(NoisyNormal([0.5]).variance(), [0.25 + 1 / 12])


def test_rate_under_noise_is_at_least_the_entropy():
    """E[-log2 p(n + u)], of n + u itself distributed as p, is the differential entropy of p, and finite."""
    noisy = NoisyNormal(0.3)
    sample = noisy.sample(50_000, seed=0)
    rate = -float(tf.reduce_mean(noisy.log_prob(sample))) / np.log(2)
    assert 0.0 <= rate < 1.0  # that of the unit box is 0, and the normal adds to it
    # Any other density of the same latents costs more.
    assert -float(tf.reduce_mean(NoisyNormal(0.6).log_prob(sample))) / np.log(2) > rate


def test_logistic_mass_is_exact_in_both_tails():
    lower = np.array([-80.0, -30.0, -1.0, 29.0, 79.0])
    expected = [-79 + np.log(-np.expm1(-1)), -29 + np.log(-np.expm1(-1)), np.log(0.5 - 1 / (1 + np.e)),
                -29 + np.log(-np.expm1(-1)), -79 + np.log(-np.expm1(-1))]  # fmt: skip
    found = logistic_mass(tf.constant(lower, tf.float32), tf.constant(lower + 1, tf.float32))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
