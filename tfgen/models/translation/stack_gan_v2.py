"""StackGAN v2: generators of several sizes in a tree, trained together.

Zhang, Xu, Li, Zhang, Wang, Huang, Metaxas, "StackGAN++: Realistic Image Synthesis with Stacked Generative Adversarial
Networks", TPAMI 2018, arXiv:1710.10916; settings as in the authors' code (hanzhanggit/StackGAN-v2).

The idea: one network draws images of several sizes, each from maps that the next size goes on with. Each size has a
discriminator, and all are trained at once, so a size leads the next one from the beginning. A discriminator judges the image
with its text and the image alone; in both it learns from the sizes' common distribution. With weak conditions a further term
keeps the colours of a size near those of the smaller one.

With sp the softplus, e an embedding, x_i its real image in size i, x'_i one that it does not describe, and C_i(x) and U_i(x)
the logits of discriminator i with mu(e) and of the image alone:

    D_i minimises  E sp(-C_i(x_i)) + E sp(C_i(x'_i)) + E sp(C_i(G_i))
                   + u (E sp(-U_i(x_i)) + E sp(-U_i(x'_i)) + E sp(U_i(G_i)))
    G minimises    sum_i (E sp(-C_i(G_i)) + u E sp(-U_i(G_i))) + 2 KL + a sum_{i > 1} colours(G_i, G_{i-1})

x' is a real image, so U must call it real. mu is stopped in D's loss; in G's a gradient reaches it through D. With u = 0 the
mismatched and fake terms of C are halved, as in the first StackGAN. All discriminators are updated at once, then G with the
same noise.

What differs from the code: it replaces the weights of G by their averages at every snapshot (2,000 steps); here averages
are for sampling alone (`ema_decay`), and batch norm's statistics are averaged too. Small real images are means of the large
ones. The discriminators' moving statistics are those of real images with their own text, see `stack_gan`.
"""

import math

import keras
import tensorflow as tf

from tfgen.layers import ConditioningAugmentation, downscale2d, glu, upscale2d
from tfgen.losses import OBJECTIVES, augmentation_divergence, colour_consistency, matching_discriminator
from tfgen.models.translation.parts.text_to_image import TextToImageModel, repeated
from tfgen.networks import FusionDiscriminator
from tfgen.networks.common import Network, join, layers
from tfgen.networks.slots import batch_norm
from tfgen.settings import Count, ImageShape, NaturalInt, NonNegativeFloat, PositiveInt
from tfgen.training.players import Player

_WEIGHTS = {"class_name": "Orthogonal", "config": {"gain": 1.0}}
_NON_SATURATING = OBJECTIVES["non_saturating"]


class _Gated(layers.Layer):
    """A 3x3 convolution of twice the filters, batch norm and a gated linear unit; `up`: after nearest neighbours."""

    def __init__(self, make_conv, filters, up=False, **kwargs):
        super().__init__(**kwargs)
        self.up = up
        self.conv = make_conv(2 * filters, 3, use_bias=False, name="conv")
        self.norm = batch_norm(self.dtype_policy, "norm")

    def call(self, x, training=False):
        return glu(self.norm(self.conv(upscale2d(x) if self.up else x), training=training))


class _GatedResidual(layers.Layer):
    """A gated convolution, a 3x3 convolution and batch norm, and the input is added."""

    def __init__(self, make_conv, filters, **kwargs):
        super().__init__(**kwargs)
        self.gated = _Gated(make_conv, filters, dtype=self.dtype_policy, name="gated")
        self.conv = make_conv(filters, 3, use_bias=False, name="conv")
        self.norm = batch_norm(self.dtype_policy, "norm")

    def call(self, x, training=False):
        return x + self.norm(self.conv(self.gated(x, training=training)), training=training)


