"""Vector arithmetic on concepts in latent space (Radford et al. 2016, arXiv 1511.06434, section 6.3.2).

A concept is the mean latent of a few (in the paper three) samples that show it; with one sample the results are unstable.
concept a - concept b + concept c is decoded, and so are copies of it with U(-0.25, 0.25) noise.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike


def _latents(z, name: str) -> np.ndarray:
    z = np.asarray(z)
    if z.ndim != 2 or 0 in z.shape:
        raise ValueError(f"{name} must be latents [examples, Z] with at least one example; received shape {z.shape}")
    if not np.isfinite(z).all():
        raise ValueError(f"{name} must be finite; received NaN or infinity")
    return z.astype(np.float64)


def concept(z: ArrayLike) -> np.ndarray:
    """Mean of the latents of samples that show one concept: [n, Z] -> float64 [Z].

    Example:
        >>> tfgen.sampling.concept([[1.0, 4.0], [3.0, 0.0]]).tolist()
        [2.0, 2.0]
    """
    return _latents(z, "z").mean(axis=0)


def combine(a: ArrayLike, b: ArrayLike, c: ArrayLike) -> np.ndarray:
    """concept(a) - concept(b) + concept(c) of latents [n, Z] each: float64 [Z].

    Example:
        >>> tfgen.sampling.combine([[5.0, 1.0], [7.0, 1.0]], [[1.0, 1.0]], [[0.0, 10.0]]).tolist()
        [5.0, 10.0]
    """
    a, b, c = concept(a), concept(b), concept(c)
    if not a.shape == b.shape == c.shape:
        raise ValueError(f"latents must have equal widths; received {len(a)}, {len(b)}, {len(c)}")
    return a - b + c


def attribute_vector(latents_with: ArrayLike, latents_without: ArrayLike) -> np.ndarray:
    """The direction of an attribute in latent space (Larsen et al. 2016, arXiv 1512.09300, section 4.2; Hou et al. 2017).

    concept(latents_with) - concept(latents_without); `latents + amount * attribute_vector(...)` has more of the attribute.

    Example:
        >>> smiling, others = [[1.0, 3.0], [3.0, 3.0]], [[1.0, 1.0], [3.0, 1.0], [2.0, 1.0]]
        >>> tfgen.sampling.attribute_vector(smiling, others).tolist()
        [0.0, 2.0]

    Args:
      latents_with, latents_without: latents [n, Z] and [m, Z] of images with and without the attribute.

    Returns:
      float64 [Z].
    """
    present, absent = concept(latents_with), concept(latents_without)
    if present.shape != absent.shape:
        raise ValueError(f"latents must have equal widths; received {len(present)}, {len(absent)}")
    return present - absent


def neighbourhood(z: ArrayLike, *, copies: int = 8, radius: float = 0.25, seed: int = 0) -> np.ndarray:
    """z [Z], then `copies` copies of it with U(-radius, radius) noise: float32 [1 + copies, Z].

    Example:
        >>> found = tfgen.sampling.neighbourhood([1.0, 2.0, 3.0], copies=4, radius=0.1)
        >>> found[0].tolist(), bool(np.all(np.abs(found - found[0]) <= 0.1))
        ([1.0, 2.0, 3.0], True)
    """
    z = _latents(np.asarray(z)[None], "z")
    if copies < 0 or radius < 0:
        raise ValueError(f"copies and radius must be >= 0; received {copies} and {radius}")
    noise = np.random.default_rng(seed).uniform(-radius, radius, (copies, z.shape[1]))
    return np.concatenate([z, z + noise]).astype(np.float32)


def vector_arithmetic(
    a: ArrayLike, b: ArrayLike, c: ArrayLike, decode: Callable, *, copies: int = 8, radius: float = 0.25, seed: int = 0
) -> np.ndarray:
    """Images of concept(a) - concept(b) + concept(c) and of its noisy copies.

    Example:
        >>> model = tfgen.models.VAE(image_shape=(8, 8, 1), hidden=(8,), latent_dim=2)
        >>> a, b, c = np.random.default_rng(0).normal(size=[3, 4, 2])
        >>> tfgen.sampling.vector_arithmetic(a, b, c, model.decode_images, copies=8).shape
        (9, 8, 8, 1)

    Args:
      a, b, c: latents [n, Z] of samples that show each concept.
      decode: latents float32 [B, Z] -> images [B, H, W, C], e.g. `model.decode_images`.

    Returns:
      float32 [1 + copies, H, W, C], first the image without noise.
    """
    return np.asarray(decode(neighbourhood(combine(a, b, c), copies=copies, radius=radius, seed=seed)), np.float32)
