"""Optical flow between frames: found by comparing blocks, chained over several frames, and where it explains a frame.

A flow is float [B, H, W, 2], (dx, dy) in pixels from a pixel to the place of its point in an earlier frame, as
`tfgen.layers.warp_by_flow` takes it.
"""

from collections.abc import Sequence

import tensorflow as tf

from tfgen.layers.bilinear import warp_by_flow

CONFIDENT = 0.02  # Wang et al. 2018, arXiv:1808.06601, in the authors' code: of images in [-1, 1]


def matched_flow(images: tf.Tensor, previous: tf.Tensor, reach: int = 3, block: int = 5) -> tf.Tensor:
    """The whole steps, of at most `reach` pixels each way, by which the blocks around the pixels differ least.

    It needs no trained network; steps that are longer than `reach`, and those between pixels, are not found.

    Example:
        >>> previous = tf.random.stateless_uniform([1, 8, 8, 3], seed=(0, 0))
        >>> flow = matched_flow(tf.roll(previous, 2, axis=2), previous)  # the content moves by two pixels to the right
        >>> flow[0, 4, 4].numpy().tolist()
        [-2.0, 0.0]

    Args:
        images: float [B, H, W, C].
        previous: the frames before them, of the same shape.
        reach: the longest step in pixels; the time grows with its square.
        block: side of the blocks.

    Returns:
        float32 [B, H, W, 2]; of equally good steps the shortest.
    """
    steps = sorted(
        ((dx, dy) for dx in range(-reach, reach + 1) for dy in range(-reach, reach + 1)), key=lambda s: s[0] ** 2 + s[1] ** 2
    )
    height, width = images.shape[1:3]
    costs = []
    for dx, dy in steps:
        rows, columns = (tf.clip_by_value(tf.range(n) + by, 0, n - 1) for n, by in ((height, dy), (width, dx)))
        moved = tf.gather(tf.gather(previous, rows, axis=1), columns, axis=2)
        difference = tf.reduce_sum((images - moved) ** 2, axis=-1, keepdims=True)
        costs.append(tf.nn.avg_pool2d(difference, block, 1, "SAME"))
    best = tf.argmin(tf.concat(costs, axis=-1), axis=-1)
    return tf.gather(tf.constant(steps, tf.float32), best)


def chained_flow(flows: Sequence[tf.Tensor]) -> tf.Tensor:
    """The flow over several frames, of the flows from each frame to the one before it, the latest first.

    Example:
        >>> right = tf.tile(tf.constant([[[[1.0, 0.0]]]]), [1, 4, 4, 1])  # by a pixel
        >>> tfgen.layers.chained_flow([right, right])[0, 0, 0].numpy().tolist()
        [2.0, 0.0]
    """
    total = flows[0]
    for flow in flows[1:]:
        total += warp_by_flow(flow, total)
    return total


def flow_confidence(images: tf.Tensor, previous: tf.Tensor, flow: tf.Tensor) -> tf.Tensor:
    """Where the frame before, moved by the flow, is like the frame: float32 [B, H, W, 1], 0 or 1.

    Example:
        >>> images = tf.zeros([1, 4, 4, 3])
        >>> still = tf.zeros([1, 4, 4, 2])
        >>> [float(tf.reduce_mean(tfgen.layers.flow_confidence(images, other, still))) for other in (images, images + 1.0)]
        [1.0, 0.0]

    Args:
        images, previous: float [B, H, W, C] in [-1, 1]. Their squared difference, summed over the channels, is less than
            `CONFIDENT` where the flow is confident.
        flow: float [B, H, W, 2].
    """
    difference = tf.reduce_sum((images - warp_by_flow(previous, flow)) ** 2, axis=-1, keepdims=True)
    return tf.cast(difference < CONFIDENT, tf.float32)
