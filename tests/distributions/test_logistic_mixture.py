import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tfgen.distributions.discretized_logistic import DiscretizedLogistic, level_log_prob
from tfgen.distributions.logistic_mixture import LogisticMixturePixels

LEVELS = np.arange(256, dtype="float32")


def random_parameters(likelihood, num, seed=0, low=-2.0, high=1.0):
    """[num, P] with log-scales in [low, high]."""
    k, c = likelihood.components, likelihood.channels
    rng = np.random.default_rng(seed)
    parts = [rng.normal(size=(num, k)), rng.uniform(-1.5, 1.5, (num, k * c)), rng.uniform(low, high, (num, k * c))]
    parts.append(rng.normal(size=(num, k * c * (c - 1) // 2)))
    return np.concatenate(parts, axis=-1).astype("float32")


def every(levels, channels):
    return np.array(list(itertools.product(range(levels), repeat=channels)), "float32")


def test_mass_of_the_bins_is_the_difference_of_the_distribution_function():
    rng = np.random.default_rng(0)
    loc, log_scale = rng.uniform(-1, 1, 50), rng.uniform(-4, 2, 50)
    x, half = LEVELS[:, None].astype("float64") / 127.5 - 1.0, 1 / 255
    cdf = stats.logistic(loc, np.exp(log_scale)).cdf
    mass = np.where(x >= 1, 1.0, cdf(x + half)) - np.where(x <= -1, 0.0, cdf(x - half))
    expected = np.log(np.where(mass > 1e-5, mass, 1.0))
    found = level_log_prob(LEVELS[:, None].astype("float64"), (loc + 1) * 127.5, np.exp(-log_scale) / 127.5, 256)
    np.testing.assert_allclose(np.where(mass > 1e-5, found, 0.0), expected, atol=1e-10)
    parameters = np.stack([np.zeros(50), loc, log_scale], axis=-1).astype("float32")
    grey = LogisticMixturePixels(256, 1, components=1).log_prob(parameters, LEVELS[:, None, None])
    np.testing.assert_allclose(np.where(mass > 1e-5, grey, 0.0), expected, atol=2e-3)
    # The distribution over [0, 1] says the same in other units.
    other = DiscretizedLogistic((loc + 1) / 2, log_scale - math.log(2)).log_prob(LEVELS[:, None] / 255)
    np.testing.assert_allclose(np.where(mass > 1e-5, other, 0.0), expected, atol=2e-3)


@pytest.mark.parametrize("components", [1, 5])
def test_probabilities_of_256_levels_sum_to_one(components):
    likelihood = LogisticMixturePixels(256, 1, components)
    parameters = random_parameters(likelihood, 300, low=-7.0, high=2.0)
    parameters[:, components : 2 * components] *= 2.0  # means in [-3, 3]
    mass = np.exp(likelihood.log_prob(parameters, LEVELS[:, None, None]).numpy().astype("float64"))
    np.testing.assert_allclose(mass.sum(0), 1.0, atol=1e-5)


def test_probabilities_of_all_colours_sum_to_one():
    likelihood = LogisticMixturePixels(4, 3, 3)
    mass = np.exp(likelihood.log_prob(random_parameters(likelihood, 50), every(4, 3)[:, None]).numpy().astype("float64"))
    np.testing.assert_allclose(mass.sum(0), 1.0, atol=1e-5)


@pytest.mark.parametrize("mean", [-10.0, 10.0])
@pytest.mark.parametrize("log_scale", [-30.0, -7.0, 3.0])
def test_extreme_parameters_are_finite_with_their_gradients(mean, log_scale):
    likelihood = LogisticMixturePixels(256, 3, 2)
    parameters = tf.constant([[0.0] * 2 + [mean] * 6 + [log_scale] * 6 + [mean] * 6])
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        log_prob = likelihood.log_prob(tf.repeat(parameters, 256, axis=0), LEVELS[:, None] * np.ones(3, "float32"))
    assert np.all(np.isfinite(log_prob)) and np.all(np.isfinite(tape.gradient(log_prob, parameters)))


def test_scale_is_bounded_and_wide_logistics_lie_in_the_tails():
    likelihood = LogisticMixturePixels(256, 1, 1)
    narrow = [likelihood.log_prob([[0.0, 0.3, value]], np.float32([[7.0]])) for value in (-7.0, -9.0)]
    np.testing.assert_array_equal(*narrow)
    assert likelihood.log_prob([[0.0, 0.3, -6.9]], np.float32([[7.0]])) != narrow[0]
    ends = likelihood.log_prob([[0.0, 0.0, 12.0]], np.float32([[[0.0]], [[255.0]]]))
    np.testing.assert_allclose(np.exp(ends), 0.5, atol=1e-4)


def test_equal_components_are_one():
    one, two = (LogisticMixturePixels(256, 1, k) for k in (1, 2))
    found = two.log_prob([[0.3, -1.0, 0.2, 0.2, -3.0, -3.0]], LEVELS[:, None])
    np.testing.assert_allclose(found, one.log_prob([[5.0, 0.2, -3.0]], LEVELS[:, None]), rtol=1e-5, atol=1e-5)


def test_two_levels_of_equal_probability_are_one_bit():
    likelihood = LogisticMixturePixels(2, 3, 4)
    found = likelihood.distribution(tf.zeros([2, 5, 4, likelihood.num_parameters])).log_prob(tf.ones([2, 5, 4, 3]))
    np.testing.assert_allclose(found, [-60 * math.log(2)] * 2, rtol=1e-6)


def test_formula_of_a_colour_pixel():
    """Sections 2.1 and 2.2, written out: one component for all channels, whose means move with those before."""
    levels, (r, g, b) = 9, (2.0, 7.0, 4.0)
    likelihood = LogisticMixturePixels(levels, 3, 2)
    rng = np.random.default_rng(1)
    logits, mu = rng.normal(size=2), rng.normal(size=(2, 3))
    log_scale, a = rng.uniform(-2, 0, (2, 3)), rng.normal(size=(2, 3))
    x = 2 * np.array([r, g, b]) / (levels - 1) - 1
    total = 0.0
    for k in range(2):
        green_red, blue_red, blue_green = np.tanh(a[k])
        means = mu[k] + [0.0, green_red * x[0], blue_red * x[0] + blue_green * x[1]]
        cdf, half = stats.logistic(means, np.exp(log_scale[k])).cdf, 1 / (levels - 1)
        total += np.exp(logits[k]) / np.exp(logits).sum() * np.prod(cdf(x + half) - cdf(x - half))
    parameters = np.concatenate([logits, mu.ravel(), log_scale.ravel(), a.ravel()])[None].astype("float32")
    np.testing.assert_allclose(likelihood.log_prob(parameters, np.float32([[r, g, b]])), [np.log(total)], rtol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_agrees_with_the_classes_of_tensorflow_probability(channels):
    likelihood = LogisticMixturePixels(256, channels, 4)
    parameters = random_parameters(likelihood, 2 * 3 * 5, low=-3.0).reshape(2, 3, 5, -1)
    levels = np.random.default_rng(2).integers(0, 256, (2, 3, 5, channels)).astype("float32")
    levels[:, 0, 0], levels[:, 0, 1] = 0, 255
    found, expected = likelihood.distribution(parameters), likelihood.as_quantized(parameters, levels)
    for each in (found, expected):
        assert each.event_shape == (3, 5, channels) and each.batch_shape == (2,)
    np.testing.assert_allclose(found.log_prob(levels), expected.log_prob(levels), rtol=1e-4)


def test_grey_draws_follow_the_law_exactly():
    """The shares of an even grid of uniforms, in both directions, are the probabilities."""
    likelihood = LogisticMixturePixels(4, 1, 3)
    parameters = random_parameters(likelihood, 1)
    shares = np.exp(parameters[0, :3]) / np.exp(parameters[0, :3]).sum()
    grid = (np.arange(4000, dtype="float32") + 0.5) / 4000
    total, edges = np.zeros(4), np.cumsum([0.0, *shares])
    for k in range(3):  # within a component the first uniform does not matter: its middle stands for it
        uniforms = np.stack([np.full(4000, edges[k : k + 2].mean(), "float32"), grid], axis=-1)
        drawn = likelihood.draw(np.repeat(parameters, 4000, axis=0), uniforms)
        total += shares[k] * np.bincount(drawn.numpy()[:, 0].astype(int), minlength=4) / 4000
    np.testing.assert_allclose(total, np.exp(likelihood.log_prob(parameters, every(4, 1))), atol=5e-4)
    # And the first chooses components by their shares.
    uniforms = np.stack([grid, np.full(4000, 0.5, "float32")], axis=-1)
    sharp = np.concatenate([parameters[0, :3], [-1.0, -1 / 3, 1.0], [-7.0] * 3]).astype("float32")
    drawn = likelihood.draw(np.repeat(sharp[None], 4000, axis=0), uniforms).numpy()[:, 0]
    np.testing.assert_allclose([np.mean(drawn == level) for level in (0, 1, 3)], shares, atol=1e-3)


@pytest.mark.parametrize("how", ["draw", "sample"])
def test_colour_draws_follow_the_law(how):
    likelihood, num = LogisticMixturePixels(4, 3, 3), 100_000
    parameters = random_parameters(likelihood, 1)
    if how == "draw":
        uniforms = np.random.default_rng(0).uniform(size=(num, likelihood.num_uniforms)).astype("float32")
        drawn = likelihood.draw(np.repeat(parameters, num, axis=0), uniforms, tf.zeros([num, 3]), 0)
    else:
        drawn = likelihood.distribution(parameters[:, None, None]).sample(num, seed=(1, 2))[:, 0, 0, 0]
    index = (drawn.numpy() @ [16, 4, 1]).astype(int)
    expected = num * np.exp(likelihood.log_prob(parameters, every(4, 3)).numpy().astype("float64"))
    statistic = np.sum((np.bincount(index, minlength=64) - expected) ** 2 / expected)
    assert statistic < stats.chi2(63).ppf(0.9999), statistic


def test_draws_are_levels_in_range_and_rise_with_their_uniform():
    likelihood = LogisticMixturePixels(256, 1, 1)
    uniforms = np.stack([np.full(1000, 0.5), (np.arange(1000) + 0.5) / 1000], axis=-1).astype("float32")
    drawn = likelihood.draw(np.float32([[0.0, 0.4, 0.5]]), uniforms).numpy()[:, 0]
    assert np.all(np.diff(drawn) >= 0) and drawn[0] == 0 and drawn[-1] == 255 and np.all(drawn == np.round(drawn))


@pytest.mark.parametrize("components", [0, 2.0, True])
def test_components_are_counted(components):
    with pytest.raises(ValueError, match="components must be a whole number of at least 1; received"):
        LogisticMixturePixels(256, 3, components)


def test_numbers_of_parameters():
    assert [LogisticMixturePixels(256, c, 10).num_parameters for c in (1, 3, 4)] == [30, 100, 150]
