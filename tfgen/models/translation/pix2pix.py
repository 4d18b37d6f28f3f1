"""pix2pix: translation of images, learnt from pairs by a conditional GAN.

Isola, Zhu, Zhou, Efros, "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017, arXiv:1611.07004;
settings as in the authors' code (phillipi/pix2pix).

The idea: a distance of pixels, such as L1, gives blurred images, since the mean of all likely answers is the best one. A GAN
whose discriminator sees the input x beside the image y learns the rest of the loss. The discriminator judges patches, since
L1 already gets the low frequencies right; the generator is a U-Net, since input and output share their structure.

    D minimises  E sp(-D(x, y)) + E sp(D(x, G(x, z)))                                                   (eq. 1)
    G minimises  E sp(-D(x, G(x, z))) + lambda E |y - G(x, z)|,   lambda = 100                          (eq. 3, 4)

D(x, y) are the logits of all patches, sp is softplus, E the mean over images and patches, or pixels in [-1, 1]. The noise z
is dropout in the decoder, at test too. Batch norm uses the statistics of the batch at test too, and a batch has one image
there, so `statistics` = "image" computes the statistics of each image. D is updated first, and G then sees the new D.

What differs from the code: D is applied to the fakes again after its update; the code reuses the activations from before it.
The text halves D's loss, the code prints this half and minimises the whole, as here; with Adam that is nearly the same. The
code sets all biases of convolutions to 0 before each update, here they are 0 after each.
"""

from typing import Annotated, Any, Literal

import keras
import tensorflow as tf

from tfgen import fields, random
from tfgen.losses import OBJECTIVES, Objective
from tfgen.models.adversarial.base import ObjectiveName
from tfgen.models.base import TrainableModel
from tfgen.models.capabilities import Translator
from tfgen.networks import PatchGAN, UNet
from tfgen.networks.given import GivenNetwork
from tfgen.networks.patch_gan import RECEPTIVE_FIELDS, ReceptiveField
from tfgen.settings import ImageShape, NonNegativeFloat, PositiveInt, Rate, within
from tfgen.training.players import Player


