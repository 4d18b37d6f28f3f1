"""Checks and chunking shared by the metrics."""

from __future__ import annotations

import numpy as np

CHUNK_BYTES = 32 * 2**20  # size of one block of a distance matrix; a few such blocks live at the same time


def finite(values, name: str) -> np.ndarray:
    """`values` as an array [N, ...] of real, finite numbers; otherwise a ValueError with the number of bad rows."""
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name} must hold real numbers; received dtype {array.dtype}")
    if array.ndim < 1:
        raise ValueError(f"{name} must have rank 1 or more, examples first; received a scalar")
    if not np.isfinite(array).all():
        bad = ~np.isfinite(array.reshape(len(array), -1)).all(axis=1)
        raise ValueError(
            f"{name} must be finite; {int(bad.sum())} of {len(array)} rows hold NaN or infinity, "
            f"the first is row {int(np.argmax(bad))}"
        )
    return array


def activations(values, name: str, *, min_rows: int = 1, cast: bool = True) -> np.ndarray:
    """`values` as float64 [N, F]; ValueError for a wrong rank, too few rows, no columns, NaN or infinity.

    `cast=False` leaves the dtype, for callers that convert block by block to save memory.
    """
    array = np.asarray(values)
    if array.ndim != 2:
        raise ValueError(f"{name} must have rank 2, [examples, features]; received shape {array.shape}")
    array = finite(array, name)
    if array.shape[0] < min_rows or array.shape[1] < 1:
        raise ValueError(f"{name} must have at least {min_rows} row(s) and 1 column; received shape {array.shape}")
    return array.astype(np.float64, copy=False) if cast else array


def generator(*words: int) -> np.random.Generator:
    """A random generator seeded by non-negative integers: a seed, then for example a purpose or an example's id."""
    if any(word < 0 for word in words):
        raise ValueError(f"seeds and ids must be >= 0; received {words}")
    return np.random.default_rng([int(word) for word in words])


def same_width(a: np.ndarray, b: np.ndarray, names: str) -> None:
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"{names} must have the same number of features; received {a.shape[1]} and {b.shape[1]}")


def integer_labels(values, count: int, name: str) -> np.ndarray:
    """`values` as an array of `count` integers; otherwise a ValueError."""
    labels = np.asarray(values)
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        raise ValueError(f"{name} must be {count} integers; received dtype {labels.dtype}, shape {labels.shape}")
    return labels


def standardized(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both [N, F], with mean 0 and variance 1 of each column over `train`; a column that never varies is only shifted."""
    # Rounding gives a constant column a deviation that is tiny, but not 0.
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    deviation[deviation <= 1e-12 * np.abs(mean)] = 1.0
    return (train - mean) / deviation, (test - mean) / deviation


def image_batch(images, name: str, *, shape: tuple | None = None, min_images: int = 1) -> np.ndarray:
    """`images` as float32 [N, H, W, C] in [0, 1]; ValueError otherwise.

    Values up to 1e-3 outside [0, 1] (rounding) are clipped.
    """
    array = np.asarray(images)
    if array.ndim != 4:
        raise ValueError(f"{name} must have rank 4, [N, H, W, C]; received shape {array.shape}")
    if array.dtype.kind != "f":
        raise ValueError(f"{name} must be floating point in [0, 1]; received dtype {array.dtype}")
    if shape is not None and array.shape[1:] != tuple(shape):
        raise ValueError(f"{name} must be of shape [N, {', '.join(map(str, shape))}]; received {array.shape}")
    if len(array) < min_images or 0 in array.shape:
        raise ValueError(f"{name} must hold at least {min_images} image(s); received shape {array.shape}")
    low, high = float(array.min()), float(array.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        bad = ~np.isfinite(array).all(axis=(1, 2, 3))
        raise ValueError(f"{name} must be finite; {int(bad.sum())} of {len(array)} images hold NaN or infinity")
    if low < -1e-3 or high > 1 + 1e-3:
        raise ValueError(f"{name} must lie in [0, 1]; received values from {low:.6g} to {high:.6g}")
    return np.clip(array, 0, 1).astype(np.float32, copy=False)


def chunks(rows: int, columns: int):
    """Slices of range(rows) such that a float64 block [slice, columns] takes about CHUNK_BYTES."""
    step = max(1, CHUNK_BYTES // (8 * max(1, columns)))
    for start in range(0, rows, step):
        yield slice(start, min(rows, start + step))


def centred(reference: np.ndarray, *others: np.ndarray) -> tuple[np.ndarray, ...]:
    """All arrays minus the mean of the first. Distances stay the same and can be expanded with fewer lost digits."""
    mean = reference.mean(axis=0)
    return tuple(array - mean for array in (reference, *others))


def squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances [len(a), len(b)]; negative values (rounding) become 0."""
    product = a @ b.T
    product *= -2.0
    product += np.einsum("ij,ij->i", a, a)[:, None]
    product += np.einsum("ij,ij->i", b, b)[None, :]
    return np.maximum(product, 0.0, out=product)
