"""Inception score with any classifier, and the shares of the classes among samples.

Salimans et al., "Improved Techniques for Training GANs" (2016), arXiv 1606.03498:
    score = exp(mean_x KL(p(y|x) || p(y))),  p(y) = mean_x p(y|x)
With a classifier of MNIST it is the MNIST score, with Inception-v3 the Inception score. Numbers of different
classifiers are not comparable.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tfgen.metrics._checks import activations, chunks
from tfgen.metrics.accumulators import Accumulator, Sums, checked_ids


class Estimate(NamedTuple):
    """A number and its population standard deviation over splits or subsets (0.0 if there is only one).

    Example:
        >>> tfgen.metrics.Estimate(mean=1.5, std=0.0).mean
        1.5
    """

    mean: float
    std: float


def classifier_score(outputs: ArrayLike, splits: int = 1, *, from_logits: bool = True) -> Estimate:
    """Classifier score of outputs [N, K], between 1 and K; higher is better.

    Example:
        >>> round(tfgen.metrics.classifier_score(100.0 * np.eye(10)).mean, 3)  # certain, and every class as often
        10.0
        >>> round(tfgen.metrics.classifier_score(np.zeros([5, 10])).mean, 3)  # uncertain
        1.0

    Args:
      outputs: logits [N, K]; or, with `from_logits=False`, probabilities [N, K] whose rows sum to one.
      splits: number of consecutive parts of (nearly) equal size on which the score is computed.

    Returns:
      Estimate(mean, std) over the splits.

    Raises:
      ValueError: not finite, wrong rank, rows that are not distributions, or `splits` outside [1, N].
    """
    outputs = activations(outputs, "outputs", cast=False)
    score = ClassifierScore(splits, len(outputs), from_logits=from_logits)
    for part in chunks(*outputs.shape):
        score.update(outputs[part], np.arange(part.start, part.stop))
    return score.result()


class ClassifierScore(Accumulator):
    """`classifier_score` of outputs that come in shards; keeps sums [splits, K].

    Example:
        >>> certain = 100.0 * np.eye(10)
        >>> round(tfgen.metrics.ClassifierScore().update(certain[:5]).update(certain[5:]).result().mean, 3)
        10.0

    Args:
      splits, from_logits: as for `classifier_score`.
      total: number of all examples; required for more than one split, whose ends it determines.
    """

    def __init__(self, splits: int = 1, total: int | None = None, *, from_logits: bool = True):
        if splits > 1 and total is None:
            raise ValueError(
                f"total must be given for more than one split, since it determines their ends; received splits={splits}"
            )
        if splits < 1 or (total is not None and splits > total):
            raise ValueError(f"splits must be between 1 and the number of rows {total}; received {splits}")
        super().__init__(splits=splits, total=total, from_logits=from_logits)
        self.parts = {"sums": Sums()}
        # as numpy.array_split: the first total % splits parts have one more example
        self._ends = None if total is None else np.cumsum([total // splits + (i < total % splits) for i in range(splits)])

    def update(self, outputs: ArrayLike, ids: ArrayLike | None = None) -> ClassifierScore:
        """Adds outputs [N, K]; `ids` int [N], positions in 0 ... total - 1, are required for more than one split."""
        outputs, splits = activations(outputs, "outputs", min_rows=0), self.settings["splits"]
        if not len(outputs):
            return self
        if splits == 1:
            split = np.zeros(len(outputs), np.int64)
        else:
            if ids is None:
                raise ValueError("ids must be given for more than one split, since they determine the split of a row")
            assert self._ends is not None
            split = np.searchsorted(self._ends, checked_ids(ids, len(outputs)), side="right")
            if split.max() >= splits:
                raise ValueError(f"ids must be below total={self.settings['total']}; received {np.max(ids)}")
        p, log_p = _probabilities(outputs, self.settings["from_logits"])
        member = (split == np.arange(splits)[:, None]).astype(np.float64)  # [splits, N]
        self.parts["sums"].update(count=member.sum(axis=1), p=member @ p, negative_entropy=member @ (p * log_p).sum(axis=1))
        return self

    def result(self) -> Estimate:
        """Estimate(mean, std) over the splits. ValueError without examples, or if their number is not `total`."""
        sums = self.parts["sums"].result()
        count = sums["count"]
        if self._ends is not None and (count != np.diff(self._ends, prepend=0)).any():
            expected, received = np.diff(self._ends, prepend=0).tolist(), count.astype(int).tolist()
            raise ValueError(f"the splits must hold {expected} examples; received {received}")
        marginal = sums["p"] / count[:, None]
        # a marginal of 0 contributes 0 with any finite logarithm
        entropy = -(marginal * np.log(np.where(marginal > 0, marginal, 1.0))).sum(axis=1)
        scores = np.exp(sums["negative_entropy"] / count + entropy)
        return Estimate(float(scores.mean()), float(scores.std()))


def _probabilities(outputs: np.ndarray, from_logits: bool) -> tuple[np.ndarray, np.ndarray]:
    """(p, log p); log p is finite even if p is 0."""
    if from_logits:
        # log-softmax, which avoids 0 * log 0 for a confident classifier
        log_p = outputs - outputs.max(axis=1, keepdims=True)
        log_p -= np.log(np.exp(log_p).sum(axis=1, keepdims=True))
        return np.exp(log_p), log_p
    if outputs.min() < 0 or np.abs(outputs.sum(axis=1) - 1).max() > 1e-3:
        raise ValueError(
            "probabilities must be >= 0 with rows that sum to 1; received minimum "
            f"{outputs.min():.6g} and row sums [{outputs.sum(1).min():.6g}, {outputs.sum(1).max():.6g}]"
        )
    return outputs, np.log(np.where(outputs > 0, outputs, 1.0))


def class_shares(logits: ArrayLike) -> np.ndarray:
    """Share of the examples whose largest output is class k: float64 [K], sums to one. `logits` is [N, K].

    Example:
        >>> tfgen.metrics.class_shares([[2.0, 1.0], [0.0, 1.0], [0.0, 3.0], [0.0, 4.0]]).tolist()
        [0.25, 0.75]
    """
    return ClassShares().update(activations(logits, "logits", cast=False)).result()


class ClassShares(Accumulator):
    """`class_shares` of logits that come in shards; keeps K counts.

    Example:
        >>> shares = tfgen.metrics.ClassShares().update([[2.0, 1.0], [0.0, 1.0]]).update([[0.0, 3.0], [0.0, 4.0]])
        >>> shares.result().tolist()
        [0.25, 0.75]
    """

    def __init__(self):
        super().__init__()
        self.parts = {"sums": Sums()}

    def update(self, logits: ArrayLike, ids: ArrayLike | None = None) -> ClassShares:
        """Adds logits [N, K]; `ids` are ignored."""
        logits = activations(logits, "logits", min_rows=0, cast=False)
        if len(logits):
            self.parts["sums"].update(count=np.bincount(logits.argmax(axis=1), minlength=logits.shape[1]))
        return self

    def result(self) -> np.ndarray:
        count = self.parts["sums"].result()["count"]
        return count / count.sum()


def presence_threshold(num_classes: int) -> float:
    """Share above which a class counts as present: 2 %, or a fifth of 1 / num_classes if that is smaller.

    Example:
        >>> tfgen.metrics.presence_threshold(10), tfgen.metrics.presence_threshold(1000)
        (0.02, 0.0002)
    """
    return min(0.02, 0.2 / num_classes)


def count_classes(shares: ArrayLike, threshold: float | None = None) -> int:
    """Number of classes whose share is above `threshold` (default: `presence_threshold`).

    Example:
        >>> tfgen.metrics.count_classes([0.6, 0.395, 0.005])
        2
    """
    shares = np.asarray(shares, np.float64)
    if shares.ndim != 1 or not len(shares):
        raise ValueError(f"shares must be a vector, one share per class; received shape {shares.shape}")
    return int((shares > (presence_threshold(len(shares)) if threshold is None else threshold)).sum())
