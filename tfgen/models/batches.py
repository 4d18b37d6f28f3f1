"""The batches of a model: which fields they have, and the checks of their values."""

from collections.abc import Iterable

import tensorflow as tf

from tfgen import fields


class BatchMixin:
    """The part of `TrainableModel` that declares and checks the fields of batches (see `tfgen.fields`)."""

    @classmethod
    def fields_of(cls, config: dict) -> tuple[fields.Field, ...]:
        """The `tfgen.fields.Field`s of a training batch, `image` first, of a config with all constructor arguments."""
        found = [fields.image(config["image_shape"])]
        if config.get("num_classes"):
            found.append(fields.label(config["num_classes"]))
        return tuple(found)

    def batch_fields(self) -> tuple[fields.Field, ...]:
        """The fields of a training batch of this model, a tuple of `tfgen.fields.Field`."""
        return self.fields_of(self._config)

    def conditions(self) -> tuple[fields.Field, ...]:
        """The fields that the verbs of this model take beside images or seeds, a tuple of `tfgen.fields.Field`."""
        return tuple(field for field in self.batch_fields() if field.name != "image")

    def conditions_of(self, batch: dict) -> dict[str, tf.Tensor]:
        """{argument: tensor} of the conditions in a training batch."""
        return {field.argument: batch[field.name] for field in self.conditions()}

    @classmethod
    def check_source(cls, config: dict, source: object) -> None:
        """ValueError where a model of this config cannot learn from the `tfgen.data.Source`, beside its image shape."""

    def as_batch(self, data: dict | tuple | tf.Tensor, wanted: Iterable[fields.Field] | None = None) -> dict[str, tf.Tensor]:
        """The batch dict of what `fit` was given: a dict, (image, label), or images alone. All fields are checked.

        Whatever uses a field of the result waits for the checks of all: a batch that is refused changes nothing.

        Args:
            wanted: the `tfgen.fields.Field`s that it must have; None: those of training.

        Raises:
            ValueError: a field is missing, or has another shape or dtype.
            InvalidArgumentError: at run time, values out of range, or NaN.
        """
        data, checked = self.named(data), {}
        wanted = self.batch_fields() if wanted is None else wanted
        for field in wanted:
            if field.name not in data:
                hint = f" ({field.hint})" if field.hint else ""
                raise ValueError(
                    f"{type(self).__name__} needs the field {field.name!r} in its batches{hint}; received the fields "
                    f"{sorted(data)}."
                )
            checked[field.name] = field.check(data[field.name], type(self).__name__)
        checked = self.check_batch({**data, **checked})
        names = [field.name for field in wanted]
        with tf.control_dependencies([checked[name] for name in names]):
            return {**checked, **{name: tf.identity(checked[name]) for name in names}}

    def check_batch(self, batch: dict) -> dict:
        """The batch, a dict of checked fields, after all that is to be checked besides, with `tfgen.fields.checked`.

        Training waits for it. A check in `update` may come after a part of the update. Fields may be missing that the
        caller did not want.
        """
        return batch

    def named(self, data: object, first: str = "image") -> dict:
        """The dict {field name: values} of what `fit`, `evaluate` or `predict` was given; nothing is checked.

        Args:
            data: a dict, (values, label), or values alone; `first` is the name of the values.

        Raises:
            ValueError: weights of the examples.
        """
        values, label, weights = (*data, None, None, None)[:3] if isinstance(data, (tuple, list)) else (data, None, None)
        if weights is not None:
            raise ValueError(
                f"{type(self).__name__} takes no sample_weight: its losses are means over the batch. Received batches "
                "(images, labels, sample_weight)."
            )
        found = values if isinstance(values, dict) else {first: values}
        return found if label is None else {**found, "label": label}

    def check_images(self, images: tf.Tensor) -> tf.Tensor:
        """Images float [B, H, W, C] in [0, 1] as a tensor; errors as `tfgen.fields.Field.check`."""
        return fields.image(self.image_shape).check(images, type(self).__name__)

    def one_hot(self, labels: tf.Tensor) -> tf.Tensor:
        """[B, num_classes] of integer labels [B]; an error, at run time, for a label out of range."""
        if not self.num_classes:
            raise ValueError(f"This {type(self).__name__} was built with num_classes=0 and takes no labels.")
        if labels is None:
            raise ValueError(f"{type(self).__name__} is conditional: labels, int [B] in [0, {self.num_classes}), needed.")
        return tf.one_hot(fields.label(self.num_classes).check(labels), self.num_classes)
