"""The capability Translator: translates images or clips to images or clips."""

import inspect

import keras
import numpy as np
import tensorflow as tf

from tfgen import fields
from tfgen.fields import Field
from tfgen.models.capabilities.capability import Capability, one_above_another


class Translator(Capability):
    """A model that maps images or clips to others. A subclass implements `translate_rows` and, if it takes more than one
    image, `translated_fields`.

    A model that draws noise also has `tfgen.fields.seeds()` among these fields: a translation is a function of the seed of
    its row. Its `translate_rows` has a default for `seeds`, so that they may be left out.

    Style transfer is a translation of `image` and `style`, and has no verb of its own: a second name would need a second
    signature that computes the same.
    """

    NAME = "translator"
    SIGNATURE = "translate"
    NUMBER = "l1"

    def translated_fields(self) -> tuple[Field, ...]:
        """The `tfgen.fields.Field`s that `translate` takes: here `image`; others are `image` and `style`, or `frames`."""
        return (fields.image(self.image_shape),)

    def conditions(self) -> tuple[Field, ...]:
        """None: `translate` takes the fields of `translated_fields`, not those of training."""
        return ()

    def translate(self, **given) -> dict[str, tf.Tensor]:
        """Translates images or clips.

        Args:
            **given: {argument: tensor [B, ...]} of the fields of `translated_fields`. An argument for which `translate_rows`
                has a default, such as the strength of a style, may be missing.

        Returns:
            {output name: float32 [B, ...]}; the result is "image" [B, H, W, C] or "frames" [B, T, H, W, C], in [0, 1].

        Raises:
            ValueError: an argument is missing or unknown, has another dtype or shape, or another number of rows.
            InvalidArgumentError: a value is out of range or not finite.
        """
        given = fields.check_given(self.translated_fields(), given, "translate", self._optional_arguments())
        return self.translate_rows(**given)

    def _optional_arguments(self):
        parameters = inspect.signature(self.translate_rows).parameters.values()
        return [parameter.name for parameter in parameters if parameter.default is not parameter.empty]

    def translate_rows(self, **given) -> dict[str, tf.Tensor]:
        """`translate` of checked fields."""
        raise NotImplementedError(f"{type(self).__name__} must implement translate_rows(...).")

    def translated_picture(self, batch: dict) -> tf.Tensor:
        """The output "image" or "frames" of `translate`, float32 [B, ...], for a batch of fields."""
        found = self.translate(**{f.argument: batch[f.name] for f in self.translated_fields() if f.name in batch})
        return found["image"] if "image" in found else found["frames"]

    @classmethod
    def number_of(cls, model: keras.Model, batch: dict, losses: dict) -> tf.Tensor | None:
        """Mean absolute difference to the field `target` of the batch, float32 [B]; None if there is no such field."""
        if "target" not in batch:
            return None
        picture, target = model.translated_picture(batch), tf.cast(batch["target"], tf.float32)
        if not picture.shape.is_compatible_with(target.shape):
            raise ValueError(f"The field 'target' must have the shape {picture.shape}; received {target.shape}.")
        difference = tf.abs(picture - target)
        return tf.reduce_mean(difference, axis=list(range(1, difference.shape.rank)))

    @classmethod
    def prediction_of(cls, model: keras.Model, data: object) -> tf.Tensor:
        """The translated images or clips. A model for which one field is enough also takes its values alone."""
        fields_of_model, optional = model.translated_fields(), model._optional_arguments()
        found = model.named(data, fields_of_model[0].name)
        wanted = [field for field in fields_of_model if field.name in found or field.argument not in optional]
        return model.translated_picture(model.as_batch(found, wanted))

    @classmethod
    def grid_of(cls, model: keras.Model, num: int, examples: dict | None) -> np.ndarray | None:
        """The inputs, below them the results and, if `examples` have it, the `target`.

        Of clips, the first one is shown, from left to right. Inputs of another size than the result are left out.
        """
        if examples is None:
            return None
        known = [field for field in model.translated_fields() if field.name in examples]
        given = {field.argument: examples[field.name][: max(1, num // 2)] for field in known}
        outputs = model.translate(**given)
        result = _pictures(outputs["image"] if "image" in outputs else outputs["frames"])
        shown = [_pictures(given[field.argument]) for field in known if field.encoded]
        target = [_pictures(examples["target"])] if "target" in examples else []
        groups = [group for group in (*shown, result, *target) if group.shape[1:] == result.shape[1:]]
        return one_above_another([group[: len(result)] for group in groups], num)

    @classmethod
    def request_fields_of(cls, model: keras.Model) -> tuple[Field, ...]:
        return tuple(field for field in model.translated_fields() if field.argument != "seeds")

    @classmethod
    def signatures_of(cls, model: keras.Model) -> dict:
        specs = {field.argument: field.spec for field in model.translated_fields()}
        return {"translate": (lambda **given: model.translate(**given), specs)}


def _pictures(value):
    """[N, H, W, C] of images, or of the first of clips [B, T, H, W, C]."""
    return (value if value.shape.rank == 4 else value[0]).numpy()
