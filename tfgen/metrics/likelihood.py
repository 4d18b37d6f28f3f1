"""Likelihood in bits per dimension."""

from __future__ import annotations

import math

import numpy as np


def bits_per_dim(nats, dims: int, *, levels: float = 1, width: float = 1.0):
    """Negative log-likelihood in nats per image -> bits per dimension: nats / (dims ln 2) + log2(levels /
    width).

    Args:
      nats: scalar or array of -log p(x) per image, summed over its dimensions.
      dims: number of dimensions H * W * C.
      levels, width: leave at 1 when p is a probability of discrete levels. When p is the density of data of
        `levels` levels, dequantised and scaled to an interval of this width, they convert the density to the
        scale of levels: levels=256 adds 8 bits on [0, 1] and 7 bits on [-1, 1] (width=2).

    Returns:
      float for a scalar, else float64 array of the shape of `nats`.
    """
    if dims < 1:
        raise ValueError(f"dims must be at least 1 (H * W * C); received {dims}")
    if levels <= 0 or width <= 0:
        raise ValueError(f"levels and width must be positive; received {levels} and {width}")
    bits = np.asarray(nats, np.float64) / (dims * math.log(2.0)) + math.log2(levels / width)
    if not np.isfinite(bits).all():
        raise ValueError("nats must be finite; received NaN or infinity")
    return float(bits) if bits.ndim == 0 else bits
