"""Growth of networks by levels, as a function of the number of images seen: Karras et al. 2018, arXiv:1710.10196, section 2.

Level l has maps of the size start_size 2^l. With `stable` = T and `fade` = F images, and n images seen, the position is

    position(n) = first_level + i + max(n - i (T + F) - T, 0) / F,   i = floor(n / (T + F)),   at most the last level

and the `lod` of the authors' code is the last level minus the position. At a whole position a level is trained alone.
Between two, the larger fades in: its image has the weight position - floor(position), the smaller one, upscaled, the rest.
"""

import bisect
import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tfgen import settings
from tfgen.layers import downscale2d, upscale2d


@dataclasses.dataclass(frozen=True)
class Phase:
    """Steps with the same levels and the same batch size.

    Attributes:
        first_step: its first step.
        first_images: the number of images seen before it.
        level: the largest level that is trained.
        fading: whether that level fades in, so that the one below it is used too.
        batch_size: images in a step, over all replicas.
    """

    first_step: int
    first_images: int
    level: int
    fading: bool
    batch_size: int

    @property
    def levels(self) -> tuple[int, ...]:
        """The levels whose images are used, ascending."""
        return (self.level - 1, self.level) if self.fading else (self.level,)


@dataclasses.dataclass(frozen=True)
class Growth:
    """The plan of growth: all is a function of the step alone, so a run can be resumed at any step.

    Example:
        >>> growth = Growth(batch_sizes=(128, 128, 64, 32), stable=600_000, fade=600_000)
        >>> growth.phases[1]
        Phase(first_step=4688, first_images=600064, level=1, fading=True, batch_size=128)
        >>> growth.batch_schedule()
        [(0, 128), (14063, 64), (32813, 32)]

    Attributes:
        batch_sizes: images in a step at each level, which begins as it fades in; as many as there are levels.
        stable: T, images of each level alone, before the next one fades in.
        fade: F >= 1, images while a level fades in.
        first_level: the level with which training begins; with the last one nothing grows.
    """

    batch_sizes: Sequence[int]
    stable: int
    fade: int
    first_level: int = 0

    @property
    def last_level(self) -> int:
        return len(self.batch_sizes) - 1

    @functools.cached_property
    def phases(self) -> list[Phase]:
        """All phases in their order; the last one never ends. Those without a step are left out."""
        found, step, images, cycle = [], 0, 0, self.stable + self.fade
        for level in range(self.first_level, self.last_level + 1):
            begin = (level - self.first_level) * cycle
            # A level is alone up to and with begin + stable images.
            for fading, end in ((True, begin), (False, begin + self.stable + 1)):
                size = self.batch_sizes[level]
                steps = max(0, -(-(end - images) // size))
                if steps or (level == self.last_level and not fading):
                    found.append(Phase(step, images, level, fading, size))
                step, images = step + steps, images + steps * size
        return found

    def index(self, step: int) -> int:
        """The number of the phase of a step."""
        return bisect.bisect_right([phase.first_step for phase in self.phases], step) - 1

    def images(self, step: int) -> int:
        """The number of images seen before a step."""
        phase = self.phases[self.index(step)]
        return phase.first_images + (step - phase.first_step) * phase.batch_size

    def steps(self, images: int) -> int:
        """The number of steps after which at least `images` images have been seen."""
        phase = [one for one in self.phases if one.first_images <= images][-1]
        return phase.first_step - (phase.first_images - images) // phase.batch_size

    def batch_schedule(self) -> list[tuple[int, int]]:
        """[(first step, batch size), ...] for `Preset.batch_size` and `Source.batches`."""
        pairs = [(phase.first_step, phase.batch_size) for phase in self.phases]
        return [pair for i, pair in enumerate(pairs) if i == 0 or pair[1] != pairs[i - 1][1]]

    def position(self, step: tf.Tensor) -> tf.Tensor:
        """The position before a step, float32 scalar; `step` is an int64 scalar."""
        step = tf.cast(step, tf.int64)
        table = tf.constant([(phase.first_step, phase.first_images, phase.batch_size) for phase in self.phases], tf.int64)
        index = tf.reduce_sum(tf.cast(table[:, 0] <= step, tf.int32)) - 1
        first_step, first_images, batch_size = tf.unstack(tf.gather(table, index))
        images = first_images + (step - first_step) * batch_size
        cycle = self.stable + self.fade
        share = tf.cast(tf.maximum(images % cycle - self.stable, 0), tf.float32) / self.fade
        position = tf.cast(self.first_level + images // cycle, tf.float32) + share
        return tf.minimum(position, float(self.last_level))

    def faded(self, images: tf.Tensor, levels: Sequence[int], position: tf.Tensor) -> tf.Tensor:
        """Real images as the generator of this position would draw them.

        Args:
            images: float32 [B, H, W, C] of the size of the last level.
            levels: those of the phase: the images lose what is smaller than a pixel of the last of them. If there are two,
                that level has its share in the position.
            position: float32 scalar.

        Returns:
            float32 [B, H, W, C], of the size of the images.
        """
        factor = 2 ** (self.last_level - levels[-1])
        images = downscale2d(images, factor)
        if len(levels) > 1:
            smaller = upscale2d(downscale2d(images))
            images = smaller + (position - levels[0]) * (images - smaller)
        return upscale2d(images, factor)


def joined(
    images: tf.Tensor | None, draw: Callable, maps: tf.Tensor, level: int, levels: Sequence[int], position: float | tf.Tensor
) -> tf.Tensor | None:  # fmt: skip
    """The images of a generator up to a level: those of the levels below, upscaled, and its own by its share.

    Args:
        images: float32 [B, H / 2, W / 2, C], the result for the level below; None at level 0, or if no level below is shown.
        draw: function of maps -> [B, H, W, C], the level's own images. It is called if the level is one of `levels`.
        maps: [B, H, W, filters] of the level.
        level: the number of the level.
        levels: the levels that are shown; one alone has the share 1.
        position: scalar or [B, 1, 1, 1]. Level l has the share max(0, 1 - |position - l|).

    Returns:
        float32 [B, H, W, C]; None before the first of `levels`.
    """
    images = None if images is None else upscale2d(images)
    if level in levels:
        shown = tf.cast(draw(maps), tf.float32)
        if len(levels) > 1:
            shown *= tf.clip_by_value(1.0 - tf.abs(position - level), 0.0, 1.0)
        images = shown if images is None else images + shown
    return images


def number_of_levels(image_shape: Sequence[int], start: tuple[int, int]) -> int:
    """The number of levels from images of the size `start`, (height, width), to those of `image_shape`, (H, W, C).

    Example:
        >>> number_of_levels((28, 28, 1), (7, 7))
        3

    Raises:
        ValueError: the sides are not `start` times one power of two; the message says which sizes fit.
    """
    height, width = image_shape[:2]
    times = height // start[0]
    if (height, width) == (times * start[0], times * start[1]) and times & (times - 1) == 0 and times:
        return times.bit_length()
    fitting, factor = [], 1
    while height % factor == width % factor == 0:
        fitting.append((height // factor, width // factor))
        factor *= 2
    sizes = [(start[0] * 2**i, start[1] * 2**i) for i in range(6)]
    text = lambda sizes: ", ".join(f"{h} x {w}" for h, w in sizes)  # noqa: E731
    raise ValueError(
        f"The sides of the images must be start_size times a power of two: from {text([start])} that gives {text(sizes)}, "
        f"...; received images of {height} x {width}, for which the start_size {text(fitting[::-1])} fits."
    )


def for_levels(name: str, values: float | Sequence[float], num: int) -> tuple:
    """`values`, one for each of `num` levels; one number is repeated.

    Raises:
        ValueError: there is another number of them; the message has the setting's `name`.
    """
    given: Any = values if settings.is_sequence(values) else (values,) * num
    values = tuple(given)
    if len(values) != num:
        raise ValueError(f"{name} must be one number, or one for each of the {num} levels; received {values}.")
    return values
