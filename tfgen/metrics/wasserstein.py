"""Sliced Wasserstein distance between local patches at each level of a Laplacian pyramid.

Karras, Aila, Laine, Lehtinen, "Progressive growing of GANs" (2018), arXiv 1710.10196, section 5 and appendix B. 128
random patches of 7x7 pixels are taken from each image and level. The patches of a set are normalised per channel to mean 0
and standard deviation 1 over the whole set. The distance is the mean over random directions of the one-dimensional
Wasserstein distance mean |sort(a) - sort(b)|, times 1,000. The published numbers use 16,384 images of each set.
Some code normalises each patch by itself, which gives other numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tfgen.metrics._checks import CHUNK_BYTES, chunks, generator, image_batch
from tfgen.metrics.accumulators import Accumulator, Moments, Rows, checked_ids

PATCH = 7
_BLUR = np.array([1, 4, 6, 4, 1]) / 16
_SIDES = ("real", "fake")


def _blur(images: np.ndarray) -> np.ndarray:
    """Applies the binomial 5x5 filter, with the image mirrored at its border pixels."""
    for axis in (1, 2):
        padding = [(0, 0)] * 4
        padding[axis] = (2, 2)
        padded, size = np.pad(images, padding, "reflect"), images.shape[axis]
        images = sum(w * padded[(slice(None),) * axis + (slice(i, i + size),)] for i, w in enumerate(_BLUR))
    return images


def laplacian_pyramid(images: ArrayLike, levels: int) -> list[np.ndarray]:
    """Levels [N, H / 2^i, W / 2^i, C] (rounded up), float64, of images [N, H, W, C].

    Level i is image i minus the enlarged image i + 1; the last level is the smallest image (Burt and Adelson 1983).
    Its sides have at least 3 pixels, so images have 3 * 2^(levels - 1) or more.

    Example:
        >>> levels = tfgen.metrics.laplacian_pyramid(np.full([1, 16, 16, 1], 0.5), levels=3)
        >>> [level.shape[1] for level in levels]
        [16, 8, 4]
        >>> [round(float(np.abs(level).max()), 4) for level in levels]  # a grey image has no details
        [0.0, 0.0, 0.5]
    """
    pyramid = [image_batch(images, "images").astype(np.float64)]
    if levels < 1 or min(pyramid[0].shape[1:3]) < 3 * 2 ** (levels - 1):
        raise ValueError(f"levels must be at least 1, the last of 3 pixels or more; received {levels} of {pyramid[0].shape}")
    for _ in range(levels - 1):
        fine = pyramid[-1]
        coarse = _blur(fine)[:, ::2, ::2]
        enlarged = np.zeros_like(fine)
        enlarged[:, ::2, ::2] = 4 * coarse
        pyramid[-1] = fine - _blur(enlarged)
        pyramid.append(coarse)
    return pyramid


def _sizes(height: int, width: int, smallest: int) -> list[int]:
    """The shorter side of each level, down to the last one that is at least `smallest`."""
    if smallest < PATCH:
        raise ValueError(f"smallest must be at least the {PATCH} pixels of a patch; received {smallest}")
    if min(height, width) < smallest:
        raise ValueError(f"images must be at least smallest={smallest} pixels high and wide; received {height}x{width}")
    sizes = [min(height, width)]
    while -(-sizes[-1] // 2) >= smallest:
        sizes.append(-(-sizes[-1] // 2))
    return sizes


def _descriptors(images, ids, *, smallest: int, patches: int, seed: int, side: int) -> np.ndarray:
    """float32 [N, levels, patches, 7, 7, C]; the positions of the patches depend only on (seed, side, id)."""
    images = image_batch(images, "images")
    levels = len(_sizes(images.shape[1], images.shape[2], smallest))
    out = np.empty((len(images), levels, patches, PATCH, PATCH, images.shape[3]), np.float32)
    for rows in chunks(len(images), 4 * images[0].size):
        pyramid = laplacian_pyramid(images[rows], levels)
        for i in range(rows.start, rows.stop):
            rng = generator(seed, side, ids[i])
            for level, values in enumerate(pyramid):
                # NumPy's stub takes a single axis alone where there are several sizes.
                axes: Any = (0, 1)
                windows = np.lib.stride_tricks.sliding_window_view(values[i - rows.start], (PATCH, PATCH), axis=axes)
                top, left = (rng.integers(0, size, patches) for size in windows.shape[:2])
                out[i, level] = windows[top, left].transpose(0, 2, 3, 1)
    return out


def _normalisation(patches: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation [C] of each channel of patches [P, 7, 7, C]. For a channel that is constant up to the
    rounding of float32, the deviation is set to infinity, so that the channel becomes 0."""
    moments = Moments().update(patches.reshape(-1, patches.shape[-1]))
    variance = np.diag(moments.scatter) / moments.count
    return moments.mean, np.where(variance > 1e-14, np.sqrt(variance), np.inf)


