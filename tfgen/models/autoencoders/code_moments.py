"""A normal distribution of codes for models without a prior, with the moments of the codes in training."""

import keras
import tensorflow as tf

from tfgen import random


@keras.saving.register_keras_serializable("tfgen")
class CodeMoments(keras.layers.Layer):
    """Running mean and mean square of each component of the codes, initially 0 and 1.

    Args:
        size: Z, the size of a code.
        momentum: weight of the earlier batches; with 0.99 the moments are over about 100 batches.
    """

    def __init__(self, size, momentum=0.99, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.momentum = momentum
        settings = {"shape": (size,), "trainable": False, "aggregation": "mean"}
        self.mean = self.add_weight(name="code_mean", initializer="zeros", **settings)
        self.square = self.add_weight(name="code_square", initializer="ones", **settings)
        self.built = True

    def update(self, codes):
        """Updates the moments with the codes float32 [B, Z] of a training step."""
        for moment, seen in ((self.mean, codes), (self.square, codes**2)):
            moment.assign(self.momentum * moment + (1.0 - self.momentum) * tf.reduce_mean(seen, axis=0))

    def draw(self, keys):
        """Codes float32 [B, Z] drawn with keys [B] of `tfgen.random`."""
        variance = tf.maximum(self.square - self.mean**2, 0.0)
        return self.mean + tf.sqrt(variance) * random.normal(keys, self.mean.shape[0])
