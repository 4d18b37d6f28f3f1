"""StackGAN: images of texts in two stages, a sketch and its refinement.

Zhang, Xu, Li, Zhang, Wang, Huang, Metaxas, "StackGAN: Text to Photo-realistic Image Synthesis with Stacked Generative
Adversarial Networks", ICCV 2017, arXiv:1612.03242; settings as in the authors' code (hanzhanggit/StackGAN).

The idea: a large image is drawn in two steps. Stage I draws a small image with the rough shapes and colours of the text;
Stage II sees this image and the text again, corrects it and adds details. A condition is drawn around a learnt mean of the
text's embedding, so that the generator sees more conditions than there are texts. Discriminators are shown real images with
the text of another image too, so they must read it.

With sp the softplus, e an embedding, x its real image, x' one that it does not describe, and c ~ N(mu(e), sigma(e)^2):

    D minimises  E sp(-D(x, e)) + (E sp(D(x', e)) + E sp(D(G(z, c), e))) / 2
    G minimises  E sp(-D(G(z, c), e)) + 2 KL(N(mu, sigma^2) || N(0, 1)), the mean over components
    Stage I:     s = G_1(z, c_1),   images of H / factor pixels
    Stage II:    G_2(s, c_2), with a D, a mu and a sigma of its own; G_1 is fixed

D sees e itself, through a dense layer. Its update comes first; G's has new noise and sees the new D. Stage I is trained for
`stage_1_steps`, then Stage II, with optimisers of its own.

What differs from the code: D's moving statistics, for which the code has no use, are those of real images with their own
text; the training does not depend on them. In Stage II the code runs Stage I with the statistics of the batch and changes
its moving statistics; here Stage I is as it was, and works as it does at test. Small real images are means of the large
ones, where the code resizes. The text has a KL term of weight 1, summed over components, and the gradient of log(1 - D) for
G.
"""

import math

import keras
import tensorflow as tf

from tfgen.layers import ConditioningAugmentation, downscale2d, upscale2d
from tfgen.layers.initializers import normal
from tfgen.losses import OBJECTIVES, augmentation_divergence, matching_discriminator
from tfgen.models.translation.parts.text_to_image import TextToImageModel, repeated
from tfgen.networks import FusionDiscriminator
from tfgen.networks.common import Network, join
from tfgen.networks.fusion_discriminator import Bottleneck
from tfgen.networks.slots import batch_norm
from tfgen.settings import Count, ImageShape, NaturalInt, PositiveInt
from tfgen.training.players import Player

_WEIGHTS = {"class_name": "TruncatedNormal", "config": {"mean": 0.0, "stddev": 0.02}}
_DENSE = normal(0.02)
_NON_SATURATING = OBJECTIVES["non_saturating"]


class _Stage(Network):
    """What both generators share: a conditioning augmentation, convolutions with batch norm, and an image at the end."""

    def __init__(self, *, condition_dim, channels, **kwargs):
        super().__init__(kernel_initializer=_WEIGHTS, **kwargs)
        self.augment = ConditioningAugmentation(
            condition_dim, kernel_initializer=_DENSE, dtype=self.dtype_policy, name="augment"
        )  # fmt: skip
        self.last = self.make_conv(channels, 3, use_bias=False, name="last")

    def units(self, filters, name, **settings):
        """(convolutions, their norms), one for each number of filters."""
        convs = [self.make_conv(n, **settings, use_bias=False, name=f"{name}_{i}") for i, n in enumerate(filters)]
        return convs, [batch_norm(self.dtype_policy, f"{name}_norm_{i}") for i in range(len(filters))]

    def condition(self, embedding, noise):
        """(c, {"mean", "log_stddev"}), all float32 [B, condition_dim]."""
        mean, log_stddev = self.augment(embedding)
        drawn = mean + tf.exp(log_stddev) * tf.cast(noise, tf.float32)
        return drawn, {"mean": mean, "log_stddev": log_stddev}

    def image(self, x):
        return tf.tanh(tf.cast(self.last(x), tf.float32))