def _sliced(a: np.ndarray, b: np.ndarray, directions: int, rng: np.random.Generator) -> float:
    """Mean over random directions of the Wasserstein distance between patches a and b [P, 7, 7, C]."""
    basis = rng.normal(size=(a[0].size, directions))
    basis /= np.linalg.norm(basis, axis=0)
    sides = [(patches, *_normalisation(patches)) for patches in (a, b)]
    step, total = max(1, 4 * CHUNK_BYTES // (8 * len(a))), 0.0
    for start in range(0, directions, step):
        block = basis[:, start : start + step]
        projections = []
        for patches, mean, deviation in sides:
            projection = np.empty((block.shape[1], len(patches)))
            for rows in chunks(len(patches), patches[0].size):
                values = (patches[rows] - mean) / deviation
                projection[:, rows] = block.T @ values.reshape(len(values), -1).T
            projection.sort(axis=1)
            projections.append(projection)
        total += np.abs(projections[0] - projections[1]).mean(axis=1).sum()
    return total / directions


def sliced_wasserstein(
    real: ArrayLike, fake: ArrayLike, *, smallest: int = 16, patches: int = 128, directions: int = 512, seed: int = 0
) -> dict[str, float]:
    """Sliced Wasserstein distance of real and fake images, both [N, H, W, C] in [0, 1]; lower is better.

    Example:
        >>> images = np.random.default_rng(0).random([20, 32, 32, 1])
        >>> found = tfgen.metrics.sliced_wasserstein(images, images / 2, patches=16, directions=32)
        >>> list(found)
        ['swd_32', 'swd_16', 'swd']

    Args:
      smallest: minimum of the shorter side of the last level of the pyramid; at least 7.
      patches: number per image and level; directions: number of projections (4 x 128 as published).
      seed: seed of patches and directions. Patches of both sides are drawn independently, so equal sets do not give 0.

    Returns:
      {"swd_64": ..., "swd_32": ..., "swd": their mean}, one per level, named by its shorter side; all times 1,000.

    Raises:
      ValueError: images that are not finite, not in [0, 1], too small, or of different shapes or numbers.
    """
    settings = dict(smallest=smallest, patches=patches, directions=directions, seed=seed)
    return SlicedWasserstein(**settings).update("real", real).update("fake", fake).result()


class SlicedWasserstein(Accumulator):
    """`sliced_wasserstein` of images that come in shards; their patches are kept, the images are not.

    Example:
        >>> distance = tfgen.metrics.SlicedWasserstein(patches=16, directions=32)
        >>> images = np.random.default_rng(0).random([20, 16, 16, 1])
        >>> sorted(distance.update("real", images).update("fake", images / 2).result())
        ['swd', 'swd_16']
    """

    def __init__(self, *, smallest: int = 16, patches: int = 128, directions: int = 512, seed: int = 0):
        if min(patches, directions) < 1:
            raise ValueError(f"patches and directions must be at least 1; received {patches} and {directions}")
        _sizes(smallest, smallest, smallest)
        super().__init__(smallest=smallest, patches=patches, directions=directions, seed=seed)
        self.parts = {side: Rows(6) for side in _SIDES}
        self._shape: tuple[int, ...] | None = None

    def update(self, side: str, images: ArrayLike, ids: ArrayLike | None = None) -> SlicedWasserstein:
        """Adds images [N, H, W, C] in [0, 1] to the side "real" or "fake"; `ids` determine the patches."""
        if side not in _SIDES:
            raise ValueError(f"side must be one of {', '.join(_SIDES)}; received {side!r}")
        images, rows = np.asarray(images), self.parts[side]
        if not len(images):
            return self
        images = image_batch(images, "images", shape=self._shape)
        ids = checked_ids(np.arange(len(rows), len(rows) + len(images)) if ids is None else ids, len(images))
        arguments = {name: self.settings[name] for name in ("smallest", "patches", "seed")}
        rows.update(_descriptors(images, ids, side=_SIDES.index(side), **arguments), ids)
        self._shape = images.shape[1:]
        return self

    def merge(self, other: SlicedWasserstein) -> SlicedWasserstein:
        if self._shape and getattr(other, "_shape", None) and other._shape != self._shape:
            raise ValueError(f"all images must have the same shape; received {self._shape} and {other._shape}")
        super().merge(other)
        self._shape = self._shape or other._shape
        return self

    def result(self) -> dict[str, float]:
        real, fake = (self.parts[side].result() for side in _SIDES)
        if len(real) != len(fake):
            raise ValueError(f"real and fake must hold equally many images; received {len(real)} and {len(fake)}")
        values = {}
        assert self._shape is not None
        for level, size in enumerate(_sizes(self._shape[0], self._shape[1], self.settings["smallest"])):
            a, b = (rows[:, level].reshape(-1, PATCH, PATCH, rows.shape[-1]) for rows in (real, fake))
            rng = generator(self.settings["seed"], len(_SIDES), level)
            values[f"swd_{size}"] = 1e3 * _sliced(a, b, self.settings["directions"], rng)
        return {**values, "swd": float(np.mean(list(values.values())))}
