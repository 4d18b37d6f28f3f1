"""Accuracy of a classifier on samples of a conditional model: do the samples show their class?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tfgen.metrics._checks import activations
from tfgen.metrics.accumulators import Accumulator, Sums
from tfgen.metrics.clustering import confusion_matrix


class Accuracy(NamedTuple):
    """`accuracy`: share of the samples classified as their label; `per_class` float64 [K]: the accuracy of each class, NaN
    for a class without samples; `confusion` int64 [K, K]: number of samples with label i (row) classified as j (column).

    Example:
        >>> found = tfgen.metrics.conditional_accuracy([[2.0, 1.0], [3.0, 0.0], [0.0, 1.0]], [0, 1, 1])
        >>> found.confusion.tolist(), found.per_class.tolist()
        ([[1, 0], [1, 1]], [1.0, 0.5])
    """

    accuracy: float
    per_class: np.ndarray
    confusion: np.ndarray


def conditional_accuracy(logits: ArrayLike, labels: ArrayLike) -> Accuracy:
    """Accuracy of a classifier, trained on real images, on conditional samples.

    With a classifier trained on samples and tested on real images, the same function gives the classification
    accuracy score (CAS; Ravuri and Vinyals 2019, arXiv 1905.10887).

    Example:
        >>> tfgen.metrics.conditional_accuracy([[2.0, 1.0], [3.0, 0.0], [0.0, 1.0], [0.0, 2.0]], [0, 1, 1, 1]).accuracy
        0.75

    Args:
      logits: float [N, K], the classifier's outputs; labels: int [N] in [0, K), the labels the samples were drawn with.

    Raises:
      ValueError: not finite, wrong rank, no examples, or labels that are not N integers in [0, K).
    """
    return ConditionalAccuracy().update(activations(logits, "logits", cast=False), labels).result()


class ConditionalAccuracy(Accumulator):
    """`conditional_accuracy` of samples that come in shards; keeps the confusion matrix.

    Example:
        >>> accuracy = tfgen.metrics.ConditionalAccuracy().update([[2.0, 1.0]], [0]).update([[3.0, 0.0]], [1])
        >>> accuracy.result().accuracy
        0.5
    """

    def __init__(self):
        super().__init__()
        self.parts = {"sums": Sums()}

    def update(self, logits: ArrayLike, labels: ArrayLike, ids: ArrayLike | None = None) -> ConditionalAccuracy:
        """Adds logits [N, K] and labels int [N]; `ids` are ignored."""
        logits, labels = activations(logits, "logits", min_rows=0, cast=False), np.asarray(labels)
        if not len(logits) and not len(labels):
            return self
        classes = logits.shape[1]
        if labels.shape != logits.shape[:1] or labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= classes:
            raise ValueError(
                f"labels must be {len(logits)} integers in [0, {classes}); received shape {labels.shape}, "
                f"dtype {labels.dtype}, values {np.unique(labels)[[0, -1]].tolist() if labels.size else []}"
            )
        self.parts["sums"].update(confusion=confusion_matrix(labels, logits.argmax(axis=1), classes, classes))
        return self

    def result(self) -> Accuracy:
        """The accuracy; ValueError without examples."""
        confusion = self.parts["sums"].result()["confusion"]
        total, correct = confusion.sum(axis=1), np.diag(confusion)
        per_class = np.divide(correct, total, out=np.full(len(total), np.nan), where=total > 0)
        return Accuracy(float(correct.sum() / total.sum()), per_class, confusion)
