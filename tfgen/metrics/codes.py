"""Evaluation of codes: k-means clusters, and classification with few labels.

Both take codes from `codes_of` or any other features, and both are fitted only on the train split. Distances between
unscaled codes mean little: a decoder can undo any invertible linear map of the code, so training does not determine the
scale and correlation of its dimensions. For k-means, codes are therefore whitened (uncorrelated dimensions of variance 1
on the train split). For a linear classifier, each dimension is only scaled to variance 1: the classifier handles correlated
dimensions itself, and whitening would amplify directions with little information. Use pixels without scaling: they share
one scale, and pixels at the border hardly vary.
"""

from __future__ import annotations

from typing import NamedTuple

import keras
import numpy as np
from numpy.typing import ArrayLike

from tfgen.metrics._checks import activations, chunks, integer_labels, same_width, standardized


def codes_of(model: keras.Model, images: np.ndarray, *, batch_size: int = 500) -> np.ndarray:
    """Codes float32 [N, Z] of images float32 [N, H, W, C] in [0, 1].

    Example:
        >>> model = tfgen.models.Autoencoder(image_shape=(8, 8, 1), network="mlp", hidden=(8,), latent_dim=2)
        >>> tfgen.metrics.codes_of(model, np.zeros([5, 8, 8, 1], "float32")).shape
        (5, 2)

    Args:
      model: an `Encoder` (see `tfgen.models.capabilities`).
      batch_size: number of images that are encoded at once.
    """
    starts = range(0, len(images), batch_size)
    return np.concatenate([np.asarray(model.codes(images[i : i + batch_size]), np.float32) for i in starts])


class Clusters(NamedTuple):
    """Result of k-means: `centroids` float64 [K, Z] in the space of the codes; `basis` float64 [Z, Z]: distances are
    measured between codes @ basis; `inertia`: sum of the squared distances of the fitted codes to their centroids.

    Example:
        >>> clusters = tfgen.metrics.k_means([[0.0], [1.0], [10.0], [11.0]], 2, whiten=False)
        >>> first, second = clusters.assign([[2.0], [9.0]])
        >>> clusters.inertia, bool(first != second)
        (1.0, True)
    """

    centroids: np.ndarray
    basis: np.ndarray
    inertia: float

    def assign(self, codes: ArrayLike) -> np.ndarray:
        """The nearest centroid of each code [N, Z]: int64 [N]."""
        codes = activations(codes, "codes")
        same_width(codes, self.centroids, "codes and centroids")
        codes, centroids = codes @ self.basis, self.centroids @ self.basis
        half_norms = 0.5 * (centroids**2).sum(axis=1)
        return np.concatenate(
            [(half_norms - codes[rows] @ centroids.T).argmin(axis=1) for rows in chunks(len(codes), len(centroids))]
        )


def k_means(
    codes: ArrayLike, num_clusters: int, *, seed: int = 0, restarts: int = 10, iterations: int = 300, whiten: bool = True
) -> Clusters:
    """Clusters of codes [N, Z] by Lloyd's algorithm with k-means++ initialization, the best of `restarts` runs.

    `tfgen.metrics.hungarian_accuracy` scores the result of `assign`. Decoded centroids show a prototype of each cluster.

    Example:
        >>> clusters = tfgen.metrics.k_means([[0.0], [1.0], [10.0], [11.0]], 2, whiten=False)
        >>> sorted(clusters.centroids.ravel().tolist())
        [0.5, 10.5]

    Args:
      codes: codes of the train split; N >= num_clusters.
      seed: seed of the initializations.
      iterations: maximum number of iterations of each run.
      whiten: whether to whiten the codes, see the module docstring.

    Raises:
      ValueError: not finite, wrong rank, fewer codes than clusters, or an argument below 1.
    """
    from sklearn.cluster import KMeans

    codes = activations(codes, "codes", min_rows=max(1, num_clusters))
    if num_clusters < 1 or restarts < 1 or iterations < 1:
        raise ValueError(
            f"num_clusters, restarts and iterations must be at least 1; received {num_clusters}, {restarts}, {iterations}"
        )
    basis, inverse = _whitening(codes, whiten)
    found = KMeans(num_clusters, n_init=restarts, max_iter=iterations, random_state=seed).fit(codes @ basis)
    return Clusters(found.cluster_centers_ @ inverse, basis, float(found.inertia_))


