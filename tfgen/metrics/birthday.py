"""Birthday paradox test: how many different images does a generator make?

Arora and Zhang (2017), arXiv 1706.08224. If half of the batches of s samples hold a duplicate, the distribution has a
support of about s^2 / (2 ln 2) images if all are equally likely; otherwise fewer images have most of the probability.
Near-duplicates are found by distance. The paper inspects the 20 closest pairs by eye; `closest_pairs` returns them.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from tfgen.metrics._checks import activations, centred, chunks, generator, squared_distances
from tfgen.metrics.accumulators import OneSet


def closest_pairs(features: ArrayLike, count: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """The `count` closest pairs of different rows of features [N, F].

    Example:
        >>> pairs, distances = tfgen.metrics.closest_pairs([[0.0], [5.0], [9.0], [5.5]], count=1)
        >>> pairs.tolist(), distances.tolist()
        ([[1, 3]], [0.5])

    Returns:
      (pairs int64 [count, 2], the smaller index first; Euclidean distances float64 [count], ascending, exactly 0 for
      equal rows). Uses a few blocks of 32 MiB of memory.

    Raises:
      ValueError: not finite, wrong rank, fewer than 2 rows, or `count` outside 1 ... N (N - 1) / 2.
    """
    features = activations(features, "features", min_rows=2)
    total = len(features) * (len(features) - 1) // 2
    if not 1 <= count <= total:
        raise ValueError(f"count must be between 1 and the {total} pairs; received {count}")
    (near,) = centred(features)
    best, pairs = np.empty(0), np.empty((0, 2), np.int64)
    for rows in chunks(len(near), len(near)):
        distances = squared_distances(near[rows], near[rows.start :])
        # count each pair once: the columns start at the block's own first row
        distances[np.tril_indices(len(distances), m=distances.shape[1])] = np.inf
        keep = np.argpartition(distances, min(count, distances.size) - 1, axis=None)[:count]
        found = np.stack(np.unravel_index(keep, distances.shape), axis=1) + rows.start
        best, pairs = np.concatenate([best, distances.ravel()[keep]]), np.concatenate([pairs, found])
        order = np.argsort(best, kind="stable")[:count]
        best, pairs = best[order], pairs[order]
    distances = np.linalg.norm(features[pairs[:, 0]] - features[pairs[:, 1]], axis=1)
    order = np.lexsort((pairs[:, 1], pairs[:, 0], distances))
    return pairs[order], distances[order]


class ClosestPairs(OneSet):
    """`closest_pairs` of features that come in shards. All features are kept; indices refer to their order by id.

    Example:
        >>> pairs = tfgen.metrics.ClosestPairs(count=1).update([[0.0], [5.0]]).update([[9.0], [5.5]])
        >>> indices, distances = pairs.result()
        >>> indices.tolist(), distances.tolist()
        ([[1, 3]], [0.5])
    """

    function = staticmethod(closest_pairs)


def duplicate_rate(features: ArrayLike, *, batch_size: int, threshold: float, batches: int = 100, seed: int = 0) -> float:
    """Share of random batches in which two rows are at most `threshold` apart.

    Example:
        >>> rows = np.zeros([10, 2])
        >>> tfgen.metrics.duplicate_rate(rows, batch_size=2, threshold=0.0)  # all rows are equal
        1.0

    Args:
      features: [N, F]; batch_size: rows in a batch, 2 to N, drawn without replacement.
      threshold: Euclidean distance >= 0 up to which two rows count as near-duplicates.
      batches: number of batches, drawn with `seed`.

    Raises:
      ValueError: not finite, wrong rank, fewer than 2 rows, or an argument out of range.
    """
    features = activations(features, "features", min_rows=2)
    if not 2 <= batch_size <= len(features):
        raise ValueError(f"batch_size must be between 2 and the {len(features)} rows; received {batch_size}")
    if batches < 1 or not threshold >= 0:
        raise ValueError(f"batches must be at least 1 and threshold at least 0; received {batches} and {threshold}")
    rng = generator(seed)
    draws = (rng.choice(len(features), batch_size, replace=False) for _ in range(batches))
    return sum(float(closest_pairs(features[rows], 1)[1][0]) <= threshold for rows in draws) / batches


def support_size(batch_size: float) -> float:
    """Support size for which half of the batches of s = `batch_size` >= 2 samples hold a duplicate: s^2 / (2 ln 2).

    Example:
        >>> round(tfgen.metrics.support_size(23))  # in half of the groups of 23 people two share a birthday
        382
    """
    if batch_size < 2:
        raise ValueError(f"batch_size must be at least 2; received {batch_size}")
    return batch_size**2 / (2.0 * math.log(2.0))
