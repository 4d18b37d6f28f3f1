"""Kernel distance (KID): unbiased squared maximum mean discrepancy with a cubic polynomial kernel.

Binkowski et al., "Demystifying MMD GANs" (2018), arXiv 1801.01401: k(x, y) = (x.y / F + 1)^3. The estimate is
unbiased: its expectation does not depend on the number of examples. It may be slightly negative, or strongly with few
examples.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tfgen.metrics._checks import activations, chunks, same_width
from tfgen.metrics.accumulators import TwoSets
from tfgen.metrics.score import Estimate


def _kernel_mean(x: np.ndarray, y: np.ndarray | None = None) -> float:
    """Mean of the kernel over all pairs of rows of x and y; without y, over all pairs of different rows of x."""
    width, total = x.shape[1], 0.0
    other = x if y is None else y
    for rows in chunks(len(x), len(other)):
        kernel = x[rows] @ other.T
        kernel /= width
        kernel += 1.0
        cube = kernel * kernel
        cube *= kernel
        total += cube.sum()
        if y is None:
            total -= np.trace(cube, offset=rows.start)
    return total / (len(x) * (len(other) - (y is None)))


def _unbiased_mmd2(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a.astype(np.float64, copy=False), b.astype(np.float64, copy=False)
    return float(_kernel_mean(a) + _kernel_mean(b) - 2.0 * _kernel_mean(a, b))


def kernel_distance(
    a: ArrayLike, b: ArrayLike, *, subsets: int = 100, subset_size: int | None = None, seed: int = 0
) -> Estimate:
    """KID of activations `a` [N, F] and `b` [M, F]; lower is better.

    Example:
        >>> real, fake = np.random.default_rng(0).normal(size=[2, 200, 4])
        >>> abs(tfgen.metrics.kernel_distance(real, fake, subsets=10).mean) < 0.1  # of one distribution
        True
        >>> tfgen.metrics.kernel_distance(real, fake + 3.0, subsets=10).mean > 1.0
        True

    Args:
      subsets: number of random subsets (drawn without replacement from each set) that are averaged. With 1,
        `subset_size=None` and N = M <= 1000, every example is used once.
      subset_size: examples of each set in a subset, at least 2; None: min(1000, N, M). Memory is a few
        blocks of 32 MiB for any size; time grows with its square.
      seed: seed of the subsets.

    Returns:
      Estimate(mean, std) over the subsets.

    Raises:
      ValueError: not finite, wrong rank, different F, or a subset larger than a set.
    """
    a, b = activations(a, "a", min_rows=2, cast=False), activations(b, "b", min_rows=2, cast=False)
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


class KernelDistance(TwoSets):
    """`kernel_distance` of activations that come in shards. All activations are kept; the arguments are the same.

    Example:
        >>> distance = tfgen.metrics.KernelDistance(subsets=10, subset_size=20)
        >>> real = np.random.default_rng(0).normal(size=[50, 4])
        >>> distance.update("real", real).update("fake", real + 3.0).result().mean > 1.0
        True
    """

    function = staticmethod(kernel_distance)
