"""PixelRNN: an image drawn pixel by pixel, by recurrent layers that see far or see all pixels before.

van den Oord, Kalchbrenner, Kavukcuoglu, "Pixel Recurrent Neural Networks", ICML 2016, arXiv:1601.06759, sections 3.1-3.4 and
table 1.

The idea: as in the PixelCNN, p(x) is a product over pixels in raster order, R before G before B. Each factor is a softmax
over all levels, and all are computed at once when the image is known. Layers of convolutional LSTMs stand between a first
convolution with mask A and the head. A Row LSTM carries its state from row to row and sees a triangle above a pixel. A
Diagonal BiLSTM carries it along both diagonals and sees every pixel before, but for the last pixel of the row above: with
mask A no feature of that row holds this pixel, so only the first convolution sees it, within its reach.

    x' = x + conv1x1(lstm(x))                                    2h -> h -> 2h channels                   (figure 5)
    head: relu, conv1x1, relu, conv1x1 of `head_width` maps, relu, conv1x1 to the logits              (table 1)

What differs from the paper: our own presets use Adam instead of RMSProp. Where three colours do not divide the number of
channels, the three groups of channels differ by one. Labels are an addition: their learnt vectors are added to the gates of
every layer, as the paper adds maps in its multi-scale model. The loss is in bits per dimension; the paper does not give
RMSProp's epsilon, which in Keras is 1e-7 under the root. No code of the authors is known to us.
"""

from collections.abc import Callable
from typing import Literal

import keras

from tfgen.layers.causal import CausalConv2D
from tfgen.layers.diagonal_lstm import DiagonalBiLSTM
from tfgen.layers.row_lstm import RowLSTM
from tfgen.models.autoregressive.base import AutoregressiveModel
from tfgen.models.autoregressive.pixel_cnn import Head, check_kernels
from tfgen.settings import Count, ImageShape, OddInt, PositiveInt

Cell = Literal["row", "diagonal"]


@keras.saving.register_keras_serializable("tfgen")
class PixelRNN(AutoregressiveModel):
    """PixelRNN.

    Example:
        >>> model = tfgen.models.PixelRNN(image_shape=(4, 4, 1), levels=2, cell="row", width=4, depth=1, head_width=8)
        >>> model.log_prob([[[[0.0], [1.0], [0.0], [1.0]]] * 4]).shape
        TensorShape([1])

    Args:
        image_shape: (H, W, C).
        cell: "diagonal" or "row": the recurrent layers.
        width: h; the layers have 2h channels, their LSTMs have h.
        depth: number of recurrent layers.
        head_width: channels of the two layers before the logits.
        kernel_size: odd, of the Row LSTM's convolutions along rows.
        first_kernel_size: odd, of the first layer.
        residual: whether the output of a layer is added to its input, as above; else the output replaces it.
        skip: whether the head's input is the sum of conv1x1 of all LSTMs (section 3.3), instead of the last x.
        **kwargs: see `AutoregressiveModel`.
    """

    def __init__(
        self, *, image_shape: ImageShape, cell: Cell = "diagonal", width: PositiveInt = 16, depth: Count = 7,
        head_width: PositiveInt = 32, kernel_size: OddInt = 3, first_kernel_size: OddInt = 7,
        residual: bool = True, skip: bool = False, **kwargs,
    ):  # fmt: skip
        super().__init__(image_shape=image_shape, **kwargs)
        check_rnn(self.image_shape, cell=cell, kernel_size=kernel_size, first_kernel_size=first_kernel_size)
        self.body = PixelRNNBody(
            self.likelihood.num_parameters, cell=cell, width=width, depth=depth, head_width=head_width,
            kernel_size=kernel_size, first_kernel_size=first_kernel_size, residual=residual, skip=skip,
            groups=self.image_shape[-1], condition_channels=self.num_classes, dtype=self.dtype_policy, name="body",
        )  # fmt: skip
        self.build_network()

    def network(self, x, scope, condition=None, training=False):
        return self.body(x, condition, scope=scope)


class PixelRNNBody(keras.layers.Layer):
    """The layers of a PixelRNN: x [B, H, W, C] to parameters [B, H, W, outputs], both pixel-level.

    Called with x, a condition (see `RowLSTM`) or None, and a scope. The arguments are those of `PixelRNN`.
    """

    def __init__(
        self, outputs, *, cell, width, depth, head_width, kernel_size, first_kernel_size, residual=True, skip=False,
        groups=1, condition_channels=0, **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        self.residual, self.skip = residual, skip
        half, settings = first_kernel_size // 2, {"groups": groups, "dtype": self.dtype_policy}
        lstms: dict[str, Callable] = {
            "row": lambda **args: RowLSTM(width, kernel_size=kernel_size, **args),
            "diagonal": lambda **args: DiagonalBiLSTM(width, **args),
        }
        lstm = lstms[cell]

        def widen(name):
            return [CausalConv2D(2 * width, above=0, left=0, name=f"{name}_{i}", **settings) for i in range(depth)]

        self.first = CausalConv2D(2 * width, above=half, left=half, right=half, mask="A", name="first", **settings)
        self.recurrent = [lstm(condition_channels=condition_channels, name=f"lstm_{i}", **settings) for i in range(depth)]
        self.widen = widen("widen")[: depth - 1 if skip else depth]  # with skips the last layer needs none
        self.skips = widen("skip") if skip else []
        self.head = Head(head_width, outputs, name="head", **settings)

    def build(self, input_shape):
        self.first.build(input_shape)
        wide, narrow = (*input_shape[:-1], self.first.filters), (*input_shape[:-1], self.first.filters // 2)
        for layer in (*self.recurrent, self.head):
            layer.build(wide)
        for layer in (*self.widen, *self.skips):
            layer.build(narrow)

    def call(self, x, condition=None, scope=None):
        x = self.first(x, scope=scope)
        total = None
        for i, lstm in enumerate(self.recurrent):
            h = lstm(x, condition, scope=scope)
            if self.skip:
                seen, before = self.skips[i](h, scope=scope), total
                total = seen if before is None else scope.pixels(lambda: before + seen)
            if i < len(self.widen):
                x, before = self.widen[i](h, scope=scope), x
                x = scope.pixels(lambda: before + x) if self.residual else x
        return self.head(total if self.skip else x, scope=scope)


def check_rnn(image_shape, *, cell, kernel_size, first_kernel_size):
    """Raises ValueError for kernels that are wider than the image. The Diagonal BiLSTM has no kernel size."""
    kernels = {"kernel_size": kernel_size} if cell == "row" else {}
    check_kernels(image_shape, **kernels, first_kernel_size=first_kernel_size)
