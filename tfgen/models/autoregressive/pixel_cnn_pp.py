"""PixelCNN++: a mixture of logistics instead of a softmax, short-cuts over lower resolutions, dropout.

Salimans, Karpathy, Chen, Kingma, "PixelCNN++: Improving the PixelCNN with Discretized Logistic Mixture Likelihood and Other
Modifications", ICLR 2017, arXiv:1701.05517, section 2; sizes and training as in the authors' code (openai/pixel-cnn).

The idea: levels are ordered, so a few logistics describe their distribution with fewer parameters than a logit for each
level. They couple the channels of a pixel through their means alone, so the network need not treat the channels one by one
(`tfgen.distributions.logistic_mixture`). The network is gated and has two stacks: u sees the rows above, v also the pixels
to the left. Strides halve its resolution on the way in, transposed convolutions double it on the way out, and short-cuts
carry the details that strides lose. All layers have weight norm, initialised by data.

    conv: 2 x 3 for u, up to its row; 2 x 2 for v, up to its pixel                                    f(x) = elu([x, -x])
    r(x, e) = x + a sigmoid(b),   [a, b] = conv(dropout(f(conv(f(x)) + conv1x1(f(e))))) + W h         gated residual layer
    u_0 = conv(x one row above),   v_0 = conv1x3(x one row above) + conv2x1(x one pixel to the left)
    in:   u <- r(u),            v <- r(v, u)                      all kept, and the strided ones too
    out:  u <- r(u, kept u),    v <- r(v, [u, kept v])            the last kept first, each once

The input has a further channel of ones, which is 0 outside the image. h: the label, one-hot.

What differs from the paper: the image is shifted before the first convolutions, in the code their outputs are shifted behind
them. So where they see nothing they give their bias, not 0. Drawn colours are whole levels; the code draws values between
them. Dropout is a function of (seed, step, row). The code's loss is a sum over batch and dimensions and its Adam adds 1e-8
under the root. Here the loss is in bits per dimension and Adam adds its epsilon to the root: 4e-10 in the paper's presets,
which is the same but for the place; Keras' 1e-7, as in the others, damps more.
"""

import itertools
from typing import Annotated

import keras
import tensorflow as tf

from tfgen.distributions.logistic_mixture import LogisticMixturePixels
from tfgen.layers import Dropout, data_dependent_init
from tfgen.layers.causal import WeightNormCausalConv2D, WeightNormRowConv2D
from tfgen.layers.causal_upsampling import WeightNormCausalConv2DTranspose, WeightNormRowConv2DTranspose
from tfgen.layers.initializers import normal
from tfgen.models.autoregressive.base import AutoregressiveModel
from tfgen.sampling.cached import Whole
from tfgen.settings import Count, ImageShape, PositiveInt, Rate, within

INITIAL_IMAGES = 16  # of the data-dependent initialisation, as in the authors' code


