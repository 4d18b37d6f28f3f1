"""Styles of a trained StyleGAN: from latents to styles w, from styles to images, and mixtures of styles.

Karras, Laine, Aila 2019, arXiv:1812.04948, section 3 (mixing, noise) and appendix B (truncation).
"""

import math
import numbers
from collections.abc import Sequence
from typing import Annotated

import numpy as np
import tensorflow as tf

from tfgen import fields, random, settings
from tfgen.models.adversarial.base import AdversarialModel
from tfgen.models.mixin import AdversarialMixin
from tfgen.settings import PositiveInt, fits, shown, within

_TRUNCATION = fields.Field("truncation", ())  # psi, any finite number


class StylesMixin(AdversarialMixin):
    """The part of `StyleGAN` that uses the trained networks. It stands before `GrowingMixin` in the list of base classes.

    The signatures of an export that follow from it take and return w float32 [n, num_layers, w_size].
    """

    @property
    def num_layers(self) -> int:
        """L, the number of layers with a style."""
        return len(self.generator.sizes)

    def noise_inputs(self, seeds: tf.Tensor | None = None) -> list[tf.Tensor]:
        """The noise of all layers, N(0, 1): a list of float32 [B, h, w, 1], the largest last.

        Args:
            seeds: int [B], or keys uint64 [B]; row i is a function of seeds[i]. None: the noise that all images share, of
                one row, which is that of the seed 0.
        """
        keys = tf.zeros([1], tf.int64) if seeds is None else tf.convert_to_tensor(seeds)
        keys = keys if keys.dtype == tf.uint64 else random.keys(keys)
        return [
            tf.reshape(random.normal(random.fold(keys, i), math.prod(size)), [-1, *size, 1])
            for i, size in enumerate(self.generator.sizes)
        ]

    # ---- styles

    def map(
        self, latents: tf.Tensor, labels: tf.Tensor | None = None, *, truncation: float | tf.Tensor = 1.0,
        cutoff: int | None = 8,
    ) -> tf.Tensor:  # fmt: skip
        """The styles of latents.

        Args:
            latents: float32 [B, latent_dim].
            labels: int [B] in a conditional model.
            truncation: psi, any finite number, or float32 [B]: 1 changes nothing, 0 gives the mean, -1 the "opposite". The
                paper's pictures have .7.
            cutoff: the number of layers, from the first, whose styles are truncated; None: all.

        Returns:
            w, float32 [B, num_layers, w_size].

        Raises:
            ValueError: `truncation` is no finite number, `cutoff` no whole number >= 0, or latents of another shape.
            InvalidArgumentError: a number in a tensor of them is not finite.
        """
        truncation = _psi(truncation)
        if cutoff is not None and (isinstance(cutoff, bool) or not isinstance(cutoff, (int, np.integer)) or cutoff < 0):
            raise ValueError(f"cutoff must be None or a whole number >= 0; received {cutoff!r}.")
        latents = self.check_latents(latents)
        if truncation.shape.rank:
            fields.check_rows({"latents": latents, "truncation": truncation})
        one_hot = None if labels is None and not self.num_classes else self.one_hot(labels)
        styles = tf.cast(of_all_layers(self.generator.mapping(latents, one_hot), self.num_layers), tf.float32)
        truncated = tf.range(self.num_layers) < (self.num_layers if cutoff is None else cutoff)
        psi = tf.where(truncated, truncation[..., None], 1.0)[..., None]  # [L, 1], or [B, L, 1]
        mean = tf.convert_to_tensor(self.mean_w.value)
        return styles + (1.0 - psi) * (mean - styles)  # exact for psi = 1

    def synthesize(
        self, w: tf.Tensor, noise: Sequence[tf.Tensor] | None = None, *, level: int | tf.Tensor | None = None
    ) -> tf.Tensor:
        """Images float32 [B, H, W, C] in [0, 1] of styles.

        Args:
            w: float32 [B, num_layers, w_size], see `map`; or [B, w_size], for all layers.
            noise: None, for the noise that all images share; or a list like that of `noise_inputs`, in which zeros leave the
                noise of a layer out.
            level: None, or int or int [B], the level of a growing network, see `sample`.

        Raises:
            ValueError: another rank or width of `w`, or another number or shape of noise inputs.
            InvalidArgumentError: a number in `w` is not finite, or there is no such level.
        """
        w, sizes, width = tf.convert_to_tensor(w, tf.float32), self.generator.sizes, self.mean_w.size
        if w.shape[1:] not in ((self.num_layers, width), (width,)):
            raise ValueError(f"w must be [B, {self.num_layers}, {width}] or [B, {width}]; received {w.shape.as_list()}.")
        w = fields.Field("w", w.shape[1:]).check(w)
        noise = self.noise_inputs() if noise is None else [tf.convert_to_tensor(one, tf.float32) for one in noise]
        if [tuple(one.shape[1:]) for one in noise] != [(*size, 1) for size in sizes]:
            raise ValueError(
                f"noise must be a list of [B or 1, h, w, 1] with h x w of {sizes}; received "
                f"{[one.shape.as_list() for one in noise]}."
            )
        w = of_all_layers(w, self.num_layers) if w.shape.rank == 2 else w
        raw = self.drawn(w, noise, training=False, position=self.position_of(level, tf.shape(w)[0]))
        return tf.clip_by_value(0.5 + 0.5 * raw, 0.0, 1.0)

    def mix(self, w_rows: tf.Tensor, w_columns: tf.Tensor, layers: Sequence[int]) -> tf.Tensor:
        """The images of all pairs of styles: those of a row, but in `layers` those of a column (figure 3 of the paper).

        Args:
            w_rows, w_columns: float32 [R, num_layers, w_size] and [C, num_layers, w_size].
            layers: whole numbers in [0, num_layers), for example range(4), the coarse ones.

        Returns:
            float32 [R, C, height, width, channels] in [0, 1].

        Raises:
            ValueError: a layer out of range, or styles of another shape.
        """
        chosen = list(layers)
        if not all(fits(Annotated[int, within(0, self.num_layers - 1)], i) for i in chosen):
            raise ValueError(f"layers must be whole numbers in [0, {self.num_layers}); received {chosen}.")
        rows, columns = (tf.convert_to_tensor(w, tf.float32) for w in (w_rows, w_columns))
        for name, w in (("w_rows", rows), ("w_columns", columns)):
            if w.shape.rank != 3 or w.shape[1:] != (self.num_layers, self.mean_w.size):
                raise ValueError(f"{name} must be [N, {self.num_layers}, {self.mean_w.size}]; received {w.shape.as_list()}.")
        of_column = tf.constant([[i in chosen] for i in range(self.num_layers)])
        return tf.stack([self.synthesize(tf.where(of_column, columns, row[None])) for row in tf.unstack(rows)])

    # ---- sampling

    def decode_images(
        self, latents: tf.Tensor, labels: tf.Tensor | None = None, level: int | tf.Tensor | None = None,
        truncation: float | tf.Tensor | None = None,
    ) -> tf.Tensor:  # fmt: skip
        """Images float32 [B, H, W, C] in [0, 1] of latents [B, latent_dim] and, in a conditional model, labels int [B].

        `level`: as in `synthesize`; `truncation`: None, or psi as in `map`.
        """
        if truncation is None:
            return super().decode_images(latents, labels, level)  # type: ignore[call-arg]  # of `GrowingMixin`
        return self.synthesize(self.map(latents, labels, truncation=truncation), level=level)

    def generate(self, seeds: tf.Tensor, *, truncation: float | tf.Tensor | None = None, **conditions) -> tf.Tensor:
        """As `Sampler.generate`; `truncation`: None, or psi as in `map`."""
        if truncation is not None:
            psi = _psi(truncation)
            conditions["truncation"] = psi if psi.shape.rank else tf.fill(tf.shape(seeds), psi)
        return super().generate(seeds, **conditions)

    def sample(self, num: PositiveInt, *, truncation: float | Sequence[float] | None = None, **given) -> tf.Tensor:
        """As `AdversarialModel.sample` and, of a network that grows, at any `level`.

        Args:
            num: number of images.
            truncation: None, or psi, any finite number or float [num], see `map`.
            **given: `level`, int or int [num] (growing networks only), and those of `AdversarialModel.sample`.

        Raises:
            ValueError: `truncation` is no finite number, or as `Sampler.sample`.
            InvalidArgumentError: there is no such level, or one of several numbers is not finite.
        """
        if truncation is not None:
            settings.check(AdversarialModel.sample, num=num)
            psi = _psi(truncation)
            given["truncation"] = psi if psi.shape.rank else tf.fill([int(num)], psi)
        return super().sample(num, **given)

    # ---- export

    def input_fields(self) -> tuple[fields.Field, ...]:
        styles = [fields.Field(name, (self.num_layers, self.mean_w.size)) for name in ("w", "w_a", "w_b")]
        layers = fields.Field("layers", (self.num_layers,), "int32", low=0, high=1)
        return (*super().input_fields(), _TRUNCATION, *styles, layers)

    def signatures(self) -> dict:
        """The signatures of the family; labels are inputs of the first two in a conditional model.

        - `sample_truncated`: seeds int64 [n], truncation float32 [n], psi of each row -> image.
        - `map`: latent [n, latent_dim], truncation [n] -> w [n, num_layers, w_size].
        - `synthesize`: w, seeds int64 [n] of the noise (0: that of `sample`) -> image.
        - `mix`: w_a, w_b, layers int32 [n, num_layers], 1 where a layer has the style of w_b, else 0 -> image.
        """
        found = super().signatures()
        given = {field.argument: field for field in self.input_fields()}
        seeds, latent, psi = found["latents"][1]["seeds"], found["decode"][1]["latent"], {"truncation": _TRUNCATION.spec}
        conditions = {name: spec for name, spec in found["sample"][1].items() if name != "seeds"}

        def sample_truncated(seeds, truncation, **conditions):
            return {"image": self.generate(seeds, truncation=truncation, **conditions)}

        def of_latent(latent, truncation, **conditions):
            return {"w": self.map(latent, truncation=truncation, **conditions)}

        def synthesize(w, seeds):
            return {"image": self.synthesize(_same_rows(w, seeds), self.noise_inputs(seeds))}

        def mix(w_a, w_b, layers):
            of_b = tf.equal(given["layers"].check(layers), 1)[..., None]
            return {"image": self.synthesize(tf.where(of_b, _same_rows(w_b, w_a), _same_rows(w_a, of_b)))}

        return {
            **found,
            "sample_truncated": (sample_truncated, {**found["sample"][1], **psi}),
            "map": (of_latent, {"latent": latent, **psi, **conditions}),
            "synthesize": (synthesize, {"w": given["w"].spec, "seeds": seeds}),
            "mix": (mix, {name: given[name].spec for name in ("w_a", "w_b", "layers")}),
        }


def _same_rows(a, b):
    """`a` after a check, at run time, that it has as many rows as `b`; else one row would stand for all."""
    rows = tf.shape(a)[0], tf.shape(b)[0]
    return fields.checked(a, tf.equal(*rows), "all inputs must have the same number of rows; received", *rows)


def of_all_layers(w: tf.Tensor, num_layers: int) -> tf.Tensor:
    """The styles [B, num_layers, W] of w [B, W], the same for all layers."""
    return tf.repeat(w[:, None], num_layers, axis=1)


def _psi(truncation):
    """psi as a tensor, float32 [] of a number or [B] of several; an error if one is not finite."""
    if isinstance(truncation, (bool, str)) or np.isscalar(truncation):
        if isinstance(truncation, bool) or not isinstance(truncation, numbers.Real) or not math.isfinite(truncation):
            raise ValueError(f"truncation must be a finite number; received {shown(truncation)}.")
        return tf.constant(float(truncation))
    return _TRUNCATION.check(truncation)
