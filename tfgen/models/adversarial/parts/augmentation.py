"""Augmentations that gradients pass through: a discriminator sees real and generated images changed in the same ways.

With few images a discriminator learns them by heart. If it sees random changes of them, and of generated images, it cannot,
and the generator, whose gradients pass through the changes, still learns the images without them.

Zhao, Liu, Lin, Zhu, Han, "Differentiable Augmentation for Data-Efficient GAN Training", NeurIPS 2020, arXiv:2006.10738: one
    or more of colour, translation and cutout, always.
Karras, Aittala, Hellsten, Laine, Lehtinen, Aila, "Training Generative Adversarial Networks with Limited Data", NeurIPS 2020,
    arXiv:2006.06676: flips, shifts, scaling, rotation and colour, each with a probability that adapts to overfitting.

Images are float32 [B, H, W, C] in [-1, 1] with 1 or 3 channels; results are not clipped. Row i of a result is a function of
row i of the images and of its key, uint64 [B] (see `tfgen.random`).

What differs from the second paper: images are warped by bilinear interpolation with reflection at the borders, as in its
code, but without its upsampling by a wavelet filter before and after.
"""

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfgen import random
from tfgen.layers import sample_bilinear

POLICIES = ("color", "translation", "cutout")
ADAPTIVE = "adaptive"
_LUMA = np.full([3, 3], 1.0 / 3.0, "float32")  # the projection on the axis of grey


# ---- DiffAugment


def diff_augment(images: tf.Tensor, keys: tf.Tensor, policy: str = "color,translation,cutout") -> tf.Tensor:
    """The augmentations of `policy`, in its order, with the ranges of the paper (appendix, table 7; the authors' code).

    Args:
        images: float32 [B, H, W, C] in [-1, 1].
        keys: uint64 [B].
        policy: one or more of "color", "translation" and "cutout", with commas between.

    Returns:
        float32 [B, H, W, C]; colour may leave [-1, 1].

    Raises:
        ValueError: another policy.

    Example:

    >>> images = tf.zeros([2, 8, 8, 3])
    >>> diff_augment(images, tfgen.random.key(tf.range(2)), "translation,cutout").shape
    TensorShape([2, 8, 8, 3])
    """
    for i, name in enumerate(check_policy(policy)):
        u = random.uniform(random.fold(keys, i), 3)
        height, width = images.shape[1:3]
        if name == "color":
            images = color(images, u[:, 0] - 0.5, 2.0 * u[:, 1], u[:, 2] + 0.5)
        elif name == "translation":
            most = tf.constant([int(height * 0.125 + 0.5), int(width * 0.125 + 0.5)], tf.float32)
            images = translate(images, tf.cast(tf.floor(u[:, :2] * (2.0 * most + 1.0)) - most, tf.int32))
        else:
            sides = [int(size * 0.5 + 0.5) for size in (height, width)]
            choices = [float(size + 1 - side % 2) for size, side in zip((height, width), sides, strict=True)]
            images = cut_out(images, tf.cast(tf.floor(u[:, :2] * choices), tf.int32), sides)
    return images


def check_policy(policy: str) -> tuple[str, ...]:
    """The names in a policy; ValueError if there are none, or others than `POLICIES`, or one twice."""
    names = tuple(policy.split(","))
    if not is_policy(policy):
        raise ValueError(f"A policy is one or more of {', '.join(POLICIES)}, with commas between; received {policy!r}.")
    return names


def is_policy(value: str) -> bool:
    """Whether a text is a policy of `diff_augment`."""
    names = value.split(",")
    return set(names) <= set(POLICIES) and len(set(names)) == len(names)


def color(images: tf.Tensor, brightness: tf.Tensor, saturation: tf.Tensor, contrast: tf.Tensor) -> tf.Tensor:
    """Adds `brightness`, multiplies the distances from the grey of the pixel by `saturation`, and those from the mean of the
    image by `contrast`, in this order; each is float32 [B].
    """
    brightness, saturation, contrast = (v[:, None, None, None] for v in (brightness, saturation, contrast))
    images += brightness
    grey = tf.reduce_mean(images, axis=3, keepdims=True)
    images = (images - grey) * saturation + grey
    mean = tf.reduce_mean(images, axis=[1, 2, 3], keepdims=True)
    return (images - mean) * contrast + mean


