"""Conditional instance normalisation: instance norm with a gain and a shift for each style.

Dumoulin, Shlens, Kudlur, "A Learned Representation for Artistic Style", ICLR 2017, arXiv:1610.07629, eq. 5.
"""

import keras
import tensorflow as tf

from tfgen.layers.instance_norm import normalize_maps


@keras.saving.register_keras_serializable("tfgen")
class ConditionalInstanceNorm(keras.layers.Layer):
    """Instance norm, then gamma[s] x + beta[s].

    Styles are given as weights [B, N]: one-hot rows, or mixtures of styles, with gain and shift mixed in the same way.

    Example:
        >>> layer = tfgen.layers.ConditionalInstanceNorm(num_styles=2)
        >>> halfway = tf.constant([[0.5, 0.5]])  # between two styles
        >>> layer([tf.zeros([1, 8, 8, 4]), halfway]).shape
        TensorShape([1, 8, 8, 4])

    Args:
        num_styles: N.
        epsilon: added to the (biased) variance.

    Call arguments:
        inputs: [x, weights], float [B, H, W, C] and [B, N].

    Raises:
        ValueError: not two inputs, or shapes other than these.
    """

    def __init__(self, num_styles: int, epsilon: float = 1e-5, **kwargs):
        super().__init__(**kwargs)
        if num_styles < 1 or epsilon <= 0:
            raise ValueError(
                f"num_styles must be at least 1 and epsilon positive; received {num_styles} and {epsilon}."
            )  # fmt: skip
        self.num_styles, self.epsilon = int(num_styles), float(epsilon)

    def get_config(self):
        return {**super().get_config(), "num_styles": self.num_styles, "epsilon": self.epsilon}

    def build(self, input_shape):
        shapes = [tuple(shape) for shape in input_shape] if isinstance(input_shape[0], (list, tuple)) else []
        if len(shapes) != 2 or len(shapes[0]) != 4 or shapes[1][1:] != (self.num_styles,):
            raise ValueError(
                "ConditionalInstanceNorm needs [x, weights] of shapes [batch, height, width, channels] and "
                f"[batch, {self.num_styles}]; received {input_shape}."
            )
        table = {"shape": (self.num_styles, shapes[0][-1]), "dtype": "float32", "autocast": False}
        self.gamma = self.add_weight(name="gamma", initializer="ones", **table)
        self.beta = self.add_weight(name="beta", initializer="zeros", **table)

    def call(self, inputs):
        x, weights = inputs
        weights = tf.cast(weights, tf.float32)
        gamma, beta = (tf.matmul(weights, tf.convert_to_tensor(v))[:, None, None] for v in (self.gamma, self.beta))
        return tf.cast(gamma * normalize_maps(tf.cast(x, tf.float32), self.epsilon) + beta, x.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape[0]
