"""Precision, recall, density and coverage from nearest-neighbour balls.

Kynkäänniemi et al. (2019), arXiv 1904.06991 (precision, recall); Naeem et al. (2020), arXiv 2002.09797
(density, coverage). Conventions of the released code of Naeem et al.: k = 5, the radius of a point is the distance
to its k-th neighbour in its own set (itself not counted), and a point lies in a ball if its distance to the centre
is strictly smaller than the radius.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tfgen.metrics._checks import activations, centred, chunks, same_width, squared_distances
from tfgen.metrics.accumulators import TwoSets


def _squared_radii(points: np.ndarray, k: int) -> np.ndarray:
    radii = np.empty(len(points))
    for rows in chunks(len(points), len(points)):
        # the point itself is the neighbour at index 0, so index k instead of k - 1
        radii[rows] = np.partition(squared_distances(points[rows], points), k, axis=1)[:, k]
    return radii


def prdc(real: ArrayLike, fake: ArrayLike, k: int = 5) -> dict[str, float]:
    """{"precision", "recall", "density", "coverage"} of `fake` [M, F] with respect to `real` [N, F].

    precision: share of fakes inside some real ball; recall: share of reals inside some fake ball; density:
      mean number of real balls around a fake, over k (may exceed 1); coverage: share of real balls that hold a fake.
    Two samples of the same distribution give density of about 1 and coverage of about 1 - 2^-k; precision and recall
    depend on N and F, so numbers are comparable only for equal N, M and features.

    Time is O((N + M)^2 F); memory is a few blocks of 32 MiB besides the inputs, never the whole distance matrix.

    Example:
        >>> real = np.random.default_rng(0).normal(size=[50, 4])
        >>> tfgen.metrics.prdc(real, real + 100.0)
        {'precision': 0.0, 'recall': 0.0, 'density': 0.0, 'coverage': 0.0}
        >>> tfgen.metrics.prdc(real, real)["coverage"]
        1.0

    Raises:
      ValueError: not finite, wrong rank, different F, k < 1, or a set with k or fewer points.
    """
    real, fake = activations(real, "real"), activations(fake, "fake")
    same_width(real, fake, "real and fake")
    if not 1 <= k < min(len(real), len(fake)):
        raise ValueError(
            f"k must be at least 1 and smaller than either set; received k={k} for {len(real)} real and {len(fake)} fake"
        )
    real, fake = centred(real, fake)
    real_radii, fake_radii = _squared_radii(real, k), _squared_radii(fake, k)
    inside_real = np.zeros(len(fake), np.int64)  # number of real balls that each fake lies in
    recalled = covered = 0
    for rows in chunks(len(real), len(fake)):
        distances = squared_distances(real[rows], fake)
        inside_real += (distances < real_radii[rows, None]).sum(axis=0)
        recalled += int((distances < fake_radii).any(axis=1).sum())
        covered += int((distances.min(axis=1) < real_radii[rows]).sum())
    return {
        "precision": float((inside_real > 0).mean()),
        "recall": recalled / len(real),
        "density": float(inside_real.sum() / (k * len(fake))),
        "coverage": covered / len(real),
    }


class PRDC(TwoSets):
    """`prdc` of activations that come in shards. All activations are kept; the arguments are the same.

    Example:
        >>> real = np.random.default_rng(0).normal(size=[50, 4])
        >>> prdc = tfgen.metrics.PRDC(k=3).update("real", real).update("fake", real)
        >>> {name: round(value) for name, value in prdc.result().items()}
        {'precision': 1, 'recall': 1, 'density': 1, 'coverage': 1}
    """

    function = staticmethod(prdc)
