"""Row LSTM: a convolutional LSTM that processes an image row by row, all pixels of a row at once.

van den Oord, Kalchbrenner, Kavukcuoglu, "Pixel Recurrent Neural Networks", ICML 2016, arXiv:1601.06759, section 3.1,
equation 3. The equations, with K^is and K^ss convolutions along the row:

    [o, f, i, g] = K^ss * h[row above] + K^is * x          sigmoid for o, f and i, tanh for g
    c = f . c[row above] + i . g
    h = o . tanh(c)

The functions below are shared with `tfgen.layers.diagonal_lstm`.
"""

import keras
import tensorflow as tf

from tfgen.layers.causal import CausalConv2D, RowConv2D
from tfgen.sampling.cached import Whole


@keras.saving.register_keras_serializable("tfgen")
class RowLSTM(keras.layers.Layer):
    """Row LSTM: pixel-level x [B, H, W, C] to pixel-level h [B, H, W, filters].

    Called with x, a condition and a scope of `tfgen.sampling.cached`; without a scope x is the whole image. The state of the
    row above the image is learned. In the n-th row above, a pixel depends on the pixels at most n * (kernel_size // 2)
    columns away: a triangle.

    Args:
        filters: channels of h.
        kernel_size: odd; columns of both convolutions. In the current row, a pixel depends on itself (mask B) and on pixels
            to the left.
        groups: colour channels, see `tfgen.layers.causal.channel_groups`.
        condition_channels: 0, or D: the condition is then a map [B, H, W, D] or a vector [B, D]; a 1x1 convolution of it is
            added to the gates.
    """

    def __init__(self, filters, *, kernel_size=3, groups=1, condition_channels=0, **kwargs):
        super().__init__(**kwargs)
        if filters < 1 or kernel_size < 1 or kernel_size % 2 == 0 or condition_channels < 0:
            raise ValueError(
                "filters must be at least 1, kernel_size odd and condition_channels at least 0; received "
                f"{filters}, {kernel_size} and {condition_channels}."
            )
        self.filters, self.kernel_size, self.groups = int(filters), int(kernel_size), int(groups)
        self.condition_channels = int(condition_channels)
        gates, dtype = 4 * self.filters, self.dtype_policy
        self.input_to_state = CausalConv2D(gates, above=0, left=kernel_size // 2, groups=groups, blocks=4, dtype=dtype,
                                           name="input_to_state")  # fmt: skip
        self.state_to_state = RowConv2D(gates, (1, kernel_size), use_bias=False, dtype=dtype, name="state_to_state")
        self.condition_to_state = condition_layer(self, gates, "condition_to_state")

    def get_config(self):
        names = ("filters", "kernel_size", "groups", "condition_channels")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    def build(self, input_shape):
        self.input_to_state.build(input_shape)
        self.state_to_state.build((None, None, None, self.filters))
        self.initial = self.add_weight(name="initial", shape=[2, self.filters], initializer="zeros")  # of h and c

    def call(self, x, condition=None, scope=None):
        scope = scope or Whole()
        h0, c0 = scope.constant(self, lambda: tf.unstack(tf.convert_to_tensor(self.initial)))
        gates = self.input_to_state(x, scope=scope)
        extra = of_condition(self.condition_to_state, condition, scope)
        if scope.whole:
            return self._whole(gates + extra, h0, c0)
        assert not isinstance(scope, Whole)
        h_buffer, c_buffer = scope.buffer(self.filters, h0), scope.buffer(self.filters, c0)
        above = self.state_to_state(h_buffer.above(), scope=scope)
        above = scope.across(scope.rows(lambda: above + extra), 4 * self.filters)
        c_above = scope.across(c_buffer.above(), self.filters)
        h, c = scope.pixels(lambda: lstm(gates + above, c_above)) or (None, None)
        h_buffer.write(h)
        c_buffer.write(c)
        return h

    def _whole(self, gates, h0, c0):
        rows = tf.transpose(gates, [1, 0, 2, 3])[:, :, None]  # [H, B, 1, W, 4 * filters]
        empty = tf.zeros_like(rows[0, ..., : self.filters])
        found = unroll(lambda i, row, h, c: lstm(row + self.state_to_state(h), c), rows, empty + h0, empty + c0)
        return tf.transpose(found[:, :, 0], [1, 0, 2, 3])


def lstm(gates, c):
    """(h, c) of the next step, [..., n] each, from the gates o, f, i, g before their nonlinearities, [..., 4n], and c."""
    o, f, i, g = tf.split(gates, 4, axis=-1)
    c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
    return tf.sigmoid(o) * tf.tanh(c), c


def unroll(step, inputs, h, c):
    """All h of a recurrence, [N, *h.shape]. In a graph it is one loop of N steps.

    Args:
        step: (i, inputs[i], h, c) -> the next (h, c).
        inputs: [N, ...], N static.
        h, c: the states before the first step.
    """
    num = inputs.shape[0]
    source = tf.TensorArray(inputs.dtype, num, element_shape=inputs.shape[1:]).unstack(inputs)

    def body(i, h, c, found):
        h, c = step(i, source.read(i), h, c)
        return i + 1, h, c, found.write(i, h)

    found = tf.TensorArray(h.dtype, num, element_shape=h.shape)
    *_, found = tf.while_loop(
        lambda i, *_: i < num, body, (tf.constant(0), h, c, found), parallel_iterations=1, maximum_iterations=num
    )
    return found.stack()


def condition_layer(owner, filters, name):
    """The 1x1 convolution, built, of an LSTM layer's condition; None for a layer without a condition."""
    if not owner.condition_channels:
        return None
    layer = RowConv2D(filters, (1, 1), use_bias=False, dtype=owner.dtype_policy, name=name)
    layer.build((None, None, None, owner.condition_channels))
    return layer


def of_condition(layer, condition, scope, above=False):
    """The term of the gates from a condition, a map [B, H, W, D], a vector [B, D] or None: row-level, or 0.

    Args:
        above: in `Stepwise`: whether the gates are those of the row above.

    Raises:
        ValueError: a condition is missing, or given to a layer with condition_channels = 0.
    """
    if (layer is None) != (condition is None):
        raise ValueError(
            f"A condition must be given if and only if condition_channels is not 0; received {condition} for {layer}."
        )
    if layer is None:
        return 0.0
    if condition.shape.rank == 2:
        return scope.constant(layer, lambda: layer(condition[:, None, None]))
    if not above:
        return layer(scope.place(condition), scope=scope)
    return layer(scope.rows(lambda: tf.gather(condition, [tf.maximum(scope.row - 1, 0)], axis=1)), scope=scope)
