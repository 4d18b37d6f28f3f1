"""The capability Translator: translates images or clips to images or clips."""

import inspect
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tfgen import fields
from tfgen.data.label_maps import label_pictures
from tfgen.fields import Field
from tfgen.models.capabilities.capability import Capability, one_above_another
from tfgen.training.state import named_variables


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
        wanted = self.translated_fields()
        batch = fields.with_start(batch, wanted)
        found = self.translate(**{f.argument: batch[f.name] for f in wanted if f.name in batch})
        return found["image"] if "image" in found else found["frames"]

    def pictures(self, examples: dict) -> list[np.ndarray]:
        """What a grid shows one above another: the inputs, the results, and, if `examples` have it, the field `target`.

        Args:
            examples: a batch of checked fields.

        Returns:
            [float32 [N, H, W, C] in [0, 1], all of the same shape], see `translation_pictures`.
        """
        examples = fields.with_start(examples, self.translated_fields())
        known = [field for field in self.translated_fields() if field.name in examples]
        outputs = self.translate(**{field.argument: examples[field.name] for field in known})
        return translation_pictures(known, examples, outputs)

    def resized(self, height: int, width: int) -> "Translator":
        """A copy of the model, with its weights and its step, for images of another size. It is not compiled.

        Its networks must not depend on the size: all trainable weights must have the same shapes. What else depends on the
        size, such as a pool of images, is new.

        Raises:
            ValueError: the networks depend on the size, or do not fit this one.
        """
        config = {**self.get_config(), "image_shape": [height, width, self.image_shape[2]]}
        other = type(self).from_config(config)
        ours, theirs = named_variables(self), named_variables(other)
        for path, variable in ours.items():
            same = path in theirs and theirs[path].shape == variable.shape
            if same:
                theirs[path].assign(variable)
            elif variable.trainable:
                raise ValueError(
                    f"The networks of {type(self).__name__} are for images of {self.image_shape[0]} x {self.image_shape[1]} "
                    f"pixels alone ({path} depends on the size); received {height} x {width}."
                )
        return other

    @classmethod
    def number_of(cls, model: keras.Model, batch: dict, losses: dict) -> tf.Tensor | None:
        """Mean absolute difference to the field `target` of the batch, float32 [B]; None if there is no such field.

        The given first frames of a clip, `start`, are not counted.
        """
        if "target" not in batch:
            return None
        picture, target = model.translated_picture(batch), tf.cast(batch["target"], tf.float32)
        if not picture.shape.is_compatible_with(target.shape):
            raise ValueError(f"The field 'target' must have the shape {picture.shape}; received {target.shape}.")
        difference = fields.without_start(tf.abs(picture - target), model.translated_fields())
        return tf.reduce_mean(difference, axis=list(range(1, len(difference.shape))))

    @classmethod
    def prediction_of(cls, model: keras.Model, data: object) -> tf.Tensor:
        """The translated images or clips. A model for which one field is enough also takes its values alone."""
        fields_of_model, optional = model.translated_fields(), model._optional_arguments()
        found = fields.with_start(model.named(data, fields_of_model[0].name), fields_of_model)
        wanted = [field for field in fields_of_model if field.name in found or field.argument not in optional]
        return model.translated_picture(model.as_batch(found, wanted))

    @classmethod
    def grid_of(cls, model: keras.Model, num: int, examples: dict | None) -> np.ndarray | None:
        """The model's `pictures` of the first examples."""
        if examples is None:
            return None
        first = {name: values[: max(1, num // 2)] for name, values in examples.items()}
        return one_above_another(model.pictures(first), num)

    @classmethod
    def animation_of(cls, model: keras.Model, num: int, examples: dict | None) -> np.ndarray | None:
        """Translated clips, beside each the `target` if `examples` have it; None of images."""
        field = model.translated_fields()[0]
        if examples is None or len(field.shape) < 4 or not field.pixels:
            return None
        made = model.translated_picture({name: values[: max(1, num // field.shape[0])] for name, values in examples.items()})
        if made.shape.rank != 5:
            return None
        target = examples.get("target", made)[: made.shape[0]]
        clips = [made, target] if "target" in examples and target.shape == made.shape else [made]
        return np.stack([clip.numpy() for clip in clips], axis=1)

    @classmethod
    def request_fields_of(cls, model: keras.Model) -> tuple[Field, ...]:
        return tuple(field for field in model.translated_fields() if field.argument != "seeds")

    @classmethod
    def signatures_of(cls, model: keras.Model) -> dict:
        specs = {field.argument: field.spec for field in model.translated_fields()}
        return {"translate": (lambda **given: model.translate(**given), specs)}


def translation_pictures(inputs: Sequence[Field], batch: dict, outputs: dict) -> list[np.ndarray]:
    """Pictures of a translation, each [N, H, W, C] in [0, 1]: the inputs, the result, and `target` if the batch has it.

    Maps of classes are in colours, as in `tfgen.data.label_pictures`, masks are grey; inputs without pixels are left out. Of
    clips the frames of the first one are shown, and inputs of another number of frames are left out. What has another size
    than the result is resized to it.

    Args:
        inputs: the `tfgen.fields.Field`s of the inputs.
        batch: {field: array or tensor [B, ...]} with them.
        outputs: of `translate`.
    """
    result = _pictures(outputs["image"] if "image" in outputs else outputs["frames"])
    found = [_pictures(batch[field.name], field) for field in inputs if field.pixels]
    found = [picture for picture in found if "frames" not in outputs or len(picture) == len(result)]
    pictures = [*found, result, *([_pictures(batch["target"])] if "target" in batch else [])]
    channels = max(picture.shape[-1] for picture in pictures)
    return [_alike(picture[: len(result)], (*result.shape[1:3], channels)) for picture in pictures]


def _pictures(values, field=None):
    """float32 [N, H, W, C] of values [B, ...] with pixels; of clips, the frames of the first."""
    values = np.asarray(values)
    if field is not None and field.classes is not None:
        values = label_pictures(values.argmax(axis=-1), field.classes).astype(np.float32) / 255.0
    elif field is not None and not field.encoded:
        values = values[..., None]
    return values if values.ndim == 4 else values[0]


def _alike(pictures, shape):
    """The pictures with this size, and with more equal channels if they are grey and others are not."""
    if pictures.shape[1:3] != shape[:2]:
        pictures = np.clip(tf.image.resize(pictures, shape[:2], antialias=True).numpy(), 0.0, 1.0)
    return np.repeat(pictures, shape[2], axis=-1) if pictures.shape[-1] == 1 else pictures
