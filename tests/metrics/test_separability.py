import numpy as np
import pytest

from tfgen import metrics


def test_conditional_entropy_golden():
    assert metrics.conditional_entropy([[0.4, 0.1], [0.2, 0.3]]) == pytest.approx(0.846439, abs=1e-6)
    assert 2 ** metrics.conditional_entropy([[4, 1], [2, 3]]) == pytest.approx(1.798058, abs=1e-6)  # counts
    assert metrics.conditional_entropy([[1, 1], [1, 1]]) == 1
    assert metrics.conditional_entropy([[5, 0], [0, 3]]) == 0
    assert metrics.conditional_entropy([[3, 5], [0, 0]]) == pytest.approx(-3 / 8 * np.log2(3 / 8) - 5 / 8 * np.log2(5 / 8))


def test_conditional_entropy_is_of_y_given_x():
    """H(Y|X) = H(X, Y) - H(X), with the rows as X: another number than H(X|Y)."""
    joint = np.array([[0.5, 0.1], [0.1, 0.3]]) @ np.diag([1.2, 0.7])
    joint /= joint.sum()

    def entropy(p):
        return -(p * np.log2(p)).sum()

    expected = entropy(joint) - entropy(joint.sum(axis=1))
    assert metrics.conditional_entropy(joint) == pytest.approx(expected)
    assert metrics.conditional_entropy(joint.T) != pytest.approx(expected, abs=1e-3)


def test_separable_and_independent_attributes():
    rng = np.random.default_rng(0)
    latents = rng.normal(size=(2000, 4))
    margin = latents @ [1, -2, 0, 1]
    noise = rng.normal(size=2000)
    perfect = metrics.linear_separability(latents, margin[:, None])
    assert perfect.score == pytest.approx(1, abs=1e-6)
    independent = metrics.linear_separability(latents, noise[:, None])
    assert independent.score == pytest.approx(2, abs=0.02)
    both = metrics.linear_separability(latents, np.stack([margin, noise, noise], axis=1))
    np.testing.assert_allclose(both.score, 2 ** both.entropies.sum())  # entropies add, scores multiply
    assert both.score == pytest.approx(independent.score**2, rel=1e-6)
    assert metrics.linear_separability(latents, -margin[:, None]).score == perfect.score  # the sign is a name


def test_only_the_most_confident_count():
    """The wrong half has small logits: dropped by keep = .5, seen by keep = 1."""
    rng = np.random.default_rng(0)
    latents = rng.normal(size=(1000, 3))
    latents[:, 0] += np.sign(latents[:, 0])  # a gap, so that the SVM makes no error
    sure = np.arange(1000) % 2 == 0
    logits = np.where(sure, 10.0, 0.1) * np.sign(latents[:, 0]) * np.where(sure, 1, rng.choice([-1, 1], 1000))
    assert metrics.linear_separability(latents, logits[:, None]).score == pytest.approx(1, abs=1e-3)
    assert metrics.linear_separability(latents, logits[:, None], keep=1.0).score > 1.5
    # confidence beyond what a float64 probability can tell apart from 1
    far = np.where(sure, 100.0, 50.0) * np.sign(logits)
    assert metrics.linear_separability(latents, far[:, None]).score == pytest.approx(1, abs=1e-3)


def test_against_the_confusion_of_a_known_hyperplane():
    """Two clusters with 20 % and 40 % of the other decision: the SVM cuts between them."""
    counts = np.array([[400, 100], [200, 300]])
    side, decision = np.repeat([0, 0, 1, 1], counts.ravel()), np.repeat([0, 1, 0, 1], counts.ravel())
    latents = np.where(side[:, None] == 0, -1.0, 1.0) + 0.01 * np.random.default_rng(0).normal(size=(1000, 2))
    result = metrics.linear_separability(latents, 2.0 * decision[:, None] - 1, keep=1.0)
    assert result.score == pytest.approx(1.798058, abs=1e-6)


def test_an_attribute_that_all_share_is_perfect():
    latents = np.random.default_rng(0).normal(size=(20, 2))
    result = metrics.linear_separability(latents, np.ones((20, 3)))
    assert result.score == 1 and (result.entropies == 0).all()


def test_rejects():
    latents = np.zeros((6, 2))
    with pytest.raises(ValueError, match="equally many rows; received 6 and 5"):
        metrics.linear_separability(latents, np.zeros((5, 1)))
    for keep in (0.0, 1.1, 0.2):
        with pytest.raises(ValueError, match=f"keep must be in .*received {keep} of 6"):
            metrics.linear_separability(latents, np.zeros((6, 1)), keep=keep)
    with pytest.raises(ValueError, match="equally many rows"):
        metrics.LinearSeparability().update(latents, np.zeros((5, 1)))
    for joint in ([[-1, 2], [0, 0]], [[0, 0], [0, 0]]):
        with pytest.raises(ValueError, match="joint must hold numbers >= 0"):
            metrics.conditional_entropy(joint)
