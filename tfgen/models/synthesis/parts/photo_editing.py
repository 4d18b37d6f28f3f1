"""Edits of photos by strokes, with the codes of a generator."""

import dataclasses
from typing import Any, NamedTuple

import tensorflow as tf

from tfgen import fields, random
from tfgen.models.mixin import Mixin
from tfgen.models.synthesis.parts.constraints import edge_error, masked_error
from tfgen.models.synthesis.parts.transfer import transferred
from tfgen.sampling.ascent import ascend

_SHOWN, _BEST = 16, 8  # at most so many candidates are shown; they cost less than twice the mean of so many


class Candidates(NamedTuple):
    """Edits of images, the cheapest first.

    Attributes:
        start: float32 [B, Z], the codes of the images.
        codes: float32 [B, candidates, Z].
        costs: float32 [B, candidates].
        shown: bool [B, candidates], those worth showing: at most 16, cheaper than twice the mean of the 8 best.
    """

    start: tf.Tensor
    codes: tf.Tensor
    costs: tf.Tensor
    shown: tf.Tensor


class PhotoEditingMixin(Mixin):
    """The part of `IGAN` that edits photos (Zhu et al. 2016, eq. 7 and 8). It stands before `Projector` in the list of base
    classes.
    """

    def edit_fields(self) -> tuple[fields.Field, ...]:
        """`strokes`, an image of colours, with `mask`; `edges`, a picture with the wanted edges, with `edge_mask`.

        A mask is 1 where something is wanted and 0 elsewhere. In Python the edges may be left out.
        """
        optional = fields.image(self.image_shape, "edges"), fields.mask(*self.image_shape[:2], "edge_mask")
        optional = tuple(dataclasses.replace(field, default=0.0) for field in optional)
        return fields.image(self.image_shape, "strokes"), fields.mask(*self.image_shape[:2]), *optional

    def input_fields(self) -> tuple[fields.Field, ...]:
        return (*super().input_fields(), *self.edit_fields())

    def check_edit(self, images: tf.Tensor, **given) -> dict[str, tf.Tensor]:
        image = dataclasses.replace(fields.image(self.image_shape), argument="images")
        wanted = (image, *self.edit_fields())
        optional = [field.argument for field in wanted if field.default is not None]
        found = fields.check_given(wanted, {"images": images, **given}, "edit", optional)
        if ("edges" in found) != ("edge_mask" in found):
            raise ValueError(f"edges and edge_mask belong together; received {', '.join(found)}.")
        return found

    def edit_rows(
        self, images: tf.Tensor, strokes: tf.Tensor, mask: tf.Tensor, edges: tf.Tensor | None = None,
        edge_mask: tf.Tensor | None = None,
    ) -> dict[str, tf.Tensor]:  # fmt: skip
        """{"latent", "image": the generator's edited image, "transferred": the photo with the same change, "candidates":
        float32 [B, at most 16, H, W, C], the cheapest images, the first of which is `image`}.
        """
        found = self.candidate_rows(images, strokes, mask, edges, edge_mask)
        candidates = self._decoded(found.codes[:, :_SHOWN])
        return {"latent": found.codes[:, 0], "image": candidates[:, 0], "candidates": candidates,
                "transferred": self.transfer(images, found.start, found.codes[:, 0])}  # fmt: skip

    def candidate_rows(
        self, images: tf.Tensor, strokes: tf.Tensor, mask: tf.Tensor, edges: tf.Tensor | None = None,
        edge_mask: tf.Tensor | None = None,
    ) -> Candidates:  # fmt: skip
        """`Candidates` for checked images and constraints, of all rows and candidates in one loop."""
        codes, num, rows = self.latent_generator, self.candidates, tf.shape(images)[0]
        start = codes.to_free(self.invert(images))
        at_start = repeated(codes.to_codes(start), num)
        strokes, mask = repeated((2.0 * strokes - 1.0, mask), num)
        if edges is not None:
            edges, edge_mask = repeated((edges, edge_mask), num)

        def cost(free):
            found = codes.to_codes(free)
            made = self.decode_images(found)
            total = masked_error(2.0 * made - 1.0, strokes, mask)
            total += self.smoothness_weight * tf.reduce_mean((found - at_start) ** 2, axis=1)
            if edges is not None and self.edge_weight:
                total += self.edge_weight * edge_error(made, edges, edge_mask, self.edge_cell)
            if self.realism_weight:
                total += self.realism_weight * tf.math.softplus(-codes.logits(made))
            return total

        # The same noise for all images; none for the first candidate.
        noise = 0.5 * random.symmetric(random.fold(random.key(self.seed), tf.range(num)), self.latent_dim)
        noise *= tf.cast(tf.range(num) > 0, tf.float32)[:, None]
        scale = 1.0 if codes.bound is None else codes.bound
        moved = codes.to_free(at_start + scale * tf.tile(noise, [rows, 1]))
        first = tf.tile(tf.range(num) == 0, [rows])[:, None]
        moved = tf.where(first, repeated(start, num), moved)  # exactly: its distance to itself has no gradient
        path = ascend(
            lambda free, step: -cost(free), moved, steps=self.edit_steps, rate=self.edit_rate, rule="adam", record=True
        )
        best = tf.argmax(path.objective, axis=1)
        found = codes.to_codes(tf.gather(path.path, best, batch_dims=1))
        costs = tf.reshape(-tf.reduce_max(path.objective, axis=1), [-1, num])
        order = tf.argsort(costs, axis=1, stable=True)
        found = tf.gather(tf.reshape(found, [-1, num, self.latent_dim]), order, batch_dims=1)
        costs = tf.gather(costs, order, batch_dims=1)
        return Candidates(codes.to_codes(start), found, costs, shown(costs))

    def transfer(self, photos: tf.Tensor, start: tf.Tensor, latents: tf.Tensor) -> tf.Tensor:
        """Photos with the change of the generator's images from codes `start` to `latents`: float32 [B, H, W, C]."""
        frames = self._decoded(self._line(start, latents, self.frames))
        return transferred(photos, frames, self.flow_steps)

    def _line(self, start, end, num):
        """Codes [B, num, Z] on the line from start to end."""
        t = tf.linspace(0.0, 1.0, num)[:, None]
        return start[:, None] + t * (end - start)[:, None]

    def _decoded(self, codes):
        """Images [B, num, H, W, C] of codes [B, num, Z]."""
        made = self.decode_images(tf.reshape(codes, [-1, self.latent_dim]))
        return tf.reshape(made, [-1, codes.shape[1], *self.image_shape])


def shown(costs: tf.Tensor) -> tf.Tensor:
    """Which candidates are worth showing, bool [B, N], of costs [B, N] in rising order."""
    limit = 2.0 * tf.reduce_mean(costs[:, :_BEST], axis=1, keepdims=True)
    return (costs < limit) & (tf.range(tf.shape(costs)[1]) < _SHOWN)


def repeated(tensors: Any, num: int) -> Any:
    """Each row `num` times in a row, of a tensor or a structure of them."""
    return tf.nest.map_structure(lambda tensor: tf.repeat(tensor, num, axis=0), tensors)
