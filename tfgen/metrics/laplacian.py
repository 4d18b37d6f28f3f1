"""Sharpness of images."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tfgen.metrics._checks import image_batch


def sharpness(images: ArrayLike) -> float:
    """Variance of the discrete Laplacian (4 neighbours) over the inner pixels of each image, averaged over images.

    Blur lowers it and noise raises it: compare samples with the value of real images.

    Example:
        >>> images = tfgen.data.load("digits").take(20).images()
        >>> blurred = (images[:, :-1] + images[:, 1:]) / 2
        >>> tfgen.metrics.sharpness(blurred) < tfgen.metrics.sharpness(images)
        True

    Args:
      images: float [N, H, W, C] in [0, 1], of at least 3x3 pixels.
    """
    images = image_batch(images, "images")
    if min(images.shape[1:3]) < 3:
        raise ValueError(f"images must have at least 3x3 pixels; received shape {images.shape}")
    inner = images[:, 1:-1, 1:-1]
    neighbours = images[:, :-2, 1:-1] + images[:, 2:, 1:-1] + images[:, 1:-1, :-2] + images[:, 1:-1, 2:]
    return float(np.mean(np.var(neighbours - 4.0 * inner, axis=(1, 2, 3))))
