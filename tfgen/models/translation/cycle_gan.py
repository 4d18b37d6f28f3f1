"""CycleGAN: translation between two domains of images, from examples of both that are not paired.

Zhu, Park, Isola, Efros, "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks", ICCV 2017,
arXiv:1703.10593; settings as in the authors' code (junyanz/CycleGAN, junyanz/pytorch-CycleGAN-and-pix2pix).

The idea: without pairs nothing says which image of B belongs to an image of A; a discriminator of B asks only that a result
looks like some image of B. But a translation that loses nothing of its input can be undone. So two generators, G from A to B
and F from B to A, are trained together, and each must bring back the image from which the other one made its result.

    adversarial   E (D_B(G(a)) - 1)^2 + E (D_A(F(b)) - 1)^2                                         (eq. 1, least squares)
    cycle         E |F(G(a)) - a| (forward) + E |G(F(b)) - b| (backward)                             (eq. 2)
    identity      E |F(a) - a| + E |G(b) - b|, which keeps colours                                   (section 5.2)
    G and F minimise adversarial + cycle_weight cycle + identity_weight cycle_weight identity       (eq. 3)
    D_B minimises (E (D_B(b) - 1)^2 + E D_B(pool of G(a))^2) / 2, and D_A likewise                   (section 4)

|.| is the mean over pixels and channels of images in [-1, 1]. D judges patches of 70 x 70 pixels (`PatchGAN`), and has half
of its fakes from a pool of the last ones (`tfgen.layers.ImagePool`). A step updates G and F in one gradient, then D_A and
D_B with the fakes of this step that G and F made before their update.

Several replicas have one pool for each domain, that of the whole batch, so a run does not depend on their number. The pools
are in checkpoints and in Keras' files: a resumed run shows its discriminators the same images.

What differs from the code, of which there are two versions. As in that of PyTorch, instance norm has no gain and shift (that
of Torch has), D pads one pixel (Torch two: 35 x 35 logits of 256 x 256 pixels and not 30 x 30), D's gradient is halved (in
Torch only the number that is shown), and both generators are updated at once, then both discriminators (Torch updates G,
D_B, F and D_A in turn). Torch sets all biases of convolutions to 0 before each update. The rate falls from step to step;
there from epoch to epoch. Batches of more than one image, which the paper does not have, pass the pool one after the other.
"""

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias

import keras
import tensorflow as tf

from tfgen import fields
from tfgen.layers import ImagePool, InstanceNormalization
from tfgen.losses import OBJECTIVES
from tfgen.models.base import TrainableModel
from tfgen.models.capabilities import Translator
from tfgen.networks.patch_gan import PatchGAN
from tfgen.networks.residual_translator import Padding, ResidualTranslator
from tfgen.settings import Count, ImageShape, NaturalInt, NonNegativeFloat, PositiveInt, Rule
from tfgen.training.players import Player

_GENERATORS, _DISCRIMINATORS = ("to_b", "to_a"), ("discriminator_a", "discriminator_b")
_LEAST_SQUARES = OBJECTIVES["least_squares"]
_STREAMS = {"a": 0, "b": 1}  # numbers of the random streams of the pools

_Pair = Annotated[Sequence[NonNegativeFloat], Rule("of length 2", lambda pair: len(pair) == 2)]
_OwnNetwork: TypeAlias = keras.Model | dict | str | None


class _Patches(PatchGAN):
    """A PatchGAN of an image [B, H, W, C], or of a list of it, that returns its logits alone, [B, h, w, 1]."""

    def build(self, input_shape):
        super().build([input_shape])

    def call(self, image, training=False):
        return super().call(image if isinstance(image, list) else [image], training)["logit"]