class _Branch(layers.Layer):
    """Maps [B, h, w, F] and the condition -> maps [B, 2h, 2w, F / 2] of the next size."""

    def __init__(self, make_conv, filters, blocks, **kwargs):
        super().__init__(**kwargs)
        dtype = {"dtype": self.dtype_policy}
        self.joint = _Gated(make_conv, filters, **dtype, name="joint")
        self.blocks = [_GatedResidual(make_conv, filters, **dtype, name=f"block_{i}") for i in range(blocks)]
        self.out = _Gated(make_conv, filters // 2, up=True, **dtype, name="up")

    def call(self, x, condition, training=False):
        x = self.joint(join(x, condition), training=training)
        for block in self.blocks:
            x = block(x, training=training)
        return self.out(x, training=training)


class TreeGenerator(Network):
    """[e [B, E], z [B, Z], noise [B, C]] -> {"images": [float32 [B, h, w, channels] in [-1, 1], ...], "mean", "log_stddev"}.

    The images are those of all branches, the smallest first; each is twice as large as the one before.

    Args:
        image_shape: (H, W, channels) of the last branch.
        condition_dim: width of the condition, the same in all branches.
        width: filters of the maps of the first branch; each next one has half as many, the grid 2^ups times as many.
        ups: how often the grid is doubled for the first branch.
        branches: number of sizes.
        blocks: residual units of each branch after the first.
    """

    def __init__(self, *, image_shape, condition_dim, width, ups, branches, blocks, **kwargs):
        super().__init__(kernel_initializer=_WEIGHTS, **kwargs)
        dtype = {"dtype": self.dtype_policy}
        self.augment = ConditioningAugmentation(
            condition_dim, "log_variance", kernel_initializer=_WEIGHTS, **dtype, name="augment"
        )  # fmt: skip
        shrunk = 2 ** (branches - 1 + ups)
        self.grid = (*(side // shrunk for side in image_shape[:2]), width * 2**ups)
        self.dense = self.make_dense(2 * math.prod(self.grid), use_bias=False, name="dense")
        self.dense_norm = batch_norm(self.dtype_policy, "dense_norm")
        self.ups = [
            _Gated(self.make_conv, width * 2**i, up=True, **dtype, name=f"up_{ups - i - 1}") for i in reversed(range(ups))
        ]
        self.branches = [
            _Branch(self.make_conv, width // 2**i, blocks, **dtype, name=f"branch_{i + 1}") for i in range(branches - 1)
        ]
        self.heads = [self.make_conv(image_shape[2], 3, use_bias=False, name=f"image_{i}") for i in range(branches)]

    def call(self, inputs, training=False):
        embedding, z, noise = inputs
        mean, log_stddev = self.augment(embedding)
        condition = mean + tf.exp(log_stddev) * tf.cast(noise, tf.float32)
        x = self.dense(tf.concat([condition, tf.cast(z, tf.float32)], axis=-1))
        x = tf.reshape(glu(self.dense_norm(x, training=training)), [-1, *self.grid])
        for up in self.ups:
            x = up(x, training=training)
        images = [self.heads[0](x)]
        for branch, head in zip(self.branches, self.heads[1:], strict=True):
            x = branch(x, condition, training=training)
            images.append(head(x))
        images = [tf.tanh(tf.cast(image, tf.float32)) for image in images]
        return {"images": images, "mean": mean, "log_stddev": log_stddev}


@keras.saving.register_keras_serializable("tfgen")
class StackGANv2(TextToImageModel):
    """StackGAN v2: a generator of several sizes and a discriminator for each.

    Example:
        >>> model = tfgen.models.StackGANv2(
        ...     image_shape=(32, 32, 3), embedding_dim=32, width=16, ups=1, noise_dim=16, condition_dim=16,
        ...     discriminator_width=16)
        >>> [image.shape[1] for image in model.sizes(model.latents([0]), embedding=tf.zeros([1, 32]))]
        [8, 16, 32]

    Args:
        image_shape: (H, W, C) of the largest images; H and W are multiples of 2^(branches - 1 + ups).
        embedding_dim, noise_dim, condition_dim, kl_weight, mismatches: see `TextToImageModel`.
        width, ups, branches, blocks: see `TreeGenerator`.
        discriminator_width: filters of the discriminators' first convolution; see `FusionDiscriminator`.
        unconditional_weight: u; 0: there are no unconditional logits.
        colour_weight: a, of `tfgen.losses.colour_consistency`; the code has 50 without text and 0 with it.
        **kwargs: see `TrainableModel`.

    Raises:
        ValueError: sides that cannot be halved so often, or `width` cannot.
    """

    loss_names = (*TextToImageModel.loss_names, "colour_loss")

    def __init__(
        self, *, image_shape: ImageShape, embedding_dim: PositiveInt, width: PositiveInt = 64, ups: NaturalInt = 4,
        branches: Count = 3, blocks: NaturalInt = 2, discriminator_width: PositiveInt = 64,
        unconditional_weight: NonNegativeFloat = 1.0, colour_weight: NonNegativeFloat = 0.0, **kwargs,
    ):  # fmt: skip
        super().__init__(image_shape=image_shape, embedding_dim=embedding_dim, **kwargs)
        height, wide, channels = self.image_shape
        unit = 2 ** (branches - 1 + ups)
        if height % unit or wide % unit:
            raise ValueError(
                f"The sides of image_shape must be multiples of {unit}, with branches={branches} and ups={ups}; received "
                f"{height} x {wide}."
            )
        if width % 2 ** (branches - 1):
            raise ValueError(
                f"width must be a multiple of {2 ** (branches - 1)}, with branches={branches}; received {width}."
            )
        self.unconditional_weight, self.colour_weight = float(unconditional_weight), float(colour_weight)
        self.generator = TreeGenerator(
            image_shape=self.image_shape, condition_dim=self.condition_dim, width=width, ups=ups, branches=branches,
            blocks=blocks, dtype=self.dtype_policy, name="generator",
        )  # fmt: skip
        self.generator.build([(None, self.embedding_dim), (None, self.noise_dim), (None, self.condition_dim)])
        self.factors = [2**i for i in reversed(range(branches))]
        self.discriminators = []
        for i, factor in enumerate(self.factors):
            shape = (height // factor, wide // factor, channels)
            network = FusionDiscriminator(
                image_shape=shape, width=discriminator_width, kernel_size=3, residual=False, logit_bias=True,
                unconditional=unconditional_weight > 0, kernel_initializer=_WEIGHTS, dtype=self.dtype_policy,
                name=f"discriminator_{i}",
            )  # fmt: skip
            network.build([(None, *shape), (None, self.condition_dim)])
            self.discriminators.append(network)
        self.built = True

    def players(self):
        return {
            "generator": Player(self.generator), "discriminators": Player(tuple(self.discriminators), averaged=False)
        }  # fmt: skip

    def default_optimizer(self):
        return keras.optimizers.Adam(2e-4, beta_1=0.5, epsilon=1e-8)

    # ---- training

    def update(self, batch):
        latents, embedding = self.training_latents(batch, 0), batch["embedding"]
        other, differs = self.mismatched(batch)
        real, other = (self.pyramid(2.0 * images - 1.0) for images in (batch["image"], other))
        shown = tf.nest.map_structure(tf.stop_gradient, self.made(latents, embedding, training=True))

        def judge(branch, mean):
            return lambda images: self.judge(branch, images, repeated(mean, images), training=True)

        def of_discriminators():
            losses, means = [], []
            for i, kinds in enumerate(zip(real, other, shown["images"], strict=True)):
                found = self.judged(judge(i, shown["mean"]), kinds, self.discriminators[i])
                losses.append(self.discriminator_loss(found, differs))
                means.append([tf.reduce_mean(one["logit"]) for one in found])
            names = ("matching_logit", "mismatched_logit", "fake_logit")
            means = dict(zip(names, tf.unstack(tf.reduce_mean(means, axis=0)), strict=True))
            return {"discriminator_loss": tf.add_n(losses), **means}

        def of_generator():
            made = self.made(latents, embedding, training=True)
            images, loss = made["images"], 0.0
            for i, kinds in enumerate(zip(real, other, images, strict=True)):
                found = self.judged_alone(judge(i, made["mean"]), kinds, self.discriminators[i])
                loss += _NON_SATURATING.generator(found["logit"])
                if self.unconditional_weight:
                    loss += self.unconditional_weight * _NON_SATURATING.generator(found["unconditional"])
            divergence = augmentation_divergence(made["mean"], made["log_stddev"])
            pairs = zip(images[1:], images[:-1], strict=True)
            colour = tf.add_n([tf.zeros([]), *(colour_consistency(large, small) for large, small in pairs)])
            loss += self.kl_weight * divergence + self.colour_weight * colour
            return {"generator_loss": loss, "divergence": divergence, "colour_loss": colour}

        losses = self.step_players({"discriminators": "discriminator_loss"}, of_discriminators)
        return losses | self.step_players({"generator": "generator_loss"}, of_generator)

    def discriminator_loss(self, found: list[dict], differs: tf.Tensor) -> tf.Tensor:
        """The loss of one discriminator, a scalar, from what it says of matching, mismatched and generated images.

        Args:
            found: three results of `judge`.
            differs: as in `tfgen.losses.matching_discriminator`.
        """
        first, second, third = (one["logit"] for one in found)
        matching, mismatched, fake = matching_discriminator(first, second, third, differs)
        if not self.unconditional_weight:
            return matching + 0.5 * (mismatched + fake)
        real, also_real, made = (one["unconditional"] for one in found)
        alone = tf.reduce_mean(tf.nn.softplus(-also_real)) + _NON_SATURATING.discriminator(real, made)
        return matching + mismatched + fake + self.unconditional_weight * alone

    def pyramid(self, images: tf.Tensor) -> list[tf.Tensor]:
        """Images [B, H, W, C] in the sizes of all branches, the smallest first, as means of pixels."""
        return [downscale2d(images, factor) for factor in self.factors]

    def made(self, latents: tf.Tensor, embedding: tf.Tensor, training: bool = False) -> dict:
        """{"images": [float32 in [-1, 1] of each branch], "mean", "log_stddev"}."""
        return self.generator([embedding, *self.parts(latents)], training=training)

    def judge(self, branch: int, images: tf.Tensor, mean: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
        """{"logit", "unconditional"}, float32 [B], of a branch's discriminator for images in [-1, 1] of its size.

        Args:
            mean: of the condition, [B, condition_dim].
        """
        found = self.discriminators[branch]([images, mean], training=training)
        return {name: tf.cast(value, tf.float32) for name, value in found.items()}

    def match_logits(self, image: tf.Tensor, embedding: tf.Tensor) -> tf.Tensor:
        """How well images fit embeddings: conditional logits float32 [B] of the last discriminator.

        Args:
            image: float [B, H, W, C] in [0, 1].
            embedding: float [B, embedding_dim].
        """
        given = self.check_conditions(image.shape[0], {"embedding": embedding})
        mean, _ = self.generator.augment(given["embedding"])
        return self.judge(-1, 2.0 * self.check_images(image) - 1.0, mean)["logit"]

    # ---- sampling

    def drawn(self, latents, embedding):
        return self.made(latents, embedding)["images"][-1]

    def sizes(self, latents: tf.Tensor, embedding: tf.Tensor) -> list[tf.Tensor]:
        """Images float32 [B, h, w, C] in [0, 1] of all branches, the smallest first; arguments as in `decode_images`."""
        latents = self.check_latents(latents)
        given = self.check_conditions(latents.shape[0], {"embedding": embedding})
        images = self.made(latents, given["embedding"])["images"]
        return [tf.clip_by_value(0.5 + 0.5 * image, 0.0, 1.0) for image in images]
