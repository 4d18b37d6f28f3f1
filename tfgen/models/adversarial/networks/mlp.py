"""Fully connected networks, for small images and points."""

import math

import tensorflow as tf

from tfgen.models.adversarial.networks.common import (
    OUTPUTS,
    Discriminator,
    Network,
    batch_norm,
    check_norm,
    join,
    layers,
    split,
)


class MLPGenerator(Network):
    """z [B, Z] -> images [B, H, W, C]: Dense, norm, ReLU (`depth` times); then Dense and `output`.

    Args:
        width: units of each hidden layer.
        depth: number of hidden layers.
        norm: "batch" or None.
        output: "tanh", "sigmoid", or "linear" for data without bounds.
        kernel_initializer: of all kernels.
    """

    def __init__(
        self, *, image_shape, width=256, depth=2, norm="batch", output="tanh", kernel_initializer="glorot_uniform", **kwargs
    ):
        super().__init__(**kwargs)
        check_norm(norm)
        dtype = self.dtype_policy
        self.image_shape, self.activation = image_shape, OUTPUTS[output]
        settings = {"kernel_initializer": kernel_initializer, "dtype": dtype}
        self.dense = [layers.Dense(width, use_bias=norm is None, name=f"dense_{i}", **settings) for i in range(depth)]
        self.norms = [batch_norm(dtype, f"norm_{i}") for i in range(depth)] if norm else [None] * depth
        self.out = layers.Dense(math.prod(image_shape), name="out", **settings)

    def call(self, inputs, training=False):
        x, one_hot = split(inputs)
        for dense, norm in zip(self.dense, self.norms, strict=True):
            x = dense(join(x, one_hot))
            x = tf.nn.relu(x if norm is None else norm(x, training=training))
        return tf.reshape(self.activation(self.out(join(x, one_hot))), [-1, *self.image_shape])


class MLPDiscriminator(Discriminator):
    """Images [B, H, W, C] -> Dense, norm, leaky ReLU (`depth` times); then the logit.

    Args:
        width, depth: as `MLPGenerator`.
        norm: "batch" (in all layers but the first) or None.
        slope: of the leaky ReLU; 0: ReLU.
    """

    def __init__(self, *, image_shape, width=256, depth=2, norm=None, slope=0.2, **kwargs):
        super().__init__(**kwargs)
        check_norm(norm)
        self.slope, self.size = slope, math.prod(image_shape)
        self.dense = [self.make_dense(width, name=f"dense_{i}") for i in range(depth)]
        self.norms = [batch_norm(self.dtype_policy, f"norm_{i}") if norm and i else None for i in range(depth)]

    def features(self, x, one_hot, training):
        x = tf.reshape(x, [-1, self.size])
        for dense, norm in zip(self.dense, self.norms, strict=True):
            x = dense(join(x, one_hot))
            x = tf.nn.leaky_relu(x if norm is None else norm(x, training=training), self.slope)
        return x
