"""Transposed convolutions that double the resolution and stay causal, for whole images or step by step.

Salimans, Karpathy, Chen, Kingma, "PixelCNN++", ICLR 2017, arXiv:1701.05517, section 2.3.

    y[2i + a, 2j + b] = w[a, b] x[i, j] + bias                                                        pixel-level
    y[2i + a, 2j] = w[a, 1] x[i, j] + bias,   y[2i + a, 2j + 1] = w[a, 2] x[i, j] + w[a, 0] x[i, j + 1] + bias    row-level

No value moves up, or, at pixel level, to the left. So the output is causal if each value of the input depends only on pixels
before the upper left one of its four output pixels, as it does after strided causal convolutions.
"""

import keras
import tensorflow as tf

from tfgen.layers.causal import _Convolution
from tfgen.layers.weight_norm import WeightNorm


class _Upsampling(_Convolution):
    """A kernel [2, columns, in, out] with stride 2; columns beyond the image are dropped at both sides."""

    columns: int

    def build(self, input_shape):
        channels = input_shape[-1]
        self.add_kernel([2, self.columns, channels, self.filters], seen=self.columns * channels // 2)

    def transposed_kernel(self):
        """[2, columns, out, in]."""
        return tf.transpose(tf.convert_to_tensor(self.kernel), [0, 1, 3, 2])

    def expand(self, x, kernel):
        """x [B, H, W, in] -> [B, kernel rows * H, 2W, out]."""
        batch, (height, width) = tf.shape(x)[0], x.shape[1:3]
        rows, over = kernel.shape[0], self.columns - 2
        shape = [batch, rows * height, 2 * width + over, self.filters]
        y = tf.nn.conv2d_transpose(x, kernel, shape, [rows, 2], "VALID")
        return self.add_bias(y[:, :, over:])


@keras.saving.register_keras_serializable("tfgen")
class CausalConv2DTranspose(_Upsampling):
    """Kernel 2 x 2 with stride 2: pixel-level to pixel-level.

    Called with x [B, H, W, C] and the scope of its output [B, 2H, 2W, filters]: x belongs to the scope of half that
    resolution. Without a scope x is the whole image.

    Args:
        filters: output channels.
    """

    columns = 2

    def call(self, x, scope=None):
        if scope is None or scope.whole:
            return self.expand(x, self.transposed_kernel())
        x = scope.half().held_pixels(x, self.in_channels)

        def one():
            kernel = scope.constant(self, lambda: tf.convert_to_tensor(self.kernel))[scope.row % 2, scope.column % 2]
            return self.add_bias((x[:, 0, 0] @ kernel)[:, None, None])

        return scope.pixels(one)


@keras.saving.register_keras_serializable("tfgen")
class WeightNormCausalConv2DTranspose(WeightNorm, CausalConv2DTranspose):
    """`CausalConv2DTranspose` with weight norm; further arguments as in `WeightNorm`."""


@keras.saving.register_keras_serializable("tfgen")
class RowConv2DTranspose(_Upsampling):
    """Kernel 2 x 3 with stride 2: row-level to row-level. Called as `CausalConv2DTranspose`.

    Args:
        filters: output channels.
    """

    columns = 3

    def call(self, x, scope=None):
        if scope is None or scope.whole:
            return self.expand(x, self.transposed_kernel())
        x = scope.half().held(x, self.in_channels)
        return scope.rows(lambda: self.expand(x, scope.constant(self, self.transposed_kernel)[scope.row % 2][None]))


@keras.saving.register_keras_serializable("tfgen")
class WeightNormRowConv2DTranspose(WeightNorm, RowConv2DTranspose):
    """`RowConv2DTranspose` with weight norm; further arguments as in `WeightNorm`."""
