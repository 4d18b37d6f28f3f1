"""Maxout: the largest of several linear functions instead of a fixed nonlinearity.

Goodfellow, Warde-Farley, Mirza, Courville, Bengio, "Maxout Networks", ICML 2013, arXiv:1302.4389.

    h_i = max_j z_ij,   j = 1..k        z: the outputs of a dense or convolutional layer of k times the units (section 3)
"""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("tfgen")
class Maxout(keras.layers.Layer):
    """[..., units * pieces] -> [..., units]: the largest value of each `pieces` neighbouring channels.

    Example:
        >>> tfgen.layers.Maxout(2)(tf.constant([[1.0, 4.0, 3.0, 2.0]])).numpy().tolist()
        [[4.0, 3.0]]

    Args:
        pieces: k >= 1; with 1 the layer is the identity.

    Raises:
        ValueError: `pieces` below 1, or a number of channels that is not a multiple of it.
    """

    def __init__(self, pieces: int, **kwargs):
        super().__init__(**kwargs)
        if int(pieces) != pieces or pieces < 1:
            raise ValueError(f"pieces must be a whole number of at least 1; received {pieces!r}.")
        self.pieces = int(pieces)

    def call(self, inputs):
        channels = inputs.shape[-1]
        if channels % self.pieces:
            raise ValueError(f"The number of channels must be a multiple of pieces={self.pieces}; received {channels}.")
        shape = tf.concat([tf.shape(inputs)[:-1], [channels // self.pieces, self.pieces]], axis=0)
        outputs = tf.reduce_max(tf.reshape(inputs, shape), axis=-1)
        return tf.ensure_shape(outputs, self.compute_output_shape(inputs.shape))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] // self.pieces)

    def get_config(self):
        return {**super().get_config(), "pieces": self.pieces}
