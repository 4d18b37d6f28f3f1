"""Blur by a binomial filter, for the changes of size in StyleGAN.

Karras, Laine, Aila, "A Style-Based Generator Architecture for Generative Adversarial Networks", CVPR 2019,
arXiv:1812.04948, section 2; zeros outside of the maps, as in the authors' code.
"""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("tfgen")
class Blur2D(keras.layers.Layer):
    """Convolves every channel with [1, 2, 1] x [1, 2, 1] / 16: [B, H, W, C] -> [B, H, W, C]. It has no weights.

    Example:
        >>> tfgen.layers.Blur2D()(tf.ones([1, 3, 3, 1])).numpy()[0, :, :, 0].tolist()
        [[0.5625, 0.75, 0.5625], [0.75, 1.0, 0.75], [0.5625, 0.75, 0.5625]]

    Raises:
        ValueError: inputs that are not [B, H, W, C].
    """

    def call(self, inputs):
        if inputs.shape.rank != 4:
            raise ValueError(f"Blur2D needs maps [batch, height, width, channels]; received {inputs.shape}.")
        x = tf.pad(inputs, [[0, 0], [1, 1], [1, 1], [0, 0]])
        x = 0.25 * x[:, :-2] + 0.5 * x[:, 1:-1] + 0.25 * x[:, 2:]
        return 0.25 * x[:, :, :-2] + 0.5 * x[:, :, 1:-1] + 0.25 * x[:, :, 2:]

    def compute_output_shape(self, input_shape):
        return input_shape
