"""Pictures of attention."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import ArrayLike

from tfgen.metrics._checks import image_batch
from tfgen.sampling.grid import image_grid


def attention_grid(images: ArrayLike, queries: ArrayLike, maps: ArrayLike, *, scale: int = 4) -> np.ndarray:
    """Images and where a network looks from some of their pixels, as in figure 1 of the SAGAN paper (arXiv:1805.08318).

    A row has an image with its query pixels, each in another colour, and then for each query the image under its attention
    map, with the query pixel in the same colour.

    Example:
        >>> images, maps = np.zeros([2, 8, 8, 1]), np.ones([2, 3, 4, 4])
        >>> tfgen.sampling.attention_grid(images, [[0, 0], [4, 4], [7, 7]], maps, scale=2).shape
        (35, 69, 3)

    Args:
      images: float [B, H, W, C] in [0, 1], of 1 or 3 channels.
      queries: int [Q, 2], the pixels (row, column).
      maps: float [B, Q, h, w], not negative, see `tfgen.models.SAGAN.attention_maps`; h and w at most H and W.
      scale: each pixel of the images becomes scale x scale.

    Returns:
      float32 [rows, columns, 3] in [0, 1].

    Raises:
      ValueError: wrong shapes, a query outside of the images or no integers, maps with NaN or a number below 0 or larger
        than the images, or a scale below 1.
    """
    images, queries, maps = image_batch(images, "images"), np.asarray(queries), np.asarray(maps, np.float32)
    count, height, width, channels = images.shape
    shapes = queries.shape[1:] == (2,) and maps.ndim == 4 and maps.shape[:2] == (count, len(queries))
    if channels not in (1, 3) or not shapes or queries.dtype.kind not in "iu":
        raise ValueError(
            "expected images [B, H, W, 1 or 3], queries int [Q, 2] and maps [B, Q, h, w]; "
            f"received {images.shape}, {queries.dtype} {queries.shape} and {maps.shape}"
        )
    fits = all(0 < n <= m for n, m in zip(maps.shape[2:], (height, width), strict=True))
    if not fits or not np.isfinite(maps).all() or maps.min() < 0:
        received = f"{maps.shape}" if not fits else "NaN or infinity" if not np.isfinite(maps).all() else f"{maps.min()}"
        raise ValueError(f"maps must be finite numbers >= 0, h x w up to {height} x {width}; received {received}")
    if isinstance(scale, bool) or not isinstance(scale, (int, np.integer)) or scale < 1:
        raise ValueError(f"scale must be a whole number >= 1; received {scale!r}")
    if (queries < 0).any() or (queries >= (height, width)).any():
        raise ValueError(f"queries must lie in the image, below ({height}, {width}); received {queries.tolist()}")
    rgb = np.broadcast_to(images, (count, height, width, 3))
    colours = [colorsys.hsv_to_rgb(i / len(queries), 1.0, 1.0) for i in range(len(queries))]
    rows, columns = (np.arange(n) * m // n for n, m in zip((height, width), maps.shape[2:], strict=True))
    large = maps[:, :, rows][..., columns]  # nearest neighbours
    large = large / np.maximum(large.max(axis=(2, 3), keepdims=True), 1e-12)
    cells = np.stack([rgb, *(0.3 * rgb + 0.7 * large[:, i, ..., None] for i in range(len(queries)))], axis=1)
    for i, (row, column) in enumerate(queries):
        cells[:, [0, i + 1], row, column] = colours[i]
    cells = cells.reshape(-1, height, width, 3).repeat(scale, axis=1).repeat(scale, axis=2)
    return image_grid(cells, columns=len(queries) + 1)
