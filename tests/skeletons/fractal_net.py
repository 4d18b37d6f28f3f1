"""FractalNet's shape (Larsson et al. 2017): a classifier whose paths are dropped in training."""

import keras
import tensorflow as tf

from tfgen import random
from tfgen.models.classification.base import ClassifierModel


@keras.saving.register_keras_serializable("tests")
class FractalNet(ClassifierModel):
    def __init__(self, *, image_shape, num_classes, filters=4, **kwargs):
        super().__init__(image_shape=image_shape, num_classes=num_classes, **kwargs)
        shapes = {"short": self.image_shape[-1], "long_0": self.image_shape[-1], "long_1": filters}
        self.convs = {n: keras.layers.Conv2D(filters, 3, padding="same", activation="relu", name=n) for n in shapes}
        for name, channels in shapes.items():
            self.convs[name].build((None, *self.image_shape[:2], channels))
        self.classes = keras.layers.Dense(num_classes, name="classes")
        self.classes.build((None, filters))
        self.built = True

    def logits(self, images, training=False):
        short = self.convs["short"](images)
        long = self.convs["long_1"](self.convs["long_0"](images))
        share = 0.5
        if training:  # one path of the two, of each image
            keys = self.noise_keys(tf.shape(images)[0], stream=0)
            share = tf.cast(random.uniform(keys, 1) > 0.5, tf.float32)[:, :, None, None]
        return self.classes(tf.reduce_mean(share * short + (1.0 - share) * long, axis=[1, 2]))
