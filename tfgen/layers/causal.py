"""Convolutions over the rows above and the pixels to the left, for whole images or step by step.

van den Oord, Kalchbrenner, Kavukcuoglu, "Pixel Recurrent Neural Networks", ICML 2016, arXiv:1601.06759 (masks A and B);
van den Oord et al., "Conditional Image Generation with PixelCNN Decoders", NeurIPS 2016, arXiv:1606.05328 (two stacks).

Both layers are called with a scope of `tfgen.sampling.cached`; "row-level" and "pixel-level" are explained there.
"""

import math

import keras
import numpy as np
import tensorflow as tf

from tfgen.layers.weight_norm import WeightNorm
from tfgen.sampling.cached import Whole


def channel_groups(channels, groups, blocks=1):
    """The group of each channel, int [channels]: `blocks` equal parts, each divided into `groups` nearly equal runs.

    With groups = 3, for R, G and B, a channel may depend on the channels of the groups up to its own. Layers whose output is
    split afterwards, as for gates, need blocks: every part then holds all groups, in the same order.

    Raises:
        ValueError: fewer channels in a block than groups, or blocks of unequal size.
    """
    size = channels // blocks
    if channels % blocks or size < groups:
        raise ValueError(f"{blocks} blocks of at least {groups} channels each are needed; received {channels} channels.")
    return np.tile(np.arange(size) * groups // size, blocks)


def causal_mask(above, left, right, kind, inputs, outputs):
    """Mask of a kernel, float32 [above + 1, left + 1 + right, in, out]: 1 for open taps, 0 for closed ones.

    Args:
        kind: "A": at the pixel itself, an output depends on the inputs of earlier groups; "B": also of its group.
        inputs, outputs: groups of the channels, see `channel_groups`.
    """
    mask = np.zeros([above + 1, left + 1 + right, len(inputs), len(outputs)], np.float32)
    mask[:above] = mask[above, :left] = 1.0
    mask[above, left] = inputs[:, None] < outputs if kind == "A" else inputs[:, None] <= outputs
    return mask


class _Convolution(keras.layers.Layer):
    """A kernel [kh, kw, in, out] and a bias. The kernel starts from Glorot's uniform, which counts only open taps."""

    activation = None

    def __init__(self, filters, *, use_bias=True, kernel_initializer=None, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.use_bias = int(filters), bool(use_bias)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def add_kernel(self, shape, seen):
        """Adds kernel and bias; `seen`: number of inputs of an output."""
        limit = math.sqrt(6.0 / (seen + seen / shape[-2] * self.filters))
        initializer = self.kernel_initializer or keras.initializers.RandomUniform(-limit, limit)
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer=initializer)
        self.bias = self.add_weight(name="bias", shape=[self.filters], initializer="zeros") if self.use_bias else None
        self.in_channels = shape[-2]

    def add_bias(self, x):
        return x if self.bias is None else x + tf.cast(tf.convert_to_tensor(self.bias), x.dtype)

    def get_config(self):
        return {
            **super().get_config(), "filters": self.filters, "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }  # fmt: skip


@keras.saving.register_keras_serializable("tfgen")
class CausalConv2D(_Convolution):
    """Convolution over the rows above and, in the current row, the pixels up to the current one: pixel- to pixel-level.

    Called with x [B, H, W, C] and a scope; without a scope x is the whole image.

    Args:
        filters: output channels.
        above: number of rows above in the kernel.
        left: number of columns to the left, in all rows.
        right: number of columns to the right, in the rows above.
        mask: "A" or "B", see `causal_mask`.
        groups: colour channels, R before G before B; 1 if all channels of a pixel are drawn at once.
        blocks: number of equal parts into which the output is split afterwards, see `channel_groups`.
        strides: 1, or 2 for half the resolution.
    """

    def __init__(self, filters, *, above, left, right=0, mask="B", groups=1, blocks=1, strides=1, **kwargs):
        super().__init__(filters, **kwargs)
        if mask not in ("A", "B") or min(above, left, right) < 0 or strides not in (1, 2):
            raise ValueError(
                "mask must be 'A' or 'B', above, left and right at least 0 and strides 1 or 2; received "
                f"{mask!r}, {above}, {left}, {right} and {strides}."
            )
        self.above, self.left, self.right, self.strides = above, left, right, strides
        self.mask, self.groups, self.blocks = mask, groups, blocks

    def get_config(self):
        names = ("above", "left", "right", "mask", "groups", "blocks", "strides")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    def build(self, input_shape):
        channels = input_shape[-1]
        inputs, outputs = channel_groups(channels, self.groups), channel_groups(self.filters, self.groups, self.blocks)
        open_taps = causal_mask(self.above, self.left, self.right, self.mask, inputs, outputs)
        self.open_taps = None if open_taps.all() else open_taps
        self.add_kernel(open_taps.shape, seen=max(open_taps.sum() / self.filters, 1.0))

    def masked_kernel(self):
        kernel = tf.convert_to_tensor(self.kernel)
        return kernel if self.open_taps is None else kernel * tf.cast(self.open_taps, kernel.dtype)

    def call(self, x, scope=None):
        if scope is None or scope.whole:
            kernel = self.masked_kernel()
            x = tf.pad(x, [[0, 0], [self.above, 0], [self.left, self.right], [0, 0]])
            return self.add_bias(tf.nn.conv2d(x, kernel, self.strides, "VALID"))
        out = scope if self.strides == 1 else scope.half()
        total = None
        if self.above:
            rows = scope.rows_before(scope.below(x, self.in_channels), self.above - 1, self.in_channels)
            total = out.across(out.rows(lambda: self._convolve_above(rows, scope)), self.filters)
        window = scope.pixels_before(x, self.left, self.in_channels)
        return out.pixels(lambda: self._convolve_pixel(window, total, scope))

    def _convolve_above(self, rows, scope):
        kernel = scope.constant(self, self.masked_kernel)[:-1]
        rows = tf.pad(rows, [[0, 0], [0, 0], [self.left, self.right], [0, 0]])
        return self.add_bias(tf.nn.conv2d(rows, kernel, self.strides, "VALID"))

    def _convolve_pixel(self, window, above, scope):
        kernel = scope.constant(self, self.masked_kernel)[-1, : self.left + 1]
        seen = (self.left + 1) * self.in_channels
        found = tf.reshape(window, [-1, seen]) @ tf.reshape(kernel, [seen, self.filters])
        found = found[:, None, None]
        return self.add_bias(found) if above is None else found + above


@keras.saving.register_keras_serializable("tfgen")
class WeightNormCausalConv2D(WeightNorm, CausalConv2D):
    """`CausalConv2D` with weight norm; further arguments as in `WeightNorm`."""


@keras.saving.register_keras_serializable("tfgen")
class RowConv2D(_Convolution):
    """Convolution over the current row and the rows above: row-level to row-level.

    Called with x [B, H, W, C] and a scope; without a scope x is the whole image.

    Args:
        filters: output channels.
        kernel_size: (rows, columns). The last row is the current one; the number of columns is odd, the middle one is the
            current one.
        strides: 1, or 2 for half the resolution.
    """

    def __init__(self, filters, kernel_size, *, strides=1, **kwargs):
        super().__init__(filters, **kwargs)
        rows, columns = kernel_size
        if rows < 1 or columns < 1 or columns % 2 == 0 or strides not in (1, 2):
            raise ValueError(
                f"kernel_size must be (rows, odd columns) and strides 1 or 2; received {kernel_size}, {strides}."
            )
        self.kernel_size, self.strides = (rows, columns), strides

    def get_config(self):
        return {**super().get_config(), "kernel_size": self.kernel_size, "strides": self.strides}

    def build(self, input_shape):
        rows, columns = self.kernel_size
        self.add_kernel([rows, columns, input_shape[-1], self.filters], seen=rows * columns * input_shape[-1])

    def call(self, x, scope=None):
        scope = scope or Whole()
        rows, columns = self.kernel_size
        window = scope.rows_before(x, rows - 1, self.in_channels)
        out = scope if self.strides == 1 else scope.half()

        def convolve():
            kernel = scope.constant(self, lambda: tf.convert_to_tensor(self.kernel))
            padded = tf.pad(window, [[0, 0], [0, 0], [columns // 2, columns // 2], [0, 0]])
            return self.add_bias(tf.nn.conv2d(padded, kernel, self.strides, "VALID"))

        return out.rows(convolve)


@keras.saving.register_keras_serializable("tfgen")
class WeightNormRowConv2D(WeightNorm, RowConv2D):
    """`RowConv2D` with weight norm; further arguments as in `WeightNorm`."""
