"""Likelihood in nats per image and in bits per dimension.

Burda, Grosse, Salakhutdinov, "Importance weighted autoencoders" (2015), arXiv 1509.00519, equation 8:
    log p(x) >= E log (1/S) sum_s w_s,  w_s = p(x, z_s) / q(z_s | x),
which becomes an equality as S grows. A generator without a density, such as a GAN's, has no likelihood.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tfgen.metrics.accumulators import Accumulator, Moments


def importance_log_prob(log_weights: ArrayLike) -> np.ndarray:
    """log (1/S) sum_s exp(log_weights[s, n]), in nats: float64 [N] from log-weights [S, N].

    A log-weight of -inf is a weight of 0; if all weights of an image are 0, its result is -inf.

    Example:
        >>> tfgen.metrics.importance_log_prob(np.log([[0.1], [0.3]])).round(4).tolist() == np.log([0.2]).round(4).tolist()
        True

    Raises:
      ValueError: wrong rank, no weights, NaN or +inf.
    """
    log_weights = np.asarray(log_weights)
    if log_weights.ndim != 2 or not len(log_weights):
        raise ValueError(f"log_weights must be [S, N], importance samples by images, S >= 1; received {log_weights.shape}")
    log_weights = log_weights.astype(np.float64)
    if np.isnan(log_weights).any() or np.isposinf(log_weights).any():
        raise ValueError("log_weights must not hold NaN or +inf")
    top = log_weights.max(axis=0)
    safe = np.where(np.isneginf(top), 0.0, top)
    with np.errstate(divide="ignore"):
        return safe + np.log(np.exp(log_weights - safe).mean(axis=0))


def bits_per_dim(nats: ArrayLike, dims: int, *, levels: float = 1, width: float = 1.0) -> np.ndarray | float:
    """Converts nats per image into bits per dimension: nats / (dims ln 2) + log2(levels / width).

    Example:
        >>> tfgen.metrics.bits_per_dim(0.0, dims=64, levels=256)  # a density of 1 on [0, 1]
        8.0

    Args:
      nats: scalar or array of -log p(x) per image, summed over its dimensions.
      dims: number of dimensions H * W * C.
      levels, width: leave at 1 if p is a probability of discrete levels. If p is a density of data with `levels`
        levels, dequantised and scaled to an interval of this width, they convert it to the density of the unscaled
        levels: levels=256 adds 8 bits on [0, 1] and 7 bits on [-1, 1] (width=2).

    Returns:
      float for a scalar, else a float64 array of the shape of `nats`.

    Raises:
      ValueError: `dims` below 1, `levels` or `width` not positive, or NaN or infinity in `nats`.
    """
    if dims < 1:
        raise ValueError(f"dims must be at least 1 (H * W * C); received {dims}")
    if levels <= 0 or width <= 0:
        raise ValueError(f"levels and width must be positive; received {levels} and {width}")
    bits = np.asarray(nats, np.float64) / (dims * math.log(2.0)) + math.log2(levels / width)
    if not np.isfinite(bits).all():
        raise ValueError("nats must be finite; received NaN or infinity")
    return float(bits) if bits.ndim == 0 else bits


class LikelihoodResult(NamedTuple):
    """Negative log-likelihood: mean `nats` per image, its standard error (None for one image), `bits_per_dim`.

    Example:
        >>> found = tfgen.metrics.Likelihood(dims=64).update([-30.0, -34.0]).result()
        >>> found.nats, found.standard_error
        (32.0, 2.0)
    """

    nats: float
    standard_error: float | None
    bits_per_dim: float


class Likelihood(Accumulator):
    """Mean negative log-likelihood of images that come in shards; keeps mean and variance.

    Example:
        >>> likelihood = tfgen.metrics.Likelihood(dims=64).update([-30.0, -34.0]).update([-32.0])
        >>> found = likelihood.result()
        >>> found.nats, round(found.bits_per_dim, 4)  # 32 / (64 ln 2)
        (32.0, 0.7213)

    Args:
      dims, levels, width: as for `bits_per_dim`.
    """

    def __init__(self, dims: int, *, levels: float = 1, width: float = 1.0):
        bits_per_dim(0.0, dims, levels=levels, width=width)
        super().__init__(dims=dims, levels=levels, width=width)
        self.parts = {"nats": Moments()}

    def update(self, log_weights: ArrayLike, ids: ArrayLike | None = None) -> Likelihood:
        """Adds log-likelihoods [N] or log-weights [S, N] of N images, in nats; `ids` are ignored.

        ValueError for NaN, and for an image of likelihood 0, which would make the mean infinite.
        """
        log_weights = np.asarray(log_weights)
        nats = -importance_log_prob(log_weights[None] if log_weights.ndim == 1 else log_weights)
        if np.isinf(nats).any():
            raise ValueError(
                f"{int(np.isinf(nats).sum())} of {len(nats)} images have a likelihood of 0; their mean is infinite"
            )
        self.parts["nats"].update(nats[:, None])
        return self

    def result(self) -> LikelihoodResult:
        """The mean with its standard error; ValueError without images."""
        moments = self.parts["nats"]
        if not moments.count:
            raise ValueError("result() needs at least 1 image; update() has received none")
        nats = float(moments.mean[0])
        error = float(np.sqrt(moments.result()[1][0, 0] / moments.count)) if moments.count > 1 else None
        return LikelihoodResult(nats, error, float(bits_per_dim(nats, **self.settings)))
