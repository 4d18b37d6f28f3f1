"""Translator: images made of images."""

import tensorflow as tf

from tfgen.models.capabilities.capability import Capability


class Translator(Capability):
    """A model that makes an image, or a clip, of others. A subclass implements `translate` and `translated_fields`."""

    NAME = "translator"
    SIGNATURE = "translate"
    NUMBER = "l1"

    def translated_fields(self):
        """The `tfgen.fields.Field`s that `translate` takes, such as `image`, `content` and `style`, or `frames`."""
        raise NotImplementedError(f"{type(self).__name__} must implement translated_fields().")

    def translate(self, **given):
        """{output name: float32 [B, ...]} of the fields of `translated_fields`; "image" or "frames" is the picture."""
        raise NotImplementedError(f"{type(self).__name__} must implement translate(...).")

    def translated_picture(self, batch):
        """The picture alone, float32 [B, ...], of a batch with the fields of `translated_fields`."""
        found = self.translate(**{field.argument: batch[field.name] for field in self.translated_fields()})
        return found["image"] if "image" in found else found["frames"]

    @classmethod
    def number_of(cls, model, batch, losses):
        """Mean absolute difference to the field `target` of the batch, where it has one: the pictures that are wanted."""
        if "target" not in batch:
            return None
        picture, target = model.translated_picture(batch), tf.cast(batch["target"], tf.float32)
        if not picture.shape.is_compatible_with(target.shape):
            raise ValueError(f"The field 'target' must have the shape {picture.shape}; received {target.shape}.")
        difference = tf.abs(picture - target)
        return tf.reduce_mean(difference, axis=list(range(1, difference.shape.rank)))

    @classmethod
    def prediction_of(cls, model, data):
        """The translated pictures of the fields of `translated_fields`; of one field it takes the values alone."""
        wanted = model.translated_fields()
        return model.translated_picture(model.as_batch(model.named(data, wanted[0].name), wanted))

    @classmethod
    def signatures_of(cls, model):
        specs = {field.argument: field.spec for field in model.translated_fields()}
        return {"translate": (lambda **given: model.translate(**given), specs)}
