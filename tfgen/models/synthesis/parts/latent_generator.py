"""The codes of a trained generator and their images, the same for all kinds of generators."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import keras
import tensorflow as tf

from tfgen import random
from tfgen.models.base import TrainableModel
from tfgen.models.capabilities import Maximizer, Sampler

# Bounds of the codes by distribution; None: they have none.
Distribution = Literal["normal", "uniform", "unit_uniform"]
BOUNDS: dict[str, float | None] = {"normal": None, "uniform": 1.0, "unit_uniform": math.sqrt(3.0)}
MARGIN = 0.99  # a code at its bound has no gradient, so starts are at most this part of the bound


class LatentGenerator:
    """Codes and images of a trained generator.

    The codes of a StyleGAN are w, one for all layers; those of other samplers are their latents; those of a Keras network
    are its inputs. Codes of a uniform distribution have a bound c. They are optimised as c tanh(v) with a free v
    (Zhu et al. 2016), so they stay in their range.

    Args:
        network: a `Sampler` of tfgen without conditions, whose images have gradients; or a `keras.Model`: codes [B, Z] ->
            images [B, H, W, C] in [0, 1].
        image_shape: (H, W, C) that the images must have.
        distribution: "normal", "uniform" or "unit_uniform", of the codes of a Keras network; None: of a sampler its own, of
            a network "normal".

    Attributes:
        size: Z. bound: c, or None.

    Raises:
        ValueError: the network has conditions or choices among its latents, draws its images pixel by pixel or searches
            for them, has other images, no known input, or is a sampler for which a distribution was given.
    """

    def __init__(self, network: keras.Model, image_shape: Sequence[int], distribution: str | None = None):
        self.network, self.distribution = network, distribution or "normal"
        self._is_sampler, self._has_styles = isinstance(network, Sampler), hasattr(network, "synthesize")
        name = type(network).__name__
        if self._is_sampler:
            if network.sequential:
                raise ValueError(f"generator: {name} draws images pixel by pixel, so they have no gradients.")
            if isinstance(network, Maximizer):
                raise ValueError(f"generator: {name} searches for its images; the generator that it uses is meant here.")
            if network.conditions():
                names = ", ".join(field.argument for field in network.conditions())
                raise ValueError(f"generator: {name} also takes {names}; the generator must take a code alone.")
            if choices := [field.name for field in network.code_fields() if field.dtype == "int32"]:
                raise ValueError(
                    f"generator: {name} has choices among its latents ({', '.join(choices)}), and between them no images."
                )
            if distribution is not None:
                raise ValueError(f"latent_distribution is that of {name} itself: leave it out; received {distribution!r}.")
            self.distribution = "normal" if self._has_styles else getattr(network, "latent_distribution", "normal")
            self.size, shape = network.latent_dim, network.image_shape
            if self._has_styles:
                self.size = network.mean_w.size
        else:
            if isinstance(network, TrainableModel):
                raise ValueError(f"generator must be a model that draws images from codes; {name} does not.")
            inputs = getattr(network, "inputs", None) or []
            if len(inputs) != 1 or len(inputs[0].shape) != 2 or inputs[0].shape[1] is None:
                given = [tuple(one.shape) for one in inputs] or "no known input"
                raise ValueError(f"generator must have one input, codes [batch, size]; received one with {given}.")
            self.size, shape = int(inputs[0].shape[1]), tuple(network.output_shape[1:])
        if tuple(shape) != tuple(image_shape):
            raise ValueError(f"generator makes images {tuple(shape)}; expected image_shape {tuple(image_shape)}.")
        self.bound = BOUNDS[self.distribution]

    def draw(self, keys: tf.Tensor) -> tf.Tensor:
        """Codes float32 [B, Z] of keys uint64 [B], distributed as those of the generator's samples."""
        if not self._is_sampler:
            return random.DISTRIBUTIONS[self.distribution](keys, self.size)
        latents = self.network.latents(tf.bitcast(keys, tf.int64))
        return self.network.map(latents)[:, 0] if self._has_styles else latents

    def decode(self, codes: tf.Tensor) -> tf.Tensor:
        """Images float32 [B, H, W, C] in [0, 1] of codes [B, Z]; a row depends on its code alone."""
        if not self._is_sampler:
            return tf.cast(self.network(codes, training=False), tf.float32)
        return self.network.synthesize(codes) if self._has_styles else self.network.decode_images(codes)

    @property
    def judges(self) -> bool:
        """Whether there is a discriminator."""
        return self._is_sampler and getattr(self.network, "discriminator", None) is not None

    def logits(self, images: tf.Tensor) -> tf.Tensor:
        """The discriminator's logits float32 [B] of images in [0, 1]."""
        return self.network.logits(2.0 * images - 1.0)

    def center(self) -> tf.Tensor:
        """The mean code, float32 [Z]: zeros, or the mean of w."""
        return tf.convert_to_tensor(self.network.mean_w.value) if self._has_styles else tf.zeros([self.size])

    def to_free(self, codes: tf.Tensor) -> tf.Tensor:
        """Free variables v of codes: arctanh(code / c), where a code is at most `MARGIN` c; without a bound the codes."""
        if self.bound is None:
            return codes
        return tf.math.atanh(tf.clip_by_value(codes / self.bound, -MARGIN, MARGIN))

    def to_codes(self, free: tf.Tensor) -> tf.Tensor:
        """Codes of free variables."""
        return free if self.bound is None else self.bound * tf.tanh(free)


def frozen(given: object) -> object:
    """A copy of a sampler of tfgen, with its averaged weights, if it has them; anything else as it is.

    The training of the given one may go on.
    """
    if not isinstance(given, TrainableModel) or not isinstance(given, Sampler):
        return given
    made = type(given).from_config(given.get_config())
    use_averages(given, made)
    return made


def use_averages(model: keras.Model, target: keras.Model | None = None) -> None:
    """Sets the weights of `target`, or of the model itself, to the model's averaged weights, or to its weights."""
    target = model if target is None else target
    averages = getattr(model, "ema", None)
    if averages is None or averages.is_swapped:
        values = [keras.ops.convert_to_numpy(v) for v in model.weights]
    else:
        with averages.swapped():
            values = [keras.ops.convert_to_numpy(v) for v in model.weights]
    target.set_weights(values)
