"""Animations of images that are drawn step by step."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from tfgen.files import write_whole
from tfgen.metrics._checks import finite, image_batch
from tfgen.sampling.grid import image_grid

_RED = (255, 0, 0)


def save_animation(
    path: str | Path, canvases: ArrayLike, boxes: ArrayLike | None = None, *, window_size: int | None = None,
    columns: int | None = None, scale: int = 4, milliseconds: int = 150, hold: int = 2000,
) -> Path:  # fmt: skip
    """Writes a GIF that repeats, one frame for each step with a red rectangle where the step wrote; returns the path.

    Example:
        >>> canvases = np.zeros([4, 3, 8, 8, 1])  # four images, drawn in three steps
        >>> tfgen.sampling.save_animation("draw.gif", canvases).name
        'draw.gif'

    Args:
      canvases: [B, T, H, W, C] in [0, 1], C 1 or 3: B images in `columns` columns, as in `image_grid`.
      boxes: [B, T, 5] of (centre x, centre y, stride, sigma, gain), as from `DRAW.canvases`; None: no rectangles. A
        rectangle passes through the centres of the outermost filters; its line is as wide as sigma, as in the paper.
      window_size: number of filters along each axis; needed with boxes.
      scale: side, in pixels of the GIF, of a pixel of the images.
      milliseconds: duration of a frame.
      hold: duration in milliseconds of the last frame, which has no rectangles.

    Raises:
      ValueError: arrays of wrong shape or range; boxes without window_size; a number out of range.
    """
    from PIL import Image

    canvases = np.asarray(canvases)
    if canvases.ndim != 5 or canvases.shape[-1] not in (1, 3):
        raise ValueError(f"canvases must be [B, T, H, W, 1 or 3]; received {canvases.shape}")
    if min(scale, milliseconds, hold) < 1:
        raise ValueError(f"scale, milliseconds and hold must be at least 1; received {scale}, {milliseconds} and {hold}")
    if boxes is not None:
        boxes = finite(boxes, "boxes")
        if boxes.shape != (*canvases.shape[:2], 5) or window_size is None or window_size < 2:
            raise ValueError(
                f"boxes for canvases {canvases.shape} must be [{canvases.shape[0]}, {canvases.shape[1]}, 5] and come with a "
                f"window_size of at least 2; received {boxes.shape} and {window_size}"
            )

    def frame(t, boxes):
        images = image_batch(canvases[:, t], "canvases").repeat(scale, axis=1).repeat(scale, axis=2)
        images = np.broadcast_to(images, (*images.shape[:3], 3))
        if boxes is not None:
            images = np.stack([_with_box(*pair, window_size, scale) for pair in zip(images, boxes[:, t], strict=True)])
        grid = image_grid(images, columns, padding=scale)
        return Image.fromarray(np.rint(grid * 255.0).astype(np.uint8))

    steps = range(canvases.shape[1])
    frames = [frame(t, boxes) for t in steps] + [frame(-1, None)]
    path = Path(path)
    content = io.BytesIO()
    frames[0].save(
        content, format="GIF", save_all=True, append_images=frames[1:], loop=0, duration=[milliseconds] * len(steps) + [hold]
    )
    write_whole(path, content.getvalue())
    return path


def _with_box(image, box, size, scale):
    from PIL import Image, ImageDraw

    picture = Image.fromarray(np.rint(image * 255.0).astype(np.uint8))
    x, y, stride, sigma, _ = box.tolist()
    half = (size - 1) / 2 * stride
    # Pixel 1 is drawn from 0 to scale: its centre lies at scale / 2.
    corners = [(place - 0.5) * scale for place in (x - half, y - half, x + half, y + half)]
    limit = 4 * scale * max(image.shape[:2])  # Pillow's coordinates are integers of limited size
    corners = np.clip(corners, -limit, limit).tolist()
    ImageDraw.Draw(picture).rectangle(corners, outline=_RED, width=int(np.clip(round(sigma * scale / 2), 1, 2 * scale)))
    return np.asarray(picture, np.float32) / np.float32(255)
