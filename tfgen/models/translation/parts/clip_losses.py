"""Losses of frames and of triplets of frames, and through how many frames their gradients go.

Wang et al., "Video-to-Video Synthesis", NeurIPS 2018, arXiv:1808.06601, as in the authors' code (NVIDIA/vid2vid).
"""

import math

import tensorflow as tf

from tfgen.losses import OBJECTIVES, multi_scale_feature_matching

_LEAST_SQUARES = OBJECTIVES["least_squares"]


def masked_l1(a: tf.Tensor, b: tf.Tensor | float, mask: tf.Tensor) -> tf.Tensor:
    """The mean of mask |a - b|, float32; masked pixels are counted."""
    return tf.reduce_mean(mask * tf.abs(a - b))


def compared(real: list[dict], fake: list[dict], name: str) -> dict[str, tf.Tensor]:
    """The losses of what discriminators say of real and made frames; `name`: of the discriminators' own loss."""
    logits = [(a["logit"], b["logit"]) for a, b in zip(real, fake, strict=True)]
    return {
        "adversarial_loss": tf.add_n([2.0 * _LEAST_SQUARES.generator(b) for _, b in logits]),
        "matching_loss": multi_scale_feature_matching(*([scale["maps"] for scale in found] for found in (real, fake))),
        # Of this only the gradient for the discriminator's variables is used, on which the frames do not depend.
        name: tf.add_n([_LEAST_SQUARES.discriminator(a, b) for a, b in logits]),
    }


def triplets_of(seen: int, new: int, apart: int) -> list[tuple[int, int, int]]:
    """The triplets that a discriminator judges, [(first, middle, last)], as in the authors' code.

    Example:
        >>> triplets_of(seen=6, new=6, apart=1), triplets_of(seen=12, new=6, apart=3)
        ([(3, 4, 5), (0, 1, 2)], [(5, 8, 11), (2, 5, 8)])

    Args:
        seen: number of frames there are, the new ones last.
        new: number of new frames; every third of them is the last one of a triplet.
        apart: frames from one of a triplet to the next.
    """
    ends = range(seen - 1, seen - 1 - min(seen - 2 * apart, new), -3)
    return [(end - 2 * apart, end - apart, end) for end in ends]


def backprop_length(frames: int, longest: int, doublings: int) -> int:
    """Through how many frames the gradient goes, as in the authors' code, whose clips become longer.

    Example:
        >>> [backprop_length(6, 4, doublings) for doublings in range(4)]
        [1, 2, 3, 3]

    Args:
        frames: number of frames of an update.
        longest: the largest number.
        doublings: how often the clips became twice as long.
    """
    return frames // math.ceil(frames / min(longest, 2**doublings))
