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

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Literal

import keras
import numpy as np
import tensorflow as tf

from tfgen import fields, settings
from tfgen.layers import EqualizedConv2D, EqualizedDense, MinibatchStdDev, PixelNormalization, downscale2d, upscale2d
from tfgen.losses import PENALTIES, Objective
from tfgen.models.adversarial.base import AdversarialModel, ObjectiveName
from tfgen.models.adversarial.growth import Growth, for_levels, number_of_levels
from tfgen.settings import ImageShape, NaturalInt, NonNegativeFloat, PositiveFloat, PositiveInt, Size

layers = keras.layers
_leaky = functools.partial(tf.nn.leaky_relu, alpha=0.2)


class _Network(layers.Layer):
    """Base of both networks. `widths[l + 1]` are the filters of level l, `widths[0]` those of a vector."""

    def __init__(self, *, grid, widths, fused, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.grid, self.widths, self.fused = grid, widths, fused

    def build(self, input_shape):
        self.built = True  # its layers are built as they are made

    def conv(self, name, inputs, filters, size=3, resample=None, **kwargs):
        settings = {"activation": _leaky, "dtype": self.dtype_policy, "name": name, **kwargs}
        layer = EqualizedConv2D(filters, size, resample=resample, fused=self.fused, **settings)
        layer.build((None, None, None, inputs))
        return layer

    def dense(self, name, inputs, units, **kwargs):
        layer = EqualizedDense(units, **{"dtype": self.dtype_policy, "name": name, **kwargs})
        layer.build((None, inputs))
        return layer


class _Generator(_Network):
    """[latents [B, Z], one-hot labels [B, K]], position, levels -> images float32 of the last of the levels.

    The position is a scalar or [B, 1, 1, 1], at which all but `levels` have the weight 0.
    """

    def __init__(self, *, latent_dim, channels, **kwargs):
        super().__init__(**kwargs)
        first = self.widths[1]
        gain = math.sqrt(2.0) / 4.0
        self.vector = self.dense("vector", latent_dim, math.prod(self.grid) * first, gain=gain, use_bias=False)
        self.bias = self.add_weight(name="bias", shape=(first,), initializer="zeros")
        self.norm = PixelNormalization(dtype=self.dtype_policy, name="norm")
        self.convs, self.to_image = [self.conv("conv_0", first, first)], []
        for level, (below, width) in enumerate(zip(self.widths[1:-1], self.widths[2:], strict=True), 1):
            self.convs.append(self.conv(f"up_{level}", below, width, resample="up"))
            self.convs.append(self.conv(f"conv_{level}", width, width))
        for level, width in enumerate(self.widths[1:]):
            self.to_image.append(self.conv(f"to_image_{level}", width, channels, 1, gain=1.0, activation=None))

    def call(self, inputs, position, levels):
        x = self.vector(self.norm(tf.cast(tf.concat(inputs, axis=-1), self.compute_dtype)))
        x = tf.reshape(x, [-1, *self.grid, self.widths[1]]) + tf.cast(tf.convert_to_tensor(self.bias), x.dtype)
        x, images = self.norm(_leaky(x)), None
        for level in range(levels[-1] + 1):
            for conv in self.convs[max(0, 2 * level - 1) : 2 * level + 1]:
                x = self.norm(conv(x))
            images = None if images is None else upscale2d(images)
            if level in levels:
                shown = tf.cast(self.to_image[level](x), tf.float32)
                if len(levels) > 1:
                    shown *= tf.clip_by_value(1.0 - tf.abs(position - level), 0.0, 1.0)
                images = shown if images is None else images + shown
        return images


class _Discriminator(_Network):
    """[images of the last of the levels], position, levels -> {"logit": [B, 1], "classes": [B, K]}; position: a scalar."""

    def __init__(self, *, channels, num_classes, group_size, **kwargs):
        super().__init__(**kwargs)
        vector, first = self.widths[:2]
        self.of_image = [self.conv(f"of_image_{level}", channels, width, 1) for level, width in enumerate(self.widths[1:])]
        self.convs = []
        for level, (below, width) in enumerate(zip(self.widths[1:-1], self.widths[2:], strict=True), 1):
            self.convs.append(self.conv(f"conv_{level}", width, width))
            self.convs.append(self.conv(f"down_{level}", width, below, resample="down"))
        self.deviation = MinibatchStdDev(group_size, dtype=self.dtype_policy, name="deviation")
        self.last = self.conv("conv_0", first + 1, first)
        self.vector = self.dense("vector", math.prod(self.grid) * first, vector, activation=_leaky)
        self.outputs = self.dense("outputs", vector, 1 + num_classes, gain=1.0)

    def call(self, inputs, position, levels, training=False):
        images = inputs[0]
        x = self.of_image[levels[-1]](images)
        for level in range(levels[-1], 0, -1):
            for conv in self.convs[2 * level - 2 : 2 * level]:
                x = conv(x)
            if level - 1 in levels:
                images = downscale2d(images)
                below = self.of_image[level - 1](images)
                x += tf.cast(tf.clip_by_value(level - position, 0.0, 1.0), x.dtype) * (below - x)
        x = self.last(self.deviation(x))
        x = self.outputs(self.vector(tf.reshape(x, [-1, math.prod(x.shape[1:])])))
        return {"logit": x[:, :1], "classes": x[:, 1:]}


@keras.saving.register_keras_serializable("tfgen")
class ProgressiveGAN(AdversarialModel):
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
    batch_norm_modes = ("moving",)

    def __init__(
        self, *, image_shape: ImageShape, start_size: Size = 4, width: PositiveInt = 512, base: PositiveInt = 8192,
        latent_dim: PositiveInt | None = None, stable_images: NaturalInt = 600_000, fade_images: PositiveInt = 600_000,
        first_level: NaturalInt = 0, level_batch_sizes: PositiveInt | Sequence[PositiveInt] = 64,
        level_rates: PositiveFloat | Sequence[PositiveFloat] | None = None, group_size: PositiveInt = 4, fused: bool = True,
        objective: ObjectiveName | Objective = "wasserstein",
        penalty: Literal[tuple(PENALTIES)] | None = "gradient_penalty", penalty_weight: NonNegativeFloat = 10.0,
        drift_weight: NonNegativeFloat = 1e-3, class_weight: NonNegativeFloat = 1.0, **kwargs,
    ):  # fmt: skip
        latent_dim = min(base, width) if latent_dim is None else latent_dim
        super().__init__(
            image_shape=image_shape, latent_dim=latent_dim, objective=objective, penalty=penalty,
            penalty_weight=penalty_weight, **kwargs,
        )  # fmt: skip
        grid = (start_size, start_size) if isinstance(start_size, int) else tuple(start_size)
        num = number_of_levels(self.image_shape, grid)
        if first_level >= num:
            raise ValueError(f"first_level must be below {num}, the number of levels; received {first_level}.")
        sizes = for_levels("level_batch_sizes", level_batch_sizes, num)
        self.growth = Growth(sizes, stable_images, fade_images, first_level)
        self.rates = None if level_rates is None else for_levels("level_rates", level_rates, num)
        self.drift_weight, self.class_weight = float(drift_weight), float(class_weight)
        for name in ("class_loss", "generator_class_loss") if self.num_classes else ():
            self.loss_names, self.trackers[name] = (*self.loss_names, name), keras.metrics.Mean(name=name)
        widths = [max(1, min(base // 2**level, width)) for level in range(num + 1)]
        shared = {"grid": grid, "widths": widths, "fused": fused, "channels": self.image_shape[2]}
        shared["dtype"] = self.dtype_policy
        self.set_networks(
            _Generator(latent_dim=latent_dim + self.num_classes, name="generator", **shared),
            _Discriminator(num_classes=self.num_classes, group_size=group_size, name="discriminator", **shared),
        )

    def default_optimizer(self):
        return keras.optimizers.Adam(1e-3, beta_1=0.0, beta_2=0.99, epsilon=1e-8)

    def compile(self, optimizer=None, **kwargs):
        """As `TrainableModel.compile`; `level_rates` then set the learning rates."""
        super().compile(optimizer, **kwargs)
        self._set_rates()

    # ---- growth

    def players(self):
        return {name: dataclasses.replace(player, partial=True) for name, player in super().players().items()}

    def phase(self, step):
        return self.growth.index(step)

    def step_kind(self, step):
        return (*super().step_kind(step), self.growth.index(step))

    def begin_phase(self, phase):
        self.reset_optimizers()
        self._set_rates()

    def position(self) -> tf.Tensor:
        """The level that is reached, float32 scalar; between two whole numbers a level fades in."""
        return self.growth.position(tf.convert_to_tensor(self.step))

    def _set_rates(self):
        if self.rates is not None:
            for optimizer in self.player_optimizers.values():
                optimizer.learning_rate = self.rates[self._phase(in_step=False).level]

    def _phase(self, in_step=True):
        """The `Phase` of the step that is traced, or of the next one."""
        if in_step and self.kind is not None:
            return self.growth.phases[self.kind[-1]]
        with tf.init_scope():
            return self.growth.phases[self.growth.index(int(self.step.value.numpy()))]

    def _view(self, training):
        """(position, levels to compute): in training those of the phase, else all, since a graph may outlive a phase."""
        if not training:
            return self.position(), tuple(range(self.growth.last_level + 1))
        phase = self._phase()
        return self.position() if phase.fading else float(phase.level), phase.levels

    # ---- networks

    def generate_raw(
        self, latents: tf.Tensor, one_hot: tf.Tensor | None = None, training: bool = False,
        position: tf.Tensor | None = None,
    ) -> tf.Tensor:  # fmt: skip
        reached, levels = self._view(training)
        inputs = [latents] if one_hot is None else [latents, one_hot]
        images = self.generator(inputs, position=reached if position is None else position, levels=levels)
        return upscale2d(images, 2 ** (self.growth.last_level - levels[-1]))

    def discriminate(self, raw_images, one_hot=None, training=False, **noise):
        position, levels = self._view(training)
        images = downscale2d(raw_images, 2 ** (self.growth.last_level - levels[-1]))
        outputs = self.discriminator([images], position=position, levels=levels)
        outputs = {key: tf.cast(value, tf.float32) for key, value in outputs.items()}
        return {**outputs, "logit": outputs["logit"][:, 0]}

    # ---- training

    def update(self, batch):
        received, phase = batch["image"].shape[0], self._phase()
        received = None if received is None else received * tf.distribute.get_strategy().num_replicas_in_sync
        if received not in (None, phase.batch_size):
            raise ValueError(
                f"At level {phase.level} a step has {phase.batch_size} images, see level_batch_sizes; received {received}. "
                f"The batch_size for Source.batches and presets is {self.growth.batch_schedule()}."
            )
        return super().update(batch)

    def update_discriminator(self, batch, stream=0):
        position, levels = self._view(training=True)
        real = self.growth.faded(batch["raw"], levels, position)
        return super().update_discriminator({**batch, "raw": real}, stream)

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

    # ---- sampling

    def sample(self, num: PositiveInt, *, level: NaturalInt | None = None, **given) -> tf.Tensor:
        """As `Sampler.sample`, at any level.

        Args:
            num: number of images.
            level: int, or int [num], in [0, number of levels); None: as far as training has come, within a fade too.
            **given: see `AdversarialModel.sample`.

        Returns:
            float32 [num, H, W, C] in [0, 1], of the full size: smaller levels are upscaled by nearest neighbours.

        Raises:
            ValueError: `level` is no integer, or as `Sampler.sample`.
            InvalidArgumentError: there is no such level.
        """
        settings.check(AdversarialModel.sample, num=num)
        if level is not None:
            # Checked here and not only in the graph, whose errors have many lines.
            given["level"] = self._level_field().check(np.broadcast_to(level, [num]) if np.ndim(level) == 0 else level)
        return super().sample(num, **given)

    def decode_images(
        self, latents: tf.Tensor, labels: tf.Tensor | None = None, level: int | tf.Tensor | None = None
    ) -> tf.Tensor:
        """Images float32 [B, H, W, C] in [0, 1] of latents [B, latent_dim] and, in a conditional model, labels int [B].

        `level`: int or int [B], or None, see `sample`.
        """
        latents = self.check_latents(latents)
        one_hot, position = None if labels is None and not self.num_classes else self.one_hot(labels), None
        if level is not None:
            level = tf.convert_to_tensor(level)
            level = tf.fill([tf.shape(latents)[0]], level) if level.shape.rank == 0 else level
            position = tf.cast(self._level_field().check(level), tf.float32)[:, None, None, None]
        return tf.clip_by_value(0.5 + 0.5 * self.generate_raw(latents, one_hot, position=position), 0.0, 1.0)

    def _level_field(self):
        return fields.Field("level", (), "int32", low=0, high=self.growth.last_level)

    def input_fields(self):
        return (*super().input_fields(), self._level_field())

    def signatures(self):
        """The signatures of the family, and `sample_level`: seeds int64 [n], level int32 [n] -> image."""
        found = super().signatures()

        def sample_level(seeds, level, **conditions):
            return {"image": self.generate(seeds, level=level, **conditions)}

        return {**found, "sample_level": (sample_level, {**found["sample"][1], "level": self._level_field().spec})}
