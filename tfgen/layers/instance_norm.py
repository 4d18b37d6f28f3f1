"""Instance normalisation: every map of every image has mean 0 and variance 1.

Ulyanov, Vedaldi, Lempitsky, "Instance Normalization: The Missing Ingredient for Fast Stylization", 2016, arXiv:1607.08022.
"""

import keras
import tensorflow as tf


def normalize_maps(x: tf.Tensor, epsilon: float, weights: tf.Tensor | None = None) -> tf.Tensor:
    """(x - mean) / sqrt(variance + epsilon) of each map, float32 [B, H, W, C] -> same; the variance is biased.

    Args:
        x: the maps.
        epsilon: added to the variance.
        weights: None, or weights >= 0 of the pixels in both statistics, float32 [B, H, W, 1].
    """
    # Not `tf.nn.moments`: followed by a scale and shift that are no constants, as in AdaIN, its operations make the graph
    # optimiser of TensorFlow 2.16 abort the process if oneDNN is on.
    x = x - _mean(x, weights)
    return x * tf.math.rsqrt(_mean(tf.square(x), weights) + epsilon)


def adaptive_instance_norm(
    x: tf.Tensor, style: tf.Tensor, epsilon: float = 1e-5, weights: tf.Tensor | None = None
) -> tf.Tensor:  # fmt: skip
    """AdaIN: maps with the mean and standard deviation of those of a style.

    Huang, Belongie, "Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization", ICCV 2017,
    arXiv:1703.06868, eq. 8. Both variances are biased, so that AdaIN(x, x) = x; the authors' code has an unbiased one, and
    no epsilon, for the style.

    Example:
        >>> x, style = (tf.reshape(tf.constant(v), [1, -1, 1, 1]) for v in ([1.0, 2, 3, 6], [10.0, 14, 10, 14]))
        >>> tfgen.layers.adaptive_instance_norm(x, style).numpy().ravel().round().tolist()
        [10.0, 11.0, 12.0, 15.0]

    Args:
        x: float32 [B, H, W, C].
        style: float32 [B, h, w, C].
        epsilon: added to both variances.
        weights: None, or weights of the pixels of x in its statistics, see `normalize_maps`.
    """
    mean = _mean(style, None)
    variance = _mean(tf.square(style - mean), None)
    return normalize_maps(x, epsilon, weights) * tf.sqrt(variance + epsilon) + mean


def _mean(x, weights):
    if weights is None:
        return tf.reduce_mean(x, axis=[1, 2], keepdims=True)
    total = tf.reduce_sum(weights, axis=[1, 2], keepdims=True)
    return tf.math.divide_no_nan(tf.reduce_sum(weights * x, axis=[1, 2], keepdims=True), total)


@keras.saving.register_keras_serializable("tfgen")
class InstanceNormalization(keras.layers.Layer):
    """(x - mean) / sqrt(variance + epsilon) over height and width, for each image and channel: [B, H, W, C] -> same.

    Example:
        >>> layer = tfgen.layers.InstanceNormalization()
        >>> layer(tf.reshape([1.0, 3.0, 10.0, 30.0], [2, 1, 2, 1])).numpy().ravel().round(3).tolist()
        [-1.0, 1.0, -1.0, 1.0]

    Args:
        affine: whether a learned gain and shift for each channel follow.
        epsilon: added to the (biased) variance.

    Raises:
        ValueError: inputs that are not [B, H, W, C], or `epsilon` not positive.
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
