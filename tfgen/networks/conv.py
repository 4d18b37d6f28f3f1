"""Strided convolutional networks, as in DCGAN and in papers that change its settings."""

import math
from collections.abc import Callable, Sequence

import tensorflow as tf

from tfgen.layers.initializers import normal
from tfgen.networks.common import OUTPUTS, Discriminator, Network, Output, flatten, join, split
from tfgen.networks.self_modulation import modulation
from tfgen.networks.slots import attend, make_attentions, make_norm, normalize
from tfgen.settings import Count, NonNegativeFloat, PositiveInt


def default_stages(image_shape):
    """The largest number of convolutions of stride 2 for which the smallest grid is at least 4 x 4."""
    side, stages = min(image_shape[:2]), 0
    while side % 2 == 0 and side // 2 >= 4:
        side, stages = side // 2, stages + 1
    return max(stages, 1)


def per_layer(value, count, what):
    """One value for each of `count` layers; a single value is repeated."""
    values = list(value) if isinstance(value, (list, tuple)) else [value] * count
    if len(values) != count:
        raise ValueError(f"{what} must be one value or one for each of the {count} convolutions; received {value!r}.")
    return values


class ConvGenerator(Network):
    """z [B, Z] -> Dense layers -> a small grid -> transposed convolutions -> images [B, H, W, C].

    `norm` and ReLU follow every layer but the last. If a side is not a multiple of the strides, outputs that are too large
    are cropped (28 from 4 x 4: 8 -> 7, 14, 28).

    Example:
        >>> network = tfgen.networks.ConvGenerator(image_shape=(28, 28, 1), width=4)
        >>> network([tf.zeros([2, 3])]).shape
        TensorShape([2, 28, 28, 1])

    Args:
        width: filters of the last hidden layer; their number doubles with each layer towards the grid.
        stages: number of transposed convolutions; None: `default_stages`.
        filters: None, or the filters of the grid and of each layer before the last, instead of `width`.
        strides: one number or one for each layer.
        kernel_size: one number or one for each layer.
        dense_width: None, or the width of a fully connected layer before the grid.
        norm: "batch", "instance", None or a function, see `make_norm`; fully connected layers cannot use "instance". Or
            "self_modulated", see `SelfModulatedBatchNorm`; it gets the latents, joined with the labels.
        attention: None or a function, see `make_attentions`; applied after norm and activation of all maps but the image.
        use_bias: whether the layers have biases, including the last one.
        output: "tanh" or "linear".
        **kwargs: see `Network`.
    """

    def __init__(
        self, *, image_shape: Sequence[int], width: PositiveInt = 64, stages: Count | None = None,
        filters: Sequence[PositiveInt] | None = None, strides: PositiveInt | Sequence[PositiveInt] = 2,
        kernel_size: PositiveInt | Sequence[PositiveInt] = 5, dense_width: PositiveInt | None = None,
        norm: str | Callable | None = "batch", attention: Callable | None = None, use_bias: bool = False,
        output: Output = "tanh", kernel_initializer: str | dict | None = None, **kwargs,
    ):  # fmt: skip
        super().__init__(kernel_initializer=kernel_initializer or normal(0.02), **kwargs)
        self.activation = OUTPUTS[output]
        stages = len(filters) if filters else stages or default_stages(image_shape)
        filters = list(filters or (width * 2**i for i in reversed(range(stages))))
        strides, kernels = per_layer(strides, stages, "strides"), per_layer(kernel_size, stages, "kernel_size")
        self.sizes = [tuple(image_shape[:2])]  # [grid, ..., image]
        for stride in reversed(strides):
            self.sizes.insert(0, tuple(-(-side // stride) for side in self.sizes[0]))
        self.grid = (*self.sizes[0], filters[0])
        widths = [*([] if dense_width is None else [dense_width]), math.prod(self.grid)]
        # Flat lists of layers: Keras silently leaves layers in nested lists out of a saved file.
        names = [*(["hidden"] if dense_width else []), "grid"]
        norm, self.modulated = modulation(norm, self.make_dense)
        self.dense = [self.make_dense(n, use_bias=use_bias, name=name) for n, name in zip(widths, names, strict=True)]
        self.deconvs = [
            self.make_conv_transpose(n, kernel, strides=stride, use_bias=use_bias, name=f"deconv_{i}")
            for i, (n, kernel, stride) in enumerate(zip([*filters[1:], image_shape[-1]], kernels, strides, strict=True))
        ]
        self.dense_norms = [make_norm(norm, self.dtype_policy, f"dense_norm_{i}") for i in range(len(widths))]
        self.norms = [make_norm(norm, self.dtype_policy, f"norm_{i}") for i in range(stages - 1)]
        self.attentions = make_attentions(attention, self.sizes[:-1], self.dtype_policy)

    def call(self, inputs, training=False):
        x, one_hot = split(inputs)
        condition = join(x, one_hot) if self.modulated else None
        for dense, norm in zip(self.dense, self.dense_norms, strict=True):
            x = tf.nn.relu(normalize(norm, dense(join(x, one_hot)), training, condition))
        x = tf.reshape(x, [-1, *self.grid])  # [B, h, w, filters]
        for i, (deconv, attention) in enumerate(zip(self.deconvs, self.attentions, strict=True)):
            x = deconv(join(attend(attention, x), one_hot))
            height, width = self.sizes[i + 1]
            x = x[:, :height, :width]
            if i < len(self.norms):
                x = tf.nn.relu(normalize(self.norms[i], x, training, condition))
        return self.activation(x)


class ConvDiscriminator(Discriminator):
    """Images [B, H, W, C] -> convolutions, each with leaky ReLU -> flat features -> logit.

    Example:
        >>> network = tfgen.networks.ConvDiscriminator(image_shape=(8, 8, 1), width=4)
        >>> {name: tuple(found.shape) for name, found in network([tf.zeros([2, 8, 8, 1])]).items()}
        {'logit': (2, 1), 'features': (2, 64)}

    Args:
        width: filters of the first layer; they double with each.
        stages, filters, strides, kernel_size, dense_width, use_bias: see `ConvGenerator`; in the order of the layers.
        norm: see `ConvGenerator`; there is none after the first convolution and none before the logit.
        attention: None or a function, see `make_attentions`; applied after norm and activation of each convolution.
        slope: slope of the leaky ReLU; 0: ReLU.
        **kwargs: see `Discriminator` and `Network`.
    """

    def __init__(
        self, *, image_shape: Sequence[int], width: PositiveInt = 64, stages: Count | None = None,
        filters: Sequence[PositiveInt] | None = None, strides: PositiveInt | Sequence[PositiveInt] = 2,
        kernel_size: PositiveInt | Sequence[PositiveInt] = 5, dense_width: PositiveInt | None = None,
        norm: str | Callable | None = "batch", attention: Callable | None = None, use_bias: bool = False,
        slope: NonNegativeFloat = 0.2, kernel_initializer: str | dict | None = None, **kwargs,
    ):  # fmt: skip
        kwargs.setdefault("logit_bias", use_bias)
        super().__init__(kernel_initializer=kernel_initializer or normal(0.02), **kwargs)
        self.slope = slope
        stages = len(filters) if filters else stages or default_stages(image_shape)
        filters = filters or [width * 2**i for i in range(stages)]
        strides, kernels = per_layer(strides, stages, "strides"), per_layer(kernel_size, stages, "kernel_size")
        self.convs = [
            self.make_conv(n, kernel, strides=stride, use_bias=use_bias, name=f"conv_{i}")
            for i, (n, kernel, stride) in enumerate(zip(filters, kernels, strides, strict=True))
        ]
        self.norms = [make_norm(norm if i else None, self.dtype_policy, f"norm_{i}") for i in range(stages)]
        sizes = [tuple(image_shape[:2])]
        for stride in strides:
            sizes.append(tuple(-(-side // stride) for side in sizes[-1]))
        self.attentions = make_attentions(attention, sizes[1:], self.dtype_policy)
        self.dense = None if dense_width is None else self.make_dense(dense_width, use_bias=use_bias, name="dense")
        self.dense_norm = make_norm(norm if dense_width else None, self.dtype_policy, "dense_norm")

    def maps(self, x: tf.Tensor, one_hot: tf.Tensor | None = None, training: bool = False) -> list[tf.Tensor]:
        """The output of every convolution, after norm, activation and attention: [[B, h, w, filters], ...]."""
        maps = []
        for conv, norm, attention in zip(self.convs, self.norms, self.attentions, strict=True):
            x = tf.nn.leaky_relu(normalize(norm, conv(join(x, one_hot)), training), self.slope)
            x = attend(attention, x)
            maps.append(x)
        return maps

    def features(self, x: tf.Tensor, one_hot: tf.Tensor | None, training: bool) -> tf.Tensor:
        """The features [B, F] of images [B, H, W, C] in [-1, 1]; one_hot: labels [B, K], or None."""
        x = flatten(self.maps(x, one_hot, training)[-1])
        if self.dense is None:
            return x
        return tf.nn.leaky_relu(normalize(self.dense_norm, self.dense(join(x, one_hot)), training), self.slope)
