"""Inception-style score on any classifier's outputs, and which classes the samples fall into.

Salimans et al., "Improved Techniques for Training GANs" (2016), arXiv 1606.03498:
    score = exp(mean_x KL(p(y|x) || p(y))),  p(y) = mean_x p(y|x)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tfgen.metrics._checks import activations


class Estimate(NamedTuple):
    """A number and its population standard deviation over splits or subsets (0.0 where there is only one)."""

    mean: float
    std: float


def classifier_score(outputs, splits: int = 1, *, from_logits: bool = True) -> Estimate:
    """Classifier score of outputs [N, K], between 1 and K; higher is better.

    Args:
      outputs: logits [N, K]; or, with `from_logits=False`, probabilities [N, K] whose rows sum to one.
      splits: the score is computed on this many consecutive parts of (nearly) equal size.

    Returns:
      Estimate(mean, std) over the splits.

    Raises:
      ValueError: not finite, wrong rank, rows that are no distributions, or `splits` outside [1, N].
    """
    outputs = activations(outputs, "outputs")
    if not 1 <= splits <= len(outputs):
        raise ValueError(f"splits must be between 1 and the number of rows {len(outputs)}; received {splits}")
    if from_logits:
        # log-softmax, so that a confident classifier never gives 0 * log 0
        log_p = outputs - outputs.max(axis=1, keepdims=True)
        log_p = log_p - np.log(np.exp(log_p).sum(axis=1, keepdims=True))
        p = np.exp(log_p)
    else:
        if outputs.min() < 0 or np.abs(outputs.sum(axis=1) - 1).max() > 1e-3:
            raise ValueError(
                "probabilities must be >= 0 with rows that sum to 1; received minimum "
                f"{outputs.min():.6g} and row sums [{outputs.sum(1).min():.6g}, {outputs.sum(1).max():.6g}]"
            )
        p = outputs
        log_p = np.log(np.where(p > 0, p, 1.0))
    scores = []
    for part_p, part_log_p in zip(np.array_split(p, splits), np.array_split(log_p, splits), strict=True):
        marginal = part_p.mean(axis=0)
        # a marginal of 0 means that every p of that class is 0, so that any finite logarithm will do
        log_marginal = np.log(np.where(marginal > 0, marginal, 1.0))
        scores.append(np.exp((part_p * (part_log_p - log_marginal)).sum(axis=1).mean()))
    return Estimate(float(np.mean(scores)), float(np.std(scores)))


def class_shares(logits) -> np.ndarray:
    """Share of the examples whose largest output is class k: float64 [K], sums to one. `logits` is [N, K]."""
    logits = activations(logits, "logits")
    return np.bincount(logits.argmax(axis=1), minlength=logits.shape[1]) / len(logits)


def presence_threshold(num_classes: int) -> float:
    """Share above which a class counts as present: 2 %, or a fifth of the even share if smaller."""
    return min(0.02, 0.2 / num_classes)


def count_classes(shares, threshold: float | None = None) -> int:
    """Number of classes whose share is above `threshold` (default: `presence_threshold`)."""
    shares = np.asarray(shares, np.float64)
    if shares.ndim != 1 or not len(shares):
        raise ValueError(f"shares must be a vector, one share per class; received shape {shares.shape}")
    return int((shares > (presence_threshold(len(shares)) if threshold is None else threshold)).sum())
