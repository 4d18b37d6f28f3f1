"""Models whose networks grow: their training, step by step, and their samples of any level. See `growth` for the plan."""

import dataclasses
from collections.abc import Callable, Hashable, Sequence

import numpy as np
import tensorflow as tf

from tfgen import fields, settings
from tfgen.layers import downscale2d, upscale2d
from tfgen.models.adversarial.base import AdversarialModel
from tfgen.models.adversarial.parts.growth import Growth, for_levels, number_of_levels
from tfgen.models.mixin import AdversarialMixin
from tfgen.settings import NaturalInt, PositiveInt
from tfgen.training import Player


class GrowingMixin(AdversarialMixin):
    """The part of an `AdversarialModel` that grows. It stands before `AdversarialModel` in the list of base classes.

    The constructor calls `set_levels` and, unless all levels are trained from the start, `set_growth`. Both networks are
    called with `position` and `levels`, and work with images of the last of these levels. All other images have the full
    size, smaller levels upscaled, so a gradient by the images is one by pixels of the full size.

    Attributes:
        last_level: the number of the largest level.
        growth: the `Growth`; None: nothing grows.
        rates: the learning rate of each level, or None.
    """

    generate_raw: Callable[..., tf.Tensor]  # of the model; it also takes `position`
    growth: Growth | None = None
    rates: tuple[float, ...] | None = None

    def set_levels(self, start_size: int | Sequence[int]) -> tuple[int, int]:
        """Sets the number of levels, and returns the size of the smallest maps, (height, width)."""
        height, width = (start_size, start_size) if isinstance(start_size, (int, np.integer)) else start_size
        grid = int(height), int(width)
        self.last_level = number_of_levels(self.image_shape, grid) - 1
        return grid

    def set_growth(
        self, stable_images: int, fade_images: int, first_level: int, level_batch_sizes: int | Sequence[int],
        level_rates: float | Sequence[float] | None,
    ) -> None:  # fmt: skip
        """Sets the plan, after `set_levels`; ValueError if the settings do not fit the number of levels."""
        num = self.last_level + 1
        if first_level >= num:
            raise ValueError(f"first_level must be below {num}, the number of levels; received {first_level}.")
        sizes = for_levels("level_batch_sizes", level_batch_sizes, num)
        self.growth = Growth(sizes, stable_images, fade_images, first_level)
        self.rates = None if level_rates is None else for_levels("level_rates", level_rates, num)

    def compile(self, optimizer: object = None, **kwargs) -> None:
        """As `AdversarialModel.compile`; `level_rates` then set the learning rates.

        With a lazy penalty, the discriminator's is multiplied by k / (k + 1), see `tfgen.training.schedules.lazy`.
        """
        super().compile(optimizer, **kwargs)
        self._set_rates()

    # ---- growth

    def players(self) -> dict[str, Player]:
        found = super().players()
        if self.growth is None:
            return found
        return {name: dataclasses.replace(player, partial=True) for name, player in found.items()}

    def phase(self, step: int) -> Hashable:
        return super().phase(step) if self.growth is None else self.growth.index(step)

    def step_kind(self, step: int) -> Hashable:
        kind = super().step_kind(step)
        return kind if self.growth is None else (*kind, self.growth.index(step))

    def begin_phase(self, phase: Hashable) -> None:
        self.reset_optimizers()
        self._set_rates()

    def position(self) -> tf.Tensor:
        """The level that is reached, float32 scalar; between two whole numbers a level fades in."""
        if self.growth is None:
            return tf.constant(float(self.last_level))
        return self.growth.position(tf.convert_to_tensor(self.step))

    def _set_rates(self):
        if self.rates is not None:
            share = self.penalty_interval / (self.penalty_interval + 1) if self.penalty_interval > 1 else 1.0
            for player, optimizer in self.player_optimizers.items():
                rate = self.rates[self._phase(in_step=False).level]
                optimizer.learning_rate = rate * share if player == "discriminator" else rate

    def _phase(self, in_step=True):
        """The `Phase` of the step that is traced, or of the next one."""
        if in_step and self.kind is not None:
            return self.growth.phases[self.kind[-1]]
        assert self.growth is not None
        with tf.init_scope():
            return self.growth.phases[self.growth.index(int(self.step.value.numpy()))]

    def view(self, training: bool) -> tuple[float | tf.Tensor, tuple[int, ...]]:
        """(position, levels to compute): in training those of the phase, else all, since a graph may outlive a phase."""
        if self.growth is None:
            return float(self.last_level), (self.last_level,)
        if not training:
            return self.position(), tuple(range(self.last_level + 1))
        phase = self._phase()
        return self.position() if phase.fading else float(phase.level), phase.levels

    # ---- networks

    def drawn(self, *inputs, training: bool, position: tf.Tensor | None = None) -> tf.Tensor:
        """What the generator draws of its inputs, upscaled: float32 [B, H, W, C]; `position` instead of that of `view`."""
        reached, levels = self.view(training)
        images = self.generator(*inputs, position=reached if position is None else position, levels=levels)
        return upscale2d(tf.cast(images, tf.float32), 2 ** (self.last_level - levels[-1]))

    def judged(self, raw_images: tf.Tensor, *inputs, training: bool) -> dict[str, tf.Tensor]:
        """The outputs, float32, of the discriminator for images of the full size and its further inputs."""
        position, levels = self.view(training)
        images = downscale2d(raw_images, 2 ** (self.last_level - levels[-1]))
        outputs = self.discriminator([images, *inputs], position=position, levels=levels)
        outputs = {key: tf.cast(value, tf.float32) for key, value in outputs.items()}
        return {**outputs, "logit": outputs["logit"][:, 0]}

    # ---- training

    def update(self, batch: dict) -> dict[str, tf.Tensor]:
        if self.growth is not None:
            received, phase = batch["image"].shape[0], self._phase()
            received = None if received is None else received * tf.distribute.get_strategy().num_replicas_in_sync
            if received not in (None, phase.batch_size):
                raise ValueError(
                    f"At level {phase.level} a step has {phase.batch_size} images, see level_batch_sizes; received "
                    f"{received}. The batch_size for Source.batches and presets is {self.growth.batch_schedule()}."
                )
        return super().update(batch)

    def update_discriminator(self, batch: dict, stream: int = 0) -> dict[str, tf.Tensor]:
        if self.growth is not None:
            position, levels = self.view(training=True)
            batch = {**batch, "raw": self.growth.faded(batch["raw"], levels, position)}
        return super().update_discriminator(batch, stream)

    # ---- sampling

    def sample(self, num: PositiveInt, *, level: NaturalInt | None = None, **given) -> tf.Tensor:
        """As `Sampler.sample`, at any level.

        Args:
            num: number of images.
            level: int, or int [num], in [0, number of levels); None: as far as training has come, within a fade too.
            **given: see `AdversarialModel.sample`.

        Returns:
            float32 [num, H, W, C] in [0, 1], of the full size: smaller levels are upscaled by nearest neighbours.

        Raises:
            ValueError: `level` is no integer, the model does not grow, or as `Sampler.sample`.
            InvalidArgumentError: there is no such level.
        """
        settings.check(AdversarialModel.sample, num=num)
        if level is not None:
            # Checked here and not only in the graph, whose errors have many lines.
            given["level"] = self._checked_level(np.broadcast_to(level, [num]) if np.ndim(level) == 0 else level)
        return super().sample(num, **given)

    def decode_images(
        self, latents: tf.Tensor, labels: tf.Tensor | None = None, level: int | tf.Tensor | None = None
    ) -> tf.Tensor:
        """Images float32 [B, H, W, C] in [0, 1] of latents [B, latent_dim] and, in a conditional model, labels int [B].

        `level`: int or int [B], or None, see `sample`.
        """
        latents = self.check_latents(latents)
        one_hot = None if labels is None and not self.num_classes else self.one_hot(labels)
        raw = self.generate_raw(latents, one_hot, position=self.position_of(level, tf.shape(latents)[0]))
        return tf.clip_by_value(0.5 + 0.5 * raw, 0.0, 1.0)

    def position_of(self, level: int | tf.Tensor | None, num: int | tf.Tensor) -> tf.Tensor | None:
        """The position float32 [num, 1, 1, 1] of a level, int or int [num], checked; None for None."""
        if level is None:
            return None
        levels = tf.convert_to_tensor(level)
        levels = tf.fill([num], levels) if levels.shape.rank == 0 else levels
        return tf.cast(self._checked_level(levels), tf.float32)[:, None, None, None]

    def _checked_level(self, level):
        if self.growth is None:
            raise ValueError(f"level is for networks that grow; this {type(self).__name__} does not. Received {level}.")
        return self._level_field().check(level)

    def _level_field(self):
        return fields.Field("level", (), "int32", low=0, high=self.last_level)

    def input_fields(self) -> tuple[fields.Field, ...]:
        found = super().input_fields()
        return found if self.growth is None else (*found, self._level_field())

    def signatures(self) -> dict:
        """The signatures of the family, and if the model grows `sample_level`: seeds int64 [n], level int32 [n] -> image."""
        found = super().signatures()
        if self.growth is None:
            return found

        def sample_level(seeds, level, **conditions):
            return {"image": self.generate(seeds, level=level, **conditions)}

        return {**found, "sample_level": (sample_level, {**found["sample"][1], "level": self._level_field().spec})}
