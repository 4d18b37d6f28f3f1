"""Fully connected networks, for small images and points."""

import math
from collections.abc import Callable, Sequence
from typing import Literal

import tensorflow as tf

from tfgen.networks.common import OUTPUTS, Discriminator, Network, Output, join, split
from tfgen.networks.self_modulation import modulation
from tfgen.networks.slots import make_norm, normalize
from tfgen.settings import Count, NonNegativeFloat, PositiveInt


class MLPGenerator(Network):
    """z [B, Z] -> images [B, H, W, C]: Dense, norm, ReLU (`depth` times); then Dense and `output`.

    Example:
        >>> network = tfgen.networks.MLPGenerator(image_shape=(8, 8, 1), width=16)
        >>> network([tf.zeros([2, 5])]).shape
        TensorShape([2, 8, 8, 1])

    Args:
        width: units of each hidden layer.
        depth: number of hidden layers.
        norm: "batch", None or a function, see `make_norm`; or "self_modulated", see `SelfModulatedBatchNorm`.
        output: "tanh", "sigmoid", or "linear" for unbounded data.
        **kwargs: see `Network`.
    """

    def __init__(
        self, *, image_shape: Sequence[int], width: PositiveInt = 256, depth: Literal[0] | Count = 2,
        norm: str | Callable | None = "batch", output: Output = "tanh", **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        self.image_shape, self.activation = image_shape, OUTPUTS[output]
        self.dense = [self.make_dense(width, use_bias=norm is None, name=f"hidden_{i}") for i in range(depth)]
        norm, self.modulated = modulation(norm, self.make_dense)
        self.norms = [make_norm(norm, self.dtype_policy, f"norm_{i}") for i in range(depth)]
        self.out = self.make_dense(math.prod(image_shape), name="out")

    def call(self, inputs, training=False):
        x, one_hot = split(inputs)
        condition = join(x, one_hot) if self.modulated else None
        for dense, norm in zip(self.dense, self.norms, strict=True):
            x = tf.nn.relu(normalize(norm, dense(join(x, one_hot)), training, condition))
        return tf.reshape(self.activation(self.out(join(x, one_hot))), [-1, *self.image_shape])


class MLPDiscriminator(Discriminator):
    """Images [B, H, W, C] -> Dense, norm, leaky ReLU (`depth` times); then the logit.

    Example:
        >>> network = tfgen.networks.MLPDiscriminator(image_shape=(8, 8, 1), width=16)
        >>> {name: tuple(found.shape) for name, found in network([tf.zeros([2, 8, 8, 1])]).items()}
        {'logit': (2, 1), 'features': (2, 16)}

    Args:
        width, depth: see `MLPGenerator`.
        norm: see `MLPGenerator`; there is none after the first layer.
        slope: slope of the leaky ReLU; 0: ReLU.
        **kwargs: see `Discriminator` and `Network`.
    """

    def __init__(
        self, *, image_shape: Sequence[int], width: PositiveInt = 256, depth: Literal[0] | Count = 2,
        norm: str | Callable | None = None, slope: NonNegativeFloat = 0.2, **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        self.slope, self.size = slope, math.prod(image_shape)
        self.dense = [self.make_dense(width, name=f"hidden_{i}") for i in range(depth)]
        self.norms = [make_norm(norm if i else None, self.dtype_policy, f"norm_{i}") for i in range(depth)]

    def features(self, x: tf.Tensor, one_hot: tf.Tensor | None, training: bool) -> tf.Tensor:
        """The features [B, F] of images [B, H, W, C] in [-1, 1]; one_hot: labels [B, K], or None."""
        x = tf.reshape(x, [-1, self.size])
        for dense, norm in zip(self.dense, self.norms, strict=True):
            x = tf.nn.leaky_relu(normalize(norm, dense(join(x, one_hot)), training), self.slope)
        return x
