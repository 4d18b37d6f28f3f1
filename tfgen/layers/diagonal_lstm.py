"""Diagonal BiLSTM: two LSTMs along the diagonals of an image, from both upper corners; together they see all earlier pixels.

van den Oord, Kalchbrenner, Kavukcuoglu, "Pixel Recurrent Neural Networks", ICML 2016, arXiv:1601.06759, section 3.2. With
the pixels to the left, in row i, and above, in row i - 1, of a pixel:

    [o, f, i, g] = K^ss (h[above], h[left]) + K^is x          sigmoid for o, f and i, tanh for g; K^is is 1x1, mask B
    c = f . c[left] + i . g
    h = o . tanh(c)

In the skewed map row i is moved right by i. There the pixels to the left and above are in one column, so all pixels of a
column are computed at once, in H + W - 1 steps for an image. The other direction is the same on the mirrored map. Its output
at a pixel depends on the pixels to the right, so it is moved down by one row before the two are added.
"""

import keras
import tensorflow as tf

from tfgen.layers.causal import CausalConv2D, RowConv2D
from tfgen.layers.row_lstm import condition_layer, lstm, of_condition, unroll
from tfgen.sampling.cached import Whole, shift_down


@keras.saving.register_keras_serializable("tfgen")
class DiagonalBiLSTM(keras.layers.Layer):
    """Diagonal BiLSTM: pixel-level x [B, H, W, C] to pixel-level h [B, H, W, filters], the sum of both directions.

    Called with x, a condition and a scope of `tfgen.sampling.cached`; without a scope x is the whole image. The states left
    of the first pixel of a row (in the mirrored map: right of the last) are learned; h above the image is 0.

    Args:
        filters: channels of h.
        groups: colour channels, see `tfgen.layers.causal.channel_groups`.
        condition_channels: 0, or D: the condition is then a map [B, H, W, D] or a vector [B, D]; a 1x1 convolution of it is
            added to the gates of both directions.
    """

    def __init__(self, filters, *, groups=1, condition_channels=0, **kwargs):
        super().__init__(**kwargs)
        if filters < 1 or condition_channels < 0:
            raise ValueError(
                f"filters must be at least 1 and condition_channels at least 0; received {filters}, {condition_channels}."
            )
        self.filters, self.groups, self.condition_channels = int(filters), int(groups), int(condition_channels)
        gates, dtype = 4 * self.filters, self.dtype_policy
        self.rightward_input = CausalConv2D(gates, above=0, left=0, groups=groups, blocks=4, dtype=dtype, name="rightward")
        # Its inputs are only rows above, so it needs no mask.
        self.leftward_input = RowConv2D(gates, (1, 1), dtype=dtype, name="leftward")
        self.rightward_condition = condition_layer(self, gates, "rightward_condition")
        self.leftward_condition = condition_layer(self, gates, "leftward_condition")

    def get_config(self):
        names = ("filters", "groups", "condition_channels")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    def build(self, input_shape):
        n, self.in_channels = self.filters, input_shape[-1]
        self.rightward_input.build(input_shape)
        self.leftward_input.build(input_shape)
        # For each direction: kernels of the pixel above and of the pixel before.
        uniform = keras.initializers.RandomUniform(-(n**-0.5), n**-0.5)  # Glorot's, for 2n inputs and 4n outputs
        self.state_kernel = self.add_weight(name="state_kernel", shape=[2, 2 * n, 4 * n], initializer=uniform)
        self.initial = self.add_weight(name="initial", shape=[2, 2, n], initializer="zeros")  # h, c; directions

    def call(self, x, condition=None, scope=None):
        scope = scope or Whole()
        if scope.whole:
            return self._whole(x, condition, scope)
        return self._steps(x, condition, scope)

    def _whole(self, x, condition, scope):
        n = self.filters
        rightward = self.rightward_input(x, scope=scope) + of_condition(self.rightward_condition, condition, scope)
        leftward = self.leftward_input(x, scope=scope) + of_condition(self.leftward_condition, condition, scope)
        gates = skew(tf.concat([rightward, tf.reverse(leftward, [2])], axis=-1))
        batch, (height, columns) = tf.shape(x)[0], gates.shape[1:3]
        gates = tf.transpose(tf.reshape(gates, [batch, height, columns, 2, 4 * n]), [2, 3, 1, 0, 4])
        gates = tf.reshape(gates, [columns, 2, height * batch, 4 * n])  # for each column and direction, row by row
        kernel, (h, c) = tf.convert_to_tensor(self.state_kernel), tf.unstack(tf.convert_to_tensor(self.initial)[:, :, None])
        first_columns = tf.repeat(tf.range(height), batch)[:, None]

        def step(column, gates, h, c):
            above = tf.pad(h[:, : (height - 1) * batch], [[0, 0], [batch, 0], [0, 0]])
            found = lstm(gates + tf.concat([above, h], axis=-1) @ kernel, c)
            begun = column >= first_columns  # before that a row keeps its initial state
            return tuple(tf.where(begun, new, old) for new, old in zip(found, (h, c), strict=True))

        empty = tf.zeros_like(gates[0, ..., :n])
        found = tf.reshape(unroll(step, gates, empty + h, empty + c), [columns, 2, height, batch, n])
        found = unskew(tf.reshape(tf.transpose(found, [3, 2, 0, 1, 4]), [batch, height, columns, 2 * n]))
        rightward, leftward = tf.split(found, 2, axis=-1)
        return rightward + shift_down(tf.reverse(leftward, [2]))

    def _steps(self, x, condition, scope):
        n = self.filters
        kernels, initial = scope.constant(
            self, lambda: (tf.convert_to_tensor(self.state_kernel), tf.convert_to_tensor(self.initial))
        )
        leftward = scope.across(self._leftward_row(x, condition, scope, kernels[1], initial[:, 1]), n)
        h_buffer, c_buffer = scope.buffer(n), scope.buffer(n)
        extra = of_condition(self.rightward_condition, condition, scope)
        above = scope.rows(lambda: tf.tensordot(h_buffer.above(), kernels[0, :n], 1) + extra)
        above = scope.across(above, 4 * n)
        gates = self.rightward_input(x, scope=scope)
        h_left, c_left = h_buffer.left(initial[0, 0]), c_buffer.left(initial[1, 0])
        step = scope.pixels(lambda: lstm(gates + above + tf.tensordot(h_left, kernels[0, n:], 1), c_left))
        h, c = step or (None, None)
        h_buffer.write(h)
        c_buffer.write(c)
        return scope.pixels(lambda: h + leftward)

    def _leftward_row(self, x, condition, scope, kernel, initial):
        """h of the leftward direction in the row above, row-level [B, 1, W, filters]; 0 above the image."""
        n = self.filters
        gates = self.leftward_input(scope.below(x, self.in_channels), scope=scope)
        memory = scope.memory(n)
        extra = of_condition(self.leftward_condition, condition, scope, above=True)

        def row():
            inputs = (gates + extra + tf.tensordot(memory.read(), kernel[:n], 1))[:, 0]  # [B, W, 4 * filters]
            inputs = tf.reverse(tf.transpose(inputs, [1, 0, 2]), [0])
            empty = tf.zeros_like(inputs[0, :, :n])
            found = unroll(lambda i, z, h, c: lstm(z + h @ kernel[n:], c), inputs, empty + initial[0], empty + initial[1])
            found = tf.transpose(tf.reverse(found, [0]), [1, 0, 2])[:, None]
            return tf.where(scope.row > 0, found, tf.zeros_like(found))

        h = scope.rows(row)
        memory.write(h)
        return h


def skew(x):
    """x [B, H, W, C] with row i moved right by i: [B, H, W + H - 1, C], zeros elsewhere."""
    height, width, channels = x.shape[1:]
    # Cut into rows one shorter than W + H, so that each row starts one pixel later than the one before.
    x = tf.reshape(tf.pad(x, [[0, 0], [0, 0], [0, height], [0, 0]]), [-1, height * (width + height), channels])
    return tf.reshape(x[:, :-height], [-1, height, width + height - 1, channels])


def unskew(x):
    """The inverse of `skew`: x [B, H, W + H - 1, C] to [B, H, W, C]."""
    height, columns, channels = x.shape[1:]
    x = tf.pad(tf.reshape(x, [-1, height * columns, channels]), [[0, 0], [0, height], [0, 0]])
    return tf.reshape(x, [-1, height, columns + 1, channels])[:, :, : columns + 1 - height]
