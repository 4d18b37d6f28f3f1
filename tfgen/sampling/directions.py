"""Directions in a space of latents along which images change in one way, found without labels.

Härkönen, Hertzmann, Lehtinen, Paris, "GANSpace: Discovering Interpretable GAN Controls", NeurIPS 2020, arXiv:2004.02546:
    principal components of latents w (`principal_directions`), or of the features of a layer, carried over to the latents by
    least squares (`feature_directions`).
Shen, Zhou, "Closed-Form Factorization of Latent Semantics in GANs", CVPR 2021, arXiv:2007.06600 (SeFa): the eigenvectors of
    A^T A, where A is the weight of the layer that takes the latents (`weight_directions`).

The sign of a direction has no meaning; here its largest entry is positive.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Directions(NamedTuple):
    """Unit vectors, the most important first.

    Example:
        >>> found = tfgen.sampling.principal_directions([[0.0, 0.0], [2.0, 0.0], [4.0, 0.0]], num=1)
        >>> np.abs(found.vectors).round(3).tolist(), found.scales.round(3).tolist(), found.mean.tolist()
        ([[1.0, 0.0]], [2.0], [2.0, 0.0])

    Attributes:
      vectors: float64 [K, D].
      scales: float64 [K]: standard deviations along the principal components; eigenvalues for `weight_directions`.
      mean: float64 [D], the point from which they go; zeros for `weight_directions`.
    """

    vectors: np.ndarray
    scales: np.ndarray
    mean: np.ndarray


def principal_directions(values: ArrayLike, num: int | None = None) -> Directions:
    """The principal components of latents or features.

    Example:
        >>> found = tfgen.sampling.principal_directions([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]])
        >>> np.abs(found.vectors[0]).round(3).tolist(), found.scales.round(3).tolist()
        ([0.6, 0.8], [5.0, 0.0])

    Args:
      values: float [N, D], for instance 10,000 latents w of a StyleGAN.
      num: number of directions; None: min(N - 1, D).

    Returns:
      `Directions` in the space of `values`, with the standard deviations (N - 1) along them.

    Raises:
      ValueError: not [N >= 2, D], not finite, or `num` out of range.
    """
    values = _matrix(values, "values")
    mean = values.mean(axis=0)
    _, singular, vectors = np.linalg.svd(values - mean, full_matrices=False)
    num = _num(num, min(len(values) - 1, values.shape[1]))
    return Directions(_signed(vectors[:num]), singular[:num] / np.sqrt(len(values) - 1), mean)


def feature_directions(latents: ArrayLike, features: ArrayLike, num: int | None = None) -> Directions:
    """The latents' directions that move features along their principal components.

    Example:
        >>> latents = np.random.default_rng(0).normal(size=[10000, 2])
        >>> features = latents[:, 1:] * [[1.0, 3.0]]  # of the second latent alone
        >>> found = tfgen.sampling.feature_directions(latents, features, num=1)
        >>> np.abs(found.vectors).round(1).tolist()
        [[0.0, 1.0]]

    Args:
      latents: float [N, D].
      features: float [N, F], of the images of these latents, or of a layer of the generator.
      num: as for `principal_directions`.

    Returns:
      `Directions` in the space of latents: the coefficients of the least squares of the latents on the standardised
      coordinates of the features (without an intercept), as unit vectors. `scales` are the deviations of the features.

    Raises:
      ValueError: as `principal_directions`, another number of rows, or directions without any variance.
    """
    latents, features = _matrix(latents, "latents"), _matrix(features, "features")
    if len(latents) != len(features):
        raise ValueError(f"latents and features must have equally many rows; received {len(latents)} and {len(features)}")
    found = principal_directions(features, num)
    if (found.scales <= 1e-12 * found.scales[0]).any():
        raise ValueError(f"the features vary along fewer than {len(found.scales)} directions; ask for fewer by num")
    coordinates = (features - found.mean) @ found.vectors.T / found.scales
    coefficients = np.linalg.lstsq(coordinates, latents, rcond=None)[0]
    return Directions(_signed(_units(coefficients)), found.scales, latents.mean(axis=0))


def weight_directions(
    kernels: ArrayLike | Sequence[ArrayLike], num: int | None = None, *, normalize: bool = True
) -> Directions:
    """The latents' directions that change the outputs of their first layers most: closed-form factorisation.

    Example:
        >>> found = tfgen.sampling.weight_directions([[0.0, 0.0], [1.0, 2.0]], num=1, normalize=False)
        >>> np.abs(found.vectors).tolist(), found.scales.tolist()
        ([[0.0, 1.0]], [5.0])

    Args:
      kernels: the kernel of a dense layer of latents, [D, outputs], or several, as those of the styles of StyleGAN's layers.
      num: number of directions; None: D.
      normalize: whether the weights of each output are first scaled to length 1, as in the authors' code; False: as in the
        paper's text.

    Returns:
      `Directions`: eigenvectors of the sum of K K^T, with their eigenvalues.

    Raises:
      ValueError: kernels of another rank, of different D, or not finite; `num` out of range.
    """
    several = kernels if isinstance(kernels, (list, tuple)) and kernels and np.ndim(kernels[0]) == 2 else [kernels]
    several = [_matrix(kernel, "kernels", least=1) for kernel in several]
    if len({len(kernel) for kernel in several}) > 1:
        raise ValueError(f"kernels must have equally many inputs; received {[kernel.shape for kernel in several]}")
    kernel = np.concatenate(several, axis=1)
    if normalize:
        kernel = _units(kernel.T).T
    values, vectors = np.linalg.eigh(kernel @ kernel.T)  # ascending
    num = _num(num, len(kernel))
    return Directions(_signed(vectors.T[::-1][:num]), values[::-1][:num], np.zeros(len(kernel)))


def sweep(latents: ArrayLike, direction: ArrayLike, distances: ArrayLike) -> np.ndarray:
    """latents + distance * direction for all pairs: [N, D], [D] and [S] -> float64 [N, S, D].

    Raises:
      ValueError: other shapes, or no finite numbers.

    Example: a row of images for each of four latents, along the first direction of a GAN's first layer:

      found = tfgen.sampling.weight_directions(gan.generator.dense.kernel)
      points = tfgen.sampling.sweep(gan.latents([0, 1, 2, 3]), found.vectors[0], [-3, -1.5, 0, 1.5, 3])
      images = gan.decode_images(points.reshape(20, -1).astype("float32"))
      tfgen.sampling.save_png("sweep.png", images, columns=5)
    """
    latents, direction = _numbers(latents, "latents"), _numbers(direction, "direction")
    distances = _numbers(distances, "distances")
    if latents.ndim != 2 or direction.shape != latents.shape[1:] or distances.ndim != 1:
        raise ValueError(
            "expected latents [N, D], direction [D] and distances [S]; "
            f"received {latents.shape}, {direction.shape} and {distances.shape}"
        )
    return latents[:, None] + distances[:, None] * direction


def _matrix(values, name, least=2):
    values = _numbers(values, name)
    if values.ndim != 2 or len(values) < least or 0 in values.shape:
        raise ValueError(f"{name} must be finite numbers [N, D] with N >= {least}; received shape {values.shape}")
    return values


def _numbers(values, name):
    try:
        values = np.asarray(values)
    except ValueError:  # rows of different lengths
        raise ValueError(f"{name} must be an array of numbers; received rows of different lengths") from None
    if values.dtype.kind not in "iuf" or not np.isfinite(values).all():
        found = "NaN or infinity" if values.dtype.kind == "f" else f"dtype {values.dtype}"
        raise ValueError(f"{name} must be finite numbers; received {found}")
    return values.astype(np.float64)


def _num(num, most):
    if num is None:
        return most
    if isinstance(num, bool) or not isinstance(num, (int, np.integer)) or not 1 <= num <= most:
        raise ValueError(f"num must be a whole number in [1, {most}] here; received {num!r}")
    return int(num)


def _units(vectors):
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-300)


def _signed(vectors):
    largest = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=1)[:, None], axis=1)
    return vectors * np.where(largest < 0, -1.0, 1.0)
