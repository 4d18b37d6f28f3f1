"""Accuracy of clusters found without labels, after each cluster is assigned a class.

There are three rules of assignment: the one-to-one matching with the highest accuracy (Hungarian algorithm); the most
frequent class in each cluster; the class of the most probable example of each cluster. The last two allow more clusters
than classes. The assignment may be made on one split and scored on another, so that no labels of the scored split are
used.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def confusion_matrix(clusters: ArrayLike, labels: ArrayLike, num_clusters: int, num_classes: int) -> np.ndarray:
    """Number of examples of each class in each cluster: int64 [num_clusters, num_classes].

    Example:
        >>> tfgen.metrics.confusion_matrix([0, 0, 1], [2, 2, 0], num_clusters=2, num_classes=3).tolist()
        [[0, 0, 2], [1, 0, 0]]

    Args:
      clusters: integers [N] in [0, num_clusters), N >= 1.
      labels: integers [N] in [0, num_classes).

    Raises:
      ValueError: not integers, not vectors of the same length, empty, or out of range.
    """
    clusters = _indices(clusters, "clusters", num_clusters, "num_clusters")
    labels = _indices(labels, "labels", num_classes, "num_classes")
    if len(clusters) != len(labels):
        raise ValueError(f"clusters and labels must have the same length; received {len(clusters)} and {len(labels)}")
    counts = np.bincount(clusters * num_classes + labels, minlength=num_clusters * num_classes)
    return counts.reshape(num_clusters, num_classes)


def hungarian_accuracy(
    clusters: ArrayLike, labels: ArrayLike, num_classes: int, *, fit: tuple[ArrayLike, ArrayLike] | None = None
) -> float:
    """Accuracy under the best one-to-one matching of clusters to classes.

    Example:
        >>> tfgen.metrics.hungarian_accuracy([0, 0, 1, 1], [1, 1, 0, 0], num_classes=2)  # the clusters are the classes
        1.0

    Args:
      clusters, labels: integers [N] in [0, num_classes): as many clusters as classes.
      num_classes: K.
      fit: (clusters, labels) of the split from which the matching is computed; None: the scored examples.

    Returns:
      in [0, 1]; 1 if the clusters are the classes in any order.

    Raises:
      ValueError: see `confusion_matrix`.
    """
    from scipy.optimize import linear_sum_assignment  # scikit-learn brings it

    def assign(counts):
        return linear_sum_assignment(counts, maximize=True)[1]

    return _accuracy(assign, clusters, labels, num_classes, num_classes, fit)


def majority_accuracy(
    clusters: ArrayLike, labels: ArrayLike, num_clusters: int, num_classes: int, *,
    fit: tuple[ArrayLike, ArrayLike] | None = None,
) -> float:  # fmt: skip
    """Accuracy if each cluster is assigned its most frequent class (the lowest one in a tie).

    Example:
        >>> clusters, labels = [0, 0, 1, 2], [1, 1, 0, 1]
        >>> tfgen.metrics.majority_accuracy(clusters, labels, num_clusters=3, num_classes=2)  # two clusters of one class
        1.0

    Args:
      clusters: integers [N] in [0, num_clusters); clusters may be more or fewer than classes.
      labels: integers [N] in [0, num_classes).
      num_clusters, num_classes: number of clusters and of classes.
      fit: (clusters, labels) of the split from which the classes are assigned; None: the scored examples. Then the
        accuracy rises with the number of clusters (1.0 for one cluster per example). A cluster without an example
        in `fit` gets no class, and its examples count as wrong.

    Returns:
      in [0, 1].

    Raises:
      ValueError: see `confusion_matrix`.
    """

    def assign(counts):
        return np.where(counts.any(axis=1), counts.argmax(axis=1), -1)

    return _accuracy(assign, clusters, labels, num_clusters, num_classes, fit)


def exemplar_accuracy(
    probabilities: ArrayLike, labels: ArrayLike, num_classes: int, *, fit: tuple[ArrayLike, ArrayLike] | None = None
) -> float:
    """Accuracy if each cluster is assigned the class of its most probable example.

    The protocol of adversarial autoencoders (Makhzani et al. 2015, arXiv:1511.05644, section 5) and of Gaussian mixture
    VAEs; it uses one label per cluster. Cluster k gets the label of the example with the highest probability of
    k (the first one in a tie). Several clusters may get the same label.

    Example:
        >>> probabilities = [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]]
        >>> tfgen.metrics.exemplar_accuracy(probabilities, [1, 1, 0, 0], num_classes=2)  # the last one is wrong
        0.75

    Args:
      probabilities: floats [N, K], N >= 1, the cluster probabilities of each example.
      labels: integers [N] in [0, num_classes).
      num_classes: number of classes.
      fit: (probabilities, labels) of the split from which the most probable examples are taken; None: the scored
        examples, as in the papers.

    Returns:
      in [0, 1].

    Raises:
      ValueError: see `confusion_matrix`; probabilities that are not a matrix of finite floats, or have different K.
    """
    probabilities, labels = _soft(probabilities, labels, num_classes)
    fit_probabilities, fit_labels = (probabilities, labels) if fit is None else _soft(*fit, num_classes)
    if fit_probabilities.shape[1] != probabilities.shape[1]:
        raise ValueError(
            f"probabilities must have as many clusters as those of fit; received {probabilities.shape[1]} and "
            f"{fit_probabilities.shape[1]}"
        )
    classes = fit_labels[fit_probabilities.argmax(axis=0)]
    return float(np.mean(classes[probabilities.argmax(axis=1)] == labels))


def _soft(probabilities, labels, num_classes):
    array = np.asarray(probabilities)
    if array.ndim != 2 or not array.size or array.dtype.kind != "f" or not np.isfinite(array).all():
        raise ValueError(f"probabilities must be finite floats [N, K]; received {array.dtype} {array.shape}")
    labels = _indices(labels, "labels", num_classes, "num_classes")
    if len(array) != len(labels):
        raise ValueError(f"probabilities and labels must have the same length; received {len(array)} and {len(labels)}")
    return array, labels


def _accuracy(assign, clusters, labels, num_clusters, num_classes, fit) -> float:
    counts = confusion_matrix(clusters, labels, num_clusters, num_classes)
    assignment = assign(counts if fit is None else confusion_matrix(fit[0], fit[1], num_clusters, num_classes))
    has_class = assignment >= 0
    return float(counts[has_class, assignment[has_class]].sum() / counts.sum())


def _indices(values, name: str, limit: int, limit_name: str) -> np.ndarray:
    if limit < 1:
        raise ValueError(f"{limit_name} must be at least 1; received {limit}")
    array = np.asarray(values)
    if array.ndim != 1 or not array.size or array.dtype.kind not in "iu":
        raise ValueError(f"{name} must be a non-empty vector of integers; received {array.dtype} {array.shape}")
    if array.min() < 0 or array.max() >= limit:
        raise ValueError(f"{name} must lie in [0, {limit}); received values from {array.min()} to {array.max()}")
    return array.astype(np.int64, copy=False)
