"""The factorized density of learned compression."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import random
from tfgen.distributions.deep_factorized import DeepFactorized
from tfgen.distributions.noisy import NoisyNormal


@pytest.fixture
def prior():
    """Three channels of random shapes."""
    layer, rng = DeepFactorized(3, init_scale=4.0), np.random.default_rng(0)
    for variable in layer.trainable_variables:
        variable.assign(variable + 0.5 * rng.normal(size=variable.shape))
    return layer


def test_masses_sum_to_one(prior):
    values = np.repeat(np.arange(-1000.0, 1001.0, dtype="float32")[:, None], 3, axis=1)
    mass = np.exp(prior.log_prob(values)).astype("float64")
    np.testing.assert_allclose(mass.sum(axis=0), 1.0, atol=1e-5)


def test_cumulative_rises_from_0_to_1(prior):
    values = np.repeat(np.linspace(-300, 300, 601, dtype="float32")[:, None], 3, axis=1)
    logits = prior.logits(values).numpy()
    assert np.all(np.diff(logits, axis=0) > 0)
    assert np.all(logits[0] < -9) and np.all(logits[-1] > 9)


def test_channels_are_their_own(prior):
    values = np.random.default_rng(0).normal(size=(2, 3, 4, 3)).astype("float32")
    whole = prior(values)
    assert whole.shape == values.shape
    np.testing.assert_allclose(prior(values[1:, 2:, 1:2]), whole[1:, 2:, 1:2], rtol=1e-5)
    other = values.copy()
    other[..., 1] += 1
    np.testing.assert_array_equal(np.all(np.isclose(prior(other), whole), axis=(0, 1, 2)), [True, False, True])


def test_start_is_wide():
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
