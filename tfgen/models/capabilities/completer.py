"""The capability Completer: completes images of which a part is known."""

import keras
import tensorflow as tf

from tfgen import fields
from tfgen.models.capabilities.capability import Capability, condition_specs, image_spec, seeds_spec
from tfgen.settings import PositiveInt, Seed


class Completer(Capability):
    """A model that draws the unknown pixels of images. A subclass implements `complete` and `complete_rows`."""

    NAME = "completer"
    SIGNATURE = "complete"

    def complete(self, known: tf.Tensor, mask: tf.Tensor, num: PositiveInt = 1, seed: Seed = 0, **conditions) -> tf.Tensor:
        """`num` completions of each image: float32 [B, num, H, W, C].

        Args:
            known: float32 [B, H, W, C] in [0, 1]; values at unknown pixels have no effect.
            mask: bool [H, W] or [B, H, W], true for known pixels.
            num: number of completions of each image.
            seed: int in [0, 2**31); the completions of an image are a function of it, whatever the other images are. Images
                of a batch share its random numbers; `complete_rows` has a seed for each.
            **conditions: e.g. `labels` int [B], for a conditional model.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement complete(known, mask).")

    def complete_rows(self, seeds: tf.Tensor, known: tf.Tensor, mask: tf.Tensor, **conditions) -> tf.Tensor:
        """One completion for each row: seeds int [B], known float32 [B, H, W, C], mask bool [B, H, W]."""
        raise NotImplementedError(f"{type(self).__name__} must implement complete_rows(seeds, known, mask).")

    @classmethod
    def request_fields_of(cls, model: keras.Model) -> tuple[fields.Field, ...]:
        return (*super().request_fields_of(model), fields.mask(*model.image_shape[:2]), *model.conditions())

    @classmethod
    def signatures_of(cls, model: keras.Model) -> dict:
        # float32 and not bool: JSON clients send numbers.
        known = {"mask": tf.TensorSpec([None, *model.image_shape[:2]], tf.float32)}

        def complete(seeds, image, mask, **conditions):
            return {"image": model.complete_rows(seeds, model.check_images(image), mask > 0.5, **conditions)}

        return {"complete": (complete, {**seeds_spec(), **image_spec(model), **known, **condition_specs(model)})}
