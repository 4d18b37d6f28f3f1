"""The family of classifiers: p(label | image), trained by cross-entropy."""


import tensorflow as tf

from tfgen.models.base import TrainableModel
from tfgen.models.capabilities import Classifier
from tfgen.settings import ImageShape, SomeClasses


class ClassifierModel(Classifier, TrainableModel):
    """A classifier. A subclass builds its layers, sets `built`, and implements `logits`.

    Losses: "loss", the mean cross-entropy in nats, and "accuracy", the share of images that are classified correctly.

    Args:
        image_shape: (H, W, C).
        num_classes: number of classes; batches need `label`.
        **kwargs: see `TrainableModel`.
    """

    loss_names = ("loss", "accuracy")

    def __init__(self, *, image_shape: ImageShape, num_classes: SomeClasses, **kwargs):
        super().__init__(image_shape=image_shape, **kwargs)
        self.num_classes = num_classes

    @property
    def num_labels(self) -> int:
        return self.num_classes

    def conditions(self) -> tuple:
        return ()  # the labels are the output

    def logits(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Logits float32 [B, num_classes] of checked images float32 [B, H, W, C] in [0, 1]."""
        raise NotImplementedError(f"{type(self).__name__} must implement logits(images).")

    def class_logits(self, images: tf.Tensor) -> tf.Tensor:
        return self.logits(self.check_images(images))

    def call(self, images, training=False):
        return self.logits(self.check_images(images), training=training)

    def losses_of(self, batch: dict, training: bool) -> dict[str, tf.Tensor]:
        """{"loss", "accuracy"}, each float32 [B], of a batch of checked fields."""
        return self.judged(self.logits(batch["image"], training=training), batch["label"])

    def judged(self, logits: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        """{"loss", "accuracy"}, each float32 [B], of logits float32 [B, num_classes] for labels int32 [B]."""
        right = tf.equal(tf.argmax(logits, axis=-1, output_type=tf.int32), labels)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        return {"loss": loss, "accuracy": tf.cast(right, tf.float32)}

    def update(self, batch: dict) -> dict[str, tf.Tensor]:
        def losses_fn():
            return {name: tf.reduce_mean(value) for name, value in self.losses_of(batch, training=True).items()}

        return self.step_players({"model": "loss"}, losses_fn)

    def evaluation_losses(self, batch: dict) -> dict[str, tf.Tensor]:
        return self.losses_of(batch, training=False)
