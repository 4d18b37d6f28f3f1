"""Minibatch standard deviation: a channel that tells a discriminator how much the images of a batch vary.

Karras, Aila, Laine, Lehtinen, "Progressive Growing of GANs for Improved Quality, Stability, and Variation", ICLR 2018,
arXiv:1710.10196, section 3; groups as in the authors' code.

    s_g = mean_hwc sqrt(var_n x_nhwc + 1e-8),  n in group g          sample n is in group n mod (N / size of a group)
"""

import keras
import tensorflow as tf

from tfgen.settings import PositiveInt, fits, shown, wanted


@keras.saving.register_keras_serializable("tfgen")
class MinibatchStdDev(keras.layers.Layer):
    """Appends to maps [N, H, W, C] the mean standard deviation of each sample's group: [N, H, W, C + 1].

    There are ceil(N / group_size) groups, and sample n is in group n modulo their number. If N is no multiple of
    `group_size`, sizes of groups differ by at most one, and none is above `group_size`; the authors' code fails there. In a
    group of one the value is 1e-4. In distributed training, groups are within a replica. It has no weights.

    Example:
        >>> maps = tfgen.layers.MinibatchStdDev(group_size=2)(tf.reshape([1.0, 2.0, 5.0, 2.0], [4, 1, 1, 1]))
        >>> maps.numpy()[..., 1].ravel().round(3).tolist()  # of 1 and 5, and of 2 and 2
        [2.0, 0.0, 2.0, 0.0]

    Args:
        group_size: largest number of samples in a group, >= 1.

    Raises:
        ValueError: `group_size` is no whole number >= 1, or inputs that are not [N, H, W, C].
    """

    def __init__(self, group_size: int = 4, **kwargs):
        super().__init__(**kwargs)
        if not fits(PositiveInt, group_size):
            raise ValueError(f"group_size must be {wanted(PositiveInt)}; received {shown(group_size)}.")
        self.group_size = int(group_size)

    def call(self, inputs):
        if inputs.shape.rank != 4:
            raise ValueError(f"MinibatchStdDev needs maps [batch, height, width, channels]; received {inputs.shape}.")
        x, num = tf.cast(inputs, tf.float32), inputs.shape[0] or tf.shape(inputs)[0]
        groups = (num + self.group_size - 1) // self.group_size
        size = (num + groups - 1) // groups
        x = tf.pad(x, [[0, size * groups - num], [0, 0], [0, 0], [0, 0]])
        x = tf.reshape(x, tf.concat([[size, groups], tf.shape(x)[1:]], axis=0))
        there = tf.cast(tf.reshape(tf.range(size * groups) < num, [size, groups, 1, 1, 1]), tf.float32)
        share = there / tf.reduce_sum(there, axis=0)
        variance = tf.reduce_sum(share * tf.square(x - tf.reduce_sum(share * x, axis=0)), axis=0)
        deviation = tf.reduce_mean(tf.sqrt(variance + 1e-8), axis=[1, 2, 3])  # [groups]
        channel = tf.tile(deviation, [size])[:num, None, None, None] * tf.ones_like(inputs[..., :1], tf.float32)
        return tf.concat([inputs, tf.cast(channel, inputs.dtype)], axis=-1)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] + 1)

    def get_config(self):
        return {**super().get_config(), "group_size": self.group_size}
