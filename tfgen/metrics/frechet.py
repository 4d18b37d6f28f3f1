"""Fréchet distance between two sets of activations, each taken as a Gaussian.

Heusel et al. (2017), arXiv 1706.08500:  ||m1 - m2||^2 + Tr(S1 + S2 - 2 (S1 S2)^(1/2)).
With Inception-v3 features this is FID; with features of a classifier of the data itself it is the Fréchet
classifier distance (FCD). The estimate is biased upwards by about a constant over N, so that only distances
of equal N on equal features may be compared.
"""

from __future__ import annotations

import numpy as np

from tfgen.metrics._checks import activations, same_width


def moments(values) -> tuple[np.ndarray, np.ndarray]:
    """Mean [F] and covariance [F, F] (divided by N - 1) of activations [N, F], N >= 2, in float64."""
    values = activations(values, "activations", min_rows=2)
    mean = values.mean(axis=0)
    centred = values - mean
    return mean, centred.T @ centred / (len(values) - 1)


def frechet_distance_from_moments(mean_a, covariance_a, mean_b, covariance_b) -> float:
    """Fréchet distance of two Gaussians; means [F], symmetric covariances [F, F].

    Tr (Sa Sb)^(1/2) equals Tr (Sa^(1/2) Sb Sa^(1/2))^(1/2), whose argument is symmetric. Both roots come from
    a symmetric eigendecomposition with negative eigenvalues (rounding) set to zero, so singular covariances
    are no special case and no complex number appears. A result below zero by rounding is returned as 0.0.
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
    values, vectors = np.linalg.eigh((covariance_a + covariance_a.T) / 2)
    root_a = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    product = root_a @ covariance_b @ root_a
    trace_root = np.sqrt(np.maximum(np.linalg.eigvalsh((product + product.T) / 2), 0.0)).sum()
    difference = mean_a - mean_b
    distance = difference @ difference + np.trace(covariance_a) + np.trace(covariance_b) - 2.0 * trace_root
    return float(max(distance, 0.0))


def frechet_distance(a, b, *, force: bool = False) -> float:
    """Fréchet distance of activations `a` [N, F] and `b` [M, F] (lower is better, 0 for equal moments).

    Raises:
      ValueError: not finite, wrong rank, different F; N or M not above F, where the covariance is singular
        and the estimate mostly bias, unless `force=True` (then 2 rows suffice).
    """
    a, b = activations(a, "a", min_rows=2), activations(b, "b", min_rows=2)
    same_width(a, b, "a and b")
    if not force and min(len(a), len(b)) <= a.shape[1]:
        raise ValueError(
            "the Fréchet distance needs more examples than features: received "
            f"{len(a)} and {len(b)} examples of {a.shape[1]} features. "
            "Use more images or fewer features, or force=True to compute it nevertheless"
        )
    return frechet_distance_from_moments(*moments(a), *moments(b))