@keras.saving.register_keras_serializable("tfgen")
class CycleGAN(Translator, TrainableModel):
    """CycleGAN. In its batches `image` is of the domain A, and `other` of B; which of both belong together does not matter.

    `translate` goes from A to B, `translate_back` from B to A. If a batch of `evaluate` has the field `target`, the image of
    B that belongs to `image`, its number "l1" is the error of `translate`.

    Example:
        >>> model = tfgen.models.CycleGAN(
        ...     image_shape=(28, 28, 1), width=16, blocks=3, discriminator_width=16, discriminator_layers=2)
        >>> there = model.translate(image=tf.zeros([2, 28, 28, 1]))["image"]
        >>> model.translate_back(image=there)["image"].shape
        TensorShape([2, 28, 28, 1])

    Args:
        image_shape: (H, W, C) of both domains; H and W are multiples of 2^halvings, at least 2 2^halvings.
        width: filters of the generators' first convolution.
        blocks: number of residual blocks of a generator; None: as in the paper 9 if the smaller side is 256 or more, else 6.
        halvings: how often the generators halve the sides before the residual blocks.
        padding: of the generators, "reflect" as in the paper, or "zero"; see `tfgen.networks.ResidualTranslator`.
        discriminator_width: filters of the discriminators' first convolution.
        discriminator_layers: their convolutions of stride 2; see `tfgen.networks.PatchGAN`.
        cycle_weight: lambda, a number, or two: of the forward and of the backward cycle.
        identity_weight: of the identity loss, as a multiple of `cycle_weight` (for F that of the forward cycle, for G of the
            backward one); 0, as in eq. 3, leaves it out, .5 is that of section 5.2.
        pool_size: images in each pool; 0: the discriminators see the newest fakes alone.
        to_b, to_a: None, or generators G and F of your own (see `tfgen.networks.given_network`; copied, with their weights)
            from images to images in [-1, 1]. With both, leave out `width`, `blocks`, `halvings` and `padding`.
        discriminator_a, discriminator_b: None, or your own, from images to logits [B, h, w, 1] of any size. With both, leave
            out the settings of discriminators.
        **kwargs: see `TrainableModel`.

    Raises:
        ValueError: sides that the generators cannot halve; the message has sizes near them that fit. Or images that are too
            small for `discriminator_layers`.
    """

    loss_names = (
        "generator_loss", "discriminator_loss", "adversarial_loss", "forward_cycle", "backward_cycle", "identity_loss"
    )  # fmt: skip
    own_networks = {
        _GENERATORS: ("width", "blocks", "halvings", "padding"),
        _DISCRIMINATORS: ("discriminator_width", "discriminator_layers"),
    }

    def __init__(
        self, *, image_shape: ImageShape, width: PositiveInt = 64, blocks: NaturalInt | None = None, halvings: Count = 2,
        padding: Padding = "reflect", discriminator_width: PositiveInt = 64, discriminator_layers: Count = 3,
        cycle_weight: NonNegativeFloat | _Pair = 10.0, identity_weight: NonNegativeFloat = 0.0,
        pool_size: NaturalInt = 50, to_b: _OwnNetwork = None, to_a: _OwnNetwork = None,
        discriminator_a: _OwnNetwork = None, discriminator_b: _OwnNetwork = None, **kwargs,
    ):  # fmt: skip
        super().__init__(image_shape=image_shape, **kwargs)
        shape, dtype = self.image_shape, self.dtype_policy
        weights = cycle_weight if isinstance(cycle_weight, (tuple, list)) else (cycle_weight, cycle_weight)
        self.forward_weight, self.backward_weight = (float(weight) for weight in weights)
        self.identity_weight = float(identity_weight)
        if blocks is None:
            blocks = 9 if min(shape[:2]) >= 256 else 6
            if to_b is None or to_a is None:
                self._config["blocks"] = blocks  # also of a copy for another size

        def generators():
            settings = {"width": width, "blocks": blocks, "halvings": halvings, "padding": padding, "dtype": dtype}
            return [ResidualTranslator(image_shape=shape, name=name, **settings) for name in _GENERATORS]

        def discriminators():
            settings: dict[str, Any] = {
                "width": discriminator_width, "halvings": discriminator_layers, "norm": InstanceNormalization,
            }  # fmt: skip
            return [_Patches(name=name, dtype=dtype, **settings) for name in _DISCRIMINATORS]

        self.choose_networks(generators, to_b=(to_b, shape, shape), to_a=(to_a, shape, shape))
        given = {"discriminator_a": discriminator_a, "discriminator_b": discriminator_b}
        self.choose_networks(discriminators, **{name: (one, shape, (None, None, 1)) for name, one in given.items()})
        self.pool_a, self.pool_b = (
            ImagePool(pool_size, shape, dtype=dtype, name=name) if pool_size else None for name in ("pool_a", "pool_b")
        )
        self.built = True

    @classmethod
    def fields_of(cls, config):
        other = fields.image(config["image_shape"], "other")
        hint = "images of the domain B, as `image` has those of A; they need not belong together"
        return fields.image(config["image_shape"]), dataclasses.replace(other, hint=hint)

    # ---- training

    def players(self):
        return {
            "generators": Player((self.to_b, self.to_a)),
            "discriminators": Player((self.discriminator_a, self.discriminator_b), averaged=False),
        }

    def default_optimizer(self):
        return keras.optimizers.Adam(2e-4, beta_1=0.5, epsilon=1e-8)

    def update(self, batch):
        a, b = 2.0 * batch["image"] - 1.0, 2.0 * batch["other"] - 1.0
        fakes = {}

        def generators():
            fakes["a"], fakes["b"] = self.run(self.to_a, b), self.run(self.to_b, a)
            terms = self.generator_terms(a, b, fakes["a"], fakes["b"])
            return {"generator_loss": tf.add_n(list(terms.values())), **terms}

        losses = self.step_players({"generators": "generator_loss"}, generators)
        shown = {name: self.pooled(name, tf.stop_gradient(fake)) for name, fake in fakes.items()}
        return losses | self.step_players(
            {"discriminators": "discriminator_loss"},
            lambda: {"discriminator_loss": self.discriminator_loss(a, b, shown["a"], shown["b"])},
        )

    def run(self, network: keras.layers.Layer, images: tf.Tensor, training: bool = True) -> tf.Tensor:
        """The output, float32, of one of the four networks for images [B, H, W, C] in [-1, 1]."""
        return tf.cast(network(images, training=training), tf.float32)

    def generator_terms(self, a: tf.Tensor, b: tf.Tensor, fake_a: tf.Tensor, fake_b: tf.Tensor) -> dict[str, tf.Tensor]:
        """{name: scalar, with its weight} of the terms that both generators minimise the sum of.

        Args:
            a, b: images [B, H, W, C] in [-1, 1] of the domains.
            fake_a, fake_b: F(b) and G(a).
        """
        logits = self.run(self.discriminator_a, fake_a), self.run(self.discriminator_b, fake_b)
        terms = {
            # The objective has a factor 1/2, which is for D alone.
            "adversarial_loss": 2.0 * tf.add_n([_LEAST_SQUARES.generator(one) for one in logits]),
            "forward_cycle": self.forward_weight * _distance(self.run(self.to_a, fake_b), a),
            "backward_cycle": self.backward_weight * _distance(self.run(self.to_b, fake_a), b),
        }
        if self.identity_weight:
            of_f = self.forward_weight * _distance(self.run(self.to_a, a), a)
            of_g = self.backward_weight * _distance(self.run(self.to_b, b), b)
            terms["identity_loss"] = self.identity_weight * (of_f + of_g)
        return terms

    def discriminator_loss(self, a: tf.Tensor, b: tf.Tensor, fake_a: tf.Tensor, fake_b: tf.Tensor) -> tf.Tensor:
        """The sum of the losses of D_A and D_B, a scalar, for real and fake images [B, H, W, C] in [-1, 1]."""
        pairs = (self.discriminator_a, a, fake_a), (self.discriminator_b, b, fake_b)
        return tf.add_n([_LEAST_SQUARES.discriminator(self.run(d, real), self.run(d, fake)) for d, real, fake in pairs])

    def pooled(self, domain: str, fakes: tf.Tensor) -> tf.Tensor:
        """The fakes [B, H, W, C] that the discriminator of "a" or "b" is shown for new ones, which go to its pool."""
        pool = {"a": self.pool_a, "b": self.pool_b}[domain]
        if pool is None:
            return fakes
        drawn = self.noise([2], tf.shape(fakes)[0], _STREAMS[domain], "uniform")
        return pool.exchange(fakes, 0.5 * (drawn + 1.0))

    # ---- translation

    def evaluation_fields(self):
        return self.translated_fields()

    def translate_rows(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"image": self._translated(self.to_b, image)}

    def translate_back(self, **given) -> dict[str, tf.Tensor]:
        """As `translate`, from the domain B to A: `image` float32 [B, H, W, C] in [0, 1] -> {"image": the same}."""
        checked = fields.check_given(self.translated_fields(), given, "translate_back")
        return {"image": self._translated(self.to_a, checked["image"])}

    def pictures(self, examples):
        """Also images of B, and below them their translations."""
        there = super().pictures(examples)
        if "other" not in examples:
            return there
        return [*there, examples["other"].numpy(), self.translate_back(image=examples["other"])["image"].numpy()]

    def _translated(self, network, images):
        return tf.clip_by_value(0.5 + 0.5 * self.run(network, 2.0 * images - 1.0, training=False), 0.0, 1.0)

    def signatures(self):
        """The signatures of a Translator, and `translate_back`: image float32 [n, H, W, C] -> image."""
        found = super().signatures()
        return {**found, "translate_back": (lambda image: self.translate_back(image=image), found["translate"][1])}


def _distance(made, wanted):
    return tf.reduce_mean(tf.abs(made - wanted))
