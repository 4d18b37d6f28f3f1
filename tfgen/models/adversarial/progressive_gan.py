"""Progressive GAN: both networks grow, level by level, from small images to large ones.

Karras, Aila, Laine, Lehtinen, "Progressive Growing of GANs for Improved Quality, Stability, and Variation", ICLR 2018,
arXiv:1710.10196; settings as in the authors' code (tkarras/progressive_growing_of_gans).

The idea: small images are easy to learn, and larger ones are easier after them. So training begins with images of 4 x 4
pixels, and layers for twice the size are added to both networks and fade in while training goes on; most steps are cheap.
Scaled weights, normalised pixels and a measure of the variation in a batch keep the competition of the networks healthy.

    image(p) = sum_l w_l up(toRGB_l(h_l)),   w_l = max(0, 1 - |p - l|)                          position p, see `growth`
    D(p): x <- block_l(x); x <- x + clip(l - p, 0, 1) (fromRGB_(l-1)(down(image)) - x),   l = last, ..., 1
    real image at p: up(down(x)) of the level, faded as the generator's
    D minimises E D(G) - E D(x) + 10 E (|dD(y) / dy| - 1)^2 + .001 E D(x)^2,   G minimises -E D(G)      (appendix A.1)

Layers: kernels are scaled by gain / sqrt(fan_in) (`tfgen.layers.EqualizedConv2D`). Leaky rectifiers have the slope .2; in G
a pixel norm follows each. D has `MinibatchStdDev` before its last convolution. Level l has min(base / 2^(l + 1), width)
filters. G's output is linear. Means of 2 x 2 come before bias and rectifier, as in the code by default (fused_scale).

Growth is a plan of steps: phases in which a level fades in, and phases in which it is trained alone. A step computes the
levels of its phase alone. At both ends of a fade the optimisers start anew. All images have the full size, smaller levels
upscaled, so the penalty is by pixels of the full size, as in the code. Of a conditional model the one-hot label is joined to
z before its pixel norm, and D has an output for each class, whose cross-entropy is added to both losses (AC-GAN).

What differs from the code: its plan is looked at in every fourth step, here in each. It leaves out a step whose gradient is
not finite; here the derivative of the penalty's norm at 0 is 0. Its averages lack the generator's newest update. Fakes have
the labels of the real batch there in D's steps, here random ones. Images that are no power of two start from another grid,
such as 7 x 7 for 28 x 28.
"""

import functools
import math
from collections.abc import Sequence

import keras
import tensorflow as tf
from keras import layers

from tfgen.layers import Blur2D, EqualizedConv2D, EqualizedDense, MinibatchStdDev, PixelNormalization, downscale2d
from tfgen.losses import Objective
from tfgen.losses.penalties import PenaltyName
from tfgen.models.adversarial.base import AdversarialModel, ObjectiveName
from tfgen.models.adversarial.parts.growing import GrowingMixin
from tfgen.models.adversarial.parts.growth import joined
from tfgen.settings import ImageShape, NaturalInt, NonNegativeFloat, PositiveFloat, PositiveInt, Size

leaky = functools.partial(tf.nn.leaky_relu, alpha=0.2)