@keras.saving.register_keras_serializable("tfgen")
class PixelCNNPP(AutoregressiveModel):
    """PixelCNN++. Call `initialize` with a batch before training.

    Example:
        >>> model = tfgen.models.PixelCNNPP(image_shape=(4, 4, 1), width=4, resnets=1, halvings=1, components=2)
        >>> model.log_prob(tf.zeros([3, 4, 4, 1])).shape
        TensorShape([3])

    Args:
        image_shape: (H, W, C), with H and W multiples of 2 ** halvings.
        width: channels of each stack.
        resnets: gated residual layers of a stack at each resolution on the way in. On the way out there are as many at the
            lowest resolution, and one more at the others.
        halvings: number of times that the resolution is halved.
        components: number of components of the mixture.
        dropout: rate, in [0, 1).
        **kwargs: see `AutoregressiveModel`.
    """

    initialized_by_data = True

    def __init__(
        self, *, image_shape: ImageShape, width: PositiveInt = 160, resnets: Count = 5,
        halvings: Annotated[int, within(0, 13)] = 2, components: PositiveInt = 10, dropout: Rate = 0.5, **kwargs,
    ):  # fmt: skip
        self.components = components  # the base calls make_likelihood
        super().__init__(image_shape=image_shape, **kwargs)
        if any(side % 2**halvings for side in self.image_shape[:2]):
            raise ValueError(
                f"The sides of images must be multiples of {2**halvings} for halvings={halvings}; received {image_shape}."
            )
        self.width, self.resnets, self.halvings = width, resnets, halvings
        dtype = self.dtype_policy
        settings = {"kernel_initializer": normal(0.05), "dtype": dtype}
        self.first_u = WeightNormRowConv2D(width, (2, 3), name="first_u", **settings)
        self.first_above = WeightNormRowConv2D(width, (1, 3), name="first_above", **settings)
        self.first_left = WeightNormCausalConv2D(width, above=1, left=0, name="first_left", **settings)

        streams = itertools.count()

        def residuals(name, num, extra, rows):
            return [
                GatedResidual(width, rows=rows, extra=extra, num_classes=self.num_classes, dropout=dropout,
                              stream=next(streams), name=f"{name}_{i}", dtype=dtype)
                for i in range(num)
            ]  # fmt: skip

        self.in_u = residuals("in_u", resnets * (halvings + 1), 0, rows=True)
        self.in_v = residuals("in_v", resnets * (halvings + 1), width, rows=False)
        self.out_u = residuals("out_u", resnets * (halvings + 1) + halvings, width, rows=True)
        self.out_v = residuals("out_v", resnets * (halvings + 1) + halvings, 2 * width, rows=False)
        turns = range(halvings)
        self.down_u = [WeightNormRowConv2D(width, (2, 3), strides=2, name=f"down_u_{i}", **settings) for i in turns]
        self.down_v = [
            WeightNormCausalConv2D(width, above=1, left=1, strides=2, name=f"down_v_{i}", **settings) for i in turns
        ]
        self.up_u = [WeightNormRowConv2DTranspose(width, name=f"up_u_{i}", **settings) for i in turns]
        self.up_v = [WeightNormCausalConv2DTranspose(width, name=f"up_v_{i}", **settings) for i in turns]
        self.head = WeightNormCausalConv2D(self.likelihood.num_parameters, above=0, left=0, name="head", **settings)
        self.build_network()

    def make_likelihood(self):
        return LogisticMixturePixels(self.levels, self.image_shape[-1], self.components)

    def prepare(self, levels):
        x = super().prepare(levels)
        return tf.concat([x, tf.ones_like(x[..., :1])], axis=-1)

    def network(self, x, scope, condition=None, training=False):
        width, channels = self.width, self.image_shape[-1] + 1
        given = {"label": condition, "keys": self.noise_keys(tf.shape(x)[0], 0) if training else None}
        scopes = [scope]  # of all resolutions, the highest first
        for _ in range(self.halvings):
            scopes.append(scopes[-1].half())
        above, left = scope.below(x, channels), scope.pixels_before(x, 1, channels)
        u = self.first_u(above, scope=scope)
        v_above = scope.across(self.first_above(above, scope=scope), width)
        v_left = self.first_left(scope.pixels(lambda: left[:, :, :-1]), scope=scope)
        v = scope.pixels(lambda: v_above + v_left)
        kept = [(u, v)]
        layers = zip(self.in_u, self.in_v, strict=True)
        for depth, here in enumerate(scopes):
            if depth:
                u = self.down_u[depth - 1](u, scope=scopes[depth - 1])
                v = self.down_v[depth - 1](v, scope=scopes[depth - 1])
                kept.append((u, v))
            for layer_u, layer_v in itertools.islice(layers, self.resnets):
                u = layer_u(u, scope=here, **given)
                v = layer_v(v, scope=here, extra=here.across(u, width), **given)
                kept.append((u, v))
        u, v = kept.pop()
        layers = zip(self.out_u, self.out_v, strict=True)
        for turn, here in enumerate(reversed(scopes)):
            if turn:
                u = self.up_u[turn - 1](u, scope=here)
                v = self.up_v[turn - 1](v, scope=here)
            for layer_u, layer_v in itertools.islice(layers, self.resnets + (turn > 0)):
                kept_u, kept_v = kept.pop()
                u = layer_u(u, scope=here, extra=kept_u, **given)
                across = here.across(u, width)
                v = layer_v(v, scope=here, extra=here.pixels(lambda: tf.concat([across, kept_v], axis=-1)), **given)
        return self.head(scope.pixels(lambda: tf.nn.elu(v)), scope=scope)

    def initialize(self, batch):
        """Sets scales and biases of all convolutions by data. Call it once, before training.

        Over the first 16 images pre-activations then have mean 0 and standard deviation 1, or .1 for the second convolutions
        of residual layers (see `tfgen.layers.data_dependent_init`).

        Args:
            batch: as in training.

        Raises:
            ValueError: the model has been trained; the batch does not fit.
        """
        step = int(keras.ops.convert_to_numpy(self.step))
        if step:
            raise ValueError(f"initialize() is for a model before training; this one is at step {step}.")
        batch = {name: value[:INITIAL_IMAGES] for name, value in self.as_batch(batch).items()}
        x = self.prepare(self.levels_of(batch["image"]))
        data_dependent_init(_Network(self, self.condition(**self.conditions_of(batch))), x)


