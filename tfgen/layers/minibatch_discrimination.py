"""Minibatch discrimination: features that measure how close an example is to the others of its batch.

Salimans, Goodfellow, Zaremba, Cheung, Radford, Chen, "Improved Techniques for Training GANs", NeurIPS 2016,
arXiv:1606.03498, section 3.2.

    M_i = f_i T,  [B kernels, C dimensions]
    o_b(i) = sum_j exp(-|M_ib - M_jb|_1)

As in the authors' code T is weight-normed with a learned log scale, and o has a bias that starts at -1.
"""

import keras
import tensorflow as tf

from tfgen.layers.weight_norm import weight_norm


@keras.saving.register_keras_serializable("tfgen")
class MinibatchDiscrimination(keras.layers.Layer):
    """Appends to features [N, F] the closeness of each row to the other rows: [N, F + num_kernels].

    Real and fake images must come in separate batches. In distributed training the other rows are those of the same replica.
    `tfgen.layers.data_dependent_init` sets the scale and the bias from one batch, as in the authors' code.

    Example:
        >>> layer = tfgen.layers.MinibatchDiscrimination(num_kernels=3, kernel_dim=2)
        >>> layer(tf.zeros([4, 5])).shape
        TensorShape([4, 8])

    Args:
        num_kernels: B.
        kernel_dim: C.
        mask_self: whether to leave out j = i, which always adds 1 (the code leaves it out, the paper's formula has it).

    Raises:
        ValueError: inputs that are not [N, F], or a batch smaller than 2 (if its size is not static:
            tf.errors.InvalidArgumentError at run time).
    """

    def __init__(self, num_kernels: int, kernel_dim: int, mask_self: bool = True, **kwargs):
        super().__init__(**kwargs)
        if num_kernels < 1 or kernel_dim < 1:
            raise ValueError(f"num_kernels and kernel_dim must be at least 1; received {num_kernels} and {kernel_dim}.")
        self.num_kernels, self.kernel_dim, self.mask_self = int(num_kernels), int(kernel_dim), bool(mask_self)

    def get_config(self):
        own = {"num_kernels": self.num_kernels, "kernel_dim": self.kernel_dim, "mask_self": self.mask_self}
        return {**super().get_config(), **own}

    def build(self, input_shape):
        if len(input_shape) != 2:
            raise ValueError(f"MinibatchDiscrimination needs features [batch, features]; received shape {input_shape}.")
        # Distances are computed in float32 in every dtype policy.
        weight = {"dtype": "float32", "autocast": False}
        self.theta = self.add_weight(
            name="theta", shape=(input_shape[-1], self.num_kernels, self.kernel_dim),
            initializer=keras.initializers.RandomNormal(0.0, 0.05), **weight,
        )  # fmt: skip
        self.log_scale = self.add_weight(
            name="log_scale", shape=(self.num_kernels, self.kernel_dim), initializer="zeros", **weight
        )
        self.bias = self.add_weight(
            name="bias", shape=(self.num_kernels,), initializer=keras.initializers.Constant(-1.0), **weight
        )

    def call(self, inputs):
        closeness = minibatch_similarity(self._project(inputs), self.mask_self) + tf.convert_to_tensor(self.bias)
        return tf.concat([inputs, tf.cast(closeness, inputs.dtype)], axis=-1)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] + self.num_kernels)

    def initialize_from(self, inputs: tf.Tensor) -> None:
        """Sets `log_scale` and `bias` so that on this batch nearest neighbours have mean distance 2 and features mean 0."""
        distances = _distances(self._project(inputs))
        others = distances + tf.where(tf.eye(tf.shape(distances)[0], dtype=tf.bool), float("inf"), 0.0)[..., None]
        half = tf.maximum(0.5 * tf.reduce_mean(tf.reduce_min(others, axis=1), axis=0), 1e-6)  # [B]
        self.log_scale.assign_sub(tf.repeat(tf.math.log(half)[:, None], self.kernel_dim, axis=1))
        self.bias.assign(-tf.reduce_mean(minibatch_similarity(self._project(inputs), self.mask_self), axis=0))

    def _project(self, inputs):  # [N, F] -> [N, B, C]
        kernel = tf.exp(tf.convert_to_tensor(self.log_scale)) * weight_norm(tf.convert_to_tensor(self.theta), axes=[0])
        return tf.tensordot(tf.cast(inputs, tf.float32), kernel, axes=1)


def minibatch_similarity(projected: tf.Tensor, mask_self: bool = True) -> tf.Tensor:
    """o_b(i) = sum_j exp(-|M_ib - M_jb|_1).

    Example:
        >>> projected = tf.constant([[[0.0]], [[0.0]], [[100.0]]])  # two equal rows, and one far away
        >>> tfgen.layers.minibatch_similarity(projected).numpy().tolist()
        [[1.0], [1.0], [0.0]]

    Args:
        projected: M, float [N, B, C] with N of at least 2.
        mask_self: leave out j = i.

    Returns:
        [N, B], of the dtype of `projected`; in [0, N - 1] if masked, else in [1, N].

    Raises:
        ValueError: not three axes, or N below 2 (if it is not static: tf.errors.InvalidArgumentError at run time).
    """
    projected = tf.convert_to_tensor(projected)
    if projected.shape.rank != 3:
        raise ValueError(f"Projected features must be [batch, kernels, dimensions]; received shape {projected.shape}.")
    similar = tf.exp(-_distances(projected))
    if mask_self:
        # Not the sum minus 1, which would lose small summands to rounding.
        similar *= 1.0 - tf.eye(tf.shape(projected)[0], dtype=projected.dtype)[..., None]
    return tf.reduce_sum(similar, axis=1)


def _distances(projected):  # [N, B, C] -> [N, N, B]
    size = projected.shape[0]
    if size is None:
        message = "Minibatch discrimination needs at least 2 examples."
        with tf.control_dependencies([tf.debugging.assert_greater(tf.shape(projected)[0], 1, message)]):
            projected = tf.identity(projected)  # waits for the check
    elif size < 2:
        raise ValueError(f"Minibatch discrimination needs at least 2 examples in a batch; received {size}.")
    return tf.reduce_sum(tf.abs(projected[:, None] - projected[None]), axis=-1)
