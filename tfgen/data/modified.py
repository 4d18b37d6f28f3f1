"""Images beside their modifications, which are classes of their own: a study of Nguyen et al. 2016 (DGN-AM).

Networks were trained there to tell a thousand classes of ordinary photos and the same thousand of modified ones. If images
that are optimised for a modified class show the modification, they show what the network looks for; if not, what the
generator can make. The modifications there are swapped channels, a mosaic and a blur, whose sizes are not known; these are
small forms of them. Grey images have no channels to swap: inversion takes their place.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np

from tfgen import settings
from tfgen.data.source import Source, from_arrays

TILES = 4  # of each side of a mosaic
SIGMA = 2.0  # of the blur, in pixels
# Tile i of a mosaic is tile MOSAIC[i] of the image, in rows from the upper left; no tile stays in its place.
MOSAIC = (10, 13, 3, 8, 14, 0, 11, 5, 2, 15, 4, 12, 9, 6, 1, 7)


def inverted_images(images: np.ndarray) -> np.ndarray:
    """1 - x of images float [N, H, W, C] in [0, 1]."""
    return 1.0 - images


def swapped_images(images: np.ndarray) -> np.ndarray:
    """Images float [N, H, W, C] with their channels in reverse order, RGB as BGR.

    Raises:
      ValueError: there is one channel.
    """
    if images.shape[-1] < 2:
        raise ValueError(f"Swapped channels need coloured images; received images of {images.shape[-1]} channel.")
    return images[..., ::-1]


def mosaic_images(images: np.ndarray) -> np.ndarray:
    """Images float [N, H, W, C] whose 4 x 4 tiles are in another, fixed order, see `MOSAIC`.

    Raises:
      ValueError: a side is no multiple of 4.
    """
    n, height, width, channels = images.shape
    if height % TILES or width % TILES:
        raise ValueError(f"Mosaics need sides that are multiples of {TILES}; received images {height} x {width}.")
    tiles = images.reshape(n, TILES, height // TILES, TILES, width // TILES, channels).swapaxes(2, 3)
    mixed = tiles.reshape(n, TILES**2, *tiles.shape[3:])[:, list(MOSAIC)].reshape(tiles.shape)
    return mixed.swapaxes(2, 3).reshape(images.shape)


def blurred_images(images: np.ndarray) -> np.ndarray:
    """Images float [N, H, W, C] after a Gaussian blur of 2 pixels; outside of an image its border is repeated."""
    radius = int(3 * SIGMA)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / SIGMA) ** 2)
    kernel /= kernel.sum()
    for axis in (1, 2):
        padding = [(radius, radius) if i == axis else (0, 0) for i in range(4)]
        padded, length = np.pad(images, padding, "edge"), images.shape[axis]
        images = sum(w * np.take(padded, range(i, i + length), axis) for i, w in enumerate(kernel))
    return images


Modification = Literal["inverted", "mosaic", "blur", "swapped"]
MODIFICATIONS: dict[Modification, Callable[[np.ndarray], np.ndarray]] = {
    "inverted": inverted_images, "mosaic": mosaic_images, "blur": blurred_images, "swapped": swapped_images,
}  # fmt: skip


def modified_classes(
    source: Source, *, modification: Modification = "inverted"
) -> Source:  # fmt: skip
    """Each image of `source` and, after it, its modification, whose class is K + that of the image, for K classes.

    Example:
        >>> source = tfgen.data.load("modified:digits", modification="mosaic")
        >>> len(source), source.num_classes, source.class_names[13]
        (2800, 20, '3, mosaic')

    Args:
      source: labelled images, for mosaics with sides that are multiples of 4, for swapped channels in colour.
      modification: "inverted": 1 - x. "mosaic": 4 x 4 tiles in another order, the same for all images. "blur": Gaussian, of
        2 pixels. "swapped": the channels in reverse order.

    Raises:
      ValueError: the images have no labels, sides that make no mosaic, or no channels to swap.
    """
    settings.check(modified_classes, modification=modification)
    if not source.has_labels:
        raise ValueError(f"Modified classes need labels; the source {source.name!r} has none.")
    images, labels = source.images(), source.labels()
    both = np.stack([images, MODIFICATIONS[modification](images)], axis=1).reshape(-1, *source.image_shape)
    assert source.class_names is not None and source.num_classes is not None
    origins = [str(i) for i in range(len(source))] if source.origins is None else source.origins
    return from_arrays(
        np.clip(both, 0.0, 1.0), np.stack([labels, labels + source.num_classes], axis=1).ravel(),
        class_names=[*source.class_names, *(f"{name}, {modification}" for name in source.class_names)],
        origins=np.repeat(origins, 2), name=f"modified:{source.name}", split=source.split,
    )  # fmt: skip
