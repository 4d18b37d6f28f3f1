"""Many images as one picture."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from tfgen.files import write_whole
from tfgen.metrics._checks import image_batch


def image_grid(images: ArrayLike, columns: int | None = None, *, padding: int = 1, background: float = 1.0) -> np.ndarray:
    """Images [N, H, W, C] in [0, 1], row by row: float32 [rows (H + p) + p, columns (W + p) + p, C].

    Example:
        >>> tfgen.sampling.image_grid(np.zeros([6, 8, 8, 1]), columns=3).shape  # two rows, a pixel around the images
        (19, 28, 1)

    Args:
      columns: default: the square root of N, rounded up. The rest of the last row is background.
      padding: pixels p between and around the images.
      background: grey value in [0, 1] of padding and empty cells.

    Raises:
      ValueError: images of wrong rank, dtype or range, not finite, or no images; numbers out of range.
    """
    images = image_batch(images, "images")
    count, height, width, channels = images.shape
    columns = math.ceil(math.sqrt(count)) if columns is None else columns
    if columns < 1 or padding < 0 or not 0 <= background <= 1:
        raise ValueError(
            f"expected columns >= 1, padding >= 0 and background in [0, 1]; received {columns}, {padding} and {background}"
        )
    rows = math.ceil(count / columns)
    cells = np.full((rows * columns, height + padding, width + padding, channels), background, np.float32)
    cells[:count, padding:, padding:] = images
    grid = cells.reshape(rows, columns, height + padding, width + padding, channels).swapaxes(1, 2)
    grid = grid.reshape(rows * (height + padding), columns * (width + padding), channels)
    # every cell has padding above and left; the right and bottom borders of the grid are added here
    return np.pad(grid, ((0, padding), (0, padding), (0, 0)), constant_values=background)


def save_png(path: str | Path, images: ArrayLike, columns: int | None = None, scale: int = 1, **options) -> Path:
    """Writes `image_grid(images, columns, **options)` as PNG, each pixel `scale` x `scale`; returns the path.

    The file is written under another name and then moved, so that a reader never sees an incomplete file. Images are grey
    (1 channel), RGB (3) or RGBA (4). A missing folder is made.

    Example:
        >>> tfgen.sampling.save_png("samples/digits.png", np.zeros([16, 8, 8, 1]), scale=4).name
        'digits.png'

    Raises:
      ValueError: as `image_grid`, another number of channels, or scale < 1.
    """
    from PIL import Image

    if scale < 1:
        raise ValueError(f"scale must be at least 1; received {scale}")
    grid = image_grid(images, columns, **options)
    if grid.shape[-1] not in (1, 3, 4):
        raise ValueError(f"a PNG has 1, 3 or 4 channels; received {grid.shape[-1]}")
    pixels = np.rint(grid * 255.0).astype(np.uint8).repeat(scale, axis=0).repeat(scale, axis=1)
    path = Path(path)
    content = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(content, format="PNG")
    write_whole(path, content.getvalue())
    return path
