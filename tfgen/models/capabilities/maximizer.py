"""The capability Maximizer: optimises images for the activation of a unit of a network."""

import math

import keras
import numpy as np
import tensorflow as tf

from tfgen import fields
from tfgen.models.capabilities.capability import Capability, in_graph, seeds_spec


class Maximizer(Capability):
    """A model that optimises images for a unit of a network: a class, or a neuron of a hidden layer.

    A subclass sets `num_units` and implements `maximize_rows`, usually with `tfgen.sampling.ascend`. The capability has no
    number, since a large activation of the optimised unit does not show that an image is good. Measure its images like
    samples.

    Attributes:
        num_units: number of units.
        steps: default number of steps.
        max_steps: largest number of steps of a request.
    """

    NAME = "maximizer"
    SIGNATURE = "maximize"
    num_units = 0
    steps = 200
    max_steps = 1000

    def maximize_rows(self, seeds: tf.Tensor, unit: tf.Tensor, steps: tf.Tensor) -> dict[str, tf.Tensor]:
        """{"image": float32 [B, H, W, C] in [0, 1], "activation": float32 [B] of the unit, ...} of checked arguments.

        A row depends only on its seed, its unit and its number of steps. After 0 steps it is the initial image.

        Args:
            seeds: int64 [B].
            unit: int32 [B].
            steps: int32 [B].
        """
        raise NotImplementedError(f"{type(self).__name__} must implement maximize_rows(seeds, unit, steps).")

    def maximize(self, unit: tf.Tensor, seeds: tf.Tensor, steps: int | tf.Tensor | None = None) -> dict[str, tf.Tensor]:
        """Images with large activations of units.

        Args:
            unit: int [B] in [0, num_units).
            seeds: int [B], for the initial image and the noise of each row.
            steps: int, or int [B], in [0, max_steps]; None: the model's `steps`.

        Returns:
            {"image": float32 [B, H, W, C] in [0, 1], "activation": float32 [B] of the units}; a model may return more.

        Raises:
            ValueError: an argument has another dtype or shape, or another number of rows than `seeds`.
            InvalidArgumentError: `unit` or `steps` is out of range.
        """
        seeds = fields.seeds().check(seeds)
        number = fields.as_tensor(self.steps if steps is None else steps, "steps", "an integer, or int32 [batch]")
        number = tf.fill(tf.shape(seeds), number) if number.shape.rank == 0 else number
        return in_graph(self, "maximize_rows")(**self.check_maximize(seeds=seeds, unit=unit, steps=number))

    def check_maximize(self, **given) -> dict[str, tf.Tensor]:
        """`seeds` and the fields of `maximize_fields`, checked."""
        return fields.check_given((fields.seeds(), *self.maximize_fields()), given, "maximize")

    def maximize_fields(self) -> tuple[fields.Field, ...]:
        """The `tfgen.fields.Field`s that `maximize` takes in addition to seeds."""
        unit = fields.Field("unit", (), "int32", low=0, high=self.num_units - 1)
        return unit, fields.Field("steps", (), "int32", low=0, high=self.max_steps)

    @classmethod
    def offered_by(cls, model: keras.Model) -> bool:
        return model.num_units > 0

    @classmethod
    def grid_of(cls, model: keras.Model, num: int, examples: dict | None) -> np.ndarray | None:
        """A grid with one unit in each row and the same seeds in all rows."""
        rows = min(model.num_units, math.ceil(math.sqrt(num)))
        columns = max(1, num // rows)
        unit = np.repeat(np.arange(rows, dtype=np.int32), columns)
        images = model.maximize(unit, np.tile(np.arange(columns), rows))["image"]
        return images.numpy().reshape(rows, columns, *images.shape[1:])

    @classmethod
    def request_fields_of(cls, model: keras.Model) -> tuple[fields.Field, ...]:
        return model.maximize_fields()

    @classmethod
    def signatures_of(cls, model: keras.Model) -> dict:
        def maximize(seeds, **given):
            return model.maximize_rows(**model.check_maximize(seeds=seeds, **given))

        specs = {field.argument: field.spec for field in model.maximize_fields()}
        return {"maximize": (maximize, {**seeds_spec(), **specs})}
