"""Truncation of latents: Brock, Donahue, Simonyan 2019, arXiv:1809.11096, section 3.1.

A model that was trained with latents from N(0, 1) is sampled with latents whose numbers above a threshold in absolute value
are drawn again. The smaller the threshold, the more typical and the less varied are the images.
"""

import dataclasses
import math
import numbers

import tensorflow as tf

from tfgen import fields, random, settings
from tfgen.models.mixin import AdversarialMixin
from tfgen.settings import PositiveFloat, PositiveInt

_LIMIT = fields.Field("truncation", (), low=1e-6)


class TruncationMixin(AdversarialMixin):
    """The part of an `AdversarialModel` that samples with a threshold, for latents of N(0, 1)."""

    def latents(self, seeds: tf.Tensor, truncation: float | tf.Tensor | None = None) -> tf.Tensor:
        """Latents float32 [B, latent_dim] of integer seeds [B]; row i is a function of seeds[i] and its threshold alone.

        Args:
            seeds: int [B].
            truncation: None, or the threshold > 0 of the absolute values, a number or float32 [B]. The paper's figures have
                2, 1, .5 and .04.

        Raises:
            ValueError: wrong dtype or shape, or the model's `latent_distribution` is not "normal".
            InvalidArgumentError: a threshold < 1e-6, or NaN.
        """
        return self._drawn(random.keys(seeds), truncation)

    def generate(
        self, seeds: tf.Tensor, labels: tf.Tensor | None = None, truncation: float | tf.Tensor | None = None
    ) -> tf.Tensor:
        """As `Sampler.generate`; `truncation` as in `latents`."""
        return self.decode_images(self.latents(seeds, truncation), labels)

    def sample(self, num: PositiveInt, *, truncation: PositiveFloat | None = None, **kwargs) -> tf.Tensor:
        """As `AdversarialSampler.sample`, with the threshold `truncation` of all latents: None, or a number, see `latents`.

        With `batch_norm="standing"` the statistics are those of latents with this threshold.

        Raises:
            ValueError: the threshold is no finite number > 0, or as `AdversarialSampler.sample`.
            InvalidArgumentError: it is below 1e-6.
        """
        settings.check(TruncationMixin.sample, num=num, truncation=truncation)
        if truncation is not None:
            # Checked here and not only in the graph, whose errors have many lines.
            kwargs["truncation"] = _LIMIT.check(tf.fill([int(num)], float(truncation)))
        return super().sample(num, **kwargs)

    def _drawn(self, keys, truncation):
        if truncation is None:
            return self.draw_latents(keys)
        if self.latent_distribution != "normal":
            raise ValueError(
                "truncation is for latents of a normal distribution; this model has latent_distribution="
                f"{self.latent_distribution!r}."
            )
        if isinstance(truncation, numbers.Real) and not isinstance(truncation, bool):
            truncation = tf.fill(tf.shape(keys), float(truncation))
        return random.truncated_normal(keys, self.latent_dim, _LIMIT.check(truncation))

    def _standing_latents(self, keys, conditions):
        return self._drawn(keys, float(conditions["truncation"][0]) if "truncation" in conditions else None)

    def input_fields(self) -> tuple[fields.Field, ...]:
        return (*super().input_fields(), dataclasses.replace(_LIMIT, low=0.0))

    def signatures(self) -> dict:
        """The model's other signatures, and `sample_truncated`, which is `sample` with one more input: `truncation` float32
        [n], where 0 stands for no truncation.
        """
        found = super().signatures()
        if self.latent_distribution == "normal":

            def sample_truncated(seeds, truncation, **conditions):
                limit = tf.where(tf.equal(truncation, 0.0), math.inf, truncation)
                return {"image": self.generate(seeds, truncation=limit, **conditions)}

            found["sample_truncated"] = (sample_truncated, {**found["sample"][1], "truncation": _LIMIT.spec})
        return found
