"""Translator: images made of images."""

import keras
import tensorflow as tf

from tfgen.fields import Field
from tfgen.models.capabilities.capability import Capability


class Translator(Capability):
    """A model that makes an image, or a clip, of others. A subclass implements `translate` and `translated_fields`."""

    NAME = "translator"
    SIGNATURE = "translate"

    def translated_fields(self) -> tuple[Field, ...]:
        """The `tfgen.fields.Field`s that `translate` takes, such as `image`, `content` and `style`, or `frames`."""
        raise NotImplementedError(f"{type(self).__name__} must implement translated_fields().")

    def translate(self, **given) -> dict[str, tf.Tensor]:
        """{output name: float32 [B, ...]} of the fields of `translated_fields`; "image" or "frames" is the picture."""
        raise NotImplementedError(f"{type(self).__name__} must implement translate(...).")

    @classmethod
    def signatures_of(cls, model: keras.Model) -> dict:
        specs = {field.argument: field.spec for field in model.translated_fields()}
        return {"translate": (lambda **given: model.translate(**given), specs)}
