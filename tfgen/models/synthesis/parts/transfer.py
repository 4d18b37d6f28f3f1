"""Motion and colour between generated images, and their transfer to a photo.

Zhu, Kraehenbuehl, Shechtman, Efros, ECCV 2016, arXiv:1609.03552, section 4.3. A generator has less detail than a photo. So
the change between the first and the last of several generated images is estimated, and applied to the photo, whose texture
stays.

    I_t+1(x) = A(x) I_t(x + u(x))        u: motion in pixels; A: an affine map of colours, gains [C, C] and an offset [C]
    minimise  mean |I_t+1 - A I_t(x + u)|^2 + s_u mean |grad u|^2 + s_A mean |grad A|^2          for each pair of images
    u_0->t+1(x) = u(x) + u_0->t(x + u(x)),   A_0->t+1(x) = A(x) A_0->t(x + u(x))

What differs from the paper, whose code for this was never released: motion and colours are numbers on a grid of a quarter of
the size, and found together by Adam, for half of the size first, instead of in turn. The photo is sampled once, at the end.
"""

from typing import Any, NamedTuple

import tensorflow as tf

from tfgen.layers.bilinear import warp_by_flow
from tfgen.sampling.ascent import ascend

CELL = 4  # pixels between the places of the grid
MOTION, COLOUR = 1e-3, 1e-2  # s_u and s_A
RATE = 0.05


class Change(NamedTuple):
    """What turns an image into another one.

    Attributes:
        flow: float32 [B, H, W, 2], (dx, dy) from a pixel to the place of its point in the first image.
        gain: float32 [B, H, W, C, C].
        offset: float32 [B, H, W, C].
    """

    flow: tf.Tensor
    gain: tf.Tensor
    offset: tf.Tensor

    def apply(self, images: tf.Tensor) -> tf.Tensor:
        """The changed images float32 [B, H, W, C], which are not clipped."""
        return _coloured(self.gain, self.offset, warp_by_flow(images, self.flow))

    def after(self, first: "Change") -> "Change":
        """The change that makes `first`, and then this one."""
        channels = self.offset.shape[-1]
        gain = tf.reshape(first.gain, [*_sizes(first.offset)[:3], channels * channels])
        warped = warp_by_flow(tf.concat([first.flow, gain, first.offset], axis=-1), self.flow)
        flow, gain, offset = tf.split(warped, [2, channels * channels, channels], axis=-1)
        gain = tf.reshape(gain, tf.shape(self.gain))
        gain = tf.reduce_sum(self.gain[..., None] * gain[..., None, :, :], axis=-2)
        return Change(self.flow + flow, gain, _coloured(self.gain, self.offset, offset))


def motion_and_colour(images: tf.Tensor, later: tf.Tensor, steps: int = 80) -> Change:
    """The change from images to later ones, for each row alone.

    Equal images give exactly no change. Motions of more than about three pixels are not found.

    Example:
        >>> images = tf.random.stateless_uniform([1, 8, 8, 1], seed=(0, 0))
        >>> change = motion_and_colour(images, images, steps=2)
        >>> float(tf.reduce_max(tf.abs(change.apply(images) - images)))
        0.0

    Args:
        images, later: float32 [B, H, W, C].
        steps: of Adam, at each of the two sizes.
    """
    height, width, channels = images.shape[1:]
    center = tf.reduce_mean(images, axis=[1, 2], keepdims=True)  # around it gains and shifts of colours do not interact
    grid = [-(-side // CELL) for side in (height, width)]
    parts = [2, channels * channels, channels]
    found = tf.zeros([tf.shape(images)[0], *grid, sum(parts)])  # motions, gains minus 1, shifts

    def change(numbers, sides):
        flow, gain, shift = tf.split(tf.image.resize(numbers, sides), parts, axis=-1)
        scale = tf.constant([sides[1] / width, sides[0] / height], tf.float32)
        gain = tf.reshape(gain, [*_sizes(gain)[:3], channels, channels])
        return Change(scale * flow, tf.eye(channels) + gain, shift - _coloured(gain, 0.0, center))

    def rate(step):  # falls to 0 over the last half of the steps
        return RATE * tf.minimum(1.0, 2.0 * (1.0 - tf.cast(step.index, tf.float32) / max(steps, 1)))

    for factor in (2, 1):
        sides = [-(-side // factor) for side in (height, width)]
        before, after = (images, later) if factor == 1 else (tf.image.resize(x, sides, "area") for x in (images, later))

        def closeness(numbers, step, before=before, after=after, sides=sides):
            error = tf.reduce_mean((change(numbers, sides).apply(before) - after) ** 2, axis=[1, 2, 3])
            return -error - MOTION * _roughness(numbers[..., :2]) - COLOUR * _roughness(numbers[..., 2:])

        found = ascend(closeness, found, steps=steps, rate=rate, rule="adam").codes
    return change(found, [height, width])


def transferred(photos: tf.Tensor, frames: tf.Tensor, steps: int = 80) -> tf.Tensor:
    """Photos with the change of generated images.

    Args:
        photos: float32 [B, H, W, C] in [0, 1].
        frames: float32 [B, T, H, W, C], generated images from that of the photo to the edited one, T >= 2.
        steps: see `motion_and_colour`.

    Returns:
        float32 [B, H, W, C] in [0, 1]. Equal frames give exactly the photo.
    """
    count, shape = frames.shape[1] - 1, frames.shape[2:]
    first, second = (tf.reshape(part, [-1, *shape]) for part in (frames[:, :-1], frames[:, 1:]))  # all pairs at once
    pairs = motion_and_colour(first, second, steps)
    pairs = [tf.reshape(part, [-1, count, *part.shape[1:]]) for part in pairs]
    total: Any = None
    for i in range(count):
        change = Change(*(part[:, i] for part in pairs))
        total = change if total is None else change.after(total)
    return tf.clip_by_value(total.apply(photos), 0.0, 1.0)


def _coloured(gain, offset, colours):
    return tf.reduce_sum(gain * colours[..., None, :], axis=-1) + offset


def _roughness(numbers):
    """The mean squared difference between neighbours in a grid [B, h, w, F], along both axes: [B]."""
    total = 0.0
    for axis, (first, second) in enumerate(
        ((numbers[:, 1:], numbers[:, :-1]), (numbers[:, :, 1:], numbers[:, :, :-1])), start=1
    ):
        if numbers.shape[axis] > 1:
            total += tf.reduce_mean((first - second) ** 2, axis=[1, 2, 3])
    return total


def _sizes(tensor):
    return [tf.shape(tensor)[i] if size is None else size for i, size in enumerate(tensor.shape)]
