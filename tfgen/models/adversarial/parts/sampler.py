"""Sampling from a generator."""

import functools
from collections.abc import Callable
from typing import Literal

import tensorflow as tf

from tfgen import random, settings
from tfgen.models.adversarial.parts.statistics import kept_statistics, norms_of, set_standing_statistics
from tfgen.models.capabilities import Sampler
from tfgen.settings import PositiveInt, Seed


class AdversarialSampler(Sampler):
    """The `Sampler` of `AdversarialModel`, with a choice of the statistics of the generator's batch norm."""

    _batch_statistics = False  # whether sampling uses the statistics of its batch

    @property
    def batch_norm_modes(self) -> tuple[str, ...]:
        """The values of `batch_norm` in `sample`: "moving" alone if the generator has no batch norm."""
        return ("moving", "batch", "standing") if norms_of(self.generator) else ("moving",)

    def call(self, latents: tf.Tensor, training: bool = False) -> tf.Tensor:
        return self.decode_images(latents)

    def latents(self, seeds: tf.Tensor) -> tf.Tensor:
        return self.draw_latents(random.keys(seeds))

    def sample(
        self, num: PositiveInt, *, seed: Seed = 0, batch_size: PositiveInt = 256,
        batch_norm: Literal["moving", "batch", "standing"] = "moving", **conditions,
    ) -> tf.Tensor:
        """As `Sampler.sample`, with a choice of the statistics in the generator's batch norm.

        Args:
            num, seed, batch_size, **conditions: see `Sampler.sample`.
            batch_norm: "moving": the moving statistics of training; an image does not depend on the others. "batch": the
                statistics of each batch of `batch_size` images (the last may be smaller), as in the code of several papers.
                "standing": the mean statistics of 16 new batches of `batch_size` with the current weights (Brock et al.
                2019, arXiv:1809.11096, section 3.1); these suit averaged weights, which training has no statistics of.

        Raises:
            ValueError: `batch_norm` is unknown, or the model has no batch norm, or as `Sampler.sample`.
        """
        settings.check(AdversarialSampler.sample, num=num, seed=seed, batch_size=batch_size, batch_norm=batch_norm)
        if batch_norm not in self.batch_norm_modes:
            raise ValueError(
                f"batch_norm of {type(self).__name__}, which has no batch norm, must be {self.batch_norm_modes[0]!r}; "
                f"received {batch_norm!r}."
            )
        draw: Callable[[int], tf.Tensor] = functools.partial(super().sample, seed=seed, batch_size=batch_size, **conditions)
        if batch_norm == "moving":
            return draw(num)
        with kept_statistics(self.generator) as norms:
            if batch_norm == "standing":
                forward = functools.partial(self._standing_batch, seed, batch_size, conditions)
                set_standing_statistics(norms, forward, batches=16)
                return draw(num)
            cached = self.__dict__.pop("_generate", None)
            self._batch_statistics = True
            try:
                return draw(num)
            finally:
                self._batch_statistics = False
                self.__dict__.pop("_generate", None)
                if cached is not None:
                    object.__setattr__(self, "_generate", cached)

    def _standing_batch(self, seed, size, conditions, index):
        """Calls the generator in training mode with batch `index` of latents and labels."""
        keys = random.fold(random.fold(random.key(seed), index), tf.range(size))
        one_hot = None
        if self.num_classes:
            one_hot = self.draw_labels(random.fold(keys, 1))
        self.generate_raw(self._standing_latents(keys, conditions), one_hot, training=True)

    def _standing_latents(self, keys, conditions):
        """Latents of keys [B], distributed as those of `sample` with these conditions."""
        return self.draw_latents(keys)

    def decode_images(self, latents: tf.Tensor, labels: tf.Tensor | None = None) -> tf.Tensor:
        """Images float32 [B, H, W, C] in [0, 1] of latents [B, latent_dim] and, in a conditional model, labels int [B].

        Batch norm uses its moving statistics (but see `sample`), so an image does not depend on the others in its batch.
        """
        latents = self.check_latents(latents)
        one_hot = None if labels is None and not self.num_classes else self.one_hot(labels)
        raw = self.generate_raw(latents, one_hot, training=self._batch_statistics)
        return tf.clip_by_value(0.5 + 0.5 * raw, 0.0, 1.0)
