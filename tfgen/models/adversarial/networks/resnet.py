"""Residual networks of WGAN-GP and, with spectral norm and conditional batch norm, of SNGAN and its projection form."""

import math

import tensorflow as tf

from tfgen.layers import ConditionalBatchNorm
from tfgen.layers.initializers import glorot
from tfgen.models.adversarial.networks.common import Discriminator, Network, batch_norm, layers, split


def up(x):
    return tf.repeat(tf.repeat(x, 2, axis=1), 2, axis=2)


def down(x):
    return tf.nn.avg_pool2d(x, 2, 2, "SAME")


class UpBlock(layers.Layer):
    """(C)BN, ReLU, up, conv, (C)BN, ReLU, conv; short cut: up, 1x1 conv."""

    def __init__(self, filters, num_classes, **kwargs):
        super().__init__(**kwargs)
        dtype, init = self.dtype_policy, glorot(math.sqrt(2))
        self.norms = [make_norm(num_classes, dtype, f"norm_{i}") for i in range(2)]
        self.convs = [layers.Conv2D(filters, 3, padding="same", kernel_initializer=init, dtype=dtype, name=f"conv_{i}")
                      for i in range(2)]  # fmt: skip
        self.shortcut = layers.Conv2D(filters, 1, kernel_initializer=glorot(), dtype=dtype, name="shortcut")

    def call(self, x, one_hot=None, training=False):
        h = tf.nn.relu(apply_norm(self.norms[0], x, one_hot, training))
        h = self.convs[0](up(h))
        h = self.convs[1](tf.nn.relu(apply_norm(self.norms[1], h, one_hot, training)))
        # A 1x1 convolution and nearest-neighbour up-sampling commute; this order is cheaper.
        return h + up(self.shortcut(x))


def make_norm(num_classes, dtype, name):
    if num_classes:
        return ConditionalBatchNorm(num_classes, dtype=dtype, name=name)
    return batch_norm(dtype, name, gamma_initializer="ones", epsilon=2e-5)


def apply_norm(norm, x, one_hot, training):
    return norm(x if one_hot is None else [x, one_hot], training=training)


class ResNetGenerator(Network):
    """z -> Dense to a grid -> blocks that double the side -> BN, ReLU, conv, tanh. Labels enter through the batch norms.

    Args:
        width: filters of all blocks; or `filters`: of the grid and of each block.
        stages: number of blocks; None: as many as keep a grid of at least 4 x 4.
        num_classes: 0, or the number of classes of the conditional batch norms.
    """

    def __init__(self, *, image_shape, width=256, filters=None, stages=None, num_classes=0, **kwargs):
        super().__init__(**kwargs)
        sides = image_shape[:2]
        if stages is None:
            stages = len(filters) - 1 if filters else max(1, int(math.log2(min(sides) / 4)))
        filters = list(filters or [width] * (stages + 1))
        if len(filters) != stages + 1 or any(side % 2**stages for side in sides):
            raise ValueError(
                f"A residual generator of {stages} blocks needs {stages + 1} filters (received {len(filters)}) and sides "
                f"that are multiples of {2**stages} (received {tuple(sides)})."
            )
        self.grid = (sides[0] // 2**stages, sides[1] // 2**stages, filters[0])
        dtype = self.dtype_policy
        self.dense = layers.Dense(math.prod(self.grid), kernel_initializer=glorot(), dtype=dtype, name="dense")
        self.blocks = [UpBlock(n, num_classes, dtype=dtype, name=f"block_{i}") for i, n in enumerate(filters[1:])]
        self.norm = make_norm(0, dtype, "norm")
        self.out = layers.Conv2D(image_shape[-1], 3, padding="same", kernel_initializer=glorot(), dtype=dtype, name="out")

    def call(self, inputs, training=False):
        z, one_hot = split(inputs)
        x = tf.reshape(self.dense(z), [-1, *self.grid])
        for block in self.blocks:
            x = block(x, one_hot, training=training)
        return tf.tanh(self.out(tf.nn.relu(self.norm(x, training=training))))


class DownBlock(layers.Layer):
    """ReLU, conv, ReLU, conv, [pool]; short cut: [1x1 conv, pool]. The first block has no ReLU before it and pools first."""

    def __init__(self, make_conv, filters, hidden, *, pool, first=False, shortcut=True, **kwargs):
        super().__init__(**kwargs)
        init = glorot(math.sqrt(2))
        self.pool, self.first = pool, first
        self.convs = [make_conv(n, 3, kernel_initializer=init, name=f"conv_{i}") for i, n in enumerate((hidden, filters))]
        self.shortcut = make_conv(filters, 1, kernel_initializer=glorot(), name="shortcut") if shortcut else None

    def call(self, x):
        pool = down if self.pool else tf.identity
        h = self.convs[0](x if self.first else tf.nn.relu(x))
        h = pool(self.convs[1](tf.nn.relu(h)))
        if self.shortcut is None:
            return h + x
        # Pooling and a 1x1 convolution commute; pooling first is cheaper.
        return h + self.shortcut(pool(x))


class ResNetDiscriminator(Discriminator):
    """Blocks that halve the side, then blocks that keep it, ReLU, global pooling -> features -> logit.

    Args:
        width: filters of all blocks; or `filters`: of each block.
        downs: number of blocks that halve the side.
        pooling: "sum" or "mean", over the positions.
    """

    def __init__(self, *, image_shape, width=128, filters=None, downs=2, pooling="sum", **kwargs):
        kwargs.setdefault("conditioning", "projection")
        super().__init__(kernel_initializer=glorot(), **kwargs)
        if pooling not in ("sum", "mean"):
            raise ValueError(f"pooling must be 'sum' or 'mean'; received {pooling!r}.")
        self.pooling = {"sum": tf.reduce_sum, "mean": tf.reduce_mean}[pooling]
        filters = list(filters or [width] * (downs + 2))
        before = image_shape[-1]
        self.blocks = []
        for i, n in enumerate(filters):
            first, pool = i == 0, i < downs
            block = DownBlock(
                self.make_conv, n, n if first else before, pool=pool, first=first, shortcut=pool or n != before,
                dtype=self.dtype_policy, name=f"block_{i}",
            )  # fmt: skip
            self.blocks.append(block)
            before = n

    def features(self, x, one_hot, training):
        for block in self.blocks:
            x = block(x)
        return self.pooling(tf.nn.relu(x), axis=[1, 2])
