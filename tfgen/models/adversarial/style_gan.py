"""StyleGAN.

Karras, Laine, Aila, "A Style-Based Generator Architecture for Generative Adversarial Networks", CVPR 2019, arXiv:1812.04948;
settings as in the authors' code (NVlabs/stylegan), configuration F; by default without growing.

The idea: a network maps the latent z to an intermediate latent w, whose distribution need not be the fixed one of z. From w
each layer of the generator gets a style, the scale and shift of its feature maps, and so layers control coarse, middle and
fine properties separately. Random details come from noise that is added to every layer.

    w = f(z)                       f: pixel norm, then dense layers that learn 100 times slower        (section 2)
    AdaIN(x, s) = (s_scale + 1) (x - mean(x)) / std(x) + s_shift,   s = A w                             (eq. 1)
    layer:  convolution -> + noise B -> + bias -> leaky ReLU -> AdaIN        the first layer has a constant input
    w' = w_mean + psi (w - w_mean)                 truncation, at sampling                              (appendix B)
    D: softplus(-D(x)) + softplus(D(G(z))) + gamma / 2 E ||grad_x D(x)||^2,   G: softplus(-D(G(z)))     (section 2)

Style mixing: in training, a second latent gives the styles of the layers from a random one on, so that the network does not
assume that adjacent styles are correlated.

D is that of Progressive GAN, with a blur before its maps are halved. With `growing` both networks grow as there (see
`growth`): levels fade in, real images fade too, and the optimisers start anew at both ends of a fade. All images have the
full size, smaller levels upscaled, so R1's gradient is by pixels of the full size, as in the code: at level l the penalty is
1 / 4^(last - l) of that by the level's own pixels.

What differs from the code: its plan of growth is looked at in every fourth step, here in each. Without growing, which is
its structure "fixed", all batches have one size and one rate. The mean of w is updated once in each step of D; in the code
also by the step of G. The images of all seeds use the same noise, as in the code with `randomize_noise` off, unless
`synthesize` gets other noise.
"""

from collections.abc import Sequence
from typing import Annotated, Any

import keras
import tensorflow as tf
from keras import layers

from tfgen import random
from tfgen.layers import Blur2D, EqualizedConv2D, EqualizedDense, InstanceNormalization, PixelNormalization
from tfgen.losses.penalties import PenaltyName
from tfgen.models.adversarial.base import AdversarialModel
from tfgen.models.adversarial.parts.growing import GrowingMixin
from tfgen.models.adversarial.parts.growth import joined
from tfgen.models.adversarial.parts.passes import Pass
from tfgen.models.adversarial.parts.styles import StylesMixin, of_all_layers
from tfgen.models.adversarial.progressive_gan import Discriminator, LevelNetwork, leaky
from tfgen.settings import ImageShape, NaturalInt, NonNegativeFloat, PositiveFloat, PositiveInt, Size, within

_MIXING = 1 << 22  # added to a stream number, it gives the stream of the mixing
_OF_GROWTH = ("stable_images", "fade_images", "first_level", "level_batch_sizes", "level_rates")


class _Mapping(layers.Layer):
    """Latents z [B, Z], and embedded labels joined to them -> w [B, W]."""

    def __init__(self, latent_dim, size, depth, rate, num_classes, **kwargs):
        super().__init__(**kwargs)
        self.norm = PixelNormalization(dtype=self.dtype_policy, name="norm")
        self.embedding, self.dense, before = None, [], latent_dim * (2 if num_classes else 1)
        if num_classes:
            self.embedding = layers.Dense(latent_dim, use_bias=False, dtype=self.dtype_policy, name="embedding",
                                          kernel_initializer=keras.initializers.RandomNormal(0.0, 1.0))  # fmt: skip
            self.embedding.build((None, num_classes))
        for i in range(depth):
            dense = EqualizedDense(size, lrmul=rate, activation=leaky, dtype=self.dtype_policy, name=f"dense_{i}")
            dense.build((None, before))
            self.dense.append(dense)
            before = size
        self.built = True

    def call(self, z, one_hot=None):
        w = self.norm(z if self.embedding is None else tf.concat([z, self.embedding(one_hot)], axis=-1))
        for dense in self.dense:
            w = dense(w)
        return w


