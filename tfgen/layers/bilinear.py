"""Images read at points between their pixels, and moved by optical flow, with gradients for images and points."""

from typing import Literal

import tensorflow as tf

Outside = Literal["border", "zero", "reflect"]


def sample_bilinear(images: tf.Tensor, points: tf.Tensor, outside: Outside = "border") -> tf.Tensor:
    """Values of images at points, by bilinear interpolation of the four pixels around each.

    The sampler of Jaderberg et al., "Spatial Transformer Networks", NeurIPS 2015, eq. 5.

    Example:
        >>> images = tf.reshape([[0.0, 1.0], [2.0, 3.0]], [1, 2, 2, 1])
        >>> sample_bilinear(images, tf.constant([[[0.5, 0.5], [1.0, 0.25]]]))[0, :, 0].numpy().tolist()
        [1.5, 2.25]

    Args:
        images: float [B, H, W, C].
        points: float [B, ..., 2], (row, column) in pixels: (0, 0) is the centre of the first pixel, (H - 1, W - 1) that of
            the last one. They must be finite.
        outside: what lies around an image: "border": its nearest pixel; "zero": zeros; "reflect": the image again,
            mirrored at the centres of its outermost pixels, again and again.

    Returns:
        [B, ..., C].
    """
    if outside not in ("border", "zero", "reflect"):
        raise ValueError(f"outside must be 'border', 'zero' or 'reflect'; received {outside!r}.")
    height, width, channels = images.shape[1:]
    rows, columns = points[..., 0], points[..., 1]
    if outside == "border":
        rows, columns = tf.clip_by_value(rows, 0.0, height - 1.0), tf.clip_by_value(columns, 0.0, width - 1.0)
    elif outside == "reflect":
        rows, columns = _reflected(rows, height), _reflected(columns, width)
    else:  # from one pixel outside on, all is zero
        rows, columns = tf.clip_by_value(rows, -1.0, float(height)), tf.clip_by_value(columns, -1.0, float(width))
    top, left = tf.floor(rows), tf.floor(columns)
    flat = tf.reshape(images, [-1, height * width, channels])
    result = 0.0
    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
        row, column = top + down, left + right
        weight = (1.0 - tf.abs(rows - row)) * (1.0 - tf.abs(columns - column))
        if outside == "zero":
            inside = (row >= 0.0) & (row <= height - 1.0) & (column >= 0.0) & (column <= width - 1.0)
            weight = tf.where(inside, weight, 0.0)
        at = [tf.cast(tf.clip_by_value(v, 0.0, n - 1.0), tf.int32) for v, n in ((row, height), (column, width))]
        result += weight[..., None] * tf.gather(flat, at[0] * width + at[1], batch_dims=1)
    return result


def warp_by_flow(images: tf.Tensor, flow: tf.Tensor, outside: Outside = "border") -> tf.Tensor:
    """Images whose pixel (y, x) is that at (y + dy, x + dx) of `images`.

    So a frame, warped by the flow from the next frame back to it, is an estimate of the next frame.

    Example:
        >>> images = tf.reshape(tf.range(4.0), [1, 1, 4, 1])
        >>> right = tf.tile(tf.constant([[[[1.0, 0.0]]]]), [1, 1, 4, 1])  # dx = 1, dy = 0
        >>> tfgen.layers.warp_by_flow(images, right).numpy().ravel().tolist()
        [1.0, 2.0, 3.0, 3.0]

    Args:
        images: float [B, H, W, C].
        flow: float [B, H, W, 2], (dx, dy) in pixels.
        outside: see `sample_bilinear`.

    Returns:
        [B, H, W, C].
    """
    height, width = images.shape[1:3]
    if flow.shape[1:] != (height, width, 2):
        raise ValueError(f"flow must have the shape [B, {height}, {width}, 2]; received {flow.shape}.")
    columns, rows = tf.meshgrid(tf.range(width, dtype=flow.dtype), tf.range(height, dtype=flow.dtype))
    return sample_bilinear(images, tf.stack([rows + flow[..., 1], columns + flow[..., 0]], axis=-1), outside)


def _reflected(position, size):
    """Positions in [0, size - 1]: those outside are mirrored at the outermost pixels."""
    if size == 1:
        return tf.zeros_like(position)
    period = 2.0 * (size - 1)
    position = tf.math.floormod(position, period)
    return tf.minimum(position, period - position)
