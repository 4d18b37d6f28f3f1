"""Denoising autoencoders, the priors of PPGN: of codes, of images, and the best linear one in closed form."""

from collections.abc import Sequence

import keras
import numpy as np

layers = keras.layers


def linear_denoiser(mean: np.ndarray, covariance: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """The best linear R of codes with noise N(0, sigma^2): R(h) = mean + S (S + sigma^2 I)^-1 (h - mean).

    Of normal codes it is the best of all, and (R(h) - h) / sigma^2 is the score of the noisy codes.

    Example:
        >>> matrix, offset = linear_denoiser(np.zeros(1), np.array([[4.0]]), 0.5)
        >>> round(float(matrix[0, 0]), 4), float(offset[0])
        (0.9412, 0.0)

    Args:
        mean: [Z].
        covariance: S, [Z, Z].
        sigma: standard deviation of the noise, > 0.

    Returns:
        (matrix A [Z, Z], offset b [Z]), float64: R(h) = A h + b.
    """
    mean, covariance = np.asarray(mean, np.float64), np.asarray(covariance, np.float64)
    matrix = np.linalg.solve(covariance + sigma**2 * np.eye(len(mean)), covariance).T
    return matrix, mean - matrix @ mean


def linear_error(covariance: np.ndarray, sigma: float) -> float:
    """The squared error of the best linear R on its codes over the energy of the noise, tr(S (S + sigma^2 I)^-1) / Z.

    Example:
        >>> round(linear_error(np.array([[4.0]]), 0.5), 4)
        0.9412
    """
    values = np.linalg.eigvalsh(np.asarray(covariance, np.float64))
    return float(np.mean(values / (values + sigma**2)))


def code_network(size: int, widths: Sequence[int], dtype: object = None) -> keras.Sequential:
    """R of codes [B, Z]: dense layers with ReLU of these widths, then a linear one."""
    found = [layers.Dense(n, "relu", dtype=dtype, name=f"hidden_{i}") for i, n in enumerate(widths)]
    return keras.Sequential([*found, layers.Dense(size, dtype=dtype, name="last")], name="prior")


def image_network(image_shape: Sequence[int], widths: Sequence[int], dtype: object = None) -> keras.Sequential:
    """R of images [B, H, W, C]: 3 x 3 convolutions with ReLU, of stride 2 but for the first, and their mirror image.

    What the doubled sides exceed those of the image by is cut off.
    """
    height, width, channels = image_shape
    settings = {"padding": "same", "dtype": dtype}
    found = [
        layers.Conv2D(n, 3, strides=2 if i else 1, activation="relu", name=f"down_{i}", **settings)
        for i, n in enumerate(widths)
    ]
    for i, n in enumerate(widths[-2::-1]):
        found.append(layers.Conv2DTranspose(n, 4, strides=2, activation="relu", name=f"up_{i}", **settings))
    times = 2 ** (len(widths) - 1)
    over = [-side % times for side in (height, width)]
    if any(over):
        found.append(layers.Cropping2D([(0, n) for n in over], dtype=dtype, name="crop"))
    return keras.Sequential([*found, layers.Conv2D(channels, 3, name="last", **settings)], name="prior")
