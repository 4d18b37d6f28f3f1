"""Pixel normalisation: the feature vector of every pixel is scaled to mean square 1.

Karras, Aila, Laine, Lehtinen, "Progressive Growing of GANs for Improved Quality, Stability, and Variation", ICLR 2018,
arXiv:1710.10196, section 4.2.

    b = a / sqrt(mean_c a_c^2 + 1e-8)
"""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("tfgen")
class PixelNormalization(keras.layers.Layer):
    """[..., C] -> [..., C] of mean square 1 over the last axis; a vector of zeros stays. It has no weights.

    Means are computed in float32 in every dtype policy.

    Example:
        >>> tfgen.layers.PixelNormalization()(tf.constant([[3.0, -3.0], [0.0, 0.0]])).numpy().round(3).tolist()
        [[1.0, -1.0], [0.0, 0.0]]

    Args:
        epsilon: is added to the mean square.
    """

    def __init__(self, epsilon: float = 1e-8, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = float(epsilon)

    def call(self, inputs):
        x = tf.cast(inputs, tf.float32)
        scale = tf.math.rsqrt(tf.reduce_mean(tf.square(x), axis=-1, keepdims=True) + self.epsilon)
        return tf.cast(x * scale, inputs.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}
