"""Checks of the arguments of models."""

import math

import numpy as np
import tensorflow as tf


def check_images(images, image_shape, who):
    """Checks images and returns them as a float32 tensor [B, H, W, C]; None in `image_shape` allows any size.

    Raises:
        ValueError: another shape, or a dtype that is not float.
        tf.errors.InvalidArgumentError: at run time, values outside [0, 1], or NaN.
    """
    images = tf.convert_to_tensor(images)
    if not images.dtype.is_floating:
        raise ValueError(f"Images must be float in [0, 1]; received dtype {images.dtype.name} (divide by 255?).")
    if not images.shape[1:].is_compatible_with(image_shape) or images.shape.rank != 4:
        wanted = ", ".join("any" if n is None else str(n) for n in image_shape)
        raise ValueError(f"{who} was made for images [batch, {wanted}] (height, width, channels); received {images.shape}.")
    images = tf.cast(images, tf.float32)
    in_range = tf.reduce_all((images >= 0.0) & (images <= 1.0))  # false for NaN as well
    tf.debugging.Assert(in_range, ["Images must lie in [0, 1]; received a range of",
                                   tf.reduce_min(images), tf.reduce_max(images)])  # fmt: skip
    return tf.ensure_shape(images, (None, *image_shape))


def check_whole(least=1, **values):
    """Raises ValueError for an argument, a number or a sequence of numbers, that is no whole number of at least `least`."""
    for name, value in values.items():
        for number in value if isinstance(value, (tuple, list)) else [value]:
            if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or number < least:
                what = "whole numbers" if isinstance(value, (tuple, list)) else "a whole number"
                raise ValueError(f"{name} must be {what} of at least {least}; received {value!r}.")


def check_not_negative(**values):
    """Raises ValueError for an argument {name: number} that is negative, infinite or NaN."""
    for name, value in values.items():
        if not 0.0 <= value < math.inf:
            raise ValueError(f"{name} must be at least 0 and finite; received {value!r}.")


def check_labels(labels, num_classes, name="labels"):
    """Integer labels [B] as a tensor. Raises ValueError for another dtype or rank; labels out of range fail at run time."""
    labels = tf.convert_to_tensor(labels)
    if not labels.dtype.is_integer or labels.shape.rank != 1:
        raise ValueError(f"{name} must be integers [B]; received {labels.dtype.name} {labels.shape}.")
    in_range = tf.reduce_all((labels >= 0) & (labels < num_classes))
    message = f"{name} must lie in [0, {num_classes}); received a range of"
    # Operations on the labels wait for the check. Else a gather could fail first, with an error of its own.
    with tf.control_dependencies([tf.debugging.Assert(in_range, [message, tf.reduce_min(labels), tf.reduce_max(labels)])]):
        return tf.identity(labels)
