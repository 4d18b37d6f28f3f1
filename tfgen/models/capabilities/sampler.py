"""The capability Sampler: generates images from seeds."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tfgen import fields, settings
from tfgen.models.capabilities.capability import (
    Capability,
    condition_specs,
    in_graph,
    in_rows,
    one_above_another,
    seeds_spec,
)
from tfgen.settings import PositiveInt, Seed


class Sampler(Capability):
    """A model that generates images. A subclass sets `latent_dim` and implements `latents` and `decode_images`.

    The image of a seed depends only on the seed, the conditions and the weights, and not on the other images of its batch.

    Attributes:
        batch_norm_modes: the values that the argument `batch_norm` of `sample` can have; if only "moving", there is no such
            argument.
        sequential: whether an image is made pixel by pixel, which takes long.
    """

    NAME = "sampler"
    SIGNATURE = "sample"
    batch_norm_modes = ("moving",)
    sequential = False

    def latents(self, seeds: tf.Tensor) -> tf.Tensor:
        """Latent codes float32 [B, latent_dim] of integer seeds [B]; row i is a function of seeds[i] alone."""
        raise NotImplementedError(f"{type(self).__name__} must implement latents(seeds).")

    def decode_images(self, latents: tf.Tensor, **conditions) -> tf.Tensor:
        """Images float32 [B, H, W, C] in [0, 1] of latent codes [B, latent_dim]."""
        raise NotImplementedError(f"{type(self).__name__} must implement decode_images(latents).")

    def check_latents(self, latents: tf.Tensor) -> tf.Tensor:
        """Checks the argument of `decode_images` and returns it as a tensor float32 [B, latent_dim].

        Raises:
            ValueError: another shape or dtype.
            InvalidArgumentError: NaN or infinite values.
        """
        return fields.vector("latents", self.latent_dim).check(latents, type(self).__name__)

    def generate(self, seeds: tf.Tensor, **conditions) -> tf.Tensor:
        """Images of integer seeds.

        Args:
            seeds: int [B].
            **conditions: e.g. `labels` int32 [B], for a conditional model.

        Returns:
            float32 [B, H, W, C] in [0, 1].

        Raises:
            ValueError: `seeds` are no integers [B], or a condition is wrong as in `sample`.
        """
        latents = self.latents(seeds)
        return self.decode_images(latents, **self.check_conditions(latents.shape[0], conditions))

    def sample(
        self, num: PositiveInt, *, seed: Seed = 0, batch_size: PositiveInt = 256, **conditions
    ) -> tf.Tensor:
        """Generates `num` images, which depend only on the weights, the conditions and `seed`.

        Image i is that of the seed `seed * 2**32 + i` of `generate`, so a longer sample begins with the shorter one.

        Args:
            num: number of images.
            seed: int in [0, 2**31).
            batch_size: number of images that are generated at once.
            **conditions: arrays [num, ...], e.g. `labels` int [num], for a conditional model.

        Returns:
            float32 tensor [num, H, W, C] in [0, 1].

        Raises:
            ValueError: `num`, `seed` or `batch_size` is no whole number or out of range; a condition is missing, the model
                has none of this name, or it has another dtype, shape or number of rows.
            InvalidArgumentError: a value of a condition is out of range, such as a label of no class.
        """
        settings.check(Sampler.sample, num=num, seed=seed, batch_size=batch_size)
        num, seed = int(num), int(seed)
        seeds = tf.range(num, dtype=tf.int64) + (seed << 32)
        conditions = self.check_conditions(num, conditions)
        chunks = []
        for i in range(0, num, batch_size):
            part = {k: v[i : i + batch_size] for k, v in conditions.items()}
            chunks.append(self.generate_function(seeds[i : i + batch_size], **part))
        return tf.concat(chunks, axis=0)

    @property
    def generate_function(self) -> Callable[..., tf.Tensor]:
        """`generate` as a `tf.function`, traced once for each set of conditions and batches of any size."""
        return in_graph(self, "generate")

    def conditions_to_show(self, num: int, examples: dict | None = None) -> dict | None:
        """Conditions for a grid of `num` samples: all classes in turn, other conditions from `examples`.

        Args:
            num: number of samples.
            examples: a batch of checked fields, or None. Its rows are repeated if there are fewer than `num`.

        Returns:
            {argument: array [num, ...]}; None if a condition is neither a class nor in `examples`.
        """
        found = {}
        for field in self.conditions():
            if field.dtype == "int32" and not field.shape and field.high is not None:
                found[field.argument] = field.in_turn(0, num)
            elif examples is not None and field.name in examples:
                found[field.argument] = np.resize(examples[field.name], [num, *examples[field.name].shape[1:]])
            else:
                return None
        return found

    @classmethod
    def grid_of(cls, model: keras.Model, num: int, examples: dict | None) -> np.ndarray | None:
        """A grid of samples, with the same seeds in every call.

        Where conditions are those of `examples`, the image of each stands above the sample.
        """
        conditions = model.conditions_to_show(num, examples)
        if conditions is None:
            return None
        if conditions.keys() == (model.conditions_to_show(num) or {}).keys():
            return in_rows(model.sample(num, **conditions).numpy(), num)
        assert examples is not None  # since they gave conditions
        real = np.resize(examples["image"], [num, *model.image_shape])
        return one_above_another([real, model.sample(num, **conditions).numpy()], num)

    @classmethod
    def request_fields_of(cls, model: keras.Model) -> tuple[fields.Field, ...]:
        return model.conditions()

    @classmethod
    def prediction_of(cls, model: keras.Model, data: object) -> tf.Tensor:
        """Images of integer seeds [B], or of a dict {field name: values} with `seed` and the model's conditions."""
        found = model.named(data, "seed")
        if "seed" not in found:
            raise ValueError(
                f"predict of {type(model).__name__} takes integer seeds [B], or a dict with `seed`; received the fields "
                f"{sorted(found)}."
            )
        conditions = model.conditions_of(model.as_batch(found, model.conditions()))
        try:
            seeds = fields.seeds().check(found["seed"])
        except ValueError as error:
            name = type(model).__name__
            raise ValueError(f"predict of {name} takes integer seeds [B] and returns their images: {error}") from error
        return model.generate(seeds, **conditions)

    @classmethod
    def signatures_of(cls, model: keras.Model) -> dict:
        conditions = condition_specs(model)
        latent = tf.TensorSpec([None, model.latent_dim], tf.float32)

        def sample(seeds, **conditions):
            return {"image": model.generate(seeds, **conditions)}

        def serving_default(seeds, **conditions):
            return {"image_bytes": encode_png(model.generate(seeds, **conditions))}

        def latents(seeds):
            return {"latent": model.latents(seeds)}

        def decode(latent, **conditions):
            return {"image": model.decode_images(latent, **conditions)}

        return {
            "serving_default": (serving_default, {**seeds_spec(), **conditions}),
            "sample": (sample, {**seeds_spec(), **conditions}),
            "latents": (latents, seeds_spec()),
            "decode": (decode, {"latent": latent, **conditions}),
        }



def encode_png(images):
    """PNG bytes, string [B], of float32 [B, H, W, C] in [0, 1] with 1, 3 or 4 channels."""
    levels = tf.cast(tf.round(tf.clip_by_value(images, 0.0, 1.0) * 255.0), tf.uint8)
    return tf.map_fn(tf.io.encode_png, levels, fn_output_signature=tf.TensorSpec([], tf.string))