@keras.saving.register_keras_serializable("tfgen")
class Pix2Pix(Translator, TrainableModel):
    """pix2pix: a U-Net and a discriminator of patches, trained on pairs of `image` and `target`.

    `adversarial=None` is L1 alone, `l1_weight=0` the GAN alone (table 1 of the paper).

    Args:
        image_shape: (H, W, C) of `image`. H and W are multiples of 2^levels.
        target_channels: channels of `target` and of the translations; None: C.
        width: filters of the U-Net's first level; they double up to 8 `width`.
        levels: levels of the U-Net, each of half the size; None: as many as H and W allow, at most 8 as for 256 px.
        skips: whether the U-Net has its connections; without them it is an encoder-decoder (section 4.3).
        norm: "batch", "instance" or None, of both networks.
        statistics: of batch norm in `translate`: "image", those of each image, as in the code, or "moving", those of
            training, which suit models that were trained with large batches.
        dropout: rate in the three innermost levels of the decoder.
        test_dropout: whether `translate` has dropout too; it then takes `seeds` int [B], by default 0 for each image.
        l1_weight: lambda.
        adversarial: "conditional": D sees x and y; "unconditional": y alone; None: there is no D.
        objective: a name in `tfgen.losses.OBJECTIVES`, or an `Objective`.
        discriminator_width: filters of D's first convolution; they double up to 8 times that.
        receptive_field: side of D's patches: 1 (PixelGAN), 16, 34, 70, 142 or 286.
        generator: None, or a network of your own (see `tfgen.networks.given_network`; copied, with its weights) from images
            [B, H, W, C] to [B, H, W, target channels], both in [-1, 1]. Leave out the settings of the U-Net; `translate`
            then draws nothing.
        discriminator: None, or your own, from [image, translation], or from translations alone if it is unconditional, to
            logits [B, h, w, 1] of any size. Leave out `discriminator_width` and `receptive_field`.
        **kwargs: see `TrainableModel`.

    Raises:
        ValueError: H or W cannot be halved so often, the images are smaller than D needs, there is neither L1 nor D, or a
            setting has no effect: one of D without D, or `statistics` without batch norm.

    Example:

    >>> model = tfgen.models.Pix2Pix(image_shape=(32, 32, 1), target_channels=3, width=8, receptive_field=16)
    >>> model.translate(image=tf.zeros([2, 32, 32, 1]), seeds=[0, 1])["image"].shape
    TensorShape([2, 32, 32, 3])
    """

    loss_names = ("generator_loss", "absolute_error", "discriminator_loss", "real_logit", "fake_logit")
    own_networks = {
        ("generator",): ("width", "levels", "skips", "statistics", "dropout", "test_dropout"),
        ("discriminator",): ("discriminator_width", "receptive_field"),
        ("generator", "discriminator"): ("norm",),
    }

    def __init__(
        self, *, image_shape: ImageShape, target_channels: PositiveInt | None = None, width: PositiveInt = 64,
        levels: Annotated[int, within(2, 13)] | None = None, skips: bool = True,
        norm: Literal["batch", "instance"] | None = "batch", statistics: Literal["image", "moving"] = "image",
        dropout: Rate = 0.5, test_dropout: bool = True, l1_weight: NonNegativeFloat = 100.0,
        adversarial: Literal["conditional", "unconditional"] | None = "conditional",
        objective: ObjectiveName | Objective = "non_saturating", discriminator_width: PositiveInt = 64,
        receptive_field: ReceptiveField = 70, generator: keras.Model | dict | str | None = None,
        discriminator: keras.Model | dict | str | None = None, **kwargs,
    ):  # fmt: skip
        if adversarial is None:  # before Keras' own __init__, in which it allows no attributes
            object.__setattr__(self, "loss_names", type(self).loss_names[:2])
        super().__init__(image_shape=image_shape, **kwargs)
        if adversarial is None and not l1_weight:
            raise ValueError("There is nothing to minimise with adversarial=None and l1_weight=0: set one of them.")
        if adversarial is None:
            names = ("objective", "discriminator_width", "receptive_field", "discriminator")
            self.check_without_effect("adversarial=None", *names)
        if norm != "batch":
            self.check_without_effect(f"norm={norm!r}", "statistics")
        self.target_shape = (*self.image_shape[:2], target_channels or self.image_shape[2])
        self.statistics, self.l1_weight, self.adversarial = statistics, float(l1_weight), adversarial
        self.draws_at_test = test_dropout and dropout > 0 and generator is None
        self.objective = objective if isinstance(objective, Objective) else OBJECTIVES[objective]
        if generator is None:
            levels = self._config["levels"] = _levels(self.image_shape, levels)  # also of a copy for another size
            self.generator = UNet(
                channels=self.target_shape[2], filters=[width * min(2**i, 8) for i in range(levels)], dropout=dropout,
                skips=skips, norm=norm, dtype=self.dtype_policy, name="generator",
            )  # fmt: skip
            self.generator.build([(None, *self.image_shape)])
        else:
            own = self.own_network("generator", generator, [self.image_shape], self.target_shape)
            self.generator = GivenNetwork(own, name="generator")
        self.discriminator: Any = None
        seen = [self.target_shape]
        if adversarial == "conditional":
            seen = [self.image_shape, *seen]
        if discriminator is not None:
            own = self.own_network("discriminator", discriminator, seen, {"logit": (None, None, 1)})
            self.discriminator = GivenNetwork(own, ("logit",), name="discriminator")
        elif adversarial is not None:
            self.discriminator = PatchGAN(
                width=discriminator_width, halvings=RECEPTIVE_FIELDS[receptive_field], norm=norm, dtype=self.dtype_policy,
                name="discriminator",
            )  # fmt: skip
            self.discriminator.build([(None, *shape) for shape in seen])
        self.built = True

    @classmethod
    def fields_of(cls, config):
        height, width, channels = config["image_shape"]
        target = fields.image((height, width, config["target_channels"] or channels), "target")
        return fields.image(config["image_shape"]), target

    def players(self):
        def player(network, **settings):
            own = isinstance(network, GivenNetwork)
            return Player(network, constraint=None if own else _zero_biases, **settings)

        found = {"generator": player(self.generator)}
        if self.discriminator is not None:
            found["discriminator"] = player(self.discriminator, averaged=False)
        return found

    def default_optimizer(self):
        return keras.optimizers.Adam(2e-4, beta_1=0.5, epsilon=1e-8)

    # ---- training

    def update(self, batch):
        image, target = 2.0 * batch["image"] - 1.0, 2.0 * batch["target"] - 1.0
        keys = self.noise_keys(tf.shape(image)[0], stream=0)
        losses = {} if self.discriminator is None else self._update_discriminator(image, target, keys)
        return losses | self._update_generator(image, target, keys)

    def judge(self, image: tf.Tensor, translated: tf.Tensor) -> tf.Tensor:
        """The discriminator's logits in training mode, float32 [B, h, w, 1], one for each patch.

        Args:
            image: float32 [B, H, W, C] in [-1, 1], not used by an unconditional discriminator.
            translated: target or translation float32 [B, H, W, target channels] in [-1, 1].
        """
        seen = [image, translated] if self.adversarial == "conditional" else [translated]
        return tf.cast(self.discriminator(seen, training=True)["logit"], tf.float32)

    def _update_discriminator(self, image, target, keys):
        fake = tf.stop_gradient(self._made(image, keys))

        def losses_fn():
            on_real, on_fake = self.judge(image, target), self.judge(image, fake)
            logits = {"real_logit": tf.reduce_mean(on_real), "fake_logit": tf.reduce_mean(on_fake)}
            return {"discriminator_loss": self.objective.discriminator(on_real, on_fake), **logits}

        return self.step_players({"discriminator": "discriminator_loss"}, losses_fn)

    def _update_generator(self, image, target, keys):
        def losses_fn():
            fake = self._made(image, keys)
            error = tf.reduce_mean(tf.abs(target - fake))
            loss = self.l1_weight * error
            if self.discriminator is not None:
                loss += self.objective.generator(self.judge(image, fake))
            return {"generator_loss": loss, "absolute_error": error}

        return self.step_players({"generator": "generator_loss"}, losses_fn)

    def _made(self, image, keys):
        return self._generated(image, training=True, keys=keys)

    def _generated(self, image, training, **of_unet):
        of_unet = {} if isinstance(self.generator, GivenNetwork) else of_unet
        return tf.cast(self.generator([image], training=training, **of_unet), tf.float32)

    # ---- translation

    def translated_fields(self):
        return (fields.image(self.image_shape), *([fields.seeds()] if self.draws_at_test else []))

    def translate_rows(self, image: tf.Tensor, seeds: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
        """{"image": float32 [B, H, W, target channels] in [0, 1]}; a row depends on its image and seed alone."""
        keys = None
        if self.draws_at_test:
            keys = random.keys(tf.zeros(tf.shape(image)[:1], tf.int64) if seeds is None else seeds)
        own = self.statistics == "image"
        raw = self._generated(2.0 * image - 1.0, training=False, keys=keys, own_statistics=own)
        return {"image": tf.clip_by_value(0.5 * raw + 0.5, 0.0, 1.0)}


def _levels(image_shape, levels):
    """The number of levels of the U-Net; ValueError if the sides cannot be halved so often."""
    sides = image_shape[:2]
    if levels is None:
        levels = next((n for n in range(8, 1, -1) if all(side % 2**n == 0 for side in sides)), None)
    unit = 2 ** (levels or 2)
    if any(side % unit for side in sides):
        near = " x ".join(str(max(unit, unit * round(side / unit))) for side in sides)
        raise ValueError(
            f"The U-Net halves its images {levels or '2 or more'} times, so the sides of image_shape must be multiples of "
            f"{unit}; received {sides[0]} x {sides[1]}. The nearest size is {near}."
        )
    return levels


def _zero_biases(variables):
    for variable in variables:
        if variable.name == "bias":
            variable.assign(tf.zeros_like(variable.value))
