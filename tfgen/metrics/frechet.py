"""Fréchet distance between Gaussians fitted to two sets of activations.

Heusel et al. (2017), arXiv 1706.08500:  ||m1 - m2||^2 + Tr(S1 + S2 - 2 (S1 S2)^(1/2)).
With Inception-v3 features this is FID; with features of a classifier trained on the data set it is the Fréchet
classifier distance (FCD). The estimate has a positive bias of about constant / N, so only distances
with equal N and equal features can be compared.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tfgen.metrics._checks import activations, generator
from tfgen.metrics.accumulators import Moments, TwoSets


def moments(values: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Mean [F] and covariance [F, F] (divided by N - 1) of activations [N, F], N >= 2, in float64.

    Example:
        >>> mean, covariance = tfgen.metrics.moments([[1.0, 0.0], [3.0, 0.0]])
        >>> mean.tolist(), covariance.tolist()
        ([2.0, 0.0], [[2.0, 0.0], [0.0, 0.0]])
    """
    return _moments(values, "activations").result()


def _moments(values, name: str) -> Moments:
    if isinstance(values, Moments):
        return values
    return Moments().update(activations(values, name, min_rows=2, cast=False))


def frechet_distance_from_moments(
    mean_a: ArrayLike, covariance_a: ArrayLike, mean_b: ArrayLike, covariance_b: ArrayLike
) -> float:
    """Fréchet distance of two Gaussians; means [F], symmetric covariances [F, F].

    Tr (Sa Sb)^(1/2) equals Tr (Sa^(1/2) Sb Sa^(1/2))^(1/2), whose argument is symmetric. Both roots come from
    a symmetric eigendecomposition with negative eigenvalues (rounding) set to zero, so singular covariances
    need no special case and no complex numbers occur. A result below zero by rounding is returned as 0.0.

    Example:
        >>> zeros = np.zeros(3)
        >>> round(tfgen.metrics.frechet_distance_from_moments(zeros, np.eye(3), zeros, 4.0 * np.eye(3)), 6)  # 3 (2 - 1)^2
        3.0
    """
    mean_a, mean_b = (np.asarray(m, np.float64) for m in (mean_a, mean_b))
    covariance_a, covariance_b = (np.asarray(c, np.float64) for c in (covariance_a, covariance_b))
    size = mean_a.size
    if mean_a.shape != (size,) or mean_b.shape != (size,) or not (covariance_a.shape == covariance_b.shape == (size, size)):
        raise ValueError(
            "expected means [F] and covariances [F, F]; received "
            f"{mean_a.shape}, {covariance_a.shape}, {mean_b.shape}, {covariance_b.shape}"
        )
    if not all(np.isfinite(m).all() for m in (mean_a, covariance_a, mean_b, covariance_b)):
        raise ValueError("means and covariances must be finite; received NaN or infinity")
    return _distance(mean_a, covariance_a, _root(covariance_a), mean_b, covariance_b)


