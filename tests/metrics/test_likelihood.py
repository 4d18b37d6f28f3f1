import math

import numpy as np
import pytest
from scipy import special, stats  # scikit-learn brings it

from tfgen import metrics


def test_bits_per_dim():
    assert metrics.bits_per_dim(784 * math.log(2), 784) == pytest.approx(1)
    assert metrics.bits_per_dim(0.0, 10, levels=256) == 8  # uniform density on [0, 1]
    assert metrics.bits_per_dim(10 * math.log(2), 10, levels=256, width=2) == 8  # uniform density on [-1, 1]
    np.testing.assert_allclose(metrics.bits_per_dim(np.array([1.0, 2.0]), 3), np.array([1, 2]) / 3 / math.log(2))
    for nats, dims in ((1.0, 0), (np.nan, 3)):
        with pytest.raises(ValueError, match="received"):
            metrics.bits_per_dim(nats, dims)


def test_importance_log_prob_against_scipy():
    weights = np.random.default_rng(0).normal(size=(50, 4)) * 30 - [0, 1e3, 1e5, -1e4]
    expected = special.logsumexp(weights, axis=0) - np.log(50)
    np.testing.assert_allclose(metrics.importance_log_prob(weights), expected, rtol=1e-13)
    assert metrics.importance_log_prob(weights[:1]) == pytest.approx(weights[0])


def test_importance_log_prob_of_a_gaussian_is_unbiased_and_tightens():
    """x ~ N(z, 1), z ~ N(0, 1): log p(1) = log N(1; 0, 2). With the posterior as proposal one sample is exact."""
    rng, x = np.random.default_rng(0), 1.0
    truth = stats.norm.logpdf(x, 0, math.sqrt(2))

    def log_weights(proposal, shape):
        z = proposal.rvs(shape, random_state=rng)
        return stats.norm.logpdf(z) + stats.norm.logpdf(x, z) - proposal.logpdf(z)

    exact = metrics.importance_log_prob(log_weights(stats.norm(x / 2, math.sqrt(0.5)), (1, 8)))
    np.testing.assert_allclose(exact, truth, rtol=1e-12)
    bounds = [metrics.importance_log_prob(log_weights(stats.norm(0, 1), (s, 4000))) for s in (1, 5, 50)]
    means = [bound.mean() for bound in bounds]
    assert means[0] < means[1] < means[2] < truth + 0.01  # bounds from below, tighter with S
    assert np.exp(bounds[0]).mean() == pytest.approx(math.exp(truth), rel=0.03)


def test_weights_of_zero():
    value = metrics.importance_log_prob([[-np.inf, -np.inf], [0.0, -np.inf]])
    np.testing.assert_array_equal(value, [-math.log(2), -np.inf])
    with pytest.raises(ValueError, match="1 of 2 images have a likelihood of 0"):
        metrics.Likelihood(3).update([[-np.inf, -np.inf], [0.0, -np.inf]])
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match=r"NaN or \+inf"):
            metrics.importance_log_prob([[bad]])
    for shape in ((3,), (0, 3)):
        with pytest.raises(ValueError, match=r"must be \[S, N\]"):
            metrics.importance_log_prob(np.zeros(shape))


def test_likelihood_of_weights_and_of_log_probs():
    weights = np.random.default_rng(0).normal(size=(9, 40)) - 500
    log_prob = metrics.importance_log_prob(weights)
    many = metrics.Likelihood(784, levels=256).update(weights[:, :30]).update(weights[:, 30:]).result()
    one = metrics.Likelihood(784, levels=256).update(log_prob).result()
    assert many == pytest.approx(one, rel=1e-12)
    assert one.nats == pytest.approx(-log_prob.mean())
    assert one.standard_error == pytest.approx(stats.sem(log_prob))
    assert one.bits_per_dim == pytest.approx(-log_prob.mean() / 784 / math.log(2) + 8)
    assert metrics.Likelihood(4).update([-3.0]).result() == (3.0, None, 3.0 / 4 / math.log(2))
    with pytest.raises(ValueError, match="dims must be at least 1"):
        metrics.Likelihood(0)
