"""Interpolation between latents.

Linear paths through z as in DCGAN (Radford et al. 2016, arXiv 1511.06434, 9 points in a row), and spherical
ones (White 2016, arXiv 1609.04468), which stay in the shell that holds the mass of a high-dimensional Gaussian.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    import keras


def _pair(a, b) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.ndim < 1 or 0 in a.shape:
        raise ValueError(f"latents must have equal shapes [..., Z]; received {a.shape} and {b.shape}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("latents must be finite; received NaN or infinity")
    return a.astype(np.float64), b.astype(np.float64)


def lerp(a: ArrayLike, b: ArrayLike, t: ArrayLike) -> np.ndarray:
    """(1 - t) a + t b for a, b [..., Z]; t scalar or broadcastable to [..., 1]. float64, exact at t=0, 1.

    Example:
        >>> tfgen.sampling.lerp([0.0, 0.0], [1.0, 2.0], 0.25).tolist()
        [0.25, 0.5]
    """
    a, b = _pair(a, b)
    t = np.asarray(t, np.float64)
    return (1.0 - t) * a + t * b


def slerp(a: ArrayLike, b: ArrayLike, t: ArrayLike, *, normalize: bool = False) -> np.ndarray:
    """sin((1-t) w)/sin w a + sin(t w)/sin w b, w the angle between a and b [..., Z]. float64 [..., Z].

    For a and b of equal norm the norm is constant on the path and the angle grows linearly. Where a and b are parallel this
    is `lerp`, the limit of the formula.

    Example:
        >>> tfgen.sampling.slerp([1.0, 0.0], [0.0, 1.0], 0.5).round(4).tolist()
        [0.7071, 0.7071]

    Args:
      t: scalar or broadcastable to [..., 1].
      normalize: whether a and b are first projected on the unit sphere (as for StyleGAN's path length in Z).

    Raises:
      ValueError: different shapes, not finite, a vector of norm 0, or opposite vectors (no unique path).
    """
    a, b = _pair(a, b)
    norm_a, norm_b = (np.linalg.norm(v, axis=-1, keepdims=True) for v in (a, b))
    if not (norm_a.all() and norm_b.all()):
        raise ValueError("slerp needs vectors of norm > 0; received a vector of zeros")
    unit_a, unit_b = a / norm_a, b / norm_b
    # from the chords: this is accurate for tiny angles, where arccos of a number near 1 is not
    angle = 2.0 * np.arctan2(
        np.linalg.norm(unit_a - unit_b, axis=-1, keepdims=True),
        np.linalg.norm(unit_a + unit_b, axis=-1, keepdims=True),
    )
    if (angle > np.pi - 1e-6).any():
        raise ValueError("slerp between opposite vectors has no unique path")
    if normalize:
        a, b = unit_a, unit_b
    t = np.asarray(t, np.float64)
    parallel = angle < 1e-7
    sine = np.where(parallel, 1.0, np.sin(angle))
    weight_a = np.where(parallel, 1.0 - t, np.sin((1.0 - t) * angle) / sine)
    weight_b = np.where(parallel, t, np.sin(t * angle) / sine)
    return weight_a * a + weight_b * b


_RULES = {"lerp": lerp, "slerp": slerp}


def latent_path(a: ArrayLike, b: ArrayLike, steps: int = 9, *, rule: str = "lerp") -> np.ndarray:
    """`steps` evenly spaced points from a to b [..., Z], ends included: float64 [..., steps, Z].

    Example:
        >>> tfgen.sampling.latent_path([0.0, 0.0], [1.0, 2.0], steps=3).tolist()
        [[0.0, 0.0], [0.5, 1.0], [1.0, 2.0]]
    """
    if steps < 2:
        raise ValueError(f"steps must be at least 2 (both ends); received {steps}")
    if rule not in _RULES:
        raise ValueError(f"rule must be one of {', '.join(_RULES)}; received {rule!r}")
    return np.stack([_RULES[rule](a, b, t) for t in np.linspace(0.0, 1.0, steps)], axis=-2)


def interpolate(
    model: keras.Model, seeds_a: ArrayLike, seeds_b: ArrayLike, steps: int = 9, *, rule: str = "lerp", **conditions
) -> np.ndarray:
    """One row of images for each pair of seeds, from the latent of seed a to that of seed b.

    Example:
        >>> model = tfgen.models.VAE(image_shape=(8, 8, 1), hidden=(8,), latent_dim=2)
        >>> images = tfgen.sampling.interpolate(model, [0, 1], [2, 3], steps=5)
        >>> images.shape
        (2, 5, 8, 8, 1)
        >>> ends = model.decode_images(model.latents([2, 3]))
        >>> bool(np.allclose(images[:, -1], ends, atol=1e-5))
        True

    Args:
      model: has `latents(seeds) -> [B, Z]` and `decode_images(z) -> float32 [B, H, W, C]` in [0, 1].
      seeds_a, seeds_b: B integers each.
      rule: "lerp" (for uniform latents) or "slerp".
      **conditions: arrays [B, ...], of a model that takes some, such as `labels`: one for each row of images.

    Returns:
      float32 [B, steps, H, W, C]; `image_grid(result.reshape(-1, H, W, C), columns=steps)` shows it.
    """
    seeds_a, seeds_b = (np.asarray(seeds, np.int64).reshape(-1) for seeds in (seeds_a, seeds_b))
    if len(seeds_a) != len(seeds_b) or not len(seeds_a):
        raise ValueError(
            f"seeds_a and seeds_b must hold equally many integers, at least one; received {len(seeds_a)} and {len(seeds_b)}"
        )
    z = latent_path(np.asarray(model.latents(seeds_a)), np.asarray(model.latents(seeds_b)), steps, rule=rule)
    return decoded(model, z, **conditions)


def decoded(model: keras.Model, latents: ArrayLike, **conditions) -> np.ndarray:
    """Images of rows of latents, as `latent_path` and `sweep` make them.

    Example:
        >>> model = tfgen.models.VAE(image_shape=(8, 8, 1), hidden=(8,), latent_dim=2)
        >>> tfgen.sampling.decoded(model, np.zeros([3, 5, 2])).shape
        (3, 5, 8, 8, 1)

    Args:
      model: has `decode_images(z) -> float32 [B, H, W, C]` in [0, 1].
      latents: [B, S, Z].
      **conditions: arrays [B, ...], of a model that takes some, such as `labels`: one for each row of images.

    Returns:
      float32 [B, S, H, W, C].
    """
    latents = np.asarray(latents, np.float32)
    rows, steps, width = latents.shape
    given = {name: np.repeat(values, steps, axis=0) for name, values in conditions.items()}
    images = np.asarray(model.decode_images(latents.reshape(-1, width), **given), np.float32)
    return images.reshape(rows, steps, *images.shape[1:])
