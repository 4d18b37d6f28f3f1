"""The batches of a model: their fields, and the checks of their values."""

import collections
import inspect
from collections.abc import Callable, Iterable, Mapping

import tensorflow as tf

from tfgen import fields, settings
from tfgen.models.capabilities import Capability


class BatchMixin:
    """The part of `TrainableModel` that declares and checks the fields of batches (see `tfgen.fields`)."""

    # Of the model.
    _config: collections.UserDict
    image_shape: tuple[int, int, int]
    num_classes: int
    capabilities: Callable[[], tuple[type[Capability], ...]]

    @classmethod
    def fields_of(cls, config: Mapping) -> tuple[fields.Field, ...]:
        """The `tfgen.fields.Field`s of a training batch, `image` first if it is one, of a config with all arguments."""
        found = [fields.image(config["image_shape"])]
        if config.get("num_classes"):
            found.append(fields.label(config["num_classes"]))
        return tuple(found)

    def batch_fields(self) -> tuple[fields.Field, ...]:
        """The fields of a training batch of this model, a tuple of `tfgen.fields.Field`."""
        return self.fields_of(self._config)

    def conditions(self) -> tuple[fields.Field, ...]:
        """The fields that the methods of this model take in addition to images or seeds, a tuple of `tfgen.fields.Field`."""
        return tuple(field for field in self.batch_fields() if field.name != "image")

    def input_fields(self) -> tuple[fields.Field, ...]:
        """The `tfgen.fields.Field`s that describe inputs of the signatures, by argument: those of the capabilities.

        A subclass adds those of its own signatures.
        """
        found = {field.argument: field for c in self.capabilities() for field in c.request_fields_of(self)}
        return tuple(found.values())

    def code_fields(self) -> tuple[fields.Field, ...]:
        """One `tfgen.fields.Field` for each component of the input `codes` of a signature, in their order.

        Of continuous codes `low` and `high` are the bounds in training; other values are allowed.
        """
        return ()

    def conditions_of(self, batch: dict) -> dict[str, tf.Tensor]:
        """{argument: tensor} of the conditions in a training batch."""
        return {field.argument: batch[field.name] for field in self.conditions()}

    @classmethod
    def check_source(cls, config: dict, source: object) -> None:
        """Raises ValueError if a model of this config cannot learn from the `tfgen.data.Source`. Shapes are not checked."""

    def as_batch(self, data: dict | tuple | tf.Tensor, wanted: Iterable[fields.Field] | None = None) -> dict[str, tf.Tensor]:
        """Checks a batch and returns it as a dict.

        Operations on the fields of the result run after the checks of all fields, so an invalid batch changes no variable.

        Args:
            data: a batch as `fit` takes it: a dict of fields, (image, label), or images alone.
            wanted: the `tfgen.fields.Field`s that it must have; None: those of training.

        Returns:
            {field name: tensor [B, ...]}; fields that are not in `wanted` are included and not checked.

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
        """The batch after further checks by a subclass, which uses `tfgen.fields.checked`. By default there are none.

        Training runs after these checks; a check in `update` could run after a part of the update.

        Args:
            batch: a dict of checked fields; it has only the fields that the caller of `as_batch` wanted.
        """
        return batch

    def named(self, data: object, first: str = "image") -> dict:
        """A batch of `fit`, `evaluate` or `predict` as a dict {field name: values}, without checks.

        Args:
            data: a dict, (values, label), or values alone.
            first: field name of the values.

        Raises:
            ValueError: `data` has weights of the examples.
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
        """Checks images, float [B, H, W, C] in [0, 1], and returns a tensor; raises as `tfgen.fields.Field.check`."""
        return fields.image(self.image_shape).check(images, type(self).__name__)

    def check_conditions(self, num: int, given: dict) -> dict[str, tf.Tensor]:
        """The conditions of `num` images {argument: tensor [num, ...]}, checked; a value of None is one that is not given.

        Beside `conditions` a model may take further arguments of `generate`, `decode_images` or `condition`, such as the
        clusters of a GMVAE.

        Raises:
            ValueError: a condition is missing, the model takes none of this name, or it has another dtype, shape or number
                of rows.
            InvalidArgumentError: values are out of range.
        """
        given = {name: value for name, value in given.items() if value is not None}
        wanted = {field.argument: field for field in self.conditions()}
        methods = [getattr(self, name) for name in ("generate", "decode_images", "condition") if hasattr(self, name)]
        further = {name for method in methods for name in inspect.signature(method).parameters} - {"labels"}
        for name in given.keys() - wanted.keys() - further:
            takes = f"its conditions are {', '.join(wanted)}" if wanted else "it was built without conditions"
            close = settings.did_you_mean(name, wanted)
            received = f"received {settings.shown(given[name])}.{close}"
            raise ValueError(f"{type(self).__name__} takes no {name}: {takes}; {received}")
        for name, field in wanted.items():
            if name not in given:
                raise ValueError(f"{type(self).__name__} is conditional and needs {name}, {field.wanted}; received None.")
            given[name] = field.check(given[name], type(self).__name__)
        found = {name: tf.convert_to_tensor(value) for name, value in given.items()}
        for name, values in found.items():
            if not values.shape[:1].is_compatible_with([num]):
                raise ValueError(
                    f"{name} must have one row for each of the {num} images; received the shape {values.shape}."
                )
        return found

    def one_hot(self, labels: tf.Tensor) -> tf.Tensor:
        """One-hot labels float32 [B, num_classes] of integer labels [B].

        Raises:
            ValueError: the model takes no labels, or `labels` is None.
            InvalidArgumentError: at run time, if a label is out of range.
        """
        if not self.num_classes:
            raise ValueError(f"This {type(self).__name__} was built with num_classes=0 and takes no labels.")
        if labels is None:
            raise ValueError(
                f"{type(self).__name__} is conditional and needs labels, int [B] in [0, {self.num_classes}); received None."
            )
        return tf.one_hot(fields.label(self.num_classes).check(labels), self.num_classes)
