"""What all capabilities have in common."""

import math

import keras
import numpy as np
import tensorflow as tf

from tfgen import fields


class Capability:
    """What a trained model can do: a mixin for `TrainableModel` with verbs, and what export and training make of them.

    Export, callbacks, metrics, pipelines, clients and tests ask a model for its capabilities, never for its class. The
    attributes below are read from the capability's class, `capability.signatures_of(model)`, as a model has several.

    Attributes:
        NAME: for messages and metadata.
        SIGNATURE: the signature that an export has if, and only if, the model has the capability.
        NUMBER: name of the number that `evaluate` gives of the capability, or "".
    """

    NAME = ""
    SIGNATURE = ""
    NUMBER = ""

    @classmethod
    def offered_by(cls, model: keras.Model) -> bool:
        """Whether this instance has the capability that its class inherits."""
        return True

    @classmethod
    def signatures_of(cls, model: keras.Model) -> dict:
        """{signature name: (function of tensors -> dict of tensors, {input name: tf.TensorSpec})}."""
        return {}

    @classmethod
    def number_of(cls, model: keras.Model, batch: dict, losses: dict) -> tf.Tensor | None:
        """The number called `NUMBER` of a batch: float32 [B], or None where the batch has not what it takes.

        No variable changes, and the noise is the same in every call.

        Args:
            batch: checked fields, those of `model.evaluation_fields()`.
            losses: what `model.evaluation_losses(batch)` returned.
        """
        return None

    @classmethod
    def prediction_of(cls, model: keras.Model, data: object) -> tf.Tensor:
        """What `model.predict` returns of a batch: tensor [B, ...].

        Args:
            data: as `predict` was given it, see `TrainableModel.named`; not checked.
        """
        raise NotImplementedError(f"{cls.__name__} predicts nothing.")

    @classmethod
    def request_fields_of(cls, model: keras.Model) -> tuple[fields.Field, ...]:
        """The `tfgen.fields.Field`s that `SIGNATURE` takes beside seeds, a tuple; here an image."""
        return (fields.image(model.image_shape),)

    @classmethod
    def grid_of(cls, model: keras.Model, num: int, examples: dict | None) -> np.ndarray | None:
        """Images float32 [rows, columns, H, W, C] in [0, 1] that show how far training is, or None.

        Args:
            num: at most about how many images.
            examples: a batch of checked fields, or None where there is none to show.
        """
        return None


def in_rows(images, num):
    """Images [N, H, W, C], N >= 1, as a grid [rows, columns, H, W, C] of at most `num` of them, about as high as wide."""
    num = min(num, len(images))
    columns = math.ceil(math.sqrt(num))
    rows = max(1, num // columns)
    return np.asarray(images)[: rows * columns].reshape(rows, columns, *images.shape[1:])


def one_above_another(groups, num, columns=8):
    """A grid [rows, columns, H, W, C] in which image i of each of `groups`, [N, H, W, C], stands above that of the next.

    Args:
        num: at most about how many images, but one of each group at least.
        columns: at most.
    """
    columns = max(1, min(columns, len(groups[0]), num // len(groups)))
    blocks = max(1, min(len(groups[0]) // columns, num // (len(groups) * columns)))
    groups = [np.asarray(g)[: blocks * columns].reshape(blocks, columns, *g.shape[1:]) for g in groups]
    return np.stack(groups, axis=1).reshape(blocks * len(groups), columns, *groups[0].shape[2:])


def serve_examples(signature, request_fields):
    """The signature `serve_examples` of a model: another one of its signatures, of serialized tf.Examples.

    An example holds the fields of a request by their names in records, images and masks as PNG or JPEG files, clips as lists
    of them, and `seed` where the signature takes seeds. What it lacks is zero: the seed 0, the class 0, a black image.

    Args:
        signature: (function, {input: tf.TensorSpec}).
        request_fields: the `tfgen.fields.Field`s that it takes beside seeds.

    Returns:
        (function, specs); None where an image, or a clip, is of free size.
    """
    function, specs = signature
    if any(field.encoded and None in field.shape for field in request_fields):
        return None

    def serve_examples(examples):
        features = {"seed": tf.io.FixedLenFeature([], tf.int64, 0)} if "seeds" in specs else {}
        for field in request_fields:
            files = field.shape[:-3]  # of a clip, its length
            empty = np.full(files, "", object)
            features[field.name] = (
                tf.io.FixedLenFeature(files, tf.string, empty) if field.pixels else field.example_feature()
            )
        found = tf.io.parse_example(examples, features)
        given = {"seeds": found["seed"]} if "seeds" in specs else {}
        for field in request_fields:
            value = found[field.name]
            if field.encoded:
                value = _decoded(value, field.shape)
            elif field.pixels:  # a mask, a grey picture in records
                value = _decoded(value, (*field.shape, 1))[..., 0]
            given[field.argument] = tf.cast(value, field.dtype)
        return function(**given)

    return serve_examples, {"examples": tf.TensorSpec([None], tf.string)}


def _decoded(files, shape):
    """float32 [B, *shape] in [0, 1] of the bytes of PNG or JPEG files, [B], or [B, T] of clips; of no bytes a black image.

    Args:
        shape: (H, W, C), or (T, H, W, C) of clips.
    """
    picture = shape[-3:]

    def decode(file):
        pixels = tf.io.decode_image(file, channels=picture[-1], expand_animations=False)
        return tf.ensure_shape(tf.cast(pixels, tf.float32) / 255.0, picture)

    def one(file):
        return tf.cond(tf.strings.length(file) > 0, lambda: decode(file), lambda: tf.zeros(picture))

    found = tf.map_fn(one, tf.reshape(files, [-1]), fn_output_signature=tf.TensorSpec(picture, tf.float32))
    return tf.reshape(found, [-1, *shape])


def condition_specs(model):
    """{argument: tf.TensorSpec} of what the model's verbs take beside images or seeds."""
    return {field.argument: field.spec for field in model.conditions()}


def image_spec(model):
    return {"image": tf.TensorSpec([None, *model.image_shape], tf.float32)}


def seeds_spec():
    return {"seeds": tf.TensorSpec([None], tf.int64)}
