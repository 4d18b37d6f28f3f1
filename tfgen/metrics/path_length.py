"""Perceptual path length: how much does an image change over a small step in latent space?

Karras, Laine, Aila, "A style-based generator architecture for GANs" (2019), arXiv 1812.04948, equations 2 and 3:
    in Z:  E d(g(f(slerp(z1, z2; t))), g(f(slerp(z1, z2; t + eps)))) / eps^2
    in W:  E d(g(lerp(f(z1), f(z2); t)), g(lerp(f(z1), f(z2); t + eps))) / eps^2
with z ~ N(0, I), t ~ U(0, 1) for "full" paths and t = 0 for "end" points, eps = 1e-4, 100,000 pairs, no truncation.
slerp interpolates between normalised z. As in the released code, distances below the 1st and above the 99th percentile
are dropped before the mean is taken.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from tfgen.metrics._checks import finite, generator
from tfgen.metrics.accumulators import OneSet
from tfgen.metrics.score import Estimate
from tfgen.sampling.interpolation import lerp, slerp


def trimmed_mean(distances: ArrayLike, *, trim: float = 1.0) -> Estimate:
    """Estimate(mean, std) of distances [N] without those below the `trim`-th or above the (100 - trim)-th percentile.

    The percentiles are elements of the data (the lower one rounded down, the upper one rounded up) and are kept.

    Example:
        >>> tfgen.metrics.trimmed_mean([1.0, 2.0, 3.0, 4.0, 1000.0], trim=25.0).mean
        3.0
    """
    distances = finite(distances, "distances").astype(np.float64)
    if distances.ndim != 1 or not len(distances):
        raise ValueError(f"distances must be a non-empty vector; received shape {distances.shape}")
    if not 0 <= trim < 50:
        raise ValueError(f"trim must be in [0, 50) percent; received {trim}")
    low, high = np.percentile(distances, trim, method="lower"), np.percentile(distances, 100 - trim, method="higher")
    kept = distances[(low <= distances) & (distances <= high)]
    return Estimate(float(kept.mean()), float(kept.std()))


class PathLength(OneSet):
    """`trimmed_mean` of the results of `path_distances` in shards. All are kept, for the percentiles.

    Example:
        >>> length = tfgen.metrics.PathLength().update([1.0, 2.0]).update([3.0])
        >>> length.result().mean
        2.0
    """

    function, rank = staticmethod(trimmed_mean), 1


def path_distances(
    generate: Callable, distance: Callable, ids: ArrayLike | None, *, latent_dim: int | None = None,
    mapping: Callable | None = None, ends: Callable | None = None, space: str = "z", sampling: str = "full",
    epsilon: float = 1e-4, crop: bool = False, largest: int = 256, batch_size: int = 32, seed: int = 0,
) -> np.ndarray:  # fmt: skip
    """Perceptual distances divided by eps^2, float64 [N], of the pairs `ids` int [N]. Pair i depends only on (seed, i).

    Example:
        >>> generate = lambda w: w.reshape(-1, 1, 1, 1)  # an image of one pixel
        >>> distance = lambda a, b: ((a - b) ** 2).sum(axis=(1, 2, 3))
        >>> ends = lambda ids: np.stack([np.zeros([len(ids), 1]), np.full([len(ids), 1], 3.0)])
        >>> tfgen.metrics.path_distances(generate, distance, np.arange(2), ends=ends, space="w").round(4).tolist()  # 3^2
        [9.0, 9.0]

    Args:
      generate: latents float64 [B, ...] (z, or w if there is a mapping) -> images [B, H, W, C] in [0, 1]. It must be
        a function of the latent only: with fixed noise inputs and moving statistics in batch norm.
      distance: images a, b [B, h, w, C] -> [B], for instance LPIPS, which has units of squared difference.
      latent_dim: dimension of z; not used with `ends`.
      mapping: z float64 [B, latent_dim] -> w [B, ...]; needed for space "w", unless `ends` is given.
      ends: ids [B] -> the two ends of each path in space "w", [2, B, ...], instead of the mapping of random z: for latents
        that are not normally distributed.
      space: the space of the path, "z" or "w"; sampling: "full" or "end".
      epsilon: step size. In a small network, float32 images and distances are too coarse for 1e-4: use 1e-3 or float64.
      crop: keep rows 3/8 to 7/8 and columns 1/4 to 3/4, the face in aligned portraits. The released code always does this.
      largest: images at least twice this high are first average-pooled by an integer factor.

    Raises:
      ValueError: unknown space or sampling, "w" without a mapping, distances that are not finite or not [B].
    """
    if space not in ("z", "w") or sampling not in ("full", "end"):
        raise ValueError(f"space must be 'z' or 'w' and sampling 'full' or 'end'; received {space!r} and {sampling!r}")
    if space == "w" and mapping is None and ends is None:
        raise ValueError("space 'w' needs mapping (from z to w) or ends; received None for both")
    if latent_dim is None and ends is None:
        raise ValueError("latent_dim is needed to draw z, unless ends is given; received None for both")
    latent_dim = latent_dim or 1
    if min(latent_dim, largest, batch_size) < 1 or not epsilon > 0:
        received = latent_dim, largest, batch_size, epsilon
        raise ValueError(f"latent_dim, largest, batch_size must be at least 1 and epsilon above 0; received {received}")
    ids, mapping = np.asarray(ids), mapping or (lambda z: z)
    parts = []
    for start in range(0, len(ids), batch_size):
        count, draws = len(ids[start : start + batch_size]), []
        for i in ids[start : start + batch_size]:
            rng = generator(seed, i)
            draws.append((rng.standard_normal((2, latent_dim)), rng.random() if sampling == "full" else 0.0))
        z, t = (np.stack(column) for column in zip(*draws, strict=True))
        if space == "z":
            both = [slerp(z[:, 0], z[:, 1], s[:, None], normalize=True) for s in (t, t + epsilon)]
            latents = np.asarray(mapping(np.concatenate(both)))
        else:
            if ends is None:
                w = np.asarray(mapping(np.concatenate([z[:, 0], z[:, 1]])), np.float64)
            else:
                w = np.concatenate(np.asarray(ends(ids[start : start + count]), np.float64))
            t = t.reshape(-1, *[1] * (w.ndim - 1))
            latents = np.concatenate([lerp(w[:count], w[count:], s) for s in (t, t + epsilon)])
        images = _prepared(np.asarray(generate(latents)), 2 * count, crop, largest)
        values = np.asarray(distance(images[:count], images[count:]), np.float64)
        if values.shape != (count,) or not np.isfinite(values).all():
            raise ValueError(f"distance must return {count} finite numbers; received shape {values.shape}: {values}")
        parts.append(values / epsilon**2)
    return np.concatenate(parts) if parts else np.empty(0)


def _prepared(images: np.ndarray, count: int, crop: bool, largest: int) -> np.ndarray:
    if images.ndim != 4 or len(images) != count:
        raise ValueError(f"generate must return images [{count}, H, W, C]; received shape {images.shape}")
    if crop:
        height, width = images.shape[1] // 8, images.shape[2] // 8
        if not (height and width):
            raise ValueError(f"crop needs images of at least 8x8 pixels; received shape {images.shape}")
        images = images[:, 3 * height : 7 * height, 2 * width : 6 * width]
    if (factor := images.shape[1] // largest) > 1:
        height, width = (side // factor for side in images.shape[1:3])
        images = images[:, : height * factor, : width * factor]
        images = images.reshape(count, height, factor, width, factor, -1).mean(axis=(2, 4))
    return images


def perceptual_path_length(
    generate: Callable, distance: Callable, *, pairs: int = 100_000, trim: float = 1.0, **settings
) -> Estimate:
    """Perceptual path length: Estimate(mean, std) over `pairs` pairs after trimming; lower is smoother.

    Example:
        >>> generate = lambda latents: np.full([len(latents), 8, 8, 1], 0.5)  # always the same image
        >>> distance = lambda a, b: ((a - b) ** 2).sum(axis=(1, 2, 3))
        >>> tfgen.metrics.perceptual_path_length(generate, distance, pairs=10, latent_dim=3)
        Estimate(mean=0.0, std=0.0)

    Args:
      generate, distance, settings: as in `path_distances`; one of `latent_dim` and `ends` is required.
      pairs: number of pairs; trim: percent dropped at each end, see `trimmed_mean`.
    """
    if pairs < 1:
        raise ValueError(f"pairs must be at least 1; received {pairs}")
    return trimmed_mean(path_distances(generate, distance, np.arange(pairs), **settings), trim=trim)
