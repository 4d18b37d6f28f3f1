"""Instance normalisation: every map of every image has mean 0 and variance 1.

Ulyanov, Vedaldi, Lempitsky, "Instance Normalization: The Missing Ingredient for Fast Stylization", 2016, arXiv:1607.08022.
"""

import keras
import tensorflow as tf


def normalize_maps(x: tf.Tensor, epsilon: float) -> tf.Tensor:
    """(x - mean) / sqrt(variance + epsilon) of each map, float32 [B, H, W, C] -> same; the variance is biased."""
    # Not `tf.nn.moments`: followed by a scale and shift that are no constants, as in AdaIN, its operations make the graph
    # optimiser of TensorFlow 2.16 abort the process if oneDNN is on.
    x = x - tf.reduce_mean(x, axis=[1, 2], keepdims=True)
    return x * tf.math.rsqrt(tf.reduce_mean(tf.square(x), axis=[1, 2], keepdims=True) + epsilon)


@keras.saving.register_keras_serializable("tfgen")
class InstanceNormalization(keras.layers.Layer):
    """(x - mean) / sqrt(variance + epsilon) over height and width, for each image and channel: [B, H, W, C] -> same.

    Args:
        affine: whether a learned gain and shift for each channel follow.
        epsilon: added to the (biased) variance.

    Raises:
        ValueError: inputs that are not [B, H, W, C].
    """

    def __init__(self, affine: bool = False, epsilon: float = 1e-5, **kwargs):
        super().__init__(**kwargs)
        if epsilon <= 0:
            raise ValueError(f"epsilon must be positive; received {epsilon}.")
        self.affine, self.epsilon = bool(affine), float(epsilon)

    def get_config(self):
        return {**super().get_config(), "affine": self.affine, "epsilon": self.epsilon}

    def build(self, input_shape):
        if len(input_shape) != 4:
            raise ValueError(f"InstanceNormalization needs [batch, height, width, channels]; received shape {input_shape}.")
        if self.affine:
            shape = (input_shape[-1],)
            self.gamma = self.add_weight(name="gamma", shape=shape, initializer="ones", dtype="float32", autocast=False)
            self.beta = self.add_weight(name="beta", shape=shape, initializer="zeros", dtype="float32", autocast=False)

    def call(self, inputs):
        x = normalize_maps(tf.cast(inputs, tf.float32), self.epsilon)
        if self.affine:
            x = x * tf.convert_to_tensor(self.gamma) + tf.convert_to_tensor(self.beta)
        return tf.cast(x, inputs.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape
