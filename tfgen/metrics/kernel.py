"""Kernel distance (KID): unbiased squared maximum mean discrepancy with a cubic polynomial kernel.

Binkowski et al., "Demystifying MMD GANs" (2018), arXiv 1801.01401: k(x, y) = (x.y / F + 1)^3. Unbiased, so
that its mean does not depend on the number of examples and may be slightly (for few examples: strongly)
negative.
"""

from __future__ import annotations

import numpy as np

from tfgen.metrics._checks import activations, same_width
from tfgen.metrics.score import Estimate


def _unbiased_mmd2(a: np.ndarray, b: np.ndarray) -> float:
    n, m, width = len(a), len(b), a.shape[1]

    def kernel(x, y):
        return (x @ y.T / width + 1.0) ** 3

    within_a, within_b = kernel(a, a), kernel(b, b)
    return float(
        (within_a.sum() - np.trace(within_a)) / (n * (n - 1))
        + (within_b.sum() - np.trace(within_b)) / (m * (m - 1))
        - 2.0 * kernel(a, b).mean()
    )


def kernel_distance(a, b, *, subsets: int = 100, subset_size: int | None = None, seed: int = 0) -> Estimate:
    """KID of activations `a` [N, F] and `b` [M, F]; lower is better.

    Args:
      subsets: number of random subsets (drawn without replacement from either set) that are averaged. 1 with
        `subset_size=None` and N, M <= 1000 of equal size uses every example once.
      subset_size: examples of either set in a subset, at least 2; None takes min(1000, N, M). Memory is three
        float64 matrices of subset_size^2.
      seed: of the subsets.

    Returns:
      Estimate(mean, std) over the subsets.

    Raises:
      ValueError: not finite, wrong rank, different F, or a subset larger than a set.
    """
    a, b = activations(a, "a", min_rows=2), activations(b, "b", min_rows=2)
    same_width(a, b, "a and b")
    if subset_size is None:
        subset_size = min(1000, len(a), len(b))
    if not 2 <= subset_size <= min(len(a), len(b)):
        raise ValueError(
            f"subset_size must be between 2 and the size of the smaller set, {min(len(a), len(b))}; received {subset_size}"
        )
    if subsets < 1:
        raise ValueError(f"subsets must be at least 1; received {subsets}")
    rng = np.random.default_rng(seed)
    values = [
        _unbiased_mmd2(
            a[rng.choice(len(a), subset_size, replace=False)],
            b[rng.choice(len(b), subset_size, replace=False)],
        )
        for _ in range(subsets)
    ]
    return Estimate(float(np.mean(values)), float(np.std(values)))
