"""Conditional batch normalisation: batch norm with a gain and a shift for each class.

Dumoulin, Shlens, Kudlur, "A Learned Representation for Artistic Style", ICLR 2017, arXiv:1610.07629 (there for instance
norm); in the generator of Miyato, Koyama, "cGANs with Projection Discriminator", ICLR 2018, arXiv:1802.05637.
"""

import keras
import tensorflow as tf

from tfgen.layers.batch_norm import BatchNormalization


@keras.saving.register_keras_serializable("tfgen")
class ConditionalBatchNorm(keras.layers.Layer):
    """Batch norm, then gamma[y] x + beta[y].

    Classes are given as weights [B, K]: one-hot rows, or mixtures of classes, with gain and shift mixed in the same way
    (category morphing, arXiv:1802.05637, section 4.3). Under several replicas the statistics are those of the global batch.

    Example:
        >>> layer = tfgen.layers.ConditionalBatchNorm(num_classes=3)
        >>> layer([tf.zeros([2, 8, 8, 4]), tf.one_hot([0, 2], 3)]).shape
        TensorShape([2, 8, 8, 4])
        >>> [tuple(weight.shape) for weight in layer.trainable_weights]  # gamma and beta of each class
        [(3, 4), (3, 4)]

    Args:
        num_classes: K.
        momentum, epsilon: of the batch norm; defaults as in the authors' code (pfnet-research/sngan_projection).

    Call arguments:
        inputs: [x, weights], float [B, ..., C] and [B, K].
        training: whether to use the statistics of the batch, and to update the moving ones.

    Raises:
        ValueError: not two inputs, or shapes other than these.
    """

    def __init__(self, num_classes: int, momentum: float = 0.9, epsilon: float = 2e-5, **kwargs):
        super().__init__(**kwargs)
        if num_classes < 1:
            raise ValueError(f"num_classes must be at least 1; received {num_classes}.")
        self.num_classes, self.momentum, self.epsilon = int(num_classes), float(momentum), float(epsilon)
        self.norm = BatchNormalization(
            momentum=self.momentum, epsilon=self.epsilon, center=False, scale=False, synchronized=True,
            dtype=self.dtype_policy, name="norm",
        )  # fmt: skip

    def get_config(self):
        own = {"num_classes": self.num_classes, "momentum": self.momentum, "epsilon": self.epsilon}
        return {**super().get_config(), **own}

    def build(self, input_shape):
        shapes = [tuple(shape) for shape in input_shape] if isinstance(input_shape[0], (list, tuple)) else []
        if len(shapes) != 2 or len(shapes[0]) < 2 or shapes[1][1:] != (self.num_classes,):
            raise ValueError(
                f"ConditionalBatchNorm needs [x, weights] of shapes [batch, ..., channels] and "
                f"[batch, {self.num_classes}]; received {input_shape}."
            )
        self.norm.build(shapes[0])
        table = (self.num_classes, shapes[0][-1])
        self.gamma = self.add_weight(name="gamma", shape=table, initializer="ones")
        self.beta = self.add_weight(name="beta", shape=table, initializer="zeros")

    def call(self, inputs, training=False):
        x, weights = inputs
        weights = tf.cast(weights, self.compute_dtype)
        x = self.norm(x, training=training)
        channels = [-1, *[1] * (x.shape.rank - 2), x.shape[-1]]
        gamma, beta = (tf.reshape(tf.matmul(weights, table), channels) for table in (self.gamma, self.beta))
        return gamma * x + beta

    def compute_output_shape(self, input_shape):
        return input_shape[0]
