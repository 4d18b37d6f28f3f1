"""StyleGAN.

Karras, Laine, Aila, "A Style-Based Generator Architecture for Generative Adversarial Networks", CVPR 2019, arXiv:1812.04948;
settings as in the authors' code (NVlabs/stylegan), configuration F without growing.

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

What differs from the code: the networks have their final size from the start (its structure "fixed"), and all batches have
one size and one rate. The mean of w is updated once in each step of the discriminator; in the code also by the step of the
generator. The images of all seeds use the same noise, as in the code with `randomize_noise` off, unless `synthesize` gets
other noise.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import keras
import numpy as np
import tensorflow as tf

from tfgen import random
from tfgen.layers import (
    Blur2D,
    EqualizedConv2D,
    EqualizedDense,
    InstanceNormalization,
    MinibatchStdDev,
    PixelNormalization,
)
from tfgen.losses import PENALTIES
from tfgen.models.adversarial.base import AdversarialModel
from tfgen.models.adversarial.growth import number_of_levels
from tfgen.models.adversarial.passes import Pass
from tfgen.settings import ImageShape, NonNegativeFloat, PositiveInt, Size, within

layers = keras.layers
_MIXING = 1 << 22  # added to a stream number, it gives the stream of the mixing


def _leaky(x):
    return tf.nn.leaky_relu(x, 0.2)


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
            dense = EqualizedDense(size, lrmul=rate, activation=_leaky, dtype=self.dtype_policy, name=f"dense_{i}")
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
        self.conv, self.blur, self.constant = None, None, None
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
        return self.norm(_leaky(x)) * (scale + 1.0) + shift


class _Generator(layers.Layer):
    """The mapping, and the synthesis: styles [B, L, W] and noise, a list of [B or 1, h, w, 1] -> images [B, H, W, C]."""

    def __init__(self, image_shape, widths, w_size, mapping, **kwargs):
        super().__init__(**kwargs)
        self.mapping, self.sizes, self.styled = mapping, [], []
        levels, before = len(widths), None
        for i, width in enumerate(widths):
            size = tuple(side // 2 ** (levels - 1 - i) for side in image_shape[:2])
            for source in ("up" if i else "constant", None):
                layer = _StyledLayer(before, width, size, source, w_size, dtype=self.dtype_policy,
                                     name=f"layer_{len(self.styled)}")  # fmt: skip
                self.styled.append(layer)
                self.sizes.append(size)
                before = width
        self.to_image = EqualizedConv2D(image_shape[-1], 1, gain=1.0, dtype=self.dtype_policy, name="to_image")
        self.to_image.build((None, *image_shape[:2], before))
        self.built = True

    def call(self, styles, noise):
        x = None
        for i, layer in enumerate(self.styled):
            x = layer(x, styles[:, i], noise[i])
        return self.to_image(x)


class _Discriminator(layers.Layer):
    """Images [B, H, W, C] in [-1, 1] -> {"logit": [B, 1], "features": [B, F]}."""

    def __init__(self, image_shape, widths, num_classes, group_size, **kwargs):
        super().__init__(**kwargs)
        shared, size = {"dtype": self.dtype_policy}, tuple(image_shape[:2])
        self.from_image = EqualizedConv2D(widths[-1], 1, activation=_leaky, name="from_image", **shared)
        self.from_image.build((None, *image_shape))
        self.convs, self.downs, self.blur = [], [], Blur2D(name="blur", **shared)
        for i in range(len(widths) - 1, 0, -1):
            conv = EqualizedConv2D(widths[i], 3, activation=_leaky, name=f"conv_{i}", **shared)
            down = EqualizedConv2D(widths[i - 1], 3, resample="down", activation=_leaky, name=f"down_{i}", **shared)
            for layer in (conv, down):
                layer.build((None, *size, widths[i]))
            size = tuple(side // 2 for side in size)
            self.convs.append(conv)
            self.downs.append(down)
        self.deviation = MinibatchStdDev(group_size, name="deviation", **shared)
        self.conv = EqualizedConv2D(widths[0], 3, activation=_leaky, name="conv", **shared)
        self.conv.build((None, *size, widths[0] + 1))
        self.dense = EqualizedDense(widths[0], activation=_leaky, name="dense", **shared)
        self.dense.build((None, size[0] * size[1] * widths[0]))
        self.logit = EqualizedDense(max(num_classes, 1), gain=1.0, name="logit", **shared)
        self.logit.build((None, widths[0]))
        self.built = True

    def call(self, inputs, training=False):
        x = self.from_image(inputs[0])
        for conv, down in zip(self.convs, self.downs, strict=True):
            x = down(self.blur(conv(x)))
        x = self.conv(self.deviation(x))
        features = self.dense(tf.reshape(x, [-1, x.shape[1] * x.shape[2] * x.shape[3]]))
        logit = self.logit(features)
        if len(inputs) > 1:  # the logit of the class
            logit = tf.reduce_sum(logit * tf.cast(inputs[1], logit.dtype), axis=-1, keepdims=True)
        return {"logit": logit, "features": features}


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
class StyleGAN(AdversarialModel):
    """StyleGAN with networks of fixed size.

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
        penalty, penalty_weight: as in `AdversarialModel`; the weight of "r1" is the paper's gamma.
        **kwargs: see `AdversarialModel`. The networks cannot be replaced.

    Raises:
        ValueError: sides that the networks cannot have.

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
        mixing_probability: Annotated[float, within(0, 1)] = 0.9, group_size: PositiveInt = 4,
        penalty: Literal[tuple(PENALTIES)] | None = "r1", penalty_weight: NonNegativeFloat = 10.0, **kwargs,
    ):  # fmt: skip
        super().__init__(
            image_shape=image_shape, latent_dim=latent_dim, penalty=penalty, penalty_weight=penalty_weight, **kwargs
        )
        grid = (start_size, start_size) if isinstance(start_size, int) else tuple(start_size)
        widths = [min(base_filters // 2 ** (i + 1), max_filters) for i in range(number_of_levels(self.image_shape, grid))]
        self.mixing_probability = float(mixing_probability)
        mapping = _Mapping(latent_dim, w_size, mapping_depth, mapping_rate, self.num_classes, dtype=self.dtype_policy,
                           name="mapping")  # fmt: skip
        self.generator = _Generator(self.image_shape, widths, w_size, mapping, dtype=self.dtype_policy, name="generator")
        self.discriminator = _Discriminator(self.image_shape, widths, self.num_classes, group_size, dtype=self.dtype_policy,
                                            name="discriminator")  # fmt: skip
        self.mean_w = MeanLatent(w_size, name="mean_w")
        self.built = True

    @property
    def num_layers(self) -> int:
        """L, the number of layers with a style."""
        return len(self.generator.sizes)

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
        images = self.generator(styles, self.noise_inputs(random.fold(keys, 3)))
        return Pass(tf.cast(images, tf.float32), one_hot, latents)

    def draw_cutoff(self, stream: int) -> tf.Tensor:
        """The first layer, int32 in [1, num_layers), with the style of the second latent of a batch; num_layers: none.

        It is a function of (seed, step, stream) alone, so it is the same on all replicas.
        """
        keys = random.fold(random.fold(random.key(self.seed), tf.convert_to_tensor(self.step)), [_MIXING + stream])
        u = random.uniform(keys, 2)[0]
        first = 1 + tf.cast(tf.floor(u[1] * (self.num_layers - 1)), tf.int32)
        return tf.where(u[0] < self.mixing_probability, first, self.num_layers)

    def noise_inputs(self, seeds: tf.Tensor | None = None) -> list[tf.Tensor]:
        """The noise of all layers, N(0, 1): a list of float32 [B, h, w, 1], the largest last.

        Args:
            seeds: int [B], or keys uint64 [B]; row i is a function of seeds[i]. None: the noise that all images share, of
                one row.
        """
        keys = tf.zeros([1], tf.int64) if seeds is None else tf.convert_to_tensor(seeds)
        keys = keys if keys.dtype == tf.uint64 else random.keys(keys)
        return [
            tf.reshape(random.normal(random.fold(keys, i), math.prod(size)), [-1, *size, 1])
            for i, size in enumerate(self.generator.sizes)
        ]

    # ---- sampling

    def generate_raw(self, latents, one_hot=None, training=False):
        return tf.cast(self.generator(_broadcast(self.generator.mapping(latents, one_hot), self.num_layers),
                                      self.noise_inputs()), tf.float32)  # fmt: skip

    def map(
        self, latents: tf.Tensor, labels: tf.Tensor | None = None, *, truncation: float = 1.0, cutoff: int | None = 8
    ) -> tf.Tensor:
        """The styles of latents.

        Args:
            latents: float32 [B, latent_dim].
            labels: int [B] in a conditional model.
            truncation: psi, any finite number: 1 changes nothing, 0 gives the mean, -1 the "opposite". The paper's pictures
                have .7.
            cutoff: the number of layers, from the first, whose styles are truncated; None: all.

        Returns:
            w, float32 [B, num_layers, w_size].

        Raises:
            ValueError: `truncation` is no finite number, `cutoff` no whole number >= 0, or latents of another shape.
        """
        if isinstance(truncation, (bool, str)) or not np.isscalar(truncation) or not np.isfinite(truncation):
            raise ValueError(f"truncation must be a finite number; received {truncation!r}.")
        if cutoff is not None and (isinstance(cutoff, bool) or not isinstance(cutoff, (int, np.integer)) or cutoff < 0):
            raise ValueError(f"cutoff must be None or a whole number >= 0; received {cutoff!r}.")
        latents = tf.convert_to_tensor(latents, tf.float32)
        if latents.shape.rank != 2 or latents.shape[1] != self.latent_dim:
            raise ValueError(f"latents must be [B, {self.latent_dim}]; received {latents.shape.as_list()}.")
        one_hot = None if labels is None and not self.num_classes else self.one_hot(labels)
        styles = tf.cast(_broadcast(self.generator.mapping(latents, one_hot), self.num_layers), tf.float32)
        truncated = tf.range(self.num_layers) < (self.num_layers if cutoff is None else cutoff)
        psi = tf.where(truncated, float(truncation), 1.0)[:, None]
        mean = tf.convert_to_tensor(self.mean_w.value)
        return styles + (1.0 - psi) * (mean - styles)  # exact for psi = 1

    def synthesize(self, w: tf.Tensor, noise: Sequence[tf.Tensor] | None = None) -> tf.Tensor:
        """Images float32 [B, H, W, C] in [0, 1] of styles.

        Args:
            w: float32 [B, num_layers, w_size], see `map`; or [B, w_size], for all layers.
            noise: None, for the noise that all images share; or a list like that of `noise_inputs`, in which zeros leave the
                noise of a layer out.

        Raises:
            ValueError: another rank or width of `w`, or another number or shape of noise inputs.
        """
        w, sizes = tf.convert_to_tensor(w, tf.float32), self.generator.sizes
        width = self.mean_w.size
        if w.shape[1:] not in ((self.num_layers, width), (width,)):
            raise ValueError(
                f"w must be [B, {self.num_layers}, {width}] or [B, {width}]; received {w.shape.as_list()}."
            )  # fmt: skip
        noise = self.noise_inputs() if noise is None else [tf.convert_to_tensor(one, tf.float32) for one in noise]
        if [tuple(one.shape[1:]) for one in noise] != [(*size, 1) for size in sizes]:
            raise ValueError(
                f"noise must be a list of [B or 1, h, w, 1] with h x w of {sizes}; received "
                f"{[one.shape.as_list() for one in noise]}."
            )
        raw = self.generator(_broadcast(w, self.num_layers) if w.shape.rank == 2 else w, noise)
        return tf.clip_by_value(0.5 + 0.5 * tf.cast(raw, tf.float32), 0.0, 1.0)

    def mix(self, w_rows: tf.Tensor, w_columns: tf.Tensor, layers: Sequence[int]) -> tf.Tensor:
        """The images of all pairs of styles: those of a row, but in `layers` those of a column (figure 3 of the paper).

        Args:
            w_rows, w_columns: float32 [R, num_layers, w_size] and [C, num_layers, w_size].
            layers: whole numbers in [0, num_layers), for example range(4), the coarse ones.

        Returns:
            float32 [R, C, height, width, channels] in [0, 1].

        Raises:
            ValueError: a layer out of range, or styles of another shape.
        """
        chosen = list(layers)
        if not all(isinstance(i, (int, np.integer)) and 0 <= i < self.num_layers for i in chosen):
            raise ValueError(f"layers must be whole numbers in [0, {self.num_layers}); received {chosen}.")
        rows, columns = (tf.convert_to_tensor(w, tf.float32) for w in (w_rows, w_columns))
        for name, w in (("w_rows", rows), ("w_columns", columns)):
            if w.shape.rank != 3 or w.shape[1:] != (self.num_layers, self.mean_w.size):
                raise ValueError(
                    f"{name} must be [N, {self.num_layers}, {self.mean_w.size}]; received {w.shape.as_list()}."
                )
        of_column = tf.constant([[i in chosen] for i in range(self.num_layers)])
        return tf.stack([self.synthesize(tf.where(of_column, columns, row[None])) for row in tf.unstack(rows)])


def mixed(first: tf.Tensor, second: tf.Tensor, cutoff: tf.Tensor, num_layers: int) -> tf.Tensor:
    """Styles [B, num_layers, W] from w [B, W]: those of `first` in the layers below `cutoff`, then those of `second`."""
    of_first = tf.range(num_layers)[:, None] < cutoff
    return tf.where(of_first, first[:, None], second[:, None])


def _broadcast(w, num_layers):  # [B, W] -> [B, num_layers, W]
    return tf.repeat(w[:, None], num_layers, axis=1)
