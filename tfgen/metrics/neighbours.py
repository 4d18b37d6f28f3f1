"""Nearest neighbours of samples in the training set, to detect memorised images."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tfgen.metrics._checks import activations, centred, chunks, image_batch, same_width, squared_distances
from tfgen.metrics.accumulators import TwoSets


def nearest_neighbours(query: ArrayLike, reference: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Nearest row of `reference` [M, F] for each row of `query` [N, F].

    Example:
        >>> indices, distances = tfgen.metrics.nearest_neighbours([[2.0], [0.0]], [[0.0], [3.0]])
        >>> indices.tolist(), distances.tolist()
        ([1, 0], [1.0, 0.0])

    Returns:
      (indices int64 [N], Euclidean distances float64 [N]). The search runs over chunks of queries. The
      returned distances are computed from differences, so that an exact copy gives exactly 0.

    Raises:
      ValueError: not finite, wrong rank, no rows, or different F.
    """
    query, reference = activations(query, "query"), activations(reference, "reference")
    same_width(query, reference, "query and reference")
    indices = np.empty(len(query), np.int64)
    near_reference, near_query = centred(reference, query)
    for rows in chunks(len(query), len(reference)):
        indices[rows] = squared_distances(near_query[rows], near_reference).argmin(axis=1)
    distances = np.empty(len(query))
    for rows in chunks(len(query), query.shape[1]):
        distances[rows] = np.linalg.norm(query[rows] - reference[indices[rows]], axis=1)
    return indices, distances


class NearestNeighbours(TwoSets):
    """`nearest_neighbours` of each fake among the real rows, both in shards. All rows are kept; indices refer to the order
    of the real rows by id.

    Example:
        >>> neighbours = tfgen.metrics.NearestNeighbours().update("real", [[0.0], [3.0]]).update("fake", [[2.0]])
        >>> indices, distances = neighbours.result()
        >>> indices.tolist(), distances.tolist()
        ([1], [1.0])
    """

    function, sides = staticmethod(nearest_neighbours), ("fake", "real")


def _shifted(images: np.ndarray, dy: int, dx: int) -> np.ndarray:
    """Images shifted by (dy, dx) pixels, with the border repeated."""
    height, width = images.shape[1:3]
    rows = np.clip(np.arange(height) - dy, 0, height - 1)
    columns = np.clip(np.arange(width) - dx, 0, width - 1)
    return images[:, rows][:, :, columns]


def nearest_images(query: ArrayLike, reference: ArrayLike, *, max_shift: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Nearest image in pixels: as `nearest_neighbours`, for images [N, H, W, C] and [M, H, W, C] in [0, 1].

    With `max_shift` s > 0, the query is also shifted by up to s pixels in each direction (border repeated) and
    the smallest distance is kept: (2 s + 1)^2 searches. This detects copies that are shifted by a pixel or two.

    Example:
        >>> images = np.pad(tfgen.data.load("digits").take(10).images(), [(0, 0), (1, 1), (1, 1), (0, 0)])
        >>> moved = np.roll(images[3:4], 1, axis=2)  # by a pixel
        >>> indices, distances = tfgen.metrics.nearest_images(moved, images, max_shift=1)
        >>> indices.tolist(), distances.tolist()
        ([3], [0.0])
    """
    query = image_batch(query, "query")
    reference = image_batch(reference, "reference", shape=query.shape[1:])
    if max_shift < 0:
        raise ValueError(f"max_shift must be >= 0; received {max_shift}")
    flat = reference.reshape(len(reference), -1).astype(np.float64)
    best = None
    for dy in range(-max_shift, max_shift + 1):
        for dx in range(-max_shift, max_shift + 1):
            found = nearest_neighbours(_shifted(query, dy, dx).reshape(len(query), -1), flat)
            if best is None:
                best = found
            else:
                closer = found[1] < best[1]
                best = np.where(closer, found[0], best[0]), np.where(closer, found[1], best[1])
    assert best is not None
    return best


def neighbour_ratio(fake_to_train: ArrayLike, test_to_train: ArrayLike) -> float | None:
    """Median distance from fakes to the training set, divided by that from test images to the training set.

    About 1: samples are as far from the training set as unseen data. Much less than 1: memorised images. None
    if the median of the test images is 0 (they are in the training set), because the ratio is undefined then.

    Example:
        >>> tfgen.metrics.neighbour_ratio([0.0, 0.1, 0.2], [1.0, 1.0, 2.0])  # memorised images
        0.1
    """
    medians = []
    for name, values in (("fake_to_train", fake_to_train), ("test_to_train", test_to_train)):
        values = np.asarray(values, np.float64)
        if values.ndim != 1 or not values.size or not np.isfinite(values).all() or values.min() < 0:
            raise ValueError(f"{name} must be a non-empty vector of finite distances >= 0; received shape {values.shape}")
        medians.append(float(np.median(values)))
    return medians[0] / medians[1] if medians[1] > 0 else None
