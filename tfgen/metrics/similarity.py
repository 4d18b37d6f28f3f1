"""Diversity measured by the multi-scale structural similarity (MS-SSIM) of random pairs of images.

Wang, Simoncelli, Bovik, "Multi-scale structural similarity for image quality assessment" (2003). At each scale, with
means m, variances v and covariance c under an 11-tap Gaussian window of deviation 1.5, and C1 = .01^2, C2 = .03^2:
    l = (2 m_a m_b + C1) / (m_a^2 + m_b^2 + C1),   s = (2 c + C2) / (v_a + v_b + C2)
    MS-SSIM = prod_i mean(s_i)^w_i over all scales but the last, times mean(l s)^w of the last,
with negative means replaced by 0, averaged over channels; each scale has half the size of the one before. Odena, Olah,
Shlens (2017), arXiv 1610.09585, average it over 100 pairs of one class: higher means less diverse. Compare with the value
of real images.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tfgen.metrics._checks import chunks, image_batch
from tfgen.metrics.accumulators import OneSet, Rows
from tfgen.metrics.score import Estimate

_WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])
_TAPS, _DEVIATION = 11, 1.5
_WINDOW = np.exp(-0.5 * ((np.arange(_TAPS) - _TAPS // 2) / _DEVIATION) ** 2)
_WINDOW /= _WINDOW.sum()


def _filter(images: np.ndarray) -> np.ndarray:
    """Means under the window at all positions inside the image, [N, H - 10, W - 10, C]."""
    height, width = images.shape[1] - _TAPS + 1, images.shape[2] - _TAPS + 1
    images = sum(weight * images[:, i : i + height] for i, weight in enumerate(_WINDOW))
    return sum(weight * images[:, :, i : i + width] for i, weight in enumerate(_WINDOW))


def _halve(images: np.ndarray) -> np.ndarray:
    """Means of 2x2 pixels; the last row or column of an odd size counts twice."""
    images = np.pad(images, ((0, 0), (0, images.shape[1] % 2), (0, images.shape[2] % 2), (0, 0)), "symmetric")
    return (images[:, ::2, ::2] + images[:, 1::2, ::2] + images[:, ::2, 1::2] + images[:, 1::2, 1::2]) / 4


def _check_scales(shape, scales: int) -> None:
    height, width = shape
    fit = 0
    while fit < len(_WEIGHTS) and min(height, width) >= _TAPS:
        fit, height, width = fit + 1, -(-height // 2), -(-width // 2)
    if not 1 <= scales <= len(_WEIGHTS) or scales > fit:
        raise ValueError(
            f"scales must be between 1 and {len(_WEIGHTS)}, and the smallest scale at least {_TAPS} pixels; "
            f"received scales={scales} for images {shape[0]}x{shape[1]}, in which {fit} fit"
        )


def ms_ssim(a: ArrayLike, b: ArrayLike, *, scales: int = 5) -> np.ndarray:
    """Multi-scale structural similarity of images `a` and `b` float [N, H, W, C] in [0, 1], pair by pair: float64 [N].

    Example:
        >>> images = np.random.default_rng(0).random([2, 16, 16, 1])
        >>> tfgen.metrics.ms_ssim(images, images, scales=1).round(6).tolist()
        [1.0, 1.0]

    Args:
      scales: 5 as published, which needs at least 161 pixels. With fewer, the first weights are scaled to a sum of 1;
        only numbers with equal scales are comparable.
    """
    a = image_batch(a, "a")
    b = image_batch(b, "b", shape=a.shape[1:])
    if len(a) != len(b):
        raise ValueError(f"a and b must hold equally many images; received {len(a)} and {len(b)}")
    _check_scales(a.shape[1:3], scales)
    return np.concatenate([_ms_ssim(a[rows], b[rows], scales) for rows in chunks(len(a), a[0].size)])


def _ms_ssim(a: np.ndarray, b: np.ndarray, scales: int) -> np.ndarray:
    a, b = a.astype(np.float64), b.astype(np.float64)
    weights, product = _WEIGHTS[:scales] / _WEIGHTS[:scales].sum(), np.ones(1)
    if scales == len(_WEIGHTS):
        weights = _WEIGHTS  # as published: their sum is 1.0001
    for scale, weight in enumerate(weights):
        mean_a, mean_b = _filter(a), _filter(b)
        luminance = (2 * mean_a * mean_b + 1e-4) / (mean_a**2 + mean_b**2 + 1e-4)
        covariance = _filter(a * b) - mean_a * mean_b
        variances = _filter(a * a + b * b) - mean_a**2 - mean_b**2
        structure = (2 * covariance + 9e-4) / (variances + 9e-4)
        if scale == scales - 1:
            structure = luminance * structure
        product = product * np.maximum(structure.mean(axis=(1, 2)), 0.0) ** weight  # [N, C]
        a, b = _halve(a), _halve(b)
    return product.mean(axis=1)


def ms_ssim_diversity(images: ArrayLike, *, pairs: int = 100, scales: int = 5, seed: int = 0) -> Estimate:
    """Mean MS-SSIM of `pairs` random pairs of images [N, H, W, C] in [0, 1]; lower is more diverse.

    The published protocol is 100 pairs of one class: call it with the images of one class. No image is in two pairs.

    Example:
        >>> image = np.random.default_rng(0).random([1, 16, 16, 1])
        >>> round(tfgen.metrics.ms_ssim_diversity(np.repeat(image, 20, axis=0), pairs=10, scales=1).mean, 6)  # no diversity
        1.0

    Returns:
      Estimate(mean, std) over the pairs.

    Raises:
      ValueError: as `ms_ssim`, or fewer than 2 * pairs images.
    """
    return MultiScaleSimilarity(pairs=pairs, scales=scales, seed=seed).update(image_batch(images, "images")).result()


class MultiScaleSimilarity(OneSet):
    """`ms_ssim_diversity` of images that come in shards; 2 * pairs of them are kept. The arguments are the same.

    Example:
        >>> images = np.repeat(np.random.default_rng(0).random([1, 16, 16, 1]), 4, axis=0)
        >>> similarity = tfgen.metrics.MultiScaleSimilarity(pairs=2, scales=1).update(images)
        >>> round(similarity.result().mean, 4)  # of equal images
        1.0
    """

    function = staticmethod(ms_ssim_diversity)

    def __init__(self, *, pairs: int = 100, scales: int = 5, seed: int = 0):
        if pairs < 1:
            raise ValueError(f"pairs must be at least 1; received {pairs}")
        super().__init__(pairs=pairs, scales=scales, seed=seed)
        self.parts["rows"] = Rows(4, limit=2 * pairs, seed=seed)

    def update(self, images: ArrayLike, ids: ArrayLike | None = None) -> MultiScaleSimilarity:
        """Adds images [N, H, W, C] in [0, 1]; `ids` determine the pairs."""
        images = np.asarray(images)
        if len(images):
            images = image_batch(images, "images")
            _check_scales(images.shape[1:3], self.settings["scales"])
        return super().update(images, ids)

    def result(self) -> Estimate:
        images, pairs = self.parts["rows"].result(), self.settings["pairs"]
        if len(images) < 2 * pairs:
            raise ValueError(f"{pairs} pairs need {2 * pairs} images; received {len(images)}")
        values = ms_ssim(images[::2], images[1::2], scales=self.settings["scales"])
        return Estimate(float(values.mean()), float(values.std()))
