"""What codes of images are good for: clusters that find the classes, and classifiers of few labels.

Both take codes as they come from `codes_of`, or any other features, and both are fitted on the train split alone. Distances
between codes mean little as they are: behind a linear code, a decoder could undo any invertible matrix, so that training
leaves scale and skew open. For clusters, whitening (uncorrelated numbers of variance 1 on the train split) takes both away.
A classifier finds skew directions by itself, and whitening would blow up those that hold little: there each number is scaled
to variance 1. Pixels have one scale and should be left as they are: those at the border hardly ever vary.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tfgen.metrics._checks import activations, chunks, same_width


def codes_of(model, images, *, batch_size: int = 500) -> np.ndarray:
    """Codes float32 [N, Z] of images float32 [N, H, W, C] in [0, 1].

    Args:
      model: with a method `encode(images)` that gives codes [B, Z], or a distribution whose mean they are.
    """
    found = []
    for start in range(0, len(images), batch_size):
        codes = model.encode(images[start : start + batch_size])
        found.append(np.asarray(codes.mean() if hasattr(codes, "log_prob") else codes, np.float32))
    return np.concatenate(found)


class Clusters(NamedTuple):
    """What k-means has found: `centroids` float64 [K, Z] in the codes' own units; `basis` float64 [Z, Z]: distances are
    those of codes @ basis; `inertia`: sum of the squared distances of the fitted codes to their centroids."""

    centroids: np.ndarray
    basis: np.ndarray
    inertia: float

    def assign(self, codes) -> np.ndarray:
        """The nearest centroid of each code [N, Z]: int64 [N]."""
        codes = activations(codes, "codes")
        same_width(codes, self.centroids, "codes and centroids")
        codes, centroids = codes @ self.basis, self.centroids @ self.basis
        half_norms = 0.5 * (centroids**2).sum(axis=1)
        return np.concatenate(
            [(half_norms - codes[rows] @ centroids.T).argmin(axis=1) for rows in chunks(len(codes), len(centroids))]
        )


def k_means(codes, num_clusters: int, *, seed: int = 0, restarts: int = 10, iterations=300, whiten=True) -> Clusters:
    """Clusters of codes [N, Z] by Lloyd's algorithm from k-means++ starts, the best of `restarts`.

    `tfgen.metrics.hungarian_accuracy` scores `assign`ed codes; centroids that are decoded are the clusters' prototypes.

    Args:
      codes: of the train split; N >= num_clusters.
      seed: of the starts.
      iterations: at most, of each start.
      whiten: see above.
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
    """`accuracy`: mean over the draws of labels; `deviation`: its standard deviation over them; `draws`: float64 [draws]."""

    accuracy: float
    deviation: float
    draws: np.ndarray


def few_label_accuracy(
    train_codes, train_labels, test_codes, test_labels, *, per_class: int = 10, draws: int = 10, seed: int = 0,
    standardize=True,
) -> FewLabels:  # fmt: skip
    """Test accuracy of logistic regression (l2 penalty of weight 1) on the codes of a few labelled images of each class.

    Args:
      train_codes, test_codes: [N, Z] and [M, Z]; labels: integers [N] and [M].
      per_class: labelled images of each class in a draw, without replacement.
      draws: how often other images are labelled, at least 2; results of one draw say little.
      seed: of the draws.
      standardize: to mean 0 and variance 1 over all `train_codes`, which needs no labels; see above.

    Raises:
      ValueError: sizes that do not fit, fewer than two classes, or a class with fewer than `per_class` images.
    """
    from sklearn.linear_model import LogisticRegression

    if per_class < 1 or draws < 2:
        raise ValueError(f"per_class must be at least 1 and draws at least 2; received {per_class} and {draws}")
    train_codes, test_codes = activations(train_codes, "train_codes"), activations(test_codes, "test_codes")
    same_width(train_codes, test_codes, "train_codes and test_codes")
    train_labels, test_labels = np.asarray(train_labels), np.asarray(test_labels)
    for name, labels, codes in (("train", train_labels, train_codes), ("test", test_labels, test_codes)):
        if labels.shape != (len(codes),) or labels.dtype.kind not in "iu":
            raise ValueError(
                f"{name}_labels must be {len(codes)} integers; received dtype {labels.dtype}, shape {labels.shape}"
            )
    classes, counts = np.unique(train_labels, return_counts=True)
    if len(classes) < 2 or counts.min() < per_class:
        held = dict(zip(classes.tolist(), counts.tolist(), strict=True))
        raise ValueError(f"there must be at least 2 classes with per_class={per_class} images each; received {held}")
    if standardize:
        mean, deviation = train_codes.mean(axis=0), train_codes.std(axis=0)
        deviation[deviation == 0.0] = 1.0
        train_codes, test_codes = (train_codes - mean) / deviation, (test_codes - mean) / deviation
    rng, found = np.random.default_rng(seed), []
    for _ in range(draws):
        labelled = np.concatenate(
            [rng.choice(np.flatnonzero(train_labels == label), per_class, replace=False) for label in classes]
        )
        classifier = LogisticRegression(max_iter=5000).fit(train_codes[labelled], train_labels[labelled])
        found.append(classifier.score(test_codes, test_labels))
    return FewLabels(float(np.mean(found)), float(np.std(found, ddof=1)), np.array(found))


def _whitening(codes, whiten):
    """(matrix that whitens codes [N, Z], its inverse); a direction in which codes do not vary is left as it is."""
    if not whiten:
        return (np.eye(codes.shape[1]),) * 2
    variances, directions = np.linalg.eigh(np.atleast_2d(np.cov(codes.T, bias=True)))
    deviations = np.sqrt(np.where(variances > 1e-12 * max(variances.max(), 1e-300), variances, 1.0))
    return directions / deviations, (directions * deviations).T
