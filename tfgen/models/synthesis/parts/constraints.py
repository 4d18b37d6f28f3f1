"""What a user draws, as constraints on a generated image: colours, edges and pieces that are moved.

Zhu, Kraehenbuehl, Shechtman, Efros, "Generative Visual Manipulation on the Natural Image Manifold", ECCV 2016,
arXiv:1609.03552, sections 4.1 and 5; formulas as in the authors' code (junyanz/iGAN). All images are float32 [B, H, W, C] in
[0, 1] and all masks float32 [B, H, W] in [0, 1].

What differs from the code: borders are replicated before gradients are taken; the code pads with zeros, and so sees an edge
around every bright picture. A piece that is moved is pasted on the picture, and cut alike at both places.
"""

import math

import tensorflow as tf

AREA = 1e-5  # added to the mean of a mask
ORIENTATIONS = 8


def masked_error(made: tf.Tensor, wanted: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Squared error where a mask is set, per masked number: mean(m (made - wanted)^2) / (mean(m) + 1e-5).

    An empty mask gives 0, and a gradient of 0.

    Args:
        made, wanted: float [B, H, W, F].
        mask: float [B, H, W].

    Returns:
        float32 [B].
    """
    error = tf.reduce_mean((made - wanted) ** 2 * mask[..., None], axis=[1, 2, 3])
    return error / (tf.reduce_mean(mask, axis=[1, 2]) + AREA)


def oriented_gradients(images: tf.Tensor, cell: int) -> tf.Tensor:
    """How strong edges are in each of 8 orientations, pooled over cells, without normalisation (HOG-like).

    With the gradient g of the grey image by Sobel filters / 4, its length m = sqrt(|g|^2 + 1e-3) and the unit vectors e_k
    of 8 orientations over 180 degrees, bin k has max(0, (|e_k . g| - a m) / (1 - a)), a = cos(pi / 8). Bins are pooled by a
    tent of the side 2 `cell` with the stride `cell`.

    Example:
        >>> stripe = tf.constant([0.0, 0.0, 1.0, 1.0])[None, None, :, None] * tf.ones([1, 4, 1, 1])
        >>> [round(x, 3) for x in oriented_gradients(stripe, 2)[0, 0, 0].numpy().tolist()]
        [1.739, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]

    Args:
        images: float [B, H, W, C].
        cell: side of a cell in pixels, even.

    Returns:
        float32 [B, ceil(H / cell), ceil(W / cell), 8].
    """
    grey = tf.reduce_mean(images, axis=-1, keepdims=True)
    grey = tf.concat([grey[:, :1], grey, grey[:, -1:]], axis=1)
    grey = tf.concat([grey[:, :, :1], grey, grey[:, :, -1:]], axis=2)
    sobel = tf.constant([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 4.0
    kernel = tf.stack([sobel, tf.transpose(sobel)], axis=-1)[:, :, None]
    gradient = tf.nn.conv2d(grey, kernel, 1, "VALID")
    length = tf.sqrt(tf.reduce_sum(gradient**2, axis=-1, keepdims=True) + 1e-3)
    angles = [math.pi * k / ORIENTATIONS for k in range(ORIENTATIONS)]
    along = sum(
        gradient[..., i : i + 1] * tf.constant([part(angle) for angle in angles], tf.float32)
        for i, part in enumerate((math.cos, math.sin))
    )
    least = math.cos(math.pi / ORIENTATIONS)
    bins = tf.nn.relu((tf.abs(along) - least * length) / (1.0 - least))
    places = (tf.range(2 * cell, dtype=tf.float32) + 0.5) / cell - 1.0
    tent = 1.0 - tf.abs(places)
    kernel = tf.tile((tent[:, None] * tent)[:, :, None, None], [1, 1, ORIENTATIONS, 1])
    return tf.nn.depthwise_conv2d(bins, kernel, [1, cell, cell, 1], "SAME")


def cells_of(mask: tf.Tensor, cell: int) -> tf.Tensor:
    """The cells of `oriented_gradients` that see a masked pixel: float32 [B, h, w], 0 or 1."""
    means = tf.nn.avg_pool2d(mask[..., None], 2 * cell, cell, "SAME")[..., 0]
    return tf.cast(means > 1e-5, tf.float32)


def edge_error(made: tf.Tensor, wanted: tf.Tensor, mask: tf.Tensor, cell: int) -> tf.Tensor:
    """`masked_error` of oriented gradients of images, in the cells that a mask touches: float32 [B]."""
    return masked_error(oriented_gradients(made, cell), oriented_gradients(wanted, cell), cells_of(mask, cell))


def add_stroke(
    strokes: tf.Tensor, mask: tf.Tensor, new_strokes: tf.Tensor, new_mask: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Strokes and mask after a further stroke: it covers what is below; masks are joined by their maximum."""
    return tf.where(new_mask[..., None] > 0.0, new_strokes, strokes), tf.maximum(mask, new_mask)


def moved_piece(images: tf.Tensor, start: tuple[int, int], end: tuple[int, int], side: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The warp brush: a square of the picture copied from one place to another.

    It is a constraint on colours and on edges. Nothing is wanted at the old place.

    Args:
        images: float [B, H, W, C].
        start, end: (row, column) of the centres of both squares, inside of the picture.
        side: of the square in pixels. Where one of the squares crosses the border, both are cut alike.

    Returns:
        (strokes float32 [B, H, W, C], the picture with the square; mask float32 [B, H, W], 1 in the new square).

    Raises:
        ValueError: a centre outside of the picture, or a side below 1.
    """
    sides, images = images.shape[1:3], tf.convert_to_tensor(images, tf.float32)
    for name, place in (("start", start), ("end", end)):
        if not all(0 <= at < n for at, n in zip(place, sides, strict=True)):
            raise ValueError(f"{name} must be a pixel (row, column) of a picture of {sides}; received {tuple(place)}.")
    if side < 1:
        raise ValueError(f"side must be at least 1; received {side}.")
    cuts = []
    for a, b, n in zip(start, end, sides, strict=True):
        first = max(-(side // 2), -a, -b)
        last = min(side - side // 2, n - a, n - b)  # not included
        cuts.append((slice(a + first, a + last), [b + first, n - b - last]))
    (rows, above), (columns, left) = cuts
    piece = images[:, rows, columns]
    mask = tf.pad(tf.ones_like(piece[..., 0]), [[0, 0], above, left])
    pasted = tf.pad(piece, [[0, 0], above, left, [0, 0]])
    return tf.where(mask[..., None] > 0.0, pasted, images), mask