class LevelNetwork(layers.Layer):
    """Base of networks with levels, also of StyleGAN's.

    Args:
        grid: (height, width) of level 0.
        widths: `widths[l + 1]` are the filters of level l, `widths[0]` those of a vector.
        grows: whether all levels have layers between maps and images; else only the last one has.
        fused: whether changes of size are fused with convolutions.
    """

    def __init__(self, *, grid, widths, grows=True, fused=True, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.grid, self.widths, self.grows, self.fused = grid, widths, grows, fused

    def build(self, input_shape):
        self.built = True  # its layers are built as they are made

    def make_conv(self, name, inputs, filters, size=3, resample=None, **kwargs):
        settings = {"activation": leaky, "dtype": self.dtype_policy, "name": name, **kwargs}
        layer = EqualizedConv2D(filters, size, resample=resample, fused=self.fused, **settings)
        layer.build((None, None, None, inputs))
        return layer

    def make_dense(self, name, inputs, units, **kwargs):
        layer = EqualizedDense(units, **{"dtype": self.dtype_policy, "name": name, **kwargs})
        layer.build((None, inputs))
        return layer

    def make_heads(self, name, make):
        """The layers make(name, filters of the level) between maps and images: one of each level in a list, or the last."""
        if not self.grows:
            return make(name, self.widths[-1])
        return [make(f"{name}_{level}", width) for level, width in enumerate(self.widths[1:])]

    def head(self, heads, level):
        return heads[level] if self.grows else heads


class _Generator(LevelNetwork):
    """[latents [B, Z], one-hot labels [B, K]], position, levels -> images float32 of the last of the levels.

    The position is a scalar or [B, 1, 1, 1], at which all but `levels` have the weight 0.
    """

    def __init__(self, *, latent_dim, channels, **kwargs):
        super().__init__(**kwargs)
        first = self.widths[1]
        gain = math.sqrt(2.0) / 4.0
        self.vector = self.make_dense("vector", latent_dim, math.prod(self.grid) * first, gain=gain, use_bias=False)
        self.bias = self.add_weight(name="bias", shape=(first,), initializer="zeros")
        self.norm = PixelNormalization(dtype=self.dtype_policy, name="norm")
        self.convs = [self.make_conv("conv_0", first, first)]
        for level, (below, width) in enumerate(zip(self.widths[1:-1], self.widths[2:], strict=True), 1):
            self.convs.append(self.make_conv(f"up_{level}", below, width, resample="up"))
            self.convs.append(self.make_conv(f"conv_{level}", width, width))
        make = functools.partial(self.make_conv, filters=channels, size=1, gain=1.0, activation=None)
        self.to_image = self.make_heads("to_image", make)

    def call(self, inputs, position, levels):
        x = self.vector(self.norm(tf.cast(tf.concat(inputs, axis=-1), self.compute_dtype)))
        x = tf.reshape(x, [-1, *self.grid, self.widths[1]]) + tf.cast(tf.convert_to_tensor(self.bias), x.dtype)
        x, images = self.norm(leaky(x)), None
        for level in range(levels[-1] + 1):
            for conv in self.convs[max(0, 2 * level - 1) : 2 * level + 1]:
                x = self.norm(conv(x))
            images = joined(images, self.head(self.to_image, level), x, level, levels, position)
        return images


class Discriminator(LevelNetwork):
    """[images of the last of the levels, one-hot labels [B, outputs]], position, levels -> {"logit": [B, 1], "classes"}.

    The position is a scalar. With labels the logit is the output of the class (StyleGAN); without, it is the first output,
    and the others are "classes", [B, outputs - 1].

    Args:
        channels: of the images.
        outputs: number of outputs.
        group_size: of the minibatch standard deviation.
        blur: whether maps are blurred before their size is halved, as in StyleGAN.
    """

    def __init__(self, *, channels, outputs, group_size, blur=False, **kwargs):
        super().__init__(**kwargs)
        vector, first = self.widths[:2]
        make = lambda name, width: self.make_conv(name, channels, width, 1)  # noqa: E731
        self.from_image = self.make_heads("from_image", make)
        self.convs, self.downs, self.blur = [], [], Blur2D(dtype=self.dtype_policy, name="blur") if blur else None
        for level, (below, width) in enumerate(zip(self.widths[1:-1], self.widths[2:], strict=True), 1):
            self.convs.append(self.make_conv(f"conv_{level}", width, width))
            self.downs.append(self.make_conv(f"down_{level}", width, below, resample="down"))
        self.deviation = MinibatchStdDev(group_size, dtype=self.dtype_policy, name="deviation")
        self.conv = self.make_conv("conv", first + 1, first)
        self.dense = self.make_dense("dense", math.prod(self.grid) * first, vector, activation=leaky)
        self.logit = self.make_dense("logit", vector, outputs, gain=1.0)

    def call(self, inputs, position, levels, training=False):
        images, *labels = inputs
        x = self.head(self.from_image, levels[-1])(images)
        for level in range(levels[-1], 0, -1):
            x = self.convs[level - 1](x)
            x = self.downs[level - 1](x if self.blur is None else self.blur(x))
            if level - 1 in levels:
                images = downscale2d(images)
                below = self.head(self.from_image, level - 1)(images)
                x += tf.cast(tf.clip_by_value(level - position, 0.0, 1.0), x.dtype) * (below - x)
        x = self.conv(self.deviation(x))
        x = self.logit(self.dense(tf.reshape(x, [-1, math.prod(x.shape[1:])])))
        if labels:
            return {"logit": tf.reduce_sum(x * tf.cast(labels[0], x.dtype), axis=-1, keepdims=True)}
        return {"logit": x[:, :1], "classes": x[:, 1:]}


@keras.saving.register_keras_serializable("tfgen")
class ProgressiveGAN(GrowingMixin, AdversarialModel):
    """Progressive GAN. Its levels have images of the sizes start_size, 2 start_size, ..., image_shape.

    The images seen are counted by `level_batch_sizes`: `growth.batch_schedule()` is the `batch_size` for `Source.batches`
    and presets, and a batch that is known to have another size is an error. At each phase optimisers start anew, with the
    schedules of their rates, if they have one.

    Example:
        >>> model = tfgen.models.ProgressiveGAN(image_shape=(28, 28, 1), start_size=7, width=16)
        >>> [(phase.first_step, phase.level, phase.fading) for phase in model.growth.phases][:3]
        [(0, 0, False), (9376, 1, True), (18750, 1, False)]
        >>> model.sample(2, level=0).shape  # of 7 x 7 pixels, upscaled
        TensorShape([2, 28, 28, 1])

    Args:
        image_shape: (H, W, C), where H and W are `start_size` times one power of two.
        start_size: the size of the smallest images, a number or (height, width).
        width: the largest number of filters of a layer.
        base: level l has min(base / 2^(l + 1), width) filters.
        latent_dim: width of z; None: min(base, width).
        stable_images: T, images for each level alone.
        fade_images: F, images while a level fades in.
        first_level: the level with which training begins; with the last one nothing grows.
        level_batch_sizes: images in a step, over all replicas: a number, or one for each level, which begins as it fades in.
        level_rates: None, or the learning rate of both optimisers: a number, or one for each level. None leaves it to them.
        group_size: of the minibatch standard deviation, see `tfgen.layers.MinibatchStdDev`; 1: images are independent.
        fused: whether changes of size are fused with convolutions, which is faster and up to rounding the same.
        drift_weight: weight of E D(x)^2.
        class_weight: weight of the classes' cross-entropy in both losses.
        **kwargs: see `AdversarialModel`. It takes no networks of your own, which could not grow.

    Raises:
        ValueError: sizes that do not fit each other, not one batch size (rate) for each level, or no such first level.
    """

    loss_names = (*AdversarialModel.loss_names, "drift")

    def __init__(
        self, *, image_shape: ImageShape, start_size: Size = 4, width: PositiveInt = 512, base: PositiveInt = 8192,
        latent_dim: PositiveInt | None = None, stable_images: NaturalInt = 600_000, fade_images: PositiveInt = 600_000,
        first_level: NaturalInt = 0, level_batch_sizes: PositiveInt | Sequence[PositiveInt] = 64,
        level_rates: PositiveFloat | Sequence[PositiveFloat] | None = None, group_size: PositiveInt = 4, fused: bool = True,
        objective: ObjectiveName | Objective = "wasserstein",
        penalty: PenaltyName | None = "gradient_penalty", penalty_weight: NonNegativeFloat = 10.0,
        drift_weight: NonNegativeFloat = 1e-3, class_weight: NonNegativeFloat = 1.0, **kwargs,
    ):  # fmt: skip
        latent_dim = min(base, width) if latent_dim is None else latent_dim
        super().__init__(
            image_shape=image_shape, latent_dim=latent_dim, objective=objective, penalty=penalty,
            penalty_weight=penalty_weight, **kwargs,
        )  # fmt: skip
        grid = self.set_levels(start_size)
        self.set_growth(stable_images, fade_images, first_level, level_batch_sizes, level_rates)
        self.drift_weight, self.class_weight = float(drift_weight), float(class_weight)
        for name in ("class_loss", "generator_class_loss") if self.num_classes else ():
            self.loss_names, self.trackers[name] = (*self.loss_names, name), keras.metrics.Mean(name=name)
        widths = [max(1, min(base // 2**level, width)) for level in range(self.last_level + 2)]
        shared = {"grid": grid, "widths": widths, "fused": fused, "channels": self.image_shape[2]}
        shared["dtype"] = self.dtype_policy
        self.set_networks(
            _Generator(latent_dim=latent_dim + self.num_classes, name="generator", **shared),
            Discriminator(outputs=1 + self.num_classes, group_size=group_size, name="discriminator", **shared),
        )

    def default_optimizer(self):
        return keras.optimizers.Adam(1e-3, beta_1=0.0, beta_2=0.99, epsilon=1e-8)

    def generate_raw(
        self, latents: tf.Tensor, one_hot: tf.Tensor | None = None, training: bool = False,
        position: tf.Tensor | None = None,
    ) -> tf.Tensor:  # fmt: skip
        inputs = [latents] if one_hot is None else [latents, one_hot]
        return self.drawn(inputs, training=training, position=position)

    def discriminate(self, raw_images, one_hot=None, training=False, **noise):
        return self.judged(raw_images, training=training)

    def discriminator_terms(self, batch, real, fake):
        terms = {"drift": self.drift_weight * tf.reduce_mean(tf.square(real.logit))}
        if self.num_classes:
            terms["class_loss"] = self._class_loss(real) + self._class_loss(fake)
        return terms

    def generator_terms(self, batch, fake):
        return {"generator_class_loss": self._class_loss(fake)} if self.num_classes else {}

    def _class_loss(self, seen):
        losses = tf.nn.softmax_cross_entropy_with_logits(seen.one_hot, seen.outputs["classes"])
        return self.class_weight * tf.reduce_mean(losses)