class _Network(keras.layers.Layer):
    """The network of a model, in training mode, as a layer."""

    def __init__(self, model, condition):
        super().__init__(name="network", autocast=False)
        self.model, self.given = model, condition
        self.built = True

    def call(self, x):
        return self.model.network(x, Whole(), self.given, training=True)


@keras.saving.register_keras_serializable("tfgen")
class GatedResidual(keras.layers.Layer):
    """The gated residual layer, from rows to rows or from pixels to pixels.

    Called with x [B, H, W, width], a scope, `extra` [B, H, W, extra] of the same level as x, `label`, one-hot
    [B, num_classes] or None, and `keys`, uint64 [B] or None, for dropout.

    Args:
        width: channels.
        rows: whether values are row-level; else pixel-level.
        extra: 0, or the channels of e.
        num_classes: 0, or the size of h.
        dropout, stream: see `tfgen.layers.Dropout`.
    """

    def __init__(self, width, *, rows, extra=0, num_classes=0, dropout=0.0, stream=0, **kwargs):
        super().__init__(**kwargs)
        self.width, self.rows, self.extra = width, rows, extra
        settings = {"kernel_initializer": normal(0.05), "dtype": self.dtype_policy}

        def conv(filters, name, **more):
            if rows:
                return WeightNormRowConv2D(filters, (2, 3), name=name, **settings, **more)
            return WeightNormCausalConv2D(filters, above=1, left=1, name=name, **settings, **more)

        self.first, self.second = conv(width, "first"), conv(2 * width, "second", init_stdv=0.1)
        self.link = self.label_layer = None
        if extra:
            self.link = (
                WeightNormRowConv2D(width, (1, 1), name="link", **settings) if rows
                else WeightNormCausalConv2D(width, above=0, left=0, name="link", **settings)
            )  # fmt: skip
        if num_classes:
            self.label_layer = keras.layers.Dense(2 * width, use_bias=False, name="label", **settings)
        self.num_classes = num_classes
        self.dropout = Dropout(dropout, stream=stream, dtype=self.dtype_policy)

    def build(self, input_shape):
        lead = tuple(input_shape[:-1])
        self.first.build((*lead, 2 * self.width))
        self.second.build((*lead, 2 * self.width))
        if self.link is not None:
            self.link.build((*lead, 2 * self.extra))
        if self.label_layer is not None:
            self.label_layer.build((None, self.num_classes))

    def call(self, x, scope, extra=None, label=None, keys=None):
        at = scope.rows if self.rows else scope.pixels
        y = self.first(at(lambda: concat_elu(x)), scope=scope)
        if self.link is not None:
            link = self.link(at(lambda: concat_elu(extra)), scope=scope)
            y = at(lambda: y + link)
        y = self.second(at(lambda: self.dropout(concat_elu(y), keys=keys)), scope=scope)
        told = 0.0
        if self.label_layer is not None:
            told = scope.constant(self.label_layer, lambda: self.label_layer(label)[:, None, None])

        def gated():
            a, b = tf.split(y + told, 2, axis=-1)
            return x + a * tf.sigmoid(b)

        return at(gated)


def concat_elu(x):
    """elu of x and of -x, [..., C] -> [..., 2C]."""
    return tf.nn.elu(tf.concat([x, -x], axis=-1))