class _StyledLayer(layers.Layer):
    """One layer of the synthesis network: what makes its maps, and then noise, bias, leaky ReLU and AdaIN."""

    def __init__(self, before, after, size, source, w_size, **kwargs):
        super().__init__(**kwargs)
        shared = {"dtype": self.dtype_policy}
        self.blur, self.constant = None, None
        self.conv: Any = None
        if source == "constant":
            self.constant = self.add_weight(name="constant", shape=(1, *size, after), initializer="ones")
        else:
            self.conv = EqualizedConv2D(after, 3, use_bias=False, resample=source, name="conv", **shared)
            self.conv.build((None, *(side // (2 if source else 1) for side in size), before))
            self.blur = Blur2D(name="blur", **shared) if source else None
        self.noise_weight = self.add_weight(name="noise_weight", shape=(after,), initializer="zeros")
        self.bias = self.add_weight(name="bias", shape=(after,), initializer="zeros")
        self.norm = InstanceNormalization(epsilon=1e-8, name="norm", **shared)
        self.style = EqualizedDense(2 * after, gain=1.0, name="style", **shared)
        self.style.build((None, w_size))
        self.built = True

    def call(self, x, w, noise):
        if self.constant is not None:
            x = tf.repeat(tf.convert_to_tensor(self.constant), tf.shape(w)[0], axis=0)
        else:
            x = self.conv(x)
            x = x if self.blur is None else self.blur(x)
        return self.epilogue(x, w, noise)

    def epilogue(self, x, w, noise):
        x = x + tf.cast(noise, x.dtype) * tf.cast(self.noise_weight, x.dtype) + tf.cast(self.bias, x.dtype)
        scale, shift = tf.split(self.style(w)[:, None, None], 2, axis=-1)  # each [B, 1, 1, C]
        return self.norm(leaky(x)) * (scale + 1.0) + shift


class _Generator(LevelNetwork):
    """The mapping, and the synthesis.

    Styles [B, L, W], noise, a list of [B or 1, h, w, 1], position, levels -> images float32 of the last of the levels; the
    position is a scalar or [B, 1, 1, 1], at which all but `levels` have the weight 0.
    """

    def __init__(self, *, channels, w_size, mapping, **kwargs):
        super().__init__(**kwargs)
        self.mapping, self.sizes, before = mapping, [], None
        self.styled: list[_StyledLayer] = []
        for level, width in enumerate(self.widths[1:]):
            size = tuple(side * 2**level for side in self.grid)
            for source in ("up" if level else "constant", None):
                layer = _StyledLayer(before, width, size, source, w_size, dtype=self.dtype_policy,
                                     name=f"layer_{len(self.styled)}")  # fmt: skip
                self.styled.append(layer)
                self.sizes.append(size)
                before = width
        make = lambda name, width: self.make_conv(name, width, channels, 1, gain=1.0, activation=None)  # noqa: E731
        self.to_image = self.make_heads("to_image", make)

    def call(self, styles, noise, position, levels):
        x, images = None, None
        for level in range(levels[-1] + 1):
            for i in (2 * level, 2 * level + 1):
                x = self.styled[i](x, styles[:, i], noise[i])
            images = joined(images, self.head(self.to_image, level), x, level, levels, position)
        return images


@keras.saving.register_keras_serializable("tfgen")
class MeanLatent(layers.Layer):
    """The moving mean of w, float32 [W], from zeros."""

    def __init__(self, size, decay=0.995, **kwargs):
        super().__init__(**kwargs)
        self.size, self.decay = size, decay
        self.value = self.add_weight(name="value", shape=(size,), initializer="zeros", dtype="float32", trainable=False,
                                     autocast=False, aggregation="mean")  # fmt: skip
        self.built = True

    def update(self, w):
        """value <- decay value + (1 - decay) mean of w, [B, W]."""
        new = tf.reduce_mean(tf.cast(tf.stop_gradient(w), tf.float32), axis=0)
        self.value.assign(new + self.decay * (tf.convert_to_tensor(self.value) - new))

    def get_config(self):
        return super().get_config() | {"size": self.size, "decay": self.decay}


@keras.saving.register_keras_serializable("tfgen")
class StyleGAN(StylesMixin, GrowingMixin, AdversarialModel):
    """StyleGAN, with networks of the final size from the start or growing ones.

    Args:
        image_shape: (H, W, C), where H and W are `start_size` times one power of two.
        start_size: the size of the smallest maps, a number or (height, width); 7 for 28 x 28.
        latent_dim: Z, width of z.
        w_size: W, width of w.
        mapping_depth: number of dense layers from z to w.
        mapping_rate: factor of their learning rate.
        base_filters, max_filters: the maps of level i (0 is the smallest) have min(base_filters / 2^(i + 1), max_filters)
            channels.
        mixing_probability: of style mixing, in [0, 1]; one decision for each batch.
        group_size: of the minibatch standard deviation.
        growing: whether both networks grow. Each level then has a layer between maps and images, and a step has the number
            of images of `growth.batch_schedule()`, which is the `batch_size` for `Source.batches` and presets.
        stable_images, fade_images, level_batch_sizes, level_rates: of networks that grow, as in `ProgressiveGAN`.
        first_level: the level with which their training begins; the paper begins with level 1, 8 x 8 pixels.
        penalty, penalty_weight: as in `AdversarialModel`; the weight of "r1" is the paper's gamma.
        **kwargs: see `AdversarialModel`. The networks cannot be replaced.

    Raises:
        ValueError: sides that the networks cannot have; a setting of growth without `growing`, or one that does not fit the
            number of levels.

    Example:

    >>> model = tfgen.models.StyleGAN(image_shape=(16, 16, 1), latent_dim=8, w_size=8, max_filters=8)
    >>> w = model.map(model.latents(tf.constant([0, 1], tf.int64)), truncation=0.7)
    >>> w.shape, model.synthesize(w).shape
    (TensorShape([2, 6, 8]), TensorShape([2, 16, 16, 1]))
    """

    def __init__(
        self, *, image_shape: ImageShape, start_size: Size = 4, latent_dim: PositiveInt = 512,
        w_size: PositiveInt = 512, mapping_depth: PositiveInt = 8, mapping_rate: NonNegativeFloat = 0.01,
        base_filters: PositiveInt = 8192, max_filters: PositiveInt = 512,
        mixing_probability: Annotated[float, within(0, 1)] = 0.9, group_size: PositiveInt = 4, growing: bool = False,
        stable_images: NaturalInt = 600_000, fade_images: PositiveInt = 600_000, first_level: NaturalInt = 1,
        level_batch_sizes: PositiveInt | Sequence[PositiveInt] = 64,
        level_rates: PositiveFloat | Sequence[PositiveFloat] | None = None,
        penalty: PenaltyName | None = "r1", penalty_weight: NonNegativeFloat = 10.0, **kwargs,
    ):  # fmt: skip
        super().__init__(
            image_shape=image_shape, latent_dim=latent_dim, penalty=penalty, penalty_weight=penalty_weight, **kwargs
        )
        grid = self.set_levels(start_size)
        if growing:
            self.set_growth(stable_images, fade_images, first_level, level_batch_sizes, level_rates)
        else:
            _check_fixed(self)
        self.mixing_probability = float(mixing_probability)
        widths = [max(1, min(base_filters // 2**i, max_filters)) for i in range(self.last_level + 2)]
        shared = {"grid": grid, "widths": widths, "grows": growing, "channels": self.image_shape[2]}
        shared["dtype"] = self.dtype_policy
        mapping = _Mapping(latent_dim, w_size, mapping_depth, mapping_rate, self.num_classes, dtype=self.dtype_policy,
                           name="mapping")  # fmt: skip
        self.generator = _Generator(w_size=w_size, mapping=mapping, name="generator", **shared)
        self.discriminator = Discriminator(
            outputs=max(self.num_classes, 1), group_size=group_size, blur=True, name="discriminator", **shared
        )
        self.mean_w = MeanLatent(w_size, name="mean_w")
        for network in (self.generator, self.discriminator):
            network.build(None)
        self.built = True

    def default_optimizer(self):
        return keras.optimizers.Adam(1e-3, beta_1=0.0, beta_2=0.99, epsilon=1e-8)

    # ---- training

    def generated(self, size, stream):
        keys = self.noise_keys(size, stream)
        latents = self.draw_latents(keys)
        one_hot = self.draw_labels(random.fold(keys, 1)) if self.num_classes else None
        w = self.generator.mapping(latents, one_hot)
        if stream == 0:
            self.mean_w.update(w)
        other = self.generator.mapping(self.draw_latents(random.fold(keys, 2)), one_hot)
        styles = mixed(w, other, self.draw_cutoff(stream), self.num_layers)
        images = self.drawn(styles, self.noise_inputs(random.fold(keys, 3)), training=True)
        return Pass(images, one_hot, latents)

    def draw_cutoff(self, stream: int) -> tf.Tensor:
        """The first layer, int32 in [1, n), with the style of the second latent of a batch; n: none.

        n is the number of layers that the step uses: `num_layers`, or those up to the level that a growing network has
        reached. It is a function of (seed, step, stream) alone, so it is the same on all replicas.
        """
        num = 2 * (self.view(training=True)[1][-1] + 1)
        keys = random.fold(random.fold(random.key(self.seed), tf.convert_to_tensor(self.step)), [_MIXING + stream])
        u = random.uniform(keys, 2)[0]
        first = 1 + tf.cast(tf.floor(u[1] * (num - 1)), tf.int32)
        return tf.where(u[0] < self.mixing_probability, first, num)

    # ---- networks

    def generate_raw(
        self, latents: tf.Tensor, one_hot: tf.Tensor | None = None, training: bool = False,
        position: tf.Tensor | None = None,
    ) -> tf.Tensor:  # fmt: skip
        styles = of_all_layers(self.generator.mapping(latents, one_hot), self.num_layers)
        return self.drawn(styles, self.noise_inputs(), training=training, position=position)

    def discriminate(self, raw_images, one_hot=None, training=False, **noise):
        return self.judged(raw_images, *([] if one_hot is None else [one_hot]), training=training)


def mixed(first: tf.Tensor, second: tf.Tensor, cutoff: tf.Tensor, num_layers: int) -> tf.Tensor:
    """Styles [B, num_layers, W] from w [B, W]: those of `first` in the layers below `cutoff`, then those of `second`."""
    of_first = tf.range(num_layers)[:, None] < cutoff
    return tf.where(of_first, first[:, None], second[:, None])


def _check_fixed(model):
    """Raises ValueError if a model that does not grow was given a setting of growth."""
    defaults = model.config_parameters()
    for name in _OF_GROWTH:
        if model._config[name] != defaults[name].default:
            raise ValueError(f"{name} is a setting of networks that grow, growing=True; received {model._config[name]!r}.")
