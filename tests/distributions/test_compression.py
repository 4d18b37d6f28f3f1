"""The densities of learned compression: noisy normal and deep factorized."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tfgen import random
from tfgen.distributions.deep_factorized import DeepFactorized
from tfgen.distributions.noisy import NoisyNormal, logistic_mass


@pytest.fixture
def prior():
    """Three channels of random shapes."""
    layer, rng = DeepFactorized(3, init_scale=4.0), np.random.default_rng(0)
    for variable in layer.trainable_variables:
        variable.assign(variable + 0.5 * rng.normal(size=variable.shape))
    return layer


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


def test_logistic_mass_is_exact_in_both_tails():
    lower = np.array([-80.0, -30.0, -1.0, 29.0, 79.0])
    expected = [-79 + np.log(-np.expm1(-1)), -29 + np.log(-np.expm1(-1)), np.log(0.5 - 1 / (1 + np.e)),
                -29 + np.log(-np.expm1(-1)), -79 + np.log(-np.expm1(-1))]  # fmt: skip
    found = logistic_mass(tf.constant(lower, tf.float32), tf.constant(lower + 1, tf.float32))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_factorized_masses_sum_to_one(prior):
    values = np.repeat(np.arange(-1000.0, 1001.0, dtype="float32")[:, None], 3, axis=1)
    mass = np.exp(prior.log_prob(values)).astype("float64")
    np.testing.assert_allclose(mass.sum(axis=0), 1.0, atol=1e-5)


def test_factorized_cumulative_rises_from_0_to_1(prior):
    values = np.repeat(np.linspace(-300, 300, 601, dtype="float32")[:, None], 3, axis=1)
    logits = prior.logits(values).numpy()
    assert np.all(np.diff(logits, axis=0) > 0)
    assert np.all(logits[0] < -9) and np.all(logits[-1] > 9)


def test_factorized_channels_are_their_own(prior):
    values = np.random.default_rng(0).normal(size=(2, 3, 4, 3)).astype("float32")
    whole = prior(values)
    assert whole.shape == values.shape
    np.testing.assert_allclose(prior(values[1:, 2:, 1:2]), whole[1:, 2:, 1:2], rtol=1e-5)
    other = values.copy()
    other[..., 1] += 1
    np.testing.assert_array_equal(np.all(np.isclose(prior(other), whole), axis=(0, 1, 2)), [True, False, True])


def test_factorized_start_is_wide():
    keras.utils.set_random_seed(0)
    layer = DeepFactorized(4)
    edges = layer.quantile(tf.constant([[-4.6] * 4, [4.6] * 4])).numpy()  # 1 % and 99 %
    assert np.all(edges[0] < -10) and np.all(edges[1] > 10) and np.abs(edges).max() < 200


def test_quantile_and_rounded_draws(prior):
    logits = tf.constant([[-5.0, 0.0, 2.0], [4.0, -1.0, -3.0]])
    np.testing.assert_allclose(prior.logits(prior.quantile(logits)), logits, atol=1e-3)
    drawn = prior.rounded(random.key(tf.range(40)), 500).numpy().reshape(-1, 3)
    assert np.all(drawn == np.round(drawn))
    for value in (-1.0, 0.0, 2.0):
        mass = np.exp(prior.log_prob(np.full((1, 3), value, "float32")))[0]
        np.testing.assert_allclose((drawn == value).mean(axis=0), mass, atol=4 * np.sqrt(0.25 / len(drawn)))


def test_rate_under_noise_is_at_least_the_entropy():
    """E[-log2 p(n + u)], of n + u itself distributed as p, is the differential entropy of p, and finite."""
    noisy = NoisyNormal(0.3)
    sample = noisy.sample(50_000, seed=0)
    rate = -float(tf.reduce_mean(noisy.log_prob(sample))) / np.log(2)
    assert 0.0 <= rate < 1.0  # that of the unit box is 0, and the normal adds to it
    # Any other density of the same latents costs more.
    assert -float(tf.reduce_mean(NoisyNormal(0.6).log_prob(sample))) / np.log(2) > rate


def test_learns_a_density():
    """Two channels, narrow off centre and wide: the mean code length nears the entropy."""
    keras.utils.set_random_seed(0)
    layer, rng = DeepFactorized(2), np.random.default_rng(0)
    data = np.stack([rng.normal(3.0, 0.5, 4000), rng.normal(0.0, 5.0, 4000)], axis=-1).astype("float32")
    data += rng.uniform(-0.5, 0.5, data.shape).astype("float32")
    optimizer = keras.optimizers.Adam(0.05)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(layer(data), axis=0)
            total = tf.reduce_sum(loss)
        optimizer.apply_gradients(
            zip(tape.gradient(total, layer.trainable_variables), layer.trainable_variables, strict=True)
        )
        return loss

    for _ in range(400):
        loss = step()
    best = [-np.mean(NoisyNormal(s).log_prob(data[:, i] - m)) for i, (m, s) in enumerate([(3.0, 0.5), (0.0, 5.0)])]
    np.testing.assert_allclose(loss, best, atol=0.06)


def test_config_and_errors():
    layer = DeepFactorized(2, widths=(4,), init_scale=2.0)
    assert DeepFactorized.from_config(layer.get_config()).get_config() == layer.get_config()
    with pytest.raises(ValueError, match="channels=0"):
        DeepFactorized(0)


def test_a_scale_for_each_channel():
    """Without biases each begins as logistic: tanh(1 / 2) and tanh(3 / 2) of it lie within one and three scales."""
    scales = np.array([1.0, 8.0, 60.0], "float32")
    layer = DeepFactorized(3, init_scale=scales)
    for bias in layer.biases:
        bias.assign(tf.zeros_like(bias))
    for factor in (1.0, 3.0):
        upper, lower = (tf.sigmoid(layer.logits(sign * np.float32(factor) * scales[None])) for sign in (1, -1))
        np.testing.assert_allclose(upper - lower, np.full([1, 3], np.tanh(factor / 2)), rtol=1e-4)
    assert DeepFactorized.from_config(layer.get_config()).get_config() == layer.get_config()
    with pytest.raises(ValueError, match="one for each channel"):
        DeepFactorized(3, init_scale=[1.0, 2.0])
