"""The capability Classifier: predicts the classes of images."""

import keras
import tensorflow as tf

from tfgen.models.capabilities.capability import Capability, image_spec


class Classifier(Capability):
    """A model that classifies images. A subclass sets `num_labels` and implements `class_logits`."""

    NAME = "classifier"
    SIGNATURE = "classify"
    NUMBER = "accuracy"
    num_labels = 0

    def class_logits(self, images: tf.Tensor) -> tf.Tensor:
        """Logits float32 [B, num_labels] of images float32 [B, H, W, C] in [0, 1]."""
        raise NotImplementedError(f"{type(self).__name__} must implement class_logits(images).")

    def classify(self, images: tf.Tensor) -> tf.Tensor:
        """The most probable class, int32 [B], of images float32 [B, H, W, C] in [0, 1]."""
        return tf.argmax(self.class_logits(images), axis=-1, output_type=tf.int32)

    @classmethod
    def offered_by(cls, model: keras.Model) -> bool:
        return model.num_labels > 0

    @classmethod
    def number_of(cls, model: keras.Model, batch: dict, losses: dict) -> tf.Tensor | None:
        """1 for each image that is classified correctly, else 0, float32 [B]; None if the model is not trained on labels."""
        if all(field.name != "label" for field in model.evaluation_fields()):
            return None
        return tf.cast(tf.equal(model.classify(batch["image"]), batch["label"]), tf.float32)

    @classmethod
    def prediction_of(cls, model: keras.Model, data: object) -> tf.Tensor:
        """Probabilities of the classes, float32 [B, num_labels], of images."""
        return tf.nn.softmax(model.class_logits(model.named(data)["image"]))

    @classmethod
    def signatures_of(cls, model: keras.Model) -> dict:
        return {"classify": (lambda image: {"probability": tf.nn.softmax(model.class_logits(image))}, image_spec(model))}
