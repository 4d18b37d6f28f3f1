"""Images of any size for convolutional networks that halve their sides."""

import tensorflow as tf

from tfgen import fields


def check_least(images: tf.Tensor, least: int, name: str = "images") -> tf.Tensor:
    """Images [B, H, W, C]; at run time InvalidArgumentError if a side is below `least` pixels."""
    sides = tf.shape(images)[1:3]
    said = f"The sides of {name} must be at least {least} pixels; received"
    return fields.checked(images, tf.reduce_all(sides >= least), said, sides)


def mirrored(images: tf.Tensor, unit: int) -> tf.Tensor:
    """Images [B, H, W, C] with mirrored rows below and columns on the right, up to the next multiples of `unit` pixels.

    Example:
        >>> images = tf.reshape(tf.range(3.0), [1, 1, 3, 1])
        >>> tfgen.networks.any_size.mirrored(tf.repeat(images, 4, axis=1), 4).numpy()[0, 0, :, 0].tolist()
        [0.0, 1.0, 2.0, 1.0]

    Args:
        images: float [B, H, W, C], H and W at least `unit`.
        unit: a whole number >= 1.
    """
    shape = tf.shape(images)
    return tf.pad(images, [[0, 0], [0, -shape[1] % unit], [0, -shape[2] % unit], [0, 0]], "REFLECT")
