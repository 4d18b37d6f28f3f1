"""BigGAN.

Brock, Donahue, Simonyan, "Large Scale GAN Training for High Fidelity Natural Image Synthesis", ICLR 2019, arXiv:1809.11096;
where the paper is silent, the first author's code (ajbrock/BigGAN-PyTorch).

The idea: GANs gain more from wider networks and larger batches than from new losses. Each block of the generator gets the
class, through one embedding that all blocks share, and a part of the latents of its own. Latents of small absolute value
then give typical images: at sampling, the threshold above which they are drawn again exchanges variety for quality.

    z = [z_0, z_1, ..., z_L],   c_l = [E y, z_l],   h_0 = Dense(z_0),   h_l = block_l(h_(l-1), c_l)         (figure 15)
    CBN(x, c) = (1 + W c) (x - mean) / stddev + V c                  in each block; W, V spectrally normalised, without bias
    R(W) = beta ||W W^T * (1 - I)||_F^2                              of the generator's kernels but E                 (eq. 3)
    D minimises E max(0, 1 - D(x, y)) + E max(0, 1 + D(G(z, y), y)),   G minimises -E D(G(z, y), y) + sum R

D is SNGAN's projection discriminator with wide blocks; both networks have spectral norm, orthogonal initial kernels and, at
one size, the attention of SAGAN. D is updated twice for each update of G. Samples come from averaged weights (`ema_start`:
averaging begins late), with batch norm's statistics computed anew for the threshold: `sample(truncation=0.5,
batch_norm="standing")` in `model.ema.swapped()`.

What differs from the paper: u of a spectral norm is updated once in each step of its network, in the code in every call in
training. Truncation uses the inverse distribution function in place of drawing again: the distribution is the same, and an
image changes smoothly with the threshold. (The code draws from N(0, tau^2); its converter of the paper's published models
from tau times a normal truncated at 2.) Standing statistics are of 16 batches, as in the code, in the paper of 100. The
gradient of R is the exact one; the code adds half of it, and its published runs none. The moving average of batch norm has
momentum .9. D sees real and fake images in separate batches, which without batch norm gives the same numbers.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfgen import fields, settings
from tfgen.layers import ConditionalBatchNorm
from tfgen.losses import Objective
from tfgen.losses.regularizers import RegularizerName
from tfgen.models.adversarial.base import AdversarialModel, ObjectiveName
from tfgen.models.adversarial.parts.attention import AttentionMaker
from tfgen.models.adversarial.parts.truncation import TruncationMixin
from tfgen.networks.common import Network, layers, split
from tfgen.networks.resnet import UpBlock
from tfgen.networks.slots import attend, batch_norm, make_attentions
from tfgen.settings import Classes, ImageShape, NonNegativeFloat, PositiveInt, TwoOrMore

CHUNK = 20  # latents of a block in the paper
_EPSILON = 1e-5  # of batch norm
# The filters of the generator's grid and blocks, and of the discriminator's blocks, as multiples of `width` (tables 4 to 6;
# of 64 pixels, in the code).
_MULTIPLES = {
    64: ((16, 16, 8, 4, 2), (1, 2, 4, 8, 16)),
    128: ((16, 16, 8, 4, 2, 1), (1, 2, 4, 8, 16, 16)),
    256: ((16, 16, 8, 8, 4, 2, 1), (1, 2, 4, 8, 8, 16, 16)),
    512: ((16, 16, 8, 8, 4, 2, 1, 1), (1, 1, 2, 4, 8, 8, 16, 16)),
}


class LinearBatchNorm(layers.Layer):
    """Batch norm, then (1 + W c) x + V c: [x [B, H, W, C], c [B, D]] -> [B, H, W, C]."""

    def __init__(self, make_dense, **kwargs):
        super().__init__(**kwargs)
        self.norm = batch_norm(self.dtype_policy, "norm", epsilon=_EPSILON, center=False, scale=False)
        self.make_dense = make_dense

    def build(self, input_shape):
        channels = input_shape[0][-1]
        self.gain, self.bias = (self.make_dense(channels, use_bias=False, name=name) for name in ("gain", "bias"))
        self.built = True

    def call(self, inputs, training=False):
        x, condition = inputs
        gain, bias = (layer(condition)[:, None, None, :] for layer in (self.gain, self.bias))
        return (1.0 + gain) * self.norm(x, training=training) + bias


class BigGANGenerator(Network):
    """[latents [B, Z], one-hot labels [B, K]] -> images: the first part of the latents makes the grid, each block has one.

    Z must be a multiple of the number of `filters`. The labels may be mixtures of classes.

    Args:
        filters: of the grid and of each block.
        shared_dim: width of the class embedding.
        num_classes: K; 0: no labels.
        attention: None or a function, see `tfgen.networks.slots.make_attentions`; after each block.
        **kwargs: see `Network`.
    """

    def __init__(
        self, *, image_shape: ImageShape, filters: Sequence[PositiveInt], shared_dim: PositiveInt, num_classes: Classes = 0,
        attention: Callable | None = None, **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        dtype, stages = self.dtype_policy, len(filters) - 1
        sizes = [tuple(side // 2**i for side in image_shape[:2]) for i in reversed(range(stages + 1))]
        self.grid = (*sizes[0], filters[0])
        self.shared: Any = None
        if num_classes:
            self.shared = layers.Dense(shared_dim, use_bias=False, **self.weights_like, name="shared")
        self.dense = self.make_dense(math.prod(self.grid), name="dense")
        norm, initializer = functools.partial(LinearBatchNorm, self.make_dense), self.weights_like["kernel_initializer"]
        self.blocks = [
            UpBlock(self.make_conv, n, norm, num_classes, initializer, dtype=dtype, name=f"block_{i}")
            for i, n in enumerate(filters[1:])
        ]
        self.attentions = make_attentions(attention, sizes[1:], dtype)
        self.norm = batch_norm(dtype, "norm", gamma_initializer="ones", epsilon=_EPSILON)
        self.out = self.make_conv(image_shape[-1], 3, name="out")

    def call(self, inputs, training=False):
        z, one_hot = split(inputs)
        first, *chunks = tf.split(tf.cast(z, self.compute_dtype), len(self.blocks) + 1, axis=-1)
        embedding = [] if one_hot is None else [self.shared(one_hot)]
        x = tf.reshape(self.dense(first), [-1, *self.grid])
        for block, attention, chunk in zip(self.blocks, self.attentions, chunks, strict=True):
            x = attend(attention, block(x, tf.concat([*embedding, chunk], axis=-1), training=training))
        return tf.tanh(self.out(tf.nn.relu(self.norm(x, training=training))))


@keras.saving.register_keras_serializable("tfgen")
class BigGAN(TruncationMixin, AdversarialModel):
    """BigGAN. Without `num_classes` its blocks have latents of their own, but no class.

    Args:
        image_shape: (H, W, C). At 64, 128, 256 and 512 pixels the networks are the published ones. At other sizes a grid of
            at least 4 x 4 is doubled as often as possible, and all blocks have 4 `width` filters, as at 32 pixels; H and W
            must be multiples of 2 to the number of doublings.
        width: the paper's ch; filters are multiples of it.
        shared_dim: width of the class embedding. None, as in the code for CIFAR-10: a gain and a shift for each class and no
            embedding, and all latents go to the first layer.
        latent_dim: width of the latents, in equal parts: one for the first layer and one for each block. None: 20 each, or
            128 if `shared_dim` is None.
        attention_size: height of the feature maps that get attention: the first ones of this height, in each network. None:
            no attention.
        attention_args: dict of arguments of `tfgen.layers.SelfAttention2D`.
        network_args: dict of further settings: `generator` (see `BigGANGenerator`, or `tfgen.networks.ResNetGenerator` if
            `shared_dim` is None) and `discriminator` (see `tfgen.networks.ResNetDiscriminator`) are dicts for one network,
            the rest is for both.
        regularizer, regularizer_weight: as in `AdversarialModel`, but of the generator alone, without its embeddings.
        generator, discriminator: None, or a network of your own, see `AdversarialModel`.
        **kwargs: see `AdversarialModel`.

    Raises:
        ValueError: the image or the latents cannot be divided so, or a network has no maps of the height `attention_size`.

    Example:

    >>> model = tfgen.models.BigGAN(image_shape=(28, 28, 1), width=4, num_classes=10, shared_dim=16, latent_dim=24)
    >>> model.sample(2, labels=[3, 3], truncation=0.5).shape
    TensorShape([2, 28, 28, 1])
    """

    own_networks = {
        ("generator", "discriminator"): ("width", "shared_dim", "attention_size", "attention_args", "network_args")
    }

    def __init__(
        self, *, image_shape: ImageShape, width: PositiveInt = 64, shared_dim: PositiveInt | None = 128,
        latent_dim: PositiveInt | None = None, attention_size: PositiveInt | None = None,
        attention_args: dict | None = None, network_args: dict | None = None, objective: ObjectiveName | Objective = "hinge",
        discriminator_steps: PositiveInt = 2, regularizer: RegularizerName | None = "orthogonal",
        regularizer_weight: NonNegativeFloat = 1e-4, **kwargs,
    ):  # fmt: skip
        filters, of_discriminator, downs = _filters(min(image_shape[:2]), width)
        given = {"kernel_initializer": "orthogonal", **(network_args or {})}
        own = {name: given.pop(name, {}) for name in ("generator", "discriminator")}
        filters = own["generator"].get("filters", filters)
        if not settings.is_sequence(filters) or not filters:
            raise ValueError(
                "network_args['generator']['filters'] must be the filters of the grid and of each block, a sequence of "
                f"integers >= 1; received {settings.shown(filters)}."
            )
        parts = 1 if shared_dim is None else len(filters)
        latent_dim = latent_dim or (128 if shared_dim is None else CHUNK * parts)
        super().__init__(
            image_shape=image_shape, latent_dim=latent_dim, objective=objective, discriminator_steps=discriminator_steps,
            regularizer=regularizer, regularizer_weight=regularizer_weight, **kwargs,
        )  # fmt: skip
        makers = {name: AttentionMaker(attention_size, {"kernel_initializer": "orthogonal", **(attention_args or {})})
                  for name in own}  # fmt: skip
        shared = {name: {"convolution": "spectral", "attention": maker, **given} for name, maker in makers.items()}
        if self.generator is None:
            _check_sizes(self.image_shape, self.latent_dim, len(filters) - 1, parts)
        generator = {"num_classes": self.num_classes, **shared["generator"], "filters": filters, **own["generator"]}
        if self.generator is None and shared_dim is not None:
            generator = BigGANGenerator(
                image_shape=self.image_shape, shared_dim=shared_dim, dtype=self.dtype_policy, name="generator", **generator
            )
        discriminator = {"filters": of_discriminator, "downs": downs, "hidden": "output",
                         "embedding_initializer": given["kernel_initializer"], **shared["discriminator"],
                         **own["discriminator"]}  # fmt: skip
        self.set_networks(*self.make_networks("resnet", generator=generator, discriminator=discriminator))
        for name, maker in makers.items():
            maker.check(name)

    def default_optimizer(self):
        adam = {"beta_1": 0.0, "beta_2": 0.999, "epsilon": 1e-8}
        return {"generator": keras.optimizers.Adam(5e-5, **adam), "discriminator": keras.optimizers.Adam(2e-4, **adam)}

    def regularization(self, network):
        if network is not self.generator or self.regularizer is None:
            return 0.0
        tables = (keras.layers.Embedding, ConditionalBatchNorm)
        of_classes = [layer for layer in network._flatten_layers() if isinstance(layer, tables)]
        of_classes += [shared] if (shared := getattr(network, "shared", None)) is not None else []
        left_out = {id(v) for layer in of_classes for v in layer.trainable_variables}
        return self.regularizer_weight * self.regularizer([v for v in network.trainable_variables if id(v) not in left_out])

    # ---- between classes

    def decode_classes(self, latents: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
        """Images float32 [B, H, W, C] in [0, 1] of mixtures of classes, whose embeddings are mixed.

        Args:
            latents: float32 [B, latent_dim].
            classes: float32 [B, num_classes], the weight of each class; the rows of `decode_images` are one-hot.

        Raises:
            ValueError: wrong dtype or shape, another number of rows, or the model has no classes.
            InvalidArgumentError: a number that is not finite.
        """
        wanted = [fields.vector("latents", self.latent_dim), fields.vector("classes", self.num_classes)]
        given = fields.check_given(wanted, {"latents": latents, "classes": classes}, "decode_classes")
        raw = self.generate_raw(given["latents"], given["classes"])
        return tf.clip_by_value(0.5 + 0.5 * raw, 0.0, 1.0)

    def interpolate_classes(
        self, latents: tf.Tensor, labels_a: tf.Tensor, labels_b: tf.Tensor, steps: TwoOrMore = 9
    ) -> tf.Tensor:
        """A row of images for each latent, from class a to class b (figure 8 of the paper); both ends are included.

        Args:
            latents: float32 [B, latent_dim].
            labels_a, labels_b: int [B].
            steps: number of images in a row.

        Returns:
            float32 [B, steps, H, W, C] in [0, 1]; `tfgen.sampling.image_grid(tf.concat(list(rows), 0), columns=steps)` is
            their picture.

        Raises:
            ValueError: wrong shapes, steps < 2, or the model has no classes.
            InvalidArgumentError: a label of no class.
        """
        settings.check(BigGAN.interpolate_classes, steps=steps)
        a, b, latents = self.one_hot(labels_a), self.one_hot(labels_b), tf.convert_to_tensor(latents, tf.float32)
        if latents.shape[1:] != (self.latent_dim,) or not len(latents) == len(a) == len(b):
            raise ValueError(
                f"interpolate_classes needs latents [B, {self.latent_dim}] and two labels for each; received latents "
                f"{latents.shape.as_list()} and {len(a)} and {len(b)} labels."
            )
        shares = tf.linspace(0.0, 1.0, steps)[:, None]
        classes = (1.0 - shares) * a[:, None] + shares * b[:, None]
        images = self.decode_classes(tf.repeat(latents, steps, axis=0), tf.reshape(classes, [-1, self.num_classes]))
        return tf.reshape(images, [-1, steps, *self.image_shape])

    def input_fields(self):
        found = super().input_fields()
        return (*found, fields.vector("classes", self.num_classes)) if self.num_classes else found

    def signatures(self):
        """The signatures of the family, `sample_truncated`, and of a model with classes `decode_classes`."""
        found = super().signatures()
        if self.num_classes:
            specs = {"latent": found["decode"][1]["latent"], "classes": fields.vector("classes", self.num_classes).spec}
            found["decode_classes"] = (lambda latent, classes: {"image": self.decode_classes(latent, classes)}, specs)
        return found


def _filters(side, width):
    """(filters of the generator's grid and blocks, filters of the discriminator's blocks, how many of these halve)."""
    if side in _MULTIPLES:
        generator, discriminator = _MULTIPLES[side]
        downs = len(discriminator) - 1
    else:
        generator, discriminator, downs = (4,) * (max(1, int(math.log2(side / 4))) + 1), (4,) * 4, 2
    return tuple(width * n for n in generator), tuple(width * n for n in discriminator), downs


def _check_sizes(image_shape, latent_dim, stages, parts):
    """Raises ValueError if a grid cannot be doubled `stages` times to the image, or the latents divided into `parts`."""
    unit = 2**stages
    if any(side % unit for side in image_shape[:2]):
        next_ones = " x ".join(str(-(-side // unit) * unit) for side in image_shape[:2])
        raise ValueError(
            f"image_shape: the generator doubles a grid {stages} times, so height and width must be multiples of {unit}; "
            f"received {image_shape[0]} x {image_shape[1]}. The next size that fits is {next_ones}."
        )
    if latent_dim % parts:
        raise ValueError(
            f"latent_dim must be a multiple of {parts}, for one part in the first layer and one in each of {parts - 1} "
            f"blocks, such as {max(1, round(latent_dim / parts)) * parts}; received {latent_dim}."
        )