class FewLabels(NamedTuple):
    """`accuracy`: mean over draws of labels; `deviation`: standard deviation over draws; `draws`: float64 [draws].

    Example:
        >>> codes, labels = np.repeat(np.eye(2), 20, axis=0), np.repeat([0, 1], 20)
        >>> found = tfgen.metrics.few_label_accuracy(codes, labels, codes, labels, per_class=5, draws=3)
        >>> found.accuracy, found.deviation, found.draws.tolist()
        (1.0, 0.0, [1.0, 1.0, 1.0])
    """

    accuracy: float
    deviation: float
    draws: np.ndarray


def few_label_accuracy(
    train_codes: ArrayLike, train_labels: ArrayLike, test_codes: ArrayLike, test_labels: ArrayLike, *, per_class: int = 10,
    draws: int = 10, seed: int = 0, standardize: bool = True,
) -> FewLabels:  # fmt: skip
    """Test accuracy of logistic regression (l2 penalty of weight 1) on codes, fitted to a few labelled images per class.

    Example:
        >>> codes, labels = np.repeat(np.eye(2), 20, axis=0), np.repeat([0, 1], 20)
        >>> tfgen.metrics.few_label_accuracy(codes, labels, codes, labels, per_class=5, draws=2).accuracy
        1.0

    Args:
      train_codes, test_codes: [N, Z] and [M, Z]; labels: integers [N] and [M].
      per_class: number of labelled images of each class in a draw, drawn without replacement.
      draws: number of random draws of labelled images, at least 2 (results vary between draws).
      seed: seed of the draws.
      standardize: whether to scale codes to mean 0 and variance 1 over all `train_codes`; see the module docstring.

    Raises:
      ValueError: sizes that do not match, fewer than two classes, or a class with fewer than `per_class` images.
    """
    from sklearn.linear_model import LogisticRegression

    if per_class < 1 or draws < 2:
        raise ValueError(f"per_class must be at least 1 and draws at least 2; received {per_class} and {draws}")
    train_codes, test_codes = activations(train_codes, "train_codes"), activations(test_codes, "test_codes")
    same_width(train_codes, test_codes, "train_codes and test_codes")
    train_labels = integer_labels(train_labels, len(train_codes), "train_labels")
    test_labels = integer_labels(test_labels, len(test_codes), "test_labels")
    classes, counts = np.unique(train_labels, return_counts=True)
    if len(classes) < 2 or counts.min() < per_class:
        held = dict(zip(classes.tolist(), counts.tolist(), strict=True))
        raise ValueError(f"there must be at least 2 classes with per_class={per_class} images each; received {held}")
    if standardize:
        train_codes, test_codes = standardized(train_codes, test_codes)
    rng, found = np.random.default_rng(seed), []
    for _ in range(draws):
        labelled = np.concatenate(
            [rng.choice(np.flatnonzero(train_labels == label), per_class, replace=False) for label in classes]
        )
        classifier = LogisticRegression(max_iter=5000).fit(train_codes[labelled], train_labels[labelled])
        found.append(classifier.score(test_codes, test_labels))
    return FewLabels(float(np.mean(found)), float(np.std(found, ddof=1)), np.array(found))


def _whitening(codes, whiten):
    """(matrix that whitens codes [N, Z], its inverse); directions without variance are not scaled."""
    if not whiten:
        return (np.eye(codes.shape[1]),) * 2
    variances, directions = np.linalg.eigh(np.atleast_2d(np.cov(codes.T, bias=True)))
    deviations = np.sqrt(np.where(variances > 1e-12 * max(variances.max(), 1e-300), variances, 1.0))
    return directions / deviations, (directions * deviations).T
