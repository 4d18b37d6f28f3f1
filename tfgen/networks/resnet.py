"""Residual networks of WGAN-GP and, with spectral norm and conditional batch norm, of SNGAN and its projection form."""

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import tensorflow as tf

from tfgen.layers.initializers import glorot
from tfgen.networks.common import Discriminator, Network, join, layers, split
from tfgen.networks.self_modulation import modulation
from tfgen.networks.slots import attend, make_attentions, make_norm, normalize
from tfgen.settings import Count, NaturalInt, PositiveInt, within

# The settings of batch norm in these networks.
BATCH_NORM = {"gamma_initializer": "ones", "epsilon": 2e-5}


def up(x):
    return tf.repeat(tf.repeat(x, 2, axis=1), 2, axis=2)


def down(x):
    return tf.nn.avg_pool2d(x, 2, 2, "SAME")


class UpBlock(layers.Layer):
    """(C)BN, ReLU, upsampling, conv, (C)BN, ReLU, conv; shortcut: upsampling, 1x1 conv."""

    def __init__(self, make_conv, filters, norm, num_classes, kernel_initializer=None, **kwargs):
        super().__init__(**kwargs)
        init = kernel_initializer or glorot(math.sqrt(2))
        self.norms = [
            make_norm(norm, self.dtype_policy, f"norm_{i}", num_classes=num_classes, **BATCH_NORM) for i in range(2)
        ]
        self.convs = [make_conv(filters, 3, kernel_initializer=init, name=f"conv_{i}") for i in range(2)]
        self.shortcut = make_conv(filters, 1, kernel_initializer=kernel_initializer or glorot(), name="shortcut")

    def call(self, x, one_hot=None, training=False):
        h = tf.nn.relu(normalize(self.norms[0], x, training, one_hot))
        h = self.convs[0](up(h))
        h = self.convs[1](tf.nn.relu(normalize(self.norms[1], h, training, one_hot)))
        # A 1x1 convolution and nearest-neighbour upsampling commute; convolving first is cheaper.
        return h + up(self.shortcut(x))


