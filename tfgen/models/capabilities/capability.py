"""What all capabilities have in common."""

import tensorflow as tf


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
    def offered_by(cls, model):
        """Whether this instance has the capability that its class inherits."""
        return True

    @classmethod
    def signatures_of(cls, model):
        """{signature name: (function of tensors -> dict of tensors, {input name: tf.TensorSpec})}."""
        return {}

    @classmethod
    def number_of(cls, model, batch, losses):
        """The number called `NUMBER` of a batch: float32 [B], or None where the batch has not what it takes.

        No variable changes, and the noise is the same in every call.

        Args:
            batch: checked fields, those of `model.evaluation_fields()`.
            losses: what `model.evaluation_losses(batch)` returned.
        """
        return None

    @classmethod
    def prediction_of(cls, model, data):
        """What `model.predict` returns of a batch: tensor [B, ...].

        Args:
            data: as `predict` was given it, see `TrainableModel.named`; not checked.
        """
        raise NotImplementedError(f"{cls.__name__} predicts nothing.")

    @classmethod
    def grid_of(cls, model, num, examples):
        """Images float32 [rows, columns, H, W, C] in [0, 1] that show how far training is, or None.

        Args:
            num: about how many images.
            examples: a batch of checked fields, or None where there is none to show.
        """
        return None


def condition_specs(model):
    """{argument: tf.TensorSpec} of what the model's verbs take beside images or seeds."""
    return {field.argument: field.spec for field in model.conditions()}


def image_spec(model):
    return {"image": tf.TensorSpec([None, *model.image_shape], tf.float32)}


def seeds_spec():
    return {"seeds": tf.TensorSpec([None], tf.int64)}
