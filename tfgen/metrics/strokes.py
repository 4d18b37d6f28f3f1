"""What can be measured of strokes on a dark ground, without a network: ink, slant, width and height of a digit."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tfgen.metrics._checks import image_batch


def stroke_attributes(images: ArrayLike) -> dict[str, np.ndarray]:
    """Ink, slant, width and height of bright strokes on a dark ground, from the moments of the brightness.

    They are attributes that vary within a class, such as those that a code of InfoGAN stands for (slant, width).

    Example:
        >>> bar = np.zeros([1, 8, 8, 1])
        >>> bar[0, range(8), range(7, -1, -1)] = 1.0  # leans to the right
        >>> {name: value.round(2).tolist() for name, value in tfgen.metrics.stroke_attributes(bar).items()}
        {'ink': [0.12], 'slant': [45.0], 'width': [2.29], 'height': [2.29]}

    Args:
      images: float [N, H, W, C] in [0, 1]; channels are averaged.

    Returns:
      float64 [N] each: `ink`, the mean brightness; `slant`, degrees by which the strokes lean to the right of upright, from
      -90 to 90; `width` and `height`, standard deviations of the ink's columns and rows, in pixels. For an image without
      ink, or with ink in one row only, what is not defined is 0.
    """
    ink = image_batch(images, "images").astype(np.float64).mean(axis=-1)
    total = ink.sum(axis=(1, 2))
    weights = ink / np.where(total > 0.0, total, 1.0)[:, None, None]
    rows, columns = np.indices(ink.shape[1:], dtype=np.float64)

    def mean(values):
        return np.sum(weights * values, axis=(1, 2))

    down, across = (place - mean(place)[:, None, None] for place in (rows, columns))
    vertical, horizontal, both = mean(down**2), mean(across**2), mean(down * across)
    upright = vertical > 1e-12
    shear = np.where(upright, -both / np.where(upright, vertical, 1.0), 0.0)
    return {"ink": ink.mean(axis=(1, 2)), "slant": np.degrees(np.arctan(shear)), "width": np.sqrt(horizontal),
            "height": np.sqrt(vertical)}  # fmt: skip
