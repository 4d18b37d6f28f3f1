"""Do samples of a conditional model show what was asked for? Accuracy of a classifier on them, by class."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tfgen.metrics._checks import activations
from tfgen.metrics.accumulators import Accumulator, Sums
from tfgen.metrics.clustering import confusion_matrix


class Accuracy(NamedTuple):
    """`accuracy`: share of the examples that show their class; `per_class` float64 [K]: the same of each class, NaN of a
    class that was never asked for; `confusion` int64 [K, K]: how often class i (row) was asked for and j recognised."""

    accuracy: float
    per_class: np.ndarray
    confusion: np.ndarray


def conditional_accuracy(logits, labels) -> Accuracy:
    """Accuracy of a classifier's outputs on conditional samples; the classifier was trained on real images.

    The other way round, trained on samples and judged on real images, the same function gives the classification
    accuracy score (CAS; Ravuri and Vinyals 2019, arXiv 1905.10887).

    Args:
      logits: float [N, K], of the samples; labels: int [N] in [0, K), what was asked for.

    Raises:
      ValueError: not finite, wrong rank, no examples, or labels that are not N integers in [0, K).
    """
    return ConditionalAccuracy().update(activations(logits, "logits", cast=False), labels).result()


class ConditionalAccuracy(Accumulator):
    """`conditional_accuracy` of samples that come in shards: the confusion matrix."""

    def __init__(self):
        super().__init__()
        self.parts = {"sums": Sums()}

    def update(self, logits, labels, ids=None):
        """Adds logits [N, K] and labels int [N]; `ids` are not needed and not read."""
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
        """ValueError of no examples."""
        confusion = self.parts["sums"].result()["confusion"]
        asked, right = confusion.sum(axis=1), np.diag(confusion)
        per_class = np.divide(right, asked, out=np.full(len(asked), np.nan), where=asked > 0)
        return Accuracy(float(right.sum() / asked.sum()), per_class, confusion)
