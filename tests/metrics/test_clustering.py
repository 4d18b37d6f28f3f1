"""Accuracy of unlabelled clusters, by exhaustive search and on hand-made cases."""

import itertools

import numpy as np
import pytest

from tfgen import metrics


def test_confusion_matrix():
    counts = metrics.confusion_matrix([0, 0, 2, 2, 2], [1, 1, 0, 1, 0], 3, 2)
    np.testing.assert_array_equal(counts, [[0, 2], [0, 0], [2, 1]])


def test_permuted_labels_count_as_correct():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 200)
    clusters = rng.permutation(10)[labels]
    assert metrics.hungarian_accuracy(clusters, labels, 10) == 1.0
    assert metrics.majority_accuracy(clusters, labels, 10, 10) == 1.0


def test_hungarian_is_the_best_of_all_matchings():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 5, 300)
    clusters = np.where(rng.random(300) < 0.4, (labels * 2) % 5, rng.integers(0, 5, 300))
    best = max(np.mean(np.array(order)[clusters] == labels) for order in itertools.permutations(range(5)))
    assert metrics.hungarian_accuracy(clusters, labels, 5) == pytest.approx(best)


def test_two_clusters_of_one_class():
    # Classes 0 and 1 fell into cluster 0, and class 2 is split: one-to-one has to give cluster 2 a class it never holds.
    clusters, labels = [0, 0, 0, 1, 1, 2], [0, 0, 1, 2, 2, 2]
    assert metrics.hungarian_accuracy(clusters, labels, 3) == pytest.approx(4 / 6)
    assert metrics.majority_accuracy(clusters, labels, 3, 3) == pytest.approx(5 / 6)


def test_greedy_matching_would_be_worse():
    counts = np.array([[10, 9], [9, 0]])  # the largest entry first: 10; the best matching: 18
    clusters, labels = (np.repeat(axis.ravel(), counts.ravel()) for axis in np.indices((2, 2)))
    assert metrics.hungarian_accuracy(clusters, labels, 2) == pytest.approx(18 / 28)
    assert metrics.majority_accuracy(clusters, labels, 2, 2) == pytest.approx(19 / 28)


def test_more_clusters_than_classes():
    labels = np.arange(20) % 2
    assert metrics.majority_accuracy(np.arange(20), labels, 20, 2) == 1.0
    assert metrics.majority_accuracy(np.zeros(20, int), labels, 20, 2) == 0.5


def test_fitted_on_one_split_and_scored_on_another():
    fit = [0, 0, 1, 1, 1], [1, 1, 0, 0, 1]  # cluster 0 -> class 1, cluster 1 -> class 0, cluster 2 unseen
    clusters, labels = [0, 0, 1, 2], [1, 0, 0, 0]
    assert metrics.majority_accuracy(clusters, labels, 3, 2, fit=fit) == 0.5
    assert metrics.majority_accuracy(clusters, labels, 3, 2) == 0.75
    assert metrics.hungarian_accuracy([0, 0, 1], [0, 0, 1], 2, fit=fit) == 0.0
    assert metrics.hungarian_accuracy([0, 0, 1], [1, 1, 0], 2, fit=fit) == 1.0


def test_most_probable_example_labels_its_cluster():
    # Cluster 0's surest example is of class 1 though most of it is of class 0; clusters 1 and 2 share a class.
    probabilities = np.array([[0.6, 0.3, 0.1], [0.7, 0.2, 0.1], [0.9, 0.0, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]])
    labels = [0, 0, 1, 2, 2]
    assert metrics.exemplar_accuracy(probabilities, labels, 3) == pytest.approx(3 / 5)
    assert metrics.majority_accuracy(probabilities.argmax(axis=1), labels, 3, 3) == pytest.approx(4 / 5)
    fit = probabilities[[0, 3, 4]], [0, 2, 2]
    assert metrics.exemplar_accuracy(probabilities, labels, 3, fit=fit) == pytest.approx(4 / 5)
    order = [2, 0, 1]
    assert metrics.exemplar_accuracy(probabilities[:, order], labels, 3) == pytest.approx(3 / 5)


def test_a_cluster_that_no_example_prefers_still_gets_a_label():
    probabilities, labels = np.array([[0.9, 0.1], [0.6, 0.4]]), [0, 1]
    assert metrics.exemplar_accuracy(probabilities, labels, 2) == 0.5
    assert metrics.exemplar_accuracy(probabilities[:, ::-1], labels, 2) == 0.5
    assert metrics.exemplar_accuracy([[0.1, 0.9]], [1], 2, fit=(probabilities, labels)) == 1.0


@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        ([0.2, 0.8], [0, 1], r"finite floats \[N, K\]; received float64 \(2,\)"),
        ([[0, 1], [1, 0]], [0, 1], r"received int64 \(2, 2\)"),
        ([[np.nan, 1.0]], [0], r"finite floats"),
        ([[0.2, 0.8]], [0, 1], "the same length; received 1 and 2"),
        ([[0.2, 0.8]], [3], r"labels must lie in \[0, 3\); received values from 3 to 3"),
        ([[0.2, 0.3, 0.5]], [0], "must have as many clusters as those of fit; received 3 and 2"),
    ],
)
def test_wrong_probabilities(probabilities, labels, message):
    with pytest.raises(ValueError, match=message):
        metrics.exemplar_accuracy(probabilities, labels, 3, fit=([[0.5, 0.5]], [0]))


@pytest.mark.parametrize(
    ("clusters", "labels", "message"),
    [
        ([0, 3], [0, 1], r"clusters must lie in \[0, 3\); received values from 0 to 3"),
        ([0, 1], [-1, 1], r"labels must lie in \[0, 3\); received values from -1 to 1"),
        ([0, 1], [0], "the same length; received 2 and 1"),
        ([], [], r"clusters must be a non-empty vector of integers; received float64 \(0,\)"),
        ([0.0, 1.0], [0, 1], "received float64"),
        ([[0, 1]], [0, 1], r"received int64 \(1, 2\)"),
    ],
)
def test_wrong_input(clusters, labels, message):
    for call in (
        lambda: metrics.hungarian_accuracy(clusters, labels, 3),
        lambda: metrics.majority_accuracy(clusters, labels, 3, 3),
        lambda: metrics.majority_accuracy([0, 1], [0, 1], 3, 3, fit=(clusters, labels)),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_numbers_are_checked():
    with pytest.raises(ValueError, match="num_classes must be at least 1; received 0"):
        metrics.majority_accuracy([0], [0], 1, 0)
