"""Maps of labels and of instances as inputs of networks."""

import tensorflow as tf


def one_hot_map(image: tf.Tensor, classes: int) -> tf.Tensor:
    """One-hot classes float32 [B, H, W, classes] of a label map float32 [B, H, W, 1], where class k is the grey k / 255."""
    return tf.one_hot(tf.cast(tf.round(255.0 * image[..., 0]), tf.int32), classes)


def instance_edges(instances: tf.Tensor) -> tf.Tensor:
    """1 where a pixel has another instance than the one above, below, left or right of it: int [B, H, W] -> float32 same.

    Pixels on both sides of a border are marked (pix2pixHD, arXiv:1711.11585, section 3.3).
    """
    down, right = instances[:, 1:] != instances[:, :-1], instances[:, :, 1:] != instances[:, :, :-1]
    found = tf.pad(down, [[0, 0], [1, 0], [0, 0]]) | tf.pad(down, [[0, 0], [0, 1], [0, 0]])
    found |= tf.pad(right, [[0, 0], [0, 0], [1, 0]]) | tf.pad(right, [[0, 0], [0, 0], [0, 1]])
    return tf.cast(found, tf.float32)
