"""Improved GAN's networks: weight-normed classifiers with noise, and generators whose last layer is weight-normed.

All layers are those of the code of Salimans et al. 2016, arXiv:1606.03498. See `ImprovedGAN` for the settings.
"""

import dataclasses
import math
from typing import Literal

import tensorflow as tf

from tfgen import losses
from tfgen.layers import (
    Dropout,
    GaussianNoise,
    MinibatchDiscrimination,
    VirtualBatchNorm,
    WeightNormConv2D,
    WeightNormConv2DTranspose,
    WeightNormDense,
)
from tfgen.layers.initializers import normal
from tfgen.networks.common import Network, layers, split
from tfgen.networks.slots import batch_norm


def run(stack, x, *, training=False, num_reference=0, **noise):
    """Applies a list of layers to x, each with the arguments it takes; `noise`: {"keys": ...} for noise layers, or {}."""
    for layer in stack:
        if isinstance(layer, (Dropout, GaussianNoise)):
            x = layer(x, **noise)
        elif isinstance(layer, VirtualBatchNorm):
            x = layer(x, num_reference=num_reference)
        elif isinstance(layer, layers.BatchNormalization):
            x = layer(x, training=training)
        else:
            x = layer(x)
    return x


class StackGenerator(Network):
    """z [B, Z] -> a list of layers -> images [B, H, W, C] in [-1, 1].

    Args:
        stack: the layers.
        reference: None, or the latents [R, Z] of virtual batch norm's reference batch, which is prepended to every batch.
    """

    def __init__(self, *, stack, reference=None, **kwargs):
        super().__init__(**kwargs)
        self.stack, self.reference = stack, reference

    def call(self, inputs, training=False):
        x, _ = split(inputs)
        if self.reference is None:
            return run(self.stack, x, training=training)
        reference = tf.cast(self.reference, x.dtype)
        num = len(self.reference)
        return run(self.stack, tf.concat([reference, x], axis=0), num_reference=num)[num:]


class StackClassifier(Network):
    """Images [B, H, W, C] in [-1, 1] -> {"class_logits": [B, K], "logit": Z [B, 1], "features": [B, F]}.

    Args:
        stack: layers from images to features.
        head: layers from features to class logits.
    """

    noisy = True

    def __init__(self, *, stack, head, **kwargs):
        super().__init__(**kwargs)
        self.stack, self.head = stack, head

    def build(self, input_shape):
        self.call([tf.zeros([2, *input_shape[0][1:]])])  # two rows: minibatch discrimination needs them
        self.built = True

    def call(self, inputs, training=False, **noise):
        x, _ = split(inputs)
        features = run(self.stack, x, **noise)
        logits = run(self.head, features, **noise)
        return {"class_logits": logits, "logit": losses.semi_supervised_logit(logits)[:, None], "features": features}


@dataclasses.dataclass(frozen=True)
class Body:
    """The layers of a discriminator before its class logits, and the initialisation of the class logits.

    Attributes:
        stack: layers from images to features.
        head: layers between features and class logits.
        stddev: standard deviation of the initial kernel of the class logits.
        output_stdv: standard deviation of the class logits after the data-dependent initialisation.
    """

    stack: list
    head: list
    stddev: float
    output_stdv: float


def _make_norm(virtual, dtype):
    """A function from a name to a norm layer: batch norm without a gain, as in the authors' code, or virtual batch norm."""
    if virtual:
        return lambda name: VirtualBatchNorm(dtype=dtype, name=name)
    return lambda name: batch_norm(dtype, name, scale=False, epsilon=1e-6)


def _noises(place, stream, noise, dropout, dtype):
    """The noise layers at `place` (0: input, 1: hidden layers) with a positive amount."""
    layer = {"stream": stream, "dtype": dtype}
    found = [GaussianNoise(noise[place], name=f"noise_{stream}", **layer)] if noise[place] else []
    if dropout[place]:
        found.append(Dropout(dropout[place], name=f"dropout_{stream}", **{**layer, "stream": -1 - stream}))
    return found


class _Sigmoid(layers.Layer):
    """sigmoid(x), mapped from [0, 1] to [-1, 1]."""

    def call(self, x):
        return tf.tanh(0.5 * x)


