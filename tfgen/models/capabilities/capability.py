"""`Capability`, the base class of all capabilities, and helpers for their signatures and grids."""

import collections
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfgen import fields
from tfgen.models.mixin import Mixin


class Capability(Mixin):
    """A use of a trained model: a mixin for `TrainableModel` with the methods for this use.

    Export, callbacks, metrics, pipelines, clients and tests check the capabilities of a model, and never its class. A model
    can have several capabilities, so the attributes and class methods below are called on the capability's class:
    `capability.signatures_of(model)`.

    Attributes:
        NAME: name in messages and metadata.
        SIGNATURE: name of a signature; an export has it if and only if the model has the capability.
        NUMBER: name of the number that `evaluate` returns for the capability, or "".
    """

    NAME = ""
    SIGNATURE = ""
    NUMBER = ""

    @classmethod
    def offered_by(cls, model: keras.Model) -> bool:
        """Whether this instance has the capability. Its class inherits the capability, but a setting may disable it."""
        return True

    @classmethod
    def signatures_of(cls, model: keras.Model) -> dict:
        """{signature name: (function of tensors -> dict of tensors, {input name: tf.TensorSpec})}."""
        return {}

    @classmethod
    def number_of(cls, model: keras.Model, batch: dict, losses: dict) -> tf.Tensor | None:
        """The number called `NUMBER` of a batch: float32 [B], or None if the batch lacks a field that it needs.

        No variable changes, and the noise is the same in every call.

        Args:
            batch: checked fields, those of `model.evaluation_fields()`.
            losses: what `model.evaluation_losses(batch)` returned.
        """
        return None

    @classmethod
    def prediction_of(cls, model: keras.Model, data: object) -> tf.Tensor:
        """The result of `model.predict` for a batch: tensor [B, ...].

        Args:
            data: the batch that `predict` received, not checked; see `TrainableModel.named`.
        """
        raise NotImplementedError(f"{cls.__name__} has no prediction.")

    @classmethod
    def request_fields_of(cls, model: keras.Model) -> tuple[fields.Field, ...]:
        """The `tfgen.fields.Field`s that `SIGNATURE` takes in addition to seeds; by default an image."""
        return (fields.image(model.image_shape),)

    @classmethod
    def grid_of(cls, model: keras.Model, num: int, examples: dict | None) -> np.ndarray | None:
        """A grid of images float32 [rows, columns, H, W, C] in [0, 1] that shows the progress of training, or None.

        Args:
            num: approximate largest number of images.
            examples: a batch of checked fields, or None.
        """
        return None

    @classmethod
    def animation_of(cls, model: keras.Model, num: int, examples: dict | None) -> np.ndarray | None:
        """A grid of clips float32 [rows, columns, T, H, W, C] in [0, 1] that shows the progress of training, or None.

        Args:
            num: approximate largest number of frames.
            examples: a batch of checked fields, or None.
        """
        return None


def in_graph(model: keras.Model, method: str) -> Callable:
    """A method of the model as a graph, which is traced once for each set of keywords, for batches of any size, and kept."""
    kept = f"_{method}"
    if kept not in vars(model):
        # TensorFlow 2.16 fails to relax shapes between traces with different arguments: a function for each set.
        functions: dict[tuple, Any] = collections.defaultdict(
            lambda: tf.function(getattr(model, method), reduce_retracing=True, autograph=False)
        )

        def call(*args, **given):
            function = functions[tuple(sorted(given))]
            args, given = tf.nest.map_structure(tf.convert_to_tensor, (args, given))
            function.get_concrete_function(*map(free_batch, args), **{name: free_batch(t) for name, t in given.items()})
            return function(*args, **given)

        object.__setattr__(model, kept, call)
    return vars(model)[kept]


def free_batch(tensor: tf.Tensor | None) -> tf.TensorSpec | None:
    """The tf.TensorSpec of a tensor [B, ...] with any B; None for None."""
    return None if tensor is None else tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype)