class StageOne(_Stage):
    """[e [B, E], z [B, Z], noise [B, C]] -> {"image": float32 [B, h, w, channels] in [-1, 1], "mean", "log_stddev"}.

    A dense layer makes a grid of width 2^(ups - 1) filters. Nearest neighbours double it `ups` times, each time followed by
    a 3x3 convolution, of half the filters and at last of the image. The grid and the next map pass a residual unit.
    """

    def __init__(self, *, image_shape, width, ups, **kwargs):
        super().__init__(channels=image_shape[2], **kwargs)
        filters = [width * 2**i for i in reversed(range(ups))]
        self.grid = (*(side // 2**ups for side in image_shape[:2]), filters[0])
        self.dense = self.make_dense(math.prod(self.grid), kernel_initializer=_DENSE, name="dense")
        self.dense_norm = batch_norm(self.dtype_policy, "dense_norm")
        self.convs, self.norms = self.units(filters[1:], "up", kernel_size=3)
        self.residuals = [
            Bottleneck(self.make_conv, n, dtype=self.dtype_policy, name=f"residual_{i}") for i, n in enumerate(filters[:2])
        ]

    def call(self, inputs, training=False):
        embedding, z, noise = inputs
        condition, found = self.condition(embedding, noise)
        x = self.dense_norm(self.dense(tf.concat([condition, tf.cast(z, tf.float32)], axis=-1)), training=training)
        x = self.residuals[0](tf.reshape(x, [-1, *self.grid]), training=training)
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = norm(conv(upscale2d(x)), training=training)
            x = tf.nn.relu(x) if i else self.residuals[1](x, training=training)
        return {"image": self.image(upscale2d(x)), **found}


class ResidualUnit(keras.layers.Layer):
    """Two 3x3 convolutions with batch norm, ReLU between them and after the sum with the input."""

    def __init__(self, units, filters, **kwargs):
        super().__init__(**kwargs)
        self.convs, self.norms = units([filters] * 2, "conv", kernel_size=3)

    def call(self, x, training=False):
        h = tf.nn.relu(self.norms[0](self.convs[0](x), training=training))
        return tf.nn.relu(x + self.norms[1](self.convs[1](h), training=training))


class StageTwo(_Stage):
    """[e [B, E], images [B, h, w, channels] in [-1, 1], noise [B, C]] -> as `StageOne`, of H, W pixels.

    The image is encoded to maps that are `downs` times halved; the condition is put beside each place. Residual units
    follow, then nearest neighbours with 3x3 convolutions, each of half the filters, up to H, W.
    """

    def __init__(self, *, image_shape, width, downs, ups, blocks, **kwargs):
        super().__init__(channels=image_shape[2], **kwargs)
        deepest = width * 2**downs
        self.first = self.make_conv(width, 3, use_bias=False, name="first")
        widths = [width * 2 ** (i + 1) for i in range(downs)]
        self.downs, self.down_norms = self.units(widths, "down", kernel_size=4, strides=2)
        self.joint, self.joint_norm = (found[0] for found in self.units([deepest], "joint", kernel_size=3))
        self.blocks = [
            ResidualUnit(self.units, deepest, dtype=self.dtype_policy, name=f"block_{i}") for i in range(blocks)
        ]  # fmt: skip
        self.ups, self.up_norms = self.units([deepest // 2 ** (i + 1) for i in range(ups)], "up", kernel_size=3)

    def call(self, inputs, training=False):
        embedding, image, noise = inputs
        condition, found = self.condition(embedding, noise)
        x = tf.nn.relu(self.first(image))
        for conv, norm in zip(self.downs, self.down_norms, strict=True):
            x = tf.nn.relu(norm(conv(x), training=training))
        x = tf.nn.relu(self.joint_norm(self.joint(join(x, condition)), training=training))
        for block in self.blocks:
            x = block(x, training=training)
        for conv, norm in zip(self.ups, self.up_norms, strict=True):
            x = tf.nn.relu(norm(conv(upscale2d(x)), training=training))
        return {"image": self.image(x), **found}


@keras.saving.register_keras_serializable("tfgen")
class StackGAN(TextToImageModel):
    """StackGAN: two generators and two discriminators; the second pair is trained after the first.

    The paper has no averages of weights: with `ema_decay`, Stage II still learns from Stage I's own weights.

    Example:
        >>> model = tfgen.models.StackGAN(
        ...     image_shape=(28, 28, 1), embedding_dim=32, factor=2, stage_1_steps=1000, width=16, ups=1, downs=1, blocks=2,
        ...     discriminator_width=16, noise_dim=16, condition_dim=16)
        >>> model.decode_images(model.latents([0, 1]), embedding=tf.zeros([2, 32])).shape
        TensorShape([2, 28, 28, 1])

    Args:
        image_shape: (H, W, C) of Stage II; H and W are multiples of factor 2^ups and factor 2^downs.
        embedding_dim, noise_dim, condition_dim, kl_weight, mismatches: see `TextToImageModel`.
        stage_1_steps: steps of Stage I; all later ones are of Stage II.
        factor: how many times larger the images of Stage II are, a power of 2.
        width: filters of the generators; see `StageOne` and `StageTwo`.
        ups: how often Stage I doubles its grid; 4 makes 64 pixels of a grid of 4.
        downs: how often Stage II halves the image of Stage I.
        blocks: residual units of Stage II.
        discriminator_width: filters of the discriminators' first convolution; see `FusionDiscriminator`.
        **kwargs: see `TrainableModel`.

    Raises:
        ValueError: sides that cannot be halved so often, `factor` is no power of 2, or `width` cannot be halved so often.
    """

    augmentations = 2
    noise_limit = 2.0

    def __init__(
        self, *, image_shape: ImageShape, embedding_dim: PositiveInt, stage_1_steps: PositiveInt, factor: Count = 4,
        width: PositiveInt = 128, ups: Count = 4, downs: Count = 2, blocks: NaturalInt = 4,
        discriminator_width: PositiveInt = 64, **kwargs,
    ):  # fmt: skip
        super().__init__(image_shape=image_shape, embedding_dim=embedding_dim, **kwargs)
        self.stage_1_steps, self.factor = int(stage_1_steps), int(factor)
        height, wide, channels = self.image_shape
        enlargements = self.factor.bit_length() - 1
        if self.factor < 2 or 2**enlargements != self.factor:
            raise ValueError(f"factor must be a power of 2, at least 2; received {factor}.")
        unit = self.factor * 2 ** max(ups, downs)
        if height % unit or wide % unit:
            raise ValueError(
                f"The sides of image_shape must be multiples of {unit}, with factor={factor}, ups={ups} and downs={downs}; "
                f"received {height} x {wide}."
            )
        if width % 2**enlargements:
            raise ValueError(f"width must be a multiple of {2**enlargements}, with factor={factor}; received {width}.")
        self.small_shape = (height // self.factor, wide // self.factor, channels)
        shared = {"width": width, "condition_dim": self.condition_dim, "dtype": self.dtype_policy}
        self.generator_1 = StageOne(image_shape=self.small_shape, ups=ups, **shared, name="generator_1")
        self.generator_2 = StageTwo(
            image_shape=self.image_shape, downs=downs, ups=downs + enlargements, blocks=blocks, **shared, name="generator_2"
        )
        text, noise = (None, self.embedding_dim), (None, self.condition_dim)
        self.generator_1.build([text, (None, self.noise_dim), noise])
        self.generator_2.build([text, (None, *self.small_shape), noise])
        self.discriminator_1, self.discriminator_2 = (
            FusionDiscriminator(
                image_shape=shape, width=discriminator_width, text_width=self.condition_dim, kernel_initializer=_WEIGHTS,
                dtype=self.dtype_policy, name=name,
            )
            for shape, name in ((self.small_shape, "discriminator_1"), (self.image_shape, "discriminator_2"))
        )  # fmt: skip
        for network, shape in ((self.discriminator_1, self.small_shape), (self.discriminator_2, self.image_shape)):
            network.build([(None, *shape), text])
        self.built = True

    def players(self):
        """Each stage has its own, so Stage II begins with new optimisers and their rates."""
        found = {}
        for stage in (1, 2):
            found[f"generator_{stage}"] = Player(getattr(self, f"generator_{stage}"))
            found[f"discriminator_{stage}"] = Player(getattr(self, f"discriminator_{stage}"), averaged=False)
        return found

    def default_optimizer(self):
        return keras.optimizers.Adam(2e-4, beta_1=0.5, epsilon=1e-8)

    def updates_of(self, player, steps):
        first = min(steps, self.stage_1_steps)
        return first if player.endswith("1") else steps - first

    def step_kind(self, step):
        """The stage that is trained, 1 or 2."""
        return 1 if step < self.stage_1_steps else 2

    # ---- training

    def update(self, batch):
        stage = self.kind or 1
        generator, discriminator = f"generator_{stage}", f"discriminator_{stage}"
        judges = getattr(self, discriminator)
        embedding = batch["embedding"]
        other, differs = self.mismatched(batch)
        real, other = (self.of_stage(2.0 * images - 1.0, stage) for images in (batch["image"], other))
        shown = tf.stop_gradient(self.made(stage, self.training_latents(batch, 0), embedding, training=True)["image"])

        def judge(images):
            return self.judge(stage, images, repeated(embedding, images), training=True)

        def of_discriminator():
            logits = self.judged(judge, [real, other, shown], judges)
            matching, mismatched, fake = matching_discriminator(logits[0], logits[1], logits[2], differs)
            names = ("matching_logit", "mismatched_logit", "fake_logit")
            means = {name: tf.reduce_mean(one) for name, one in zip(names, logits, strict=True)}
            return {"discriminator_loss": matching + 0.5 * (mismatched + fake), **means}

        def of_generator():
            made = self.made(stage, self.training_latents(batch, 1), embedding, training=True)
            divergence = augmentation_divergence(made["mean"], made["log_stddev"])
            loss = _NON_SATURATING.generator(self.judged_alone(judge, [real, other, made["image"]], judges))
            return {"generator_loss": loss + self.kl_weight * divergence, "divergence": divergence}

        losses = self.step_players({discriminator: "discriminator_loss"}, of_discriminator)
        return losses | self.step_players({generator: "generator_loss"}, of_generator)

    def of_stage(self, images: tf.Tensor, stage: int) -> tf.Tensor:
        """Images [B, H, W, C] in the size of a stage: in Stage I means of factor x factor pixels."""
        return downscale2d(images, self.factor) if stage == 1 else images

    def made(self, stage: int, latents: tf.Tensor, embedding: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
        """{"image": float32 in [-1, 1], "mean", "log_stddev"} of a stage, 1 or 2.

        Stage II never trains Stage I: it runs with its moving statistics, and no gradient goes into it.
        """
        z, noise_1, noise_2 = self.parts(latents)
        first = self.generator_1([embedding, z, noise_1], training=training and stage == 1)
        if stage == 1:
            return first
        return self.generator_2([embedding, tf.stop_gradient(first["image"]), noise_2], training=training)

    def judge(self, stage: int, images: tf.Tensor, embedding: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Logits float32 [B] of a stage's discriminator for images [B, H, W, C] in [-1, 1] of its size."""
        discriminator = self.discriminator_1 if stage == 1 else self.discriminator_2
        return tf.cast(discriminator([images, embedding], training=training)["logit"], tf.float32)

    def match_logits(self, image: tf.Tensor, embedding: tf.Tensor) -> tf.Tensor:
        """How well images fit embeddings: logits float32 [B] of Stage II's discriminator.

        With passes="separate" its moving statistics make it less sure than it is in the training. With passes="joint", on
        MNIST, it prefers the right image in 98 % of pairs (benchmarks/reproduce/stack_gan_mnist.json).

        Args:
            image: float [B, H, W, C] in [0, 1].
            embedding: float [B, embedding_dim].
        """
        given = self.check_conditions(image.shape[0], {"embedding": embedding})
        return self.judge(2, 2.0 * self.check_images(image) - 1.0, given["embedding"])

    # ---- sampling

    def drawn(self, latents, embedding):
        """In Stage I its image, enlarged."""
        return tf.cond(
            tf.convert_to_tensor(self.step) < self.stage_1_steps,
            lambda: upscale2d(self.made(1, latents, embedding)["image"], self.factor),
            lambda: self.made(2, latents, embedding)["image"],
        )