def translate(images: tf.Tensor, shifts: tf.Tensor) -> tf.Tensor:
    """Moves images by `shifts`, int32 [B, 2]. Pixel (i, j) becomes pixel (i + shift, j + shift), or 0 if there is none."""
    for axis in (1, 2):
        size = images.shape[axis]
        wanted = tf.range(size)[None] + shifts[:, axis - 1, None]
        images = tf.gather(images, tf.clip_by_value(wanted, 0, size - 1), axis=axis, batch_dims=1)
        inside = tf.cast((wanted >= 0) & (wanted < size), images.dtype)
        images *= inside[:, :, None, None] if axis == 1 else inside[:, None, :, None]
    return images


def cut_out(images: tf.Tensor, centres: tf.Tensor, sides: Sequence[int]) -> tf.Tensor:
    """Sets a rectangle of `sides` (rows, columns) around `centres`, int32 [B, 2], to 0, as far as it lies in the image."""
    inside = []
    for axis in (1, 2):
        first = centres[:, axis - 1, None] - sides[axis - 1] // 2
        at = tf.range(images.shape[axis])[None]
        inside.append((at >= first) & (at < first + sides[axis - 1]))
    hole = inside[0][:, :, None, None] & inside[1][:, None, :, None]
    return images * (1.0 - tf.cast(hole, images.dtype))


# ---- adaptive augmentation


def adaptive_augment(images: tf.Tensor, keys: tf.Tensor, probability: tf.Tensor) -> tf.Tensor:
    """The pipeline "bgc" of the second paper (appendix B): each transformation is applied with `probability`, by itself.

    Args:
        images: float32 [B, H, W, C] in [-1, 1].
        keys: uint64 [B].
        probability: float32 scalar, at least 0; above 1 it is 1.

    Returns:
        float32 [B, H, W, C]; colours may leave [-1, 1].
    """
    numbers = random.uniform(keys, 30)
    images = warp(images, *inverse_transforms(images.shape[1:3], numbers[:, :20], probability))
    return recolor(images, *color_transforms(numbers[:, 20:], probability))