def in_rows(images, num):
    """An almost square grid [rows, columns, H, W, C] of at most `num` of the images [N, H, W, C], N >= 1."""
    num = min(num, len(images))
    columns = math.ceil(math.sqrt(num))
    rows = max(1, num // columns)
    return np.asarray(images)[: rows * columns].reshape(rows, columns, *images.shape[1:])


def one_above_another(groups, num, columns=8):
    """A grid [rows, columns, H, W, C] with image i of each group above image i of the next group.

    Args:
        groups: list of images [N, H, W, C].
        num: approximate largest number of images; there is at least one of each group.
        columns: largest number of columns.
    """
    columns = max(1, min(columns, len(groups[0]), num // len(groups)))
    blocks = max(1, min(len(groups[0]) // columns, num // (len(groups) * columns)))
    groups = [np.asarray(g)[: blocks * columns].reshape(blocks, columns, *g.shape[1:]) for g in groups]
    return np.stack(groups, axis=1).reshape(blocks * len(groups), columns, *groups[0].shape[2:])


def serve_examples(signature, request_fields):
    """The signature `serve_examples` of a model: it computes another signature from serialized tf.Examples.

    An example holds the fields of a request by their names in records, images and masks as PNG or JPEG files, clips as lists
    of them, and `seed` if the signature takes seeds. A missing value is zero: the seed 0, the class 0, a black image.

    Args:
        signature: (function, {input: tf.TensorSpec}) of the other signature.
        request_fields: the `tfgen.fields.Field`s that it takes in addition to seeds.

    Returns:
        (function, specs); None if an image, or a clip, has a free size.
    """
    function, specs = signature
    if any(field.encoded and None in field.shape for field in request_fields):
        return None

    def serve_examples(examples):
        features = {"seed": tf.io.FixedLenFeature([], tf.int64, 0)} if "seeds" in specs else {}
        for field in request_fields:
            files = field.files_shape if field.pixels else ()
            empty = np.full(files, "", object)
            features[field.name] = (
                tf.io.FixedLenFeature(files, tf.string, empty) if field.pixels else field.example_feature()
            )
        found = tf.io.parse_example(examples, features)
        given = {"seeds": found["seed"]} if "seeds" in specs else {}
        for field in request_fields:
            value = found[field.name]
            if field.encoded:
                value = _images_of_files(value, field.shape)
            elif field.pixels:  # a mask or a map of classes, a grey picture in records
                value = _images_of_files(value, (*field.stored_shape, 1))[..., 0]
                if field.classes is not None:
                    value = tf.one_hot(tf.cast(tf.round(255.0 * value), tf.int32), field.classes)
            given[field.argument] = tf.cast(value, field.dtype)
        return function(**given)

    return serve_examples, {"examples": tf.TensorSpec([None], tf.string)}


def _images_of_files(files, shape):
    """Images float32 [B, *shape] in [0, 1] from the bytes of PNG or JPEG files; b"" gives a black image.

    Args:
        files: string [B], or [B, T] for clips.
        shape: (H, W, C), or (T, H, W, C) for clips.
    """
    picture = shape[-3:]

    def read(file):
        pixels = tf.io.decode_image(file, channels=picture[-1], expand_animations=False)
        return tf.ensure_shape(tf.cast(pixels, tf.float32) / 255.0, picture)

    def one(file):
        return tf.cond(tf.strings.length(file) > 0, lambda: read(file), lambda: tf.zeros(picture))

    found = tf.map_fn(one, tf.reshape(files, [-1]), fn_output_signature=tf.TensorSpec(picture, tf.float32))
    return tf.reshape(found, [-1, *shape])


def condition_specs(model):
    """{argument: tf.TensorSpec} of the model's conditions."""
    return {field.argument: field.spec for field in model.conditions()}


def image_spec(model):
    return {"image": tf.TensorSpec([None, *model.image_shape], tf.float32)}


def seeds_spec():
    return {"seeds": tf.TensorSpec([None], tf.int64)}
