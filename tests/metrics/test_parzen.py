"""Parzen windows against closed forms and scikit-learn."""

import math

import numpy as np
import pytest
from sklearn.neighbors import KernelDensity

from tfgen import metrics
from tfgen.metrics import _checks

GRID = (0.1, 0.2, 0.4, 0.8, 1.6)


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def test_one_centre_is_a_gaussian():
    centre, test = normal(0, 1, 5), normal(1, 8, 5)
    squares = ((test - centre) ** 2).sum(axis=1)
    found = metrics.parzen_log_likelihood(centre, test, 0.3)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, -squares / (2 * 0.09) - 2.5 * math.log(2 * math.pi * 0.09), rtol=1e-12)


@pytest.mark.parametrize("sigma", [0.05, 0.5, 5.0])
def test_agrees_with_scikit_learn(sigma):
    samples, test = normal(0, 300, 4), normal(1, 50, 4)
    # One leaf: with more, the search drops terms of the far tails even where no tolerance is allowed.
    oracle = KernelDensity(bandwidth=sigma, rtol=0, atol=0, leaf_size=1000).fit(samples).score_samples(test)
    np.testing.assert_allclose(metrics.parzen_log_likelihood(samples, test, sigma), oracle, rtol=1e-9)


def test_a_density():
    samples, grid = normal(0, 20, 1), np.linspace(-8, 8, 4001)[:, None]
    density = np.exp(metrics.parzen_log_likelihood(samples, grid, 0.3))
    assert density.sum() * (grid[1, 0] - grid[0, 0]) == pytest.approx(1.0, abs=1e-9)


def test_results_do_not_depend_on_the_blocks(monkeypatch):
    samples, test = normal(0, 100, 3), normal(1, 37, 3)
    whole = metrics.parzen_log_likelihood(samples, test, 0.2)
    monkeypatch.setattr(_checks, "CHUNK_BYTES", 8 * 100 * 5)  # 5 test rows at a time
    np.testing.assert_allclose(metrics.parzen_log_likelihood(samples, test, 0.2), whole, rtol=1e-12)


def test_far_points_and_common_offsets():
    # exp underflows at 39 sigma; the logarithm must not. An offset shared by all is nothing.
    assert metrics.parzen_log_likelihood([[0.0]], [[1000.0]], 1.0)[0] == pytest.approx(-5e5 - 0.918939, abs=1e-6)
    samples, test = normal(0, 50, 3), normal(1, 20, 3)
    np.testing.assert_allclose(
        metrics.parzen_log_likelihood(samples + 1e5, test + 1e5, 0.1),
        metrics.parzen_log_likelihood(samples, test, 0.1),
        rtol=1e-6,
    )


def test_sigma_of_the_most_likely_validation_data():
    samples, validation = normal(0, 400, 2), normal(1, 200, 2)
    means = [metrics.parzen_log_likelihood(samples, validation, sigma).mean() for sigma in GRID]
    best = metrics.fit_sigma(samples, validation, GRID)
    assert best == GRID[int(np.argmax(means))] and best not in (GRID[0], GRID[-1])
    # One sample at 0: the likelihood of x is greatest at sigma^2 = x^2.
    assert metrics.fit_sigma([[0.0]], [[0.4], [-0.4]], GRID) == 0.4


def test_estimate_uses_validation_for_sigma_and_test_for_the_rest():
    samples, validation, test = normal(0, 400, 2), normal(1, 200, 2), 3 * normal(2, 100, 2)
    estimate = metrics.parzen_estimate(samples, validation, test, GRID)
    assert isinstance(estimate, metrics.ParzenEstimate)
    assert estimate.sigma == metrics.fit_sigma(samples, validation, GRID) != metrics.fit_sigma(samples, test, GRID)
    values = metrics.parzen_log_likelihood(samples, test, estimate.sigma)
    assert estimate.mean == pytest.approx(values.mean())
    assert estimate.standard_error == pytest.approx(np.sqrt(((values - values.mean()) ** 2).sum() / 99 / 100))


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.nan, math.inf])
def test_bandwidth_is_checked(sigma):
    with pytest.raises(ValueError, match="positive finite numbers; received"):
        metrics.parzen_log_likelihood(normal(0, 3, 2), normal(1, 3, 2), sigma)
    with pytest.raises(ValueError, match="positive finite numbers; received"):
        metrics.fit_sigma(normal(0, 3, 2), normal(1, 3, 2), [0.1, sigma])


def test_wrong_input():
    good = normal(0, 3, 2)
    with pytest.raises(ValueError, match=r"one or more.*received \[\]"):
        metrics.fit_sigma(good, good, [])
    with pytest.raises(ValueError, match="samples must be finite.*row 1"):
        metrics.parzen_log_likelihood([[0.0, 0.0], [math.nan, 0.0]], good, 0.1)
    with pytest.raises(ValueError, match="test must be finite"):
        metrics.parzen_log_likelihood(good, [[math.inf, 0.0]], 0.1)
    with pytest.raises(ValueError, match="samples and validation must have the same number of features; received 2 and 3"):
        metrics.fit_sigma(good, normal(0, 3, 3), GRID)
    with pytest.raises(ValueError, match="test must have at least 2 row"):
        metrics.parzen_estimate(good, good, good[:1], GRID)