def inverse_transforms(size: tuple[int, int], numbers: tf.Tensor, probability: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws transformations of images of `size` (H, W), from `numbers` [B, 20], uniform in (0, 1).

    Returns:
        (matrix float32 [B, 2, 2], shift float32 [B, 2]): the pixel p of a result is that at matrix p + shift of its image.
        p is (column, row), from the centre. In the paper's order: flip, quarter turns, whole shifts, scaling, rotation,
        scaling of one axis, rotation, shifts.
    """
    height, width = (float(side) for side in size)
    chosen, turns, u, n = numbers[:, :8] < probability, numbers[:, 8:10], numbers[:, 10:16], tf.math.ndtri(numbers[:, 16:])
    # Of two rotations, each with this probability, at least one happens with `probability`.
    turns = turns < 1.0 - tf.sqrt(tf.maximum(1.0 - probability, 0.0))

    def gated(i, value, otherwise=0.0):
        return tf.where(chosen[:, i], value, otherwise)

    flip = gated(0, 1.0 - 2.0 * tf.floor(2.0 * u[:, 0]), 1.0)
    quarters = gated(1, tf.floor(4.0 * u[:, 1]))
    whole = tf.round((0.25 * u[:, 2:4] - 0.125) * [width, height])
    scale, stretch = (gated(i, tf.exp(0.2 * math.log(2.0) * n[:, j]), 1.0) for i, j in ((3, 0), (5, 1)))
    angles = tf.where(turns, 2.0 * math.pi * u[:, 4:6] - math.pi, 0.0)
    moved = 0.125 * n[:, 2:4] * [width, height]
    # The product of the inverse transformations from the left to the right: first those that keep the grid of pixels.
    matrix = tf.stack([flip, tf.ones_like(flip)], axis=1)[:, :, None] * _rotation(-0.5 * math.pi * quarters)
    shift = -tf.linalg.matvec(matrix, tf.where(chosen[:, 2:3], whole, 0.0))
    matrix = tf.matmul(matrix, _rotation(-angles[:, 0])) * tf.stack([1.0 / stretch, stretch], axis=1)[:, None]
    matrix = tf.matmul(matrix / scale[:, None, None], _rotation(-angles[:, 1]))
    return matrix, shift - tf.linalg.matvec(matrix, tf.where(chosen[:, 7:8], moved, 0.0))


def warp(images: tf.Tensor, matrix: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
    """Images whose pixel p is that at matrix p + shift of `images`, by bilinear interpolation, reflected at the borders.

    Args:
        images: float32 [B, H, W, C].
        matrix, shift: float32 [B, 2, 2] and [B, 2], of (column, row) from the centre of the image.
    """
    height, width = images.shape[1:3]
    columns, rows = tf.meshgrid(tf.range(width, dtype=tf.float32), tf.range(height, dtype=tf.float32))
    centre = [0.5 * (width - 1), 0.5 * (height - 1)]
    grid = tf.reshape(tf.stack([columns - centre[0], rows - centre[1]]), [2, -1])
    # [B, 2, H W]. The sum by hand: a matrix product would have to copy the grid for every image.
    points = matrix[:, :, :1] * grid[0] + matrix[:, :, 1:] * grid[1] + shift[:, :, None]
    points = tf.stack([points[:, 1] + centre[1], points[:, 0] + centre[0]], axis=2)  # [B, H W, (row, column)]
    return tf.reshape(sample_bilinear(images, points, "reflect"), tf.shape(images))


def recolor(images: tf.Tensor, matrix: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
    """Images whose colours c are matrix c + shift, or if they are grey, the mean of that over the channels."""
    if images.shape[3] == 1:
        gain, shift = tf.reduce_mean(tf.reduce_sum(matrix, axis=2), axis=1), tf.reduce_mean(shift, axis=1)
        return images * gain[:, None, None, None] + shift[:, None, None, None]
    flat = tf.reshape(images, [-1, images.shape[1] * images.shape[2], 3])
    return tf.reshape(tf.matmul(flat, matrix, transpose_b=True) + shift[:, None], tf.shape(images))


def color_transforms(numbers: tf.Tensor, probability: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws (matrix float32 [B, 3, 3], shift float32 [B, 3]) for `recolor`, from `numbers` [B, 10], uniform in (0, 1).

    In the paper's order: brightness, contrast, inversion of luma, rotation of hue, saturation. A mean over the channels does
    not change with the last two.
    """
    chosen, u, n = numbers[:, :5] < probability, numbers[:, 5:7], tf.math.ndtri(numbers[:, 7:])
    brightness = tf.where(chosen[:, 0], 0.2 * n[:, 0], 0.0)
    contrast = tf.where(chosen[:, 1], tf.exp(0.5 * math.log(2.0) * n[:, 1]), 1.0)
    flipped = tf.where(chosen[:, 2] & (u[:, 0] < 0.5), 1.0, 0.0)
    angle = tf.where(chosen[:, 3], 2.0 * math.pi * u[:, 1] - math.pi, 0.0)
    saturation = tf.where(chosen[:, 4], tf.exp(math.log(2.0) * n[:, 2]), 1.0)
    shift = (brightness * contrast)[:, None] * tf.ones([1, 3])
    rest = luma_flip(flipped)
    matrix = contrast[:, None, None] * tf.matmul(saturate(saturation), tf.matmul(rotate_hue(angle), rest))
    # The last three keep the axis of grey; inversion of luma changes the sign of the shift.
    return matrix, shift * (1.0 - 2.0 * flipped)[:, None]


def luma_flip(flipped: tf.Tensor) -> tf.Tensor:
    """[B, 3, 3]: the grey part of a colour is negated where `flipped` [B] is 1."""
    return tf.eye(3) - 2.0 * flipped[:, None, None] * _LUMA


def rotate_hue(angle: tf.Tensor) -> tf.Tensor:
    """[B, 3, 3]: a rotation by `angle` [B], in radians, around the axis of grey (Rodrigues' formula)."""
    cross = tf.constant([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / math.sqrt(3.0)
    angle = angle[:, None, None]
    return tf.cos(angle) * (tf.eye(3) - _LUMA) + _LUMA + tf.sin(angle) * cross


def saturate(factor: tf.Tensor) -> tf.Tensor:
    """[B, 3, 3]: the part of a colour that is not grey times `factor` [B]."""
    return _LUMA + (tf.eye(3) - _LUMA) * factor[:, None, None]


def _rotation(angle):  # [B] -> [B, 2, 2]
    c, s = tf.cos(angle), tf.sin(angle)
    return tf.reshape(tf.stack([c, -s, s, c], axis=1), [-1, 2, 2])
