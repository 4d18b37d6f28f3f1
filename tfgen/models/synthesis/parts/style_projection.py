"""Projection of images into a trained StyleGAN.

Karras, Laine, Aittala, Hellsten, Lehtinen, Aila, "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020,
arXiv:1912.04958, appendix D; constants as in the authors' code (NVlabs/stylegan2-ada, projector.py).

The idea: an image has a w, one for all layers, and noise maps. Adam looks for both. At first noise is added to w, so that
the search is wide; a regulariser keeps the noise maps free of the image's content.

    start: the mean of mapped latents, of the spread w_std = sqrt(mean |w - mean|^2), the length of a vector
    added to w: N(0, 1) w_std .05 max(0, 1 - t / .75)^2                      t in [0, 1) over the steps
    rate: .1, rising over the first 5 % of the steps, and falling as a cosine over the last 25 %
    minimise  distance of features + 1e5 sum over maps and their 2 x 2 means of (mean v shift(v))^2, along both axes

What differs from the code: the distance is the squared one of the features of any frozen network, and of pixels, instead of
LPIPS. Images are projected in batches, each row as if it was alone. Noise maps of a small network can be left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf

from tfgen import random
from tfgen.layers.resampling import downscale2d
from tfgen.sampling.ascent import ascend

RATE, RISE, FALL = 0.1, 0.05, 0.25
NOISE, NOISE_END = 0.05, 0.75
LEAST_SIDE = 8  # of the maps on which the regulariser looks


class StyleProjection(NamedTuple):
    """The result of `project_styles`.

    Attributes:
        w: float32 [B, num_layers, w_size].
        noise: list of float32 [B, h, w, 1], for `StyleGAN.synthesize`.
        image: float32 [B, H, W, C] in [0, 1].
        distance: float32 [B], of the features and pixels of this image.
    """

    w: tf.Tensor
    noise: list
    image: tf.Tensor
    distance: tf.Tensor


def rate_at(t: tf.Tensor) -> tf.Tensor:
    """The rate at t, the share of the steps that was made, in [0, 1)."""
    t = tf.convert_to_tensor(t, tf.float32)
    falling = tf.minimum(1.0, (1.0 - t) / FALL)
    return RATE * (0.5 - 0.5 * tf.cos(math.pi * falling)) * tf.minimum(1.0, t / RISE)


def noise_at(t: tf.Tensor) -> tf.Tensor:
    """The standard deviation of the noise that is added to w at t, over w_std."""
    return NOISE * tf.maximum(0.0, 1.0 - tf.convert_to_tensor(t, tf.float32) / NOISE_END) ** 2


def spread(w: tf.Tensor) -> tf.Tensor:
    """w_std of float [N, W]: the root of the mean squared distance to the mean, a scalar."""
    return tf.sqrt(tf.reduce_mean(tf.reduce_sum((w - tf.reduce_mean(w, axis=0)) ** 2, axis=1)))


def noise_regularizer(maps: list[tf.Tensor]) -> tf.Tensor:
    """How much noise maps resemble their shifted selves, float32 [B]; maps: a list of float [B, h, w, 1]."""
    total = 0.0
    for one in maps:
        while True:
            for axis in (1, 2):
                total += tf.reduce_mean(one * tf.roll(one, 1, axis=axis), axis=[1, 2, 3]) ** 2
            if min(one.shape[1:3]) <= LEAST_SIDE or any(side % 2 for side in one.shape[1:3]):
                break
            one = downscale2d(one)
    return total


def project_styles(
    model: keras.Model, images: tf.Tensor, features: Callable[[tf.Tensor], dict] | None = None, *, steps: int = 1000,
    pixel_weight: float = 0.1, noise_weight: float = 1e5, each_layer: bool = False, first_noise: int = 0,
    mean_samples: int = 10_000, seed: int = 0,
) -> StyleProjection:  # fmt: skip
    """Finds styles and noise maps of images.

    Example:
        >>> model = tfgen.models.StyleGAN(image_shape=(8, 8, 1), latent_dim=4, w_size=4, mapping_depth=1, max_filters=4)
        >>> found = project_styles(model, model.sample(2), steps=3, pixel_weight=1.0, mean_samples=10)
        >>> found.w.shape, found.image.shape
        (TensorShape([2, 4, 4]), TensorShape([2, 8, 8, 1]))

    Args:
        model: a trained `tfgen.models.StyleGAN` without classes.
        images: float32 [B, H, W, C] in [0, 1].
        features: None, or a `tfgen.features.FeatureNetwork`; the distance is the sum over its layers of the mean squared
            difference.
        steps: of Adam.
        pixel_weight: of the mean squared difference of pixels, which is added.
        noise_weight: of the regulariser of noise maps.
        each_layer: whether each layer has a w of its own (W+), else all have the same.
        first_noise: the first layer whose noise map is optimised; layers before it keep the noise of samples;
            `model.num_layers`: all do.
        mean_samples: number of mapped latents for the start.
        seed: of the noise; image i has the seed 2^32 seed + i.
    """
    images = tf.convert_to_tensor(images, tf.float32)
    layers, sizes = model.num_layers, model.generator.sizes
    free = list(range(first_noise, layers))
    shared = model.noise_inputs()
    rows, width = tf.shape(images)[0], model.mean_w.size * (layers if each_layer else 1)
    parts = [width, *(math.prod(sizes[i]) for i in free)]
    mapped = model.map(model.latents(tf.range(mean_samples, dtype=tf.int64)))[:, 0]
    mean, std = tf.reduce_mean(mapped, axis=0), spread(mapped)
    start = [tf.tile(mean, [width // model.mean_w.size]), *(tf.reshape(shared[i], [-1]) for i in free)]
    start = tf.repeat(tf.concat(start, axis=0)[None], rows, axis=0)
    wanted = {} if features is None else features(images)

    def split(codes):
        w, *maps = tf.split(codes, parts, axis=1)
        w = tf.reshape(w, [-1, layers, model.mean_w.size]) if each_layer else tf.repeat(w[:, None], layers, axis=1)
        return w, [tf.reshape(one, [-1, *sizes[i], 1]) for one, i in zip(maps, free, strict=True)]

    def drawn(w, maps):
        noise = list(shared)
        for one, i in zip(maps, free, strict=True):
            noise[i] = one
        return model.synthesize(w, noise), noise

    def distance(made):
        total = pixel_weight * tf.reduce_mean((made - images) ** 2, axis=[1, 2, 3])
        found = {} if features is None else features(made)
        return total + sum(_mean_square(found[name] - wanted[name]) for name in found)

    def closeness(codes, step):
        w, maps = split(codes)
        t = tf.cast(step.index, tf.float32) / steps
        noise = tf.reshape(random.normal(step.keys, width), [-1, width // model.mean_w.size, model.mean_w.size])
        w += (noise_at(t) * std)[:, None, None] * noise
        made, _ = drawn(w, maps)
        return -distance(made) - noise_weight * noise_regularizer(maps) if maps else -distance(made)

    def normalized(codes, step):
        w, *maps = tf.split(codes, parts, axis=1)
        maps = [one - tf.reduce_mean(one, axis=1, keepdims=True) for one in maps]
        maps = [one * tf.math.rsqrt(tf.reduce_mean(one**2, axis=1, keepdims=True)) for one in maps]
        return tf.concat([w, *maps], axis=1)

    def run():
        codes = ascend(
            closeness, start, steps=steps, rate=lambda step: rate_at(tf.cast(step.index, tf.float32) / steps), rule="adam",
            after=normalized, seeds=(seed << 32) + tf.range(rows, dtype=tf.int64),
        ).codes  # fmt: skip
        w, maps = split(codes)
        made, noise = drawn(w, maps)
        noise = [tf.repeat(one, rows // tf.shape(one)[0], axis=0) for one in noise]
        return StyleProjection(w, noise, made, distance(made))

    return tf.function(run, autograph=False)()


def _mean_square(difference):
    return tf.reduce_mean(difference**2, axis=list(range(1, difference.shape.rank)))
