"""Conditioning augmentation: a condition is drawn around a learnt mean of an embedding.

Zhang et al., "StackGAN: Text to Photo-realistic Image Synthesis with Stacked Generative Adversarial Networks", ICCV 2017,
arXiv:1612.03242, section 3.2. Few embeddings are known, and there is nothing between them; drawn conditions fill the gaps.

    c = mu(e) + sigma(e) noise
"""

from typing import Literal

import keras
import tensorflow as tf

from tfgen import settings
from tfgen.settings import PositiveInt


def glu(x: tf.Tensor) -> tf.Tensor:
    """Gated linear unit: the first half of the last axis times the sigmoid of the second half, [..., 2n] -> [..., n].

    Dauphin et al., "Language Modeling with Gated Convolutional Networks", ICML 2017, arXiv:1612.08083.

    Example:
        >>> tfgen.layers.glu([1.0, 2.0, 0.0, 0.0]).numpy().tolist()
        [0.5, 1.0]

    Raises:
        ValueError: the last axis has an odd length.
    """
    x = tf.convert_to_tensor(x)
    if x.shape[-1] % 2:
        raise ValueError(f"glu halves the last axis, whose length must be even; received the shape {x.shape}.")
    value, gate = tf.split(x, 2, axis=-1)
    return value * tf.sigmoid(gate)


@keras.saving.register_keras_serializable("tfgen")
class ConditioningAugmentation(keras.layers.Layer):
    """Embeddings float [B, E] -> (mean, ln stddev), both float32 [B, size], of the condition.

    Example:
        >>> mean, log_stddev = tfgen.layers.ConditioningAugmentation(16)(tf.zeros([2, 32]))
        >>> mean.shape, log_stddev.shape
        (TensorShape([2, 16]), TensorShape([2, 16]))

    Args:
        size: width of the condition.
        form: "log_stddev": as in StackGAN, a dense layer with leaky ReLU (slope .2) gives mean and ln stddev.
            "log_variance": as in StackGAN v2, a dense layer with a gated linear unit gives mean and ln variance.
        kernel_initializer: of the dense layer.

    Raises:
        ValueError: an argument is not of its type.
    """

    def __init__(
        self, size: PositiveInt, form: Literal["log_stddev", "log_variance"] = "log_stddev",
        kernel_initializer: str | dict = "glorot_uniform", **kwargs,
    ):  # fmt: skip
        settings.check(ConditioningAugmentation, size=size, form=form)
        super().__init__(**kwargs)
        self.size, self.form, self.kernel_initializer = int(size), form, kernel_initializer
        units = 2 * size if form == "log_stddev" else 4 * size
        self.dense = keras.layers.Dense(
            units, kernel_initializer=kernel_initializer, dtype=self.dtype_policy, name="dense"
        )  # fmt: skip

    def get_config(self):
        own = {"size": self.size, "form": self.form, "kernel_initializer": self.kernel_initializer}
        return {**super().get_config(), **own}

    def build(self, input_shape):
        self.dense.build(input_shape)

    def call(self, embedding):
        x = tf.cast(self.dense(embedding), tf.float32)
        if self.form == "log_stddev":
            mean, log_stddev = tf.split(tf.nn.leaky_relu(x, 0.2), 2, axis=-1)
            return mean, log_stddev
        mean, log_variance = tf.split(glu(x), 2, axis=-1)
        return mean, 0.5 * log_variance
