"""A movable, zoomable window on an image: a grid of Gaussian filters whose position and size a network computes.

Gregor, Danihelka, Graves, Rezende, Wierstra, "DRAW: A Recurrent Neural Network For Image Generation", ICML 2015,
arXiv:1502.04623, section 3.2. With pixels at 1..A (columns) and 1..B (rows), and a window of N x N filters:

    (gx, gy, ln sigma^2, ln d, ln gamma) = W h                                          (eq. 21)
    centre_x = (A + 1) / 2 (gx + 1),   centre_y = (B + 1) / 2 (gy + 1)                  (eq. 22, 23)
    stride = (max(A, B) - 1) / (N - 1) d                                                (eq. 24)
    mu_x[i] = centre_x + (i - N / 2 - 1 / 2) stride, i = 1..N; mu_y likewise            (eq. 19, 20)
    F_x[i, a] = exp(-(a - mu_x[i])^2 / (2 sigma^2)) / Z, each row sums to 1             (eq. 25, 26)
    read(x) = gamma F_y x F_x^T,   write(w) = F_y^T w F_x / gamma                       (eq. 27, 29)

Here images are rows [B, H, C W], with the channels of a row one after the other. Both products are then plain matrix
products, and all channels share the filters.
"""

from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

# A filter this narrow is one pixel. The bound keeps 1 / sigma^2 finite.
MIN_VARIANCE = 1e-6


class Window(NamedTuple):
    """The filters and the position of a window.

    Attributes:
        row_filters: F_y, float32 [B, N, H].
        column_filters: F_x, float32 [B, N, W].
        gain: gamma, float32 [B, 1].
        box: float32 [B, 5], (centre_x, centre_y, stride, sigma, gamma); pixels are numbered from 1, the upper left one is
            (1, 1).
    """

    row_filters: tf.Tensor
    column_filters: tf.Tensor
    gain: tf.Tensor
    box: tf.Tensor


@keras.saving.register_keras_serializable("tfgen")
class AttentionWindow(keras.layers.Layer):
    """The `Window` of a state: a linear map to five numbers, and the filters with these parameters.

    With weights 0 the window covers the image evenly, with sigma 1 and gain 1.

    Example:
        >>> layer = tfgen.layers.AttentionWindow(3, (8, 8))
        >>> window = layer(tf.zeros([2, 16]))
        >>> window.row_filters.shape
        TensorShape([2, 3, 8])
        >>> window.box[0, :2].numpy().tolist()  # the centre, in pixels that are counted from 1
        [4.5, 4.5]

    Args:
        size: N >= 2, filters along each axis.
        image_size: (H, W).
    """

    def __init__(self, size: int, image_size: Sequence[int], **kwargs):
        super().__init__(**kwargs)
        if size < 2 or len(image_size) != 2 or min(image_size) < 1:
            raise ValueError(
                f"size must be at least 2 and image_size (height, width), positive; received {size} and {image_size}."
            )
        self.size, self.image_size = int(size), tuple(int(n) for n in image_size)
        self.parameters = keras.layers.Dense(5, dtype=self.dtype_policy, name="parameters")

    def get_config(self):
        return {**super().get_config(), "size": self.size, "image_size": list(self.image_size)}

    def build(self, input_shape):
        self.parameters.build(input_shape)

    def call(self, state):
        """The `Window` of a state [B, D]."""
        return window(tf.cast(self.parameters(state), tf.float32), self.size, self.image_size)


def window(parameters, size, image_size):
    """The `Window` of (gx, gy, ln sigma^2, ln d, ln gamma), float32 [B, 5]; `size` and `image_size` as in the layer."""
    height, width = image_size
    centre = np.array([width + 1, height + 1], np.float32) / 2.0 * (parameters[:, :2] + 1.0)  # [B, 2], x then y
    # One exp for the three: this runs at every step of a recurrence.
    variance, zoom, gain = tf.split(tf.exp(parameters[:, 2:]), 3, axis=-1)  # each [B, 1]
    variance, stride = variance + MIN_VARIANCE, (max(height, width) - 1.0) / (size - 1.0) * zoom
    offsets = np.arange(1, size + 1, dtype="float32") - size / 2.0 - 0.5
    means = centre[..., None] + (stride * offsets)[:, None]  # [B, 2, N]
    positions = np.arange(1, max(height, width) + 1, dtype="float32")
    exponents = tf.square(positions - means[..., None]) * (-0.5 / variance)[..., None, None]  # [B, 2, N, max(H, W)]
    # Exponentials divided by their sum are the softmax, whose sum cannot underflow to 0.
    if height == width:
        columns, rows = tf.unstack(tf.nn.softmax(exponents), axis=1)
    else:
        columns, rows = tf.nn.softmax(exponents[:, 0, :, :width]), tf.nn.softmax(exponents[:, 1, :, :height])
    return Window(rows, columns, gain, tf.concat([centre, stride, tf.sqrt(variance), gain], axis=-1))


def read(window, rows):
    """gamma F_y x F_x^T of each channel: rows float32 [B, H, C W] -> [B, N, C N]."""
    filters = window.column_filters
    size, width = filters.shape[1:]
    channels = rows.shape[-1] // width
    patch = tf.reshape(window.row_filters @ rows, [-1, size * channels, width])
    patch = tf.matmul(patch, filters, transpose_b=True)  # [B, N C, N]
    return window.gain[..., None] * tf.reshape(patch, [-1, size, channels * size])


def write(window, patch):
    """F_y^T w F_x / gamma of each channel: patch float32 [B, N, C N] -> rows [B, H, C W]."""
    filters = window.column_filters
    size, width = filters.shape[1:]
    channels = patch.shape[-1] // size
    patch = tf.reshape(patch / window.gain[..., None], [-1, size * channels, size]) @ filters  # [B, N C, W]
    return tf.matmul(window.row_filters, tf.reshape(patch, [-1, size, channels * width]), transpose_a=True)


def to_rows(images):
    """Images [B, H, W, C] as rows [B, H, C W]."""
    height, width, channels = images.shape[1:]
    return tf.reshape(tf.transpose(images, [0, 1, 3, 2]), [-1, height, channels * width])


def from_rows(rows, channels):
    """The inverse of `to_rows`, for rows [..., H, C W] with any leading dimensions."""
    height, width = rows.shape[-2], rows.shape[-1] // channels
    lead = tf.shape(rows)[:-2]
    images = tf.transpose(tf.reshape(rows, [-1, height, channels, width]), [0, 1, 3, 2])
    return tf.reshape(images, tf.concat([lead, [height, width, channels]], axis=0))