class ResNetGenerator(Network):
    """z -> Dense to a grid -> blocks that double the side -> BN, ReLU, conv, tanh. Labels enter through the batch norms.

    Example:
        >>> network = tfgen.networks.ResNetGenerator(image_shape=(8, 8, 1), width=4, num_classes=3)
        >>> network([tf.zeros([2, 5]), tf.one_hot([0, 2], 3)]).shape
        TensorShape([2, 8, 8, 1])

    Args:
        width: filters of all blocks; `filters` instead gives those of the grid and of each block.
        stages: number of blocks; None: as many as keep a grid of at least 4 x 4.
        num_classes: 0, or the number of classes of the conditional batch norms.
        norm: "batch", "instance", None or a function, see `make_norm`; the last norm gets no labels. Or "self_modulated":
            all norms get the latents, joined with the labels, see `SelfModulatedBatchNorm`.
        attention: None or a function, see `make_attentions`; after each block.
        kernel_initializer: of all kernels, as a name or config; None: Glorot's, larger by sqrt 2 in 3x3 convolutions.
        **kwargs: see `Network`.
    """

    def __init__(
        self, *, image_shape: Sequence[int], width: PositiveInt = 256, filters: Sequence[PositiveInt] | None = None,
        stages: Count | None = None, num_classes: NaturalInt = 0, norm: str | Callable | None = "batch",
        attention: Callable | None = None, kernel_initializer: str | dict | None = None, **kwargs,
    ):  # fmt: skip
        super().__init__(kernel_initializer=kernel_initializer or glorot(), **kwargs)
        sides = image_shape[:2]
        if stages is None:
            stages = len(filters) - 1 if filters else max(1, int(math.log2(min(sides) / 4)))
        filters = list(filters or [width] * (stages + 1))
        if len(filters) != stages + 1 or any(side % 2**stages for side in sides):
            raise ValueError(
                f"A residual generator of {stages} blocks needs {stages + 1} filters (received {len(filters)}) and sides "
                f"that are multiples of {2**stages} (received {tuple(sides)})."
            )
        norm, self.modulated = modulation(norm, self.make_dense)
        self.grid = (sides[0] // 2**stages, sides[1] // 2**stages, filters[0])
        dtype, sizes = self.dtype_policy, [tuple(side // 2**i for side in sides) for i in reversed(range(stages))]
        self.dense = self.make_dense(math.prod(self.grid), name="dense")
        self.blocks = [
            UpBlock(self.make_conv, n, norm, num_classes, kernel_initializer, dtype=dtype, name=f"block_{i}")
            for i, n in enumerate(filters[1:])
        ]
        self.attentions = make_attentions(attention, sizes, dtype)
        self.norm = make_norm(norm, dtype, "norm", **BATCH_NORM)
        self.out = self.make_conv(image_shape[-1], 3, name="out")

    def call(self, inputs, training=False):
        z, one_hot = split(inputs)
        # What the norms get: of the blocks, and the last.
        inner, last = [join(z, one_hot)] * 2 if self.modulated else (one_hot, None)
        x = tf.reshape(self.dense(z), [-1, *self.grid])
        for block, attention in zip(self.blocks, self.attentions, strict=True):
            x = attend(attention, block(x, inner, training=training))
        return tf.tanh(self.out(tf.nn.relu(normalize(self.norm, x, training, last))))


class DownBlock(layers.Layer):
    """ReLU, conv, ReLU, conv, [pool]; shortcut: [1x1 conv, pool]. The first block has no first ReLU and pools before the 1x1
    conv.
    """

    def __init__(
        self, make_conv, filters, hidden, *, pool, first=False, shortcut=True, kernel_initializer=None, **kwargs
    ):  # fmt: skip
        super().__init__(**kwargs)
        init, self.shortcut = kernel_initializer or glorot(math.sqrt(2)), None
        self.pool, self.first = pool, first
        self.convs = [make_conv(n, 3, kernel_initializer=init, name=f"conv_{i}") for i, n in enumerate((hidden, filters))]
        if shortcut:
            self.shortcut = make_conv(filters, 1, kernel_initializer=kernel_initializer or glorot(), name="shortcut")

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

    Example:
        >>> network = tfgen.networks.ResNetDiscriminator(image_shape=(8, 8, 1), width=4, downs=1)
        >>> {name: tuple(found.shape) for name, found in network([tf.zeros([2, 8, 8, 1])]).items()}
        {'logit': (2, 1), 'features': (2, 4)}

    Args:
        width: filters of all blocks; `filters` instead gives those of each block.
        downs: number of blocks that halve the side.
        hidden: filters of the first convolution of a block after the first: those of the block's "input" or "output".
        pooling: "sum" or "mean", over the positions.
        shortcuts: blocks whose shortcut has a 1x1 convolution: "changed", those that change the size or the number of
            filters; or "all".
        attention: None or a function, see `make_attentions`; after each block.
        kernel_initializer: as in `ResNetGenerator`.
        **kwargs: see `Discriminator` and `Network`.
    """

    def __init__(
        self, *, image_shape: Sequence[int], width: PositiveInt = 128, filters: Sequence[PositiveInt] | None = None,
        downs: Annotated[int, within(0, 13)] = 2, hidden: Literal["input", "output"] = "input",
        pooling: Literal["sum", "mean"] = "sum", shortcuts: Literal["changed", "all"] = "changed",
        attention: Callable | None = None, kernel_initializer: str | dict | None = None, **kwargs,
    ):  # fmt: skip
        kwargs.setdefault("conditioning", "projection")
        super().__init__(kernel_initializer=kernel_initializer or glorot(), **kwargs)
        self.pooling = {"sum": tf.reduce_sum, "mean": tf.reduce_mean}[pooling]
        filters = list(filters or [width] * (downs + 2))
        before, size = image_shape[-1], tuple(image_shape[:2])
        self.blocks, sizes = [], []
        for i, n in enumerate(filters):
            first, pool = i == 0, i < downs
            shortcut = shortcuts == "all" or pool or n != before
            block = DownBlock(
                self.make_conv, n, n if first or hidden == "output" else before, pool=pool, first=first, shortcut=shortcut,
                kernel_initializer=kernel_initializer, dtype=self.dtype_policy, name=f"block_{i}",
            )  # fmt: skip
            self.blocks.append(block)
            before, size = n, tuple(-(-side // 2) for side in size) if pool else size
            sizes.append(size)
        self.attentions = make_attentions(attention, sizes, self.dtype_policy)

    def features(self, x: tf.Tensor, one_hot: tf.Tensor | None, training: bool) -> tf.Tensor:
        """The features [B, F] of images [B, H, W, C] in [-1, 1]; one_hot: labels [B, K], or None."""
        for block, attention in zip(self.blocks, self.attentions, strict=True):
            x = attend(attention, block(x))
        return self.pooling(tf.nn.relu(x), axis=[1, 2])
