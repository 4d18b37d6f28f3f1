"""The InfoGAN bound: its pieces, and that it is a bound."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen import losses

LN10 = 2.302585093


def test_bound_of_a_blind_and_of_a_perfect_q():
    codes = tf.one_hot(range(10), 10)
    blind = tf.reduce_mean(losses.categorical_log_likelihood(tf.fill([10, 10], 3.0), codes))
    perfect = tf.reduce_mean(losses.categorical_log_likelihood(1e4 * codes, codes))
    assert losses.categorical_entropy(10) == pytest.approx(LN10)
    assert float(blind) + losses.categorical_entropy(10) == pytest.approx(0.0, abs=1e-6)
    assert float(perfect) + losses.categorical_entropy(10) == pytest.approx(LN10)
    wrong = losses.categorical_log_likelihood(1e4 * codes[::-1], codes)
    np.testing.assert_allclose(wrong, -1e4)  # not cut off by a small number inside the logarithm


def test_bound_is_the_mutual_information_at_the_true_posterior_and_below_it_elsewhere():
    joint = np.random.default_rng(0).dirichlet(np.ones(5), size=3) / 3  # p(c, x), c uniform
    information = np.sum(joint * np.log(joint / (joint.sum(0) * joint.sum(1, keepdims=True))))
    codes = tf.one_hot(np.repeat(range(3), 5), 3, dtype=tf.float64)

    def bound(logits):  # of c given x, [5, 3]
        log_likelihood = losses.categorical_log_likelihood(np.tile(logits, (3, 1)), codes)
        return float(tf.reduce_sum(joint.reshape(-1) * log_likelihood)) + losses.categorical_entropy(3)

    posterior = np.log(joint.T)
    assert bound(posterior) == pytest.approx(information)
    for step in np.random.default_rng(1).normal(size=(20, 5, 3)):
        assert bound(posterior + step) < information


def test_gaussian_density():
    assert losses.gaussian_log_likelihood([[2.0]], [[2.0]]).numpy() == pytest.approx([-0.918939], abs=1e-6)
    mean, value, stddev = np.random.default_rng(0).uniform(0.5, 2.0, (3, 4, 2))
    expected = -0.5 * ((value - mean) / stddev) ** 2 - np.log(stddev * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(losses.gaussian_log_likelihood(mean, value, stddev), expected.sum(axis=1))
    # With a fixed deviation the gradient is that of half the squared error.
    mean = tf.Variable(mean)
    with tf.GradientTape() as tape:
        loss = -losses.gaussian_log_likelihood(mean, value)
    np.testing.assert_allclose(tape.gradient(loss, mean), mean - value)


def test_entropy_of_uniform_codes():
    assert losses.uniform_entropy(2) == pytest.approx(2 * np.log(2))
    assert losses.uniform_entropy(3, 0.0, 1.0) == 0.0


def test_wrong_input():
    with pytest.raises(ValueError, match=r"received \(1, 3\) and \(1, 2\)"):
        losses.categorical_log_likelihood([[0.0, 0.0, 0.0]], [[1.0, 0.0]])
    with pytest.raises(ValueError, match=r"received \(2,\) and \(2,\)"):
        losses.gaussian_log_likelihood([0.0, 1.0], [0.0, 1.0])
    with pytest.raises(ValueError, match="stddev must be positive.*received 0.0"):
        losses.gaussian_log_likelihood([[0.0]], [[0.0]], 0.0)
    with pytest.raises(ValueError, match="num_classes must be at least 1; received 0"):
        losses.categorical_entropy(0)
    with pytest.raises(ValueError, match="low below high; received 1, 2.0 and 2.0"):
        losses.uniform_entropy(1, 2.0, 2.0)