def _root(covariance: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T


def _distance(mean_a, covariance_a, root_a, mean_b, covariance_b) -> float:
    product = root_a @ covariance_b @ root_a
    trace_root = np.sqrt(np.maximum(np.linalg.eigvalsh((product + product.T) / 2), 0.0)).sum()
    difference = mean_a - mean_b
    distance = difference @ difference + np.trace(covariance_a) + np.trace(covariance_b) - 2.0 * trace_root
    return float(max(distance, 0.0))


def _check_counts(a: Moments, b: Moments, force: bool) -> None:
    if a.count < 2 or b.count < 2:
        raise ValueError(f"the Fréchet distance needs at least 2 examples of each set; received {a.count} and {b.count}")
    if len(a.mean) != len(b.mean):
        raise ValueError(f"a and b must have the same number of features; received {len(a.mean)} and {len(b.mean)}")
    if not force and min(a.count, b.count) <= len(a.mean):
        raise ValueError(
            "the Fréchet distance needs more examples than features: received "
            f"{a.count} and {b.count} examples of {len(a.mean)} features. "
            "Use more images or fewer features, or force=True to compute it nevertheless"
        )


def frechet_distance(a: ArrayLike, b: ArrayLike, *, force: bool = False) -> float:
    """Fréchet distance of activations `a` [N, F] and `b` [M, F] (lower is better, 0 for equal moments).

    Either may also be a `Moments`, for instance those of a data set, stored earlier.

    Example:
        >>> x = np.random.default_rng(0).normal(size=[100, 4])
        >>> round(tfgen.metrics.frechet_distance(x, x), 6)
        0.0
        >>> round(tfgen.metrics.frechet_distance(x, x + 2.0), 6)  # the squared distance of the means, 2^2 for each feature
        16.0

    Raises:
      ValueError: not finite, wrong rank, different F; N or M not above F (the covariance is singular
        and the estimate is mostly bias), unless `force=True` (then 2 rows suffice).
    """
    a, b = _moments(a, "a"), _moments(b, "b")
    _check_counts(a, b, force)
    return frechet_distance_from_moments(*a.result(), *b.result())


class FrechetDistance(TwoSets):
    """`frechet_distance` of activations that come in shards; keeps mean and covariance of each side.

    `parts["real"]` are the `Moments` of the real data; they can be stored and merged into another evaluation.

    Example:
        >>> distance = tfgen.metrics.FrechetDistance()
        >>> rows = np.random.default_rng(0).normal(size=[100, 4])
        >>> for part in np.split(rows, 4):  # in batches
        ...     distance = distance.update("real", part).update("fake", part + 2.0)
        >>> round(distance.result(), 6)  # 2^2 for each of four features
        16.0
    """

    function = staticmethod(frechet_distance)

    def __init__(self, *, force: bool = False):
        super().__init__(force=force)

    def _part(self, side):
        return Moments()

    def result(self) -> float:
        return frechet_distance(self.parts["real"], self.parts["fake"], **self.settings)


class FrechetLimit(NamedTuple):
    """Fréchet distance of infinitely many generated images: the intercept `value` of the line value + slope / n
    through the `distances` of `sizes` images.

    Example:
        >>> real, fake = np.random.default_rng(0).normal(size=[2, 1000, 4])
        >>> found = tfgen.metrics.frechet_distance_infinity(real, fake, points=3)
        >>> found.sizes, found.slope > 0  # fewer images have a larger distance
        ([100, 550, 1000], True)
    """

    value: float
    slope: float
    sizes: list[int]
    distances: list[float]


def frechet_distance_infinity(
    real: ArrayLike, fake: ArrayLike, *, smallest: int | None = None, points: int = 15, seed: int = 0, force: bool = False
) -> FrechetLimit:
    """FID-infinity: the Fréchet distance without the bias of a finite number of generated images.

    Chong and Forsyth (2020), arXiv 1911.07023: a line is fitted to the distances of `points` random subsets of the fakes
    (of evenly spaced sizes) over 1 / size, because the bias is linear in 1 / size. The bias of the real side remains: use
    the whole data set. Noise in the fit can make the value negative.

    Example:
        >>> real, fake = np.random.default_rng(0).normal(size=[2, 1000, 4])
        >>> limit = tfgen.metrics.frechet_distance_infinity(real, fake).value
        >>> bool(abs(limit) < tfgen.metrics.frechet_distance(real, fake))
        True

    Args:
      real: activations [N, F] or their `Moments`; fake: activations [M, F].
      smallest: size of the smallest subset; None: M // 10, as published (5,000 of 50,000).
      points: number of sizes, at least 2.
      seed: seed of the subsets.

    Raises:
      ValueError: as `frechet_distance`, also for the smallest subset; fewer than 2 different sizes.
    """
    real, fake = _moments(real, "real"), activations(fake, "fake", min_rows=2, cast=False)
    smallest = len(fake) // 10 if smallest is None else smallest
    if points < 2 or not 2 <= smallest < len(fake):
        raise ValueError(
            f"points must be at least 2 and smallest between 2 and the {len(fake)} fakes; received {points} and {smallest}"
        )
    sizes = np.unique(np.linspace(smallest, len(fake), points).astype(np.int64))
    mean, covariance = real.result()
    root, distances = _root(covariance), []
    for size in sizes:
        rows = generator(seed, size).choice(len(fake), size, replace=False)
        subset = _moments(fake[np.sort(rows)], "fake")
        _check_counts(real, subset, force)
        distances.append(_distance(mean, covariance, root, *subset.result()))
    slope, value = np.polyfit(1.0 / sizes, distances, 1)
    return FrechetLimit(float(value), float(slope), sizes.tolist(), distances)


class FrechetDistanceInfinity(TwoSets):
    """`frechet_distance_infinity` of activations that come in shards; keeps real moments and fake rows.

    Example:
        >>> distance = tfgen.metrics.FrechetDistanceInfinity(points=5)
        >>> real, fake = np.random.default_rng(0).normal(size=[2, 1000, 4])
        >>> found = distance.update("real", real).update("fake", fake).result()
        >>> abs(found.value) < min(found.distances)
        True
    """

    function = staticmethod(frechet_distance_infinity)

    def _part(self, side):
        return Moments() if side == "real" else super()._part(side)

    def result(self) -> FrechetLimit:
        return frechet_distance_infinity(self.parts["real"], self.parts["fake"].result(), **self.settings)
