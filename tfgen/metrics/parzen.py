"""Log-likelihood of test data under a Parzen window of samples: Goodfellow et al. (2014), arXiv 1406.2661, section 5.

    log p(x) = logsumexp_i[-||x - y_i||^2 / (2 sigma^2)] - log n - (d / 2) log(2 pi sigma^2),  in nats

y_1 .. y_n are the model's samples and d is their dimension; sigma is chosen on validation data. This was the usual
metric in 2014, but it is a poor one: in high dimensions it is far from the likelihood and can rank a model above the data
itself (Theis et al. 2016, arXiv 1511.01844). It is here for comparison with published numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tfgen.metrics._checks import activations, chunks, same_width, squared_distances


class ParzenEstimate(NamedTuple):
    """Mean log-likelihood in nats per test point, its standard error, and the bandwidth used.

    Example:
        >>> samples, validation, test = np.random.default_rng(0).normal(size=[3, 500, 1])
        >>> tfgen.metrics.parzen_estimate(samples, validation, test, [0.01, 0.3, 10.0]).sigma
        0.3
    """

    mean: float
    standard_error: float
    sigma: float


def parzen_log_likelihood(samples: ArrayLike, test: ArrayLike, sigma: float) -> np.ndarray:
    """Log density, in nats, of each row of `test` [M, D] under Gaussians of standard deviation `sigma` at `samples` [N, D].

    Memory is bounded: distances are computed for blocks of test rows, and no array [M, N, D] is made.

    Example:
        >>> found = tfgen.metrics.parzen_log_likelihood([[0.0], [0.0]], [[0.0]], sigma=1.0)
        >>> round(float(found[0]), 4)  # -ln(2 pi) / 2
        -0.9189

    Returns:
      float64 [M].

    Raises:
      ValueError: not finite, wrong rank, different D; `sigma` not a positive finite number.
    """
    return _log_likelihoods(samples, test, [sigma], "test")[0]


def fit_sigma(samples: ArrayLike, validation: ArrayLike, grid: Iterable[float]) -> float:
    """The bandwidth in `grid` with the highest mean log-likelihood of `validation` [M, D]; the first one in a tie.

    Example:
        >>> samples, validation = np.random.default_rng(0).normal(size=[2, 500, 1])
        >>> tfgen.metrics.fit_sigma(samples, validation, [0.01, 0.3, 10.0])
        0.3

    Raises:
      ValueError: as `parzen_log_likelihood`, or an empty grid.
    """
    grid = list(grid)
    means = _log_likelihoods(samples, validation, grid, "validation").mean(axis=1)
    return float(grid[int(means.argmax())])


def parzen_estimate(
    samples: ArrayLike, validation: ArrayLike, test: ArrayLike, grid: Iterable[float]
) -> ParzenEstimate:  # fmt: skip
    """The published protocol: `fit_sigma` on `validation`, then mean and standard error over `test` (at least 2 rows).

    Example:
        >>> samples, validation, test = np.random.default_rng(0).normal(size=[3, 500, 1])
        >>> found = tfgen.metrics.parzen_estimate(samples, validation, test, [0.01, 0.3, 10.0])
        >>> found.sigma, bool(abs(found.mean + 1.42) < 0.1)  # a normal distribution has the negative entropy -1.42
        (0.3, True)
    """
    test = activations(test, "test", min_rows=2)
    sigma = fit_sigma(samples, validation, grid)
    values = parzen_log_likelihood(samples, test, sigma)
    return ParzenEstimate(float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values))), sigma)


def _log_likelihoods(samples, points, sigmas, name: str) -> np.ndarray:
    """float64 [len(sigmas), M]; the distances are computed once for all bandwidths."""
    samples, points = activations(samples, "samples"), activations(points, name)
    same_width(samples, points, f"samples and {name}")
    sigmas = np.asarray(sigmas, np.float64)
    if sigmas.ndim != 1 or not sigmas.size or not (np.isfinite(sigmas) & (sigmas > 0)).all():
        raise ValueError(f"bandwidths must be one or more positive finite numbers; received {sigmas.tolist()}")
    num, width = samples.shape
    # Distances are computed from the expanded square, which loses digits if all points share a large offset.
    centre = samples.mean(axis=0)
    samples, points = samples - centre, points - centre
    values = np.empty((len(sigmas), len(points)))
    for rows in chunks(len(points), num):
        distances = squared_distances(points[rows], samples)
        nearest = distances.min(axis=1, keepdims=True)
        for value, sigma in zip(values, sigmas, strict=True):
            summed = np.exp((nearest - distances) / (2 * sigma**2)).sum(axis=1)
            value[rows] = np.log(summed) - nearest[:, 0] / (2 * sigma**2)
    return values - (math.log(num) + 0.5 * width * np.log(2 * math.pi * sigmas**2))[:, None]
