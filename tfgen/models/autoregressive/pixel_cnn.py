"""PixelCNN: an image drawn pixel by pixel; one masked convolutional network computes all conditionals.

van den Oord, Kalchbrenner, Kavukcuoglu, "Pixel Recurrent Neural Networks", ICML 2016, arXiv:1601.06759, section 3.4-3.5,
table 1.

The idea: p(x) is the product of p(x_i | x_1 ... x_{i-1}) in raster order, and within a pixel of R, then G given R, then B
given both. A masked convolution does not see the pixels behind its own. So a stack of them gives all conditionals at once
when the image is known; each is a softmax over all levels. The first layer (mask A) does not see the value that it predicts,
the others (mask B) see the features of their own position.

    x' = x + conv1x1(relu(conv3x3(relu(conv1x1(relu(x))))))      2h -> h -> h -> 2h channels          (figure 5)
    head: relu, conv1x1, relu, conv1x1 of `head_width` maps, relu, conv1x1 to the logits              (table 1)

A stack of such kernels does not see a wedge of pixels above and to the right (the blind spot); the gated PixelCNN does.

What differs from the paper: our own presets use Adam instead of RMSProp. Where three colours do not divide the number of
channels, the three groups of channels differ by one. Kernels are stored without the rows below their centre, which the mask
would close. The loss is in bits per dimension; the paper does not give RMSProp's epsilon, which in Keras is 1e-7 under the
root. No code of the authors is known to us.
"""


import keras
import tensorflow as tf

from tfgen.layers.causal import CausalConv2D
from tfgen.models.autoregressive.base import AutoregressiveModel
from tfgen.settings import Count, ImageShape, OddInt, PositiveInt


@keras.saving.register_keras_serializable("tfgen")
class PixelCNN(AutoregressiveModel):
    """PixelCNN with residual blocks.

    Example:
        >>> model = tfgen.models.PixelCNN(image_shape=(4, 4, 1), levels=2, width=4, depth=1, first_kernel_size=3)
        >>> images = model.sample(2)
        >>> model.log_prob(images).shape
        TensorShape([2])

    Args:
        image_shape: (H, W, C).
        width: h; the blocks have 2h channels, and h between their convolutions.
        depth: number of residual blocks.
        head_width: channels of the two layers before the logits.
        kernel_size: odd, of the middle convolution of a block.
        first_kernel_size: odd, of the first layer.
        **kwargs: see `AutoregressiveModel`. A conditional model adds a learnt vector of the label in every block.
    """

    def __init__(
        self, *, image_shape: ImageShape, width: PositiveInt = 16, depth: Count = 7, head_width: PositiveInt = 32,
        kernel_size: OddInt = 3, first_kernel_size: OddInt = 7, **kwargs,
    ):  # fmt: skip
        super().__init__(image_shape=image_shape, **kwargs)
        check_kernels(self.image_shape, kernel_size=kernel_size, first_kernel_size=first_kernel_size)
        groups, dtype = self.image_shape[-1], self.dtype_policy

        def conv(filters, size, mask, name, **settings):
            half = size // 2
            return CausalConv2D(filters, above=half, left=half, right=half, mask=mask, groups=groups, dtype=dtype, name=name,
                                **settings)  # fmt: skip

        self.first = conv(2 * width, first_kernel_size, "A", "first")
        self.narrow = [conv(width, 1, "B", f"narrow_{i}") for i in range(depth)]
        self.middle = [conv(width, kernel_size, "B", f"middle_{i}") for i in range(depth)]
        self.widen = [conv(2 * width, 1, "B", f"widen_{i}") for i in range(depth)]
        labelled = depth if self.num_classes else 0
        self.label_layers = [
            keras.layers.Dense(width, use_bias=False, dtype=dtype, name=f"label_{i}") for i in range(labelled)
        ]
        self.head = Head(head_width, self.likelihood.num_parameters, groups=groups, dtype=dtype, name="head")
        self.build_network()

    def network(self, x, scope, condition=None, training=False):
        x = self.first(x, scope=scope)
        for i in range(len(self.middle)):
            h = self.narrow[i](scope.pixels(lambda: tf.nn.relu(x)), scope=scope)
            if condition is not None:
                label = scope.constant(self.label_layers[i], lambda: self.label_layers[i](condition)[:, None, None])
                h = scope.pixels(lambda: h + label)
            h = self.middle[i](scope.pixels(lambda: tf.nn.relu(h)), scope=scope)
            h = self.widen[i](scope.pixels(lambda: tf.nn.relu(h)), scope=scope)
            x = scope.pixels(lambda: x + h)
        return self.head(x, scope=scope)


@keras.saving.register_keras_serializable("tfgen")
class Head(keras.layers.Layer):
    """relu, conv1x1, relu, conv1x1 of `width` maps, relu, conv1x1 of `outputs`, all with mask B: pixel-level to pixel-level.

    Called with x [B, H, W, C] and a scope.
    """

    def __init__(self, width, outputs, *, groups=1, **kwargs):
        super().__init__(**kwargs)
        settings = {"above": 0, "left": 0, "groups": groups, "dtype": self.dtype_policy}
        self.convs = [
            CausalConv2D(filters, name=f"conv_{i}", **settings) for i, filters in enumerate((width, width, outputs))
        ]

    def build(self, input_shape):
        for conv in self.convs:
            conv.build(input_shape)
            input_shape = (*input_shape[:-1], conv.filters)

    def call(self, x, scope):
        for conv in self.convs:
            x = conv(scope.pixels(lambda: tf.nn.relu(x)), scope=scope)
        return x


def check_kernels(image_shape, **sizes):
    """Raises ValueError for kernels {name: size} that are wider than the image."""
    for name, size in sizes.items():
        if size // 2 >= min(image_shape[:2]):
            raise ValueError(f"{name} {size} reaches beyond images of {image_shape[0]} x {image_shape[1]} pixels.")
