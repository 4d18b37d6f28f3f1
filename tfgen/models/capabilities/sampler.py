"""Sampler: images out of seeds."""

import collections
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tfgen import fields
from tfgen.models.capabilities.capability import Capability, condition_specs, in_rows, seeds_spec
from tfgen.models.checks import check_whole


class Sampler(Capability):
    """A model that makes images. A subclass sets `latent_dim` and implements `latents(seeds)` and `decode_images(latents)`.

    The image of a seed is a function of the seed, the conditions and the weights alone, not of the batch that it is made in.

    Attributes:
        batch_norm_modes: which statistics of batch norm `sample(batch_norm=)` can use; with "moving" alone it takes no such
            argument.
    """

    NAME = "sampler"
    SIGNATURE = "sample"
    batch_norm_modes = ("moving",)

    def latents(self, seeds: tf.Tensor) -> tf.Tensor:
        """Latent codes float32 [B, latent_dim] of integer seeds [B]; row i is a function of seeds[i] alone."""
        raise NotImplementedError(f"{type(self).__name__} must implement latents(seeds).")

    def decode_images(self, latents: tf.Tensor, **conditions) -> tf.Tensor:
        """Images float32 [B, H, W, C] in [0, 1] of latent codes [B, latent_dim]."""
        raise NotImplementedError(f"{type(self).__name__} must implement decode_images(latents).")

    def generate(self, seeds: tf.Tensor, **conditions) -> tf.Tensor:
        """Images of integer seeds.

        Args:
            seeds: int [B].
            **conditions: e.g. `labels` int32 [B], where the model takes any.

        Returns:
            float32 [B, H, W, C] in [0, 1].
        """
        return self.decode_images(self.latents(tf.cast(seeds, tf.int64)), **conditions)

    def sample(self, num: int, *, seed: int = 0, batch_size: int = 256, **conditions) -> tf.Tensor:
        """`num` images, always the same for the same weights and `seed`.

        Row i is the image of the serving seed `seed * 2**32 + i`: a longer sample begins with the shorter one.

        Returns:
            float32 NumPy-compatible tensor [num, H, W, C] in [0, 1].
        """
        check_whole(num=num, batch_size=batch_size)
        num, seed = int(num), int(seed)
        if not 0 <= seed < 2**31:
            raise ValueError(f"seed must be in [0, 2**31); received {seed}.")
        seeds = tf.range(num, dtype=tf.int64) + (seed << 32)
        conditions = {k: tf.convert_to_tensor(v) for k, v in conditions.items() if v is not None}
        for name, values in conditions.items():
            if not values.shape[:1].is_compatible_with([num]):
                raise ValueError(f"{name} must be one for each of the {num} images; received shape {values.shape}.")
        chunks = []
        for i in range(0, num, batch_size):
            part = {k: v[i : i + batch_size] for k, v in conditions.items()}
            chunks.append(self.generate_function(seeds[i : i + batch_size], **part))
        return tf.concat(chunks, axis=0)

    @property
    def generate_function(self) -> Callable[..., tf.Tensor]:
        """`generate` as a graph, traced once for each set of conditions."""
        if "_generate" not in vars(self):
            # TensorFlow 2.16 fails to relax shapes between traces with different arguments: a function for each set.
            functions = collections.defaultdict(lambda: tf.function(self.generate, reduce_retracing=True))

            def generate(seeds, **given):
                function = functions[tuple(sorted(given))]
                given = {name: tf.convert_to_tensor(value) for name, value in {"seeds": seeds, **given}.items()}
                # Traced for a batch of any size at once: a trace takes long.
                function.get_concrete_function(**{name: free_batch(value) for name, value in given.items()})
                return function(**given)

            object.__setattr__(self, "_generate", generate)
        return self._generate

    def conditions_to_show(self, num: int, examples: dict | None = None) -> dict | None:
        """{argument: array [num, ...]} with which `num` samples are shown: classes in turn, others as in `examples`.

        Args:
            examples: a batch of checked fields, or None. Its rows are repeated where there are fewer than `num`.

        Returns:
            None where a condition is neither a class nor in `examples`.
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
        """Samples of the same seeds each time."""
        conditions = model.conditions_to_show(num, examples)
        return None if conditions is None else in_rows(model.sample(num, **conditions).numpy(), num)

    @classmethod
    def request_fields_of(cls, model: keras.Model) -> tuple[fields.Field, ...]:
        return model.conditions()

    @classmethod
    def prediction_of(cls, model: keras.Model, data: object) -> tf.Tensor:
        """The images of integer seeds [B], or of a dict of `seed` and the conditions that the model takes, by field name."""
        found = model.named(data, "seed")
        if "seed" not in found:
            raise ValueError(
                f"predict of {type(model).__name__} takes integer seeds [B], or a dict with `seed`; received the fields "
                f"{sorted(found)}."
            )
        seeds = tf.convert_to_tensor(found["seed"])
        if seeds.shape.rank == 2 and seeds.shape[1] == 1:
            seeds = seeds[:, 0]
        if not seeds.dtype.is_integer or seeds.shape.rank != 1:
            raise ValueError(
                f"predict of {type(model).__name__} takes integer seeds [B], of which it makes images; received "
                f"{seeds.dtype.name} {seeds.shape}."
            )
        conditions = model.conditions_of(model.as_batch(found, model.conditions()))
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


def free_batch(tensor):
    """The tf.TensorSpec of a tensor [B, ...] with any B; None for None."""
    return None if tensor is None else tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype)


def encode_png(images):
    """PNG bytes, string [B], of float32 [B, H, W, C] in [0, 1] with 1, 3 or 4 channels."""
    levels = tf.cast(tf.round(tf.clip_by_value(images, 0.0, 1.0) * 255.0), tf.uint8)
    return tf.map_fn(tf.io.encode_png, levels, fn_output_signature=tf.TensorSpec([], tf.string))
