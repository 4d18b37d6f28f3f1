"""Virtual batch normalisation: every example is normalised by a fixed reference batch and itself.

Salimans, Goodfellow, Zaremba, Cheung, Radford, Chen, "Improved Techniques for Training GANs", NeurIPS 2016,
arXiv:1606.03498, section 3.4.
"""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("tfgen")
class VirtualBatchNorm(keras.layers.Layer):
    """Batch norm in which a row depends on the reference rows and itself, and on no other row.

    The same reference rows are put before every batch. They are normalised with their mean m_r and mean square q_r. Row i
    of the batch, with mean m_i and mean square q_i over the positions of a map, is normalised with

        (N m_r + m_i) / (N + 1)  and  (N q_r + q_i) / (N + 1)      for N = num_reference.

    A gain and a shift for each channel follow. There are no moving statistics: inference needs the reference rows too.

    Example:
        >>> layer, reference = tfgen.layers.VirtualBatchNorm(), tf.random.stateless_normal([4, 3], [0, 0])
        >>> alone = layer(tf.concat([reference, tf.ones([1, 3])], axis=0), num_reference=4)[4]
        >>> among = layer(tf.concat([reference, tf.ones([1, 3]), tf.zeros([9, 3])], axis=0), num_reference=4)[4]
        >>> bool(tf.reduce_all(tf.abs(alone - among) < 1e-6))  # other rows of the batch change nothing
        True

    Args:
        epsilon: added to the variance.

    Call arguments:
        inputs: float [num_reference + B, ..., C], the reference rows first.
        num_reference: int of at least 1.

    Raises:
        ValueError: num_reference is not an int of at least 1, or larger than the number of rows (if that is not static:
            tf.errors.InvalidArgumentError at run time).
    """

    def __init__(self, epsilon: float = 1e-5, **kwargs):
        super().__init__(**kwargs)
        if epsilon <= 0:
            raise ValueError(f"epsilon must be positive; received {epsilon}.")
        self.epsilon = float(epsilon)

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}

    def build(self, input_shape):
        if len(input_shape) < 2:
            raise ValueError(f"VirtualBatchNorm needs inputs [batch, ..., channels]; received shape {input_shape}.")
        shape = (input_shape[-1],)
        self.gamma = self.add_weight(name="gamma", shape=shape, initializer="ones", dtype="float32", autocast=False)
        self.beta = self.add_weight(name="beta", shape=shape, initializer="zeros", dtype="float32", autocast=False)

    def call(self, inputs, num_reference):
        if not isinstance(num_reference, int) or num_reference < 1:
            raise ValueError(f"num_reference must be an int of at least 1; received {num_reference!r}.")
        if inputs.shape[0] is None:
            message = "There are fewer rows than num_reference."
            with tf.control_dependencies([tf.debugging.assert_less_equal(num_reference, tf.shape(inputs)[0], message)]):
                inputs = tf.identity(inputs)  # waits for the check
        elif inputs.shape[0] < num_reference:
            raise ValueError(f"There must be at least num_reference = {num_reference} rows; received {inputs.shape[0]}.")
        x = tf.cast(inputs, tf.float32)
        positions = list(range(1, x.shape.rank - 1))
        reference, others = x[:num_reference], x[num_reference:]
        mean, variance = tf.nn.moments(reference, axes=[0, *positions], keepdims=True)  # [1, ..., 1, C]
        own_mean, own_variance = tf.nn.moments(others, axes=positions, keepdims=True)  # [B, 1, ..., 1, C]
        # The variance of the mixture. Mean square minus squared mean is the same, but loses digits.
        own = 1.0 / (num_reference + 1.0)
        mixed_mean = mean + own * (own_mean - mean)
        mixed_variance = (1.0 - own) * (variance + own * tf.square(own_mean - mean)) + own * own_variance
        outputs = tf.concat(
            [self._normalize(reference, mean, variance), self._normalize(others, mixed_mean, mixed_variance)], axis=0
        )
        return tf.cast(outputs, inputs.dtype)

    def compute_output_shape(self, input_shape, *args, **kwargs):
        return input_shape

    def _normalize(self, x, mean, variance):
        gain = tf.convert_to_tensor(self.gamma) * tf.math.rsqrt(variance + self.epsilon)
        return (x - mean) * gain + tf.convert_to_tensor(self.beta)