def _mlp(image_shape, widths, generator_widths, noise, dropout, virtual, dtype):
    """The MNIST networks; the discriminator maps its images to [0, 1]."""
    make_norm, settings = _make_norm(virtual, dtype), {"dtype": dtype}
    generator = []
    for i, units in enumerate(generator_widths):
        generator += [layers.Dense(units, use_bias=False, name=f"hidden_{i}", **settings), make_norm(f"norm_{i}"),
                      layers.Activation("softplus", name=f"softplus_{i}", **settings)]  # fmt: skip
    generator += [WeightNormDense(math.prod(image_shape), name="out", **settings), _Sigmoid(name="sigmoid", **settings),
                  layers.Reshape(image_shape, name="image", **settings)]  # fmt: skip
    stack = [layers.Rescaling(0.5, 0.5, name="rescaling", **settings), layers.Flatten(name="flat", **settings)]
    for i, units in enumerate(widths):
        stack += [
            *_noises(min(i, 1), i, noise, dropout, dtype),
            WeightNormDense(units, train_scale=False, activation="relu", kernel_initializer=normal(0.1),
                            name=f"hidden_{i}", **settings),
        ]  # fmt: skip
    return generator, Body(stack, _noises(1, len(widths), noise, dropout, dtype), stddev=0.1, output_stdv=1.0)


def _conv(image_shape, widths, generator_widths, noise, dropout, virtual, dtype):
    """The networks of CIFAR-10 and SVHN, for images in [-1, 1]."""
    if len(widths) != 2 or len(generator_widths) != 3:
        raise ValueError(f"network 'conv' has 2 widths and 3 generator_widths; received {widths} and {generator_widths}.")
    height, width, channels = image_shape
    if height % 8 or width % 8 or min(height, width) < 16:
        raise ValueError(
            f"network 'conv' needs sides that are multiples of 8, 16 at least; received image_shape {image_shape}."
        )
    make_norm, settings = _make_norm(virtual, dtype), {"kernel_initializer": normal(0.05), "dtype": dtype}
    grid = (height // 8, width // 8, generator_widths[0])
    generator = [layers.Dense(math.prod(grid), use_bias=False, name="grid", **settings), make_norm("norm_0"),
                 layers.ReLU(dtype=dtype, name="relu_0"), layers.Reshape(grid, dtype=dtype, name="maps")]  # fmt: skip
    deconv = {"kernel_size": 5, "strides": 2, "padding": "same", **settings}
    for i, filters in enumerate(generator_widths[1:], start=1):
        generator += [layers.Conv2DTranspose(filters, use_bias=False, name=f"deconv_{i}", **deconv), make_norm(f"norm_{i}"),
                      layers.ReLU(dtype=dtype, name=f"relu_{i}")]  # fmt: skip
    generator.append(WeightNormConv2DTranspose(channels, activation="tanh", init_stdv=0.1, name="deconv_3", **deconv))

    def conv(i, filters, kernel_size=3, strides=1, padding="same"):
        return WeightNormConv2D(
            filters, kernel_size, strides=strides, padding=padding, train_scale=False, name=f"conv_{i}",
            activation=layers.LeakyReLU(negative_slope=0.2, dtype=dtype, name="leaky_relu"), **settings,
        )  # fmt: skip

    first, other = widths
    groups = [
        [conv(0, first), conv(1, first), conv(2, first, strides=2)],
        [conv(3, other), conv(4, other), conv(5, other, strides=2)],
        [conv(6, other, padding="valid"), conv(7, other, kernel_size=1), conv(8, other, kernel_size=1)],
    ]
    stack = []
    for i, group in enumerate(groups):
        stack += [*_noises(min(i, 1), i, noise, dropout, dtype), *group]
    stack.append(layers.GlobalAveragePooling2D(dtype=dtype, name="pool"))
    return generator, Body(stack, [], stddev=0.05, output_stdv=0.1)


WeightNormed = Literal["mlp", "conv"]
WEIGHT_NORMED = {"mlp": _mlp, "conv": _conv}


def make_weight_normed(
    kind, *, image_shape, widths, generator_widths, noise, dropout, num_logits, minibatch_kernels=0, reference=None, dtype,
):  # fmt: skip
    """(generator, discriminator) of a kind in `WEIGHT_NORMED`; the settings are those of `ImprovedGAN`.

    Args:
        num_logits: class logits of the discriminator.
        reference: None: the generator has batch norm; or latents [R, Z] for virtual batch norm.

    Raises:
        ValueError: wrong widths or image sides.
    """
    generator, body = WEIGHT_NORMED[kind](
        tuple(image_shape), tuple(widths), tuple(generator_widths), noise, dropout, reference is not None, dtype
    )
    head = list(body.head)
    if minibatch_kernels:
        head.append(MinibatchDiscrimination(minibatch_kernels, 5, dtype=dtype, name="minibatch"))
    settings = {"init_stdv": body.output_stdv, "kernel_initializer": normal(body.stddev), "dtype": dtype}
    head.append(WeightNormDense(num_logits, name="class_logits", **settings))
    return (
        StackGenerator(stack=generator, reference=reference, dtype=dtype, name="generator"),
        StackClassifier(stack=body.stack, head=head, dtype=dtype, name="discriminator"),
    )
