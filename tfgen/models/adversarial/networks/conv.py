"""Strided convolutional networks: those of DCGAN, and of papers that use them with other settings."""

import math

import tensorflow as tf

from tfgen.layers.initializers import normal
from tfgen.models.adversarial.networks.common import (
    OUTPUTS,
    Discriminator,
    Network,
    batch_norm,
    check_norm,
    flatten,
    join,
    layers,
    split,
)  # fmt: skip


def default_stages(image_shape):
    """The largest number of convolutions of stride 2 that leave a grid of at least 4 x 4."""
    side, stages = min(image_shape[:2]), 0
    while side % 2 == 0 and side // 2 >= 4:
        side, stages = side // 2, stages + 1
    return max(stages, 1)


def per_layer(value, count, what):
    """One value for each of `count` layers: a single one is repeated."""
    values = list(value) if isinstance(value, (list, tuple)) else [value] * count
    if len(values) != count:
        raise ValueError(f"{what} must be one value or one for each of the {count} convolutions; received {value!r}.")
    return values


class ConvGenerator(Network):
    """z [B, Z] -> Dense layers -> a small grid -> transposed convolutions -> images [B, H, W, C].

    `norm` and ReLU follow every layer but the last. Where a side is no multiple of the strides, the output of a layer is
    too large and is cropped (28 from 4 x 4: 8 -> 7, 14, 28).

    Args:
        width: filters of the last hidden layer; their number doubles with each layer towards the grid.
        stages: number of transposed convolutions; None: `default_stages`.
        filters: None, or the filters of the grid and of each layer before the last, instead of `width`.
        strides: one number or one for each layer.
        kernel_size: one number or one for each layer.
        dense_width: None, or the width of a fully connected layer before the grid.
        norm: "batch" or None.
        use_bias: whether layers have biases, the last included.
        output: "tanh" or "linear".
    """

    def __init__(
        self, *, image_shape, width=64, stages=None, filters=None, strides=2, kernel_size=5, dense_width=None,
        norm="batch", use_bias=False, output="tanh", kernel_initializer=None, **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        check_norm(norm)
        self.activation = OUTPUTS[output]
        stages = len(filters) if filters else stages or default_stages(image_shape)
        filters = list(filters or (width * 2**i for i in reversed(range(stages))))
        strides, kernels = per_layer(strides, stages, "strides"), per_layer(kernel_size, stages, "kernel_size")
        self.sizes = [tuple(image_shape[:2])]  # [grid, ..., image]
        for stride in reversed(strides):
            self.sizes.insert(0, tuple(-(-side // stride) for side in self.sizes[0]))
        self.grid = (*self.sizes[0], filters[0])
        settings = {"use_bias": use_bias, "kernel_initializer": kernel_initializer or normal(0.02)}
        settings["dtype"] = self.dtype_policy
        widths = [*([] if dense_width is None else [dense_width]), math.prod(self.grid)]
        # Plain lists of layers: Keras silently leaves layers in nested lists out of a saved file.
        self.dense = [layers.Dense(n, name=f"dense_{i}", **settings) for i, n in enumerate(widths)]
        self.deconvs = [
            layers.Conv2DTranspose(n, kernel, strides=stride, padding="same", name=f"deconv_{i}", **settings)
            for i, (n, kernel, stride) in enumerate(zip([*filters[1:], image_shape[-1]], kernels, strides, strict=True))
        ]
        self.dense_norms, self.norms = [None] * len(widths), [None] * (stages - 1)
        if norm:
            self.dense_norms = [batch_norm(self.dtype_policy, f"dense_norm_{i}") for i in range(len(widths))]
            self.norms = [batch_norm(self.dtype_policy, f"norm_{i}") for i in range(stages - 1)]

    def call(self, inputs, training=False):
        x, one_hot = split(inputs)
        for dense, norm in zip(self.dense, self.dense_norms, strict=True):
            x = dense(join(x, one_hot))
            x = tf.nn.relu(x if norm is None else norm(x, training=training))
        x = tf.reshape(x, [-1, *self.grid])  # [B, h, w, filters]
        for i, deconv in enumerate(self.deconvs):
            x = deconv(join(x, one_hot))
            height, width = self.sizes[i + 1]
            x = x[:, :height, :width]
            if i < len(self.norms):
                x = tf.nn.relu(x if self.norms[i] is None else self.norms[i](x, training=training))
        return self.activation(x)


class ConvDiscriminator(Discriminator):
    """Images [B, H, W, C] -> convolutions, each with leaky ReLU -> flat features -> logit.

    Args:
        width: filters of the first layer; their number doubles with each layer.
        stages, filters, strides, kernel_size, dense_width, use_bias: as in `ConvGenerator`, in the order of these layers.
        norm: "batch" (in all layers but the first convolution and the logit) or None.
        slope: of the leaky ReLU; 0: ReLU.
    """

    def __init__(
        self, *, image_shape, width=64, stages=None, filters=None, strides=2, kernel_size=5, dense_width=None,
        norm="batch", use_bias=False, slope=0.2, kernel_initializer=None, **kwargs,
    ):  # fmt: skip
        kwargs.setdefault("logit_bias", use_bias)
        super().__init__(kernel_initializer=kernel_initializer or normal(0.02), **kwargs)
        check_norm(norm)
        self.slope = slope
        stages = len(filters) if filters else stages or default_stages(image_shape)
        filters = filters or [width * 2**i for i in range(stages)]
        strides, kernels = per_layer(strides, stages, "strides"), per_layer(kernel_size, stages, "kernel_size")
        self.convs = [
            self.make_conv(n, kernel, strides=stride, use_bias=use_bias, name=f"conv_{i}")
            for i, (n, kernel, stride) in enumerate(zip(filters, kernels, strides, strict=True))
        ]
        self.norms = [batch_norm(self.dtype_policy, f"norm_{i}") if norm and i else None for i in range(stages)]
        self.dense = None if dense_width is None else self.make_dense(dense_width, use_bias=use_bias, name="dense")
        self.dense_norm = batch_norm(self.dtype_policy, "dense_norm") if norm and dense_width else None

    def maps(self, x, one_hot=None, training=False):
        """The output of every convolution, after norm and activation: [[B, h, w, filters], ...]."""
        maps = []
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = conv(join(x, one_hot))
            x = tf.nn.leaky_relu(x if norm is None else norm(x, training=training), self.slope)
            maps.append(x)
        return maps

    def features(self, x, one_hot, training):
        x = flatten(self.maps(x, one_hot, training)[-1])
        if self.dense is None:
            return x
        x = self.dense(join(x, one_hot))
        return tf.nn.leaky_relu(x if self.dense_norm is None else self.dense_norm(x, training=training), self.slope)
