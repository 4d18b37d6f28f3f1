"""DeePSiM: a generator that turns the codes of a trained network back into images.

Dosovitskiy, Brox, "Generating Images with Perceptual Similarity Metrics based on Deep Networks", NeurIPS 2016,
arXiv:1602.02644; settings as in the authors' definitions of the networks (Evolving-AI-Lab/synthesizing and ppgn).

The idea: many images have nearly the same code, and a generator that minimises squared errors paints their mean, which is
grey and blurred. So errors are also measured between the features of a second trained network, where small shifts of an edge
count little, and an adversarial loss asks for images that look real. Together they give sharp images of codes from which the
pixels cannot be read.

    h  = E(x)                           the code, a layer of the encoder E
    L  = image_weight mean |G(h) - x|^2                                                                     (eq. 5)
       + feature_weight sum over layers l of mean |C_l(G(h)) - C_l(x)|^2                                    (eq. 2)
       + adversarial_weight (- log D(G(h), h))                                                              (eq. 4)
    L_D = - log D(x, h) - log(1 - D(G(h), h))                                                               (eq. 3)

E and C, the comparator, are fixed; both may be layers of one network. The discriminator D sees the code h beside the image.
In the paper's Caffe code the first two losses are sums over 2 N, of pixels in 0 ... 255, with the weights 2e-6 and 0.01, and
the third has the weight 100; all means here are over everything, of pixels in [0, 1]. So 2e-6 becomes 2e-6 / 2 * 255^2 H W C
(10,052 at 227 x 227 x 3), and 0.01 becomes 0.01 / 2 times the number of features (46.08 for 9,216). With `relative`, each
image's feature loss is divided by the mean square of the features of x, so that one weight suits every layer.

D is paused while it is too good, and G while it is too bad. With r = L_D / (-log D(G(h), h)) of the batch, before updates,

    "stateful":  r < .1 and D on: D off, G on;  else r > .5 and D off: both on;  else r > 10 and G on: D on, G off
    "stateless": D is on if r >= .1, G if r <= 10

The first is that of public training code, where a paused G returns only at r < .1: on 8 x 8 digits it was trained in 5 of
the first 150 steps, with the second rule in all but one. That one, the default, is as the paper on PPGN states it.

What differs from the paper: images are in [0, 1] instead of mean-subtracted BGR. D's convolutions are padded, and its last
layer has one logit, equivalent to the softmax over two. Which code D sees is not published: here h = E(x) for both images.
The biases of G's convolutions are trained; in the authors' definitions they stay 0 (1,635 of 56,097,891 weights). There is
no weight decay.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import keras
import tensorflow as tf
from keras import layers

from tfgen import fields, random
from tfgen.models.base import TrainableModel
from tfgen.models.capabilities import Encoder
from tfgen.models.synthesis.parts.code_networks import CodeDiscriminator, generator_network
from tfgen.models.synthesis.parts.fixed_features import Given, fixed_features
from tfgen.networks.given import GivenNetwork
from tfgen.settings import NOT_EMPTY, ImageShape, NonNegativeFloat, OddInt, PositiveFloat, PositiveInt, Rate, Widths
from tfgen.training.players import Player

Gating = Literal["stateful", "stateless"]


class _Gate(layers.Layer):
    """The gates of both networks, 1 for on; see the top of this file.

    Args:
        kind: of `Gating`.
        thresholds: (.1, .5, 10).
    """

    def __init__(self, kind: str, thresholds: Sequence[float], **kwargs):
        super().__init__(**kwargs)
        self.kind, self.thresholds = kind, tuple(map(float, thresholds))
        self.discriminator_on, self.generator_on = (
            self.add_weight(name=f"{name}_on", shape=(), initializer="ones", dtype="float32", trainable=False,
                            autocast=False, aggregation="only_first_replica") for name in ("discriminator", "generator")
        )  # fmt: skip
        self.built = True

    def turns(self, ratio: tf.Tensor) -> dict[str, tf.Tensor]:
        """{player: bool scalar, whether it is updated} for r; a stateful gate keeps them."""
        low, middle, high = self.thresholds
        if self.kind == "stateless":
            discriminator, generator = ratio >= low, ratio <= high
        else:
            first, second = (tf.convert_to_tensor(gate) > 0.5 for gate in (self.discriminator_on, self.generator_on))
            discriminator, generator = gated(ratio, first, second, low, middle, high)
        self.discriminator_on.assign(tf.cast(discriminator, tf.float32))
        self.generator_on.assign(tf.cast(generator, tf.float32))
        return {"discriminator": discriminator, "generator": generator}


def gated(
    ratio: tf.Tensor, discriminator: tf.Tensor, generator: tf.Tensor, low: float = 0.1, middle: float = 0.5,
    high: float = 10.0,
) -> tuple[tf.Tensor, tf.Tensor]:  # fmt: skip
    """The stateful rule: (whether D is on, whether G is on) after a batch with r, from what they were before.

    Example:
        >>> [bool(on) for on in tfgen.models.synthesis.deepsim.gated(0.05, True, True)]
        [False, True]
    """
    discriminator, generator = tf.convert_to_tensor(discriminator), tf.convert_to_tensor(generator)
    pause_d = (ratio < low) & discriminator
    both = ~pause_d & (ratio > middle) & ~discriminator
    pause_g = ~pause_d & ~both & (ratio > high) & generator
    return (discriminator & ~pause_d) | both | pause_g, (generator & ~pause_g) | both | pause_d


@keras.saving.register_keras_serializable("tfgen")
class DeePSiM(Encoder, TrainableModel):
    """A generator of images from the codes of a fixed encoder.

    `encode` returns the codes of images, `decode_images` the images of codes, `reconstruct` does both. E and C are no part
    of the model, whose config has their recipes and fingerprints. `generator` is a `keras.Model`, which `DGNAM` can use from
    a file.

    Example:
        >>> network = tfgen.features.encoder_network((8, 8, 1), 10, filters=(4, 6), units=5)
        >>> model = tfgen.models.DeePSiM(image_shape=(8, 8, 1), encoder=network, encoder_layers=("code", "maps"))
        >>> codes = model.encode(tf.zeros([2, 8, 8, 1]))
        >>> codes.shape, model.decode_images(codes).shape
        (TensorShape([2, 5]), TensorShape([2, 8, 8, 1]))

    Args:
        image_shape: (H, W, C).
        encoder: E: `tfgen.features.FeatureNetwork`, or what `tfgen.features.get` takes, such as a `keras.Model` of images in
            [0, 1], the path of its .keras file (see `tfgen.features.train_encoder`) or the dict of a maker.
        encoder_layers: layers of E. The output of the first one, [B, Z] or a map [B, h, w, F], is the code. The others, or
            the code itself if there are none, are compared, unless there is a comparator. None: the outputs of E; a dict
            names them itself.
        comparator: C, in the forms of `encoder`; None: layers of E.
        comparator_layers: layers of C that are compared; None: its outputs.
        image_weight: of the squared error of pixels in [0, 1].
        feature_weight: of the squared error of features; or one of each layer. The logged `feature_loss` has it as a factor.
        adversarial_weight: of the adversarial loss; with 0 D is still trained.
        relative: whether feature losses are relative to the mean square of the features of each image.
        gating: "stateless", "stateful" or None, no pauses.
        gating_ratios: the thresholds of r, increasing; "stateless" uses the first and the last.
        generator_hidden, generator_grid, generator_filters, output: see
            `tfgen.models.synthesis.parts.code_networks.generator_network`.
        discriminator_convs: (filters, kernel size, stride) of each of D's convolutions.
        discriminator_code: units of the dense layers that the code passes in D.
        discriminator_units: of the dense layer of image and code.
        dropout: rate before and after that layer, in training.
        generator: None, or a network of your own (see `tfgen.networks.given_network`; copied, with its weights): codes ->
            images [B, H, W, C] in units of [0, 1].
        discriminator: None, or a network of your own: images [B, H, W, C] in [-1, 1], and codes -> logits [B, 1].
        **kwargs: see `TrainableModel`.

    Raises:
        ValueError: E or C is not found, has no such layers or does not take the images; the code is neither a vector nor a
            map, or a map that the generator cannot take; there is not one weight for each layer; a setting has no effect.
    """

    loss_names = (
        "generator_loss", "discriminator_loss", "image_loss", "feature_loss", "adversarial_loss", "generator_on",
        "discriminator_on",
    )  # fmt: skip
    own_networks = {
        ("generator",): ("generator_hidden", "generator_grid", "generator_filters", "output"),
        ("discriminator",): ("discriminator_convs", "discriminator_code", "discriminator_units", "dropout"),
    }

    def __init__(
        self, *, image_shape: ImageShape, encoder: Given, encoder_layers: Sequence[str] | None = None,
        comparator: Given | None = None, comparator_layers: Sequence[str] | None = None,
        image_weight: NonNegativeFloat = 10.0, feature_weight: NonNegativeFloat | Sequence[NonNegativeFloat] = 1.0,
        adversarial_weight: NonNegativeFloat = 0.05, relative: bool = True, gating: Gating | None = "stateless",
        gating_ratios: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = (0.1, 0.5, 10.0),
        generator_hidden: Sequence[PositiveInt] = (256,), generator_grid: PositiveInt = 64,
        generator_filters: Annotated[Sequence[Widths], NOT_EMPTY] = ((64, 32),),
        output: Literal["linear", "sigmoid"] = "sigmoid",
        discriminator_convs: Annotated[Sequence[tuple[PositiveInt, OddInt, PositiveInt]], NOT_EMPTY] = (
            (32, 5, 2), (64, 3, 2), (64, 3, 2)),
        discriminator_code: Sequence[PositiveInt] = (64,), discriminator_units: PositiveInt = 64, dropout: Rate = 0.5,
        generator: keras.Model | dict | str | None = None, discriminator: keras.Model | dict | str | None = None, **kwargs,
    ):  # fmt: skip
        super().__init__(image_shape=image_shape, **kwargs)
        if comparator is None and comparator_layers is not None:
            raise ValueError(f"comparator_layers names layers of comparator, which is None; received {comparator_layers!r}.")
        if gating is None:
            self.check_without_effect("gating=None", "gating_ratios")
        if list(gating_ratios) != sorted(gating_ratios):
            raise ValueError(f"gating_ratios must be increasing; received {gating_ratios!r}.")
        self.encoder = fixed_features("encoder", encoder, encoder_layers, self.image_shape)
        self._config["encoder"] = self.encoder.get_config()
        self.comparator = None
        if comparator is not None:
            self.comparator = fixed_features("comparator", comparator, comparator_layers, self.image_shape)
            self._config["comparator"] = self.comparator.get_config()
        code, compared = self.code_and_features(tf.zeros([1, *self.image_shape]))
        if code.shape.rank not in (2, 4):
            raise ValueError(
                f"The layer {self.encoder.layers[0]!r} of the encoder must be a vector [batch, any] or a map [batch, any, "
                f"any, any]; received the shape {code.shape}."
            )
        self.code_shape = tuple(code.shape[1:])
        self.latent_dim = math.prod(self.code_shape)
        several = isinstance(feature_weight, (tuple, list))
        weights: Any = feature_weight if several else [feature_weight] * len(compared)
        self.feature_weights = [float(one) for one in weights]
        if len(self.feature_weights) != len(compared):
            raise ValueError(
                f"feature_weight must be one number, or one for each of the {len(compared)} compared layers; received "
                f"{feature_weight!r}."
            )
        self.image_weight, self.adversarial_weight = float(image_weight), float(adversarial_weight)
        self.relative = relative
        self.choose_networks(
            lambda: [generator_network(
                self.code_shape, self.image_shape, hidden=generator_hidden, grid=generator_grid, filters=generator_filters,
                output=output, dtype=self.dtype_policy,
            )],
            generator=(generator, self.code_shape, self.image_shape),
        )  # fmt: skip
        own = self.own_network("discriminator", discriminator, [self.image_shape, self.code_shape], (1,))
        self.discriminator = GivenNetwork(own, name="discriminator") if own is not None else CodeDiscriminator(
            convs=discriminator_convs, code_widths=discriminator_code, units=discriminator_units, dropout=dropout,
            dtype=self.dtype_policy, name="discriminator",
        )  # fmt: skip
        self.discriminator.build([(None, *self.image_shape), (None, *self.code_shape)])
        self.gate = None if gating is None else _Gate(gating, gating_ratios, name="gate")
        self.built = True

    def players(self):
        return {"generator": Player(self.generator), "discriminator": Player(self.discriminator, averaged=False)}

    def default_optimizer(self):
        return keras.optimizers.Adam(2e-4)

    def call(self, images, training=False):
        return self.decode_raw(self.code_and_features(images)[0], training)

    # ---- networks

    def code_and_features(self, images: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """(E's code, the compared features of each layer), float32 [B, ...]; gradients pass through to the images."""
        code, *others = self.encoder(images).values()
        if self.comparator is not None:
            return code, list(self.comparator(images).values())
        return code, others or [code]

    def decode_raw(self, codes: tf.Tensor, training: bool = False) -> tf.Tensor:
        """G(codes), float32 [B, H, W, C] in units of [0, 1], not clipped; codes: float32 [B, *code_shape]."""
        return tf.cast(self.generator(codes, training=training), tf.float32)

    def logits(
        self, images: tf.Tensor, codes: tf.Tensor, training: bool = False, keys: tf.Tensor | None = None
    ) -> tf.Tensor:
        """D's logits, float32 [B], of images in units of [0, 1] beside codes; keys: uint64 [B] of dropout, or None."""
        noise = {"keys": keys} if isinstance(self.discriminator, CodeDiscriminator) else {}
        return tf.cast(self.discriminator([2.0 * images - 1.0, codes], training=training, **noise), tf.float32)[:, 0]

    # ---- training

    def losses_of(self, images: tf.Tensor, training: bool = False, keys: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
        """{name: scalar} of the losses at the top of this file, for images float32 [B, H, W, C] in [0, 1].

        Args:
            keys: uint64 [B] of D's dropout, or None.
        """
        code, target = self.code_and_features(images)
        code = tf.stop_gradient(code)
        made = self.decode_raw(code, training)
        _, found = self.code_and_features(made)
        pairs = zip(self.feature_weights, target, found, strict=True)
        features = tf.add_n([weight * self.feature_loss(real, fake) for weight, real, fake in pairs])
        return self.combined(tf.reduce_mean(tf.square(made - images)), features, images, made, code, training, keys)

    def combined(
        self, image_loss: tf.Tensor, feature_loss: tf.Tensor, images: tf.Tensor, made: tf.Tensor, code: tf.Tensor,
        training: bool, keys: tf.Tensor | None,
    ) -> dict[str, tf.Tensor]:  # fmt: skip
        """The losses with the adversarial ones of images and G(h), `made`, beside the code h."""
        real, fake = (
            self.logits(shown, code, training, None if keys is None else random.fold(keys, part))
            for part, shown in enumerate((images, made))
        )
        adversarial = tf.reduce_mean(tf.nn.softplus(-fake))
        # Only D's gradient of this loss is used, and only G's of the other one.
        judged = tf.reduce_mean(tf.nn.softplus(-real)) + tf.reduce_mean(tf.nn.softplus(fake))
        loss = self.image_weight * image_loss + feature_loss + self.adversarial_weight * adversarial
        return {
            "generator_loss": loss, "discriminator_loss": judged, "image_loss": image_loss, "feature_loss": feature_loss,
            "adversarial_loss": adversarial,
        }  # fmt: skip

    def feature_loss(self, real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
        """Scalar, the mean over rows of the squared error of features [B, ...]; no gradient for those of real images."""
        real = tf.stop_gradient(real)
        axes = list(range(1, real.shape.rank))
        error = tf.reduce_mean(tf.square(fake - real), axis=axes)
        if self.relative:
            error /= tf.reduce_mean(tf.square(real), axis=axes) + 1e-6  # an image without features
        return tf.reduce_mean(error)

    def update(self, batch):
        images = batch["image"]
        keys, turns = self.noise_keys(tf.shape(images)[0], stream=0), {}

        def when(losses):
            if self.gate is not None:
                turns.update(self.gate.turns(losses["discriminator_loss"] / losses["adversarial_loss"]))
            return turns

        players = {"generator": "generator_loss", "discriminator": "discriminator_loss"}
        losses = self.step_players(players, lambda: self.losses_of(images, True, keys), when=when)
        on = {name: tf.cast(turns.get(name, True), tf.float32) for name in players}
        return losses | {f"{name}_on": value for name, value in on.items()}

    def evaluation_losses(self, batch):
        return self.losses_of(batch["image"])

    # ---- codes

    def encode(self, images: tf.Tensor) -> tf.Tensor:
        """E's codes, float32 [B, *code_shape], of images float32 [B, H, W, C] in [0, 1]."""
        return self.code_and_features(self.check_images(images))[0]

    def decode_images(self, codes: tf.Tensor) -> tf.Tensor:
        """Images float32 [B, H, W, C] in [0, 1] of codes float32 [B, *code_shape]."""
        codes = fields.Field("codes", self.code_shape).check(codes, type(self).__name__)
        return tf.clip_by_value(self.decode_raw(codes), 0.0, 1.0)

    def reconstruct(self, images: tf.Tensor) -> tf.Tensor:
        """G(E(images)), float32 [B, H, W, C] in [0, 1]."""
        return self.decode_images(self.encode(images))

    def signatures(self):
        """With `decode`, the images of codes as the signature `encode` returns them, [B, Z]."""

        def decode(latent):
            return {"image": self.decode_images(tf.reshape(latent, [-1, *self.code_shape]))}

        return super().signatures() | {"decode": (decode, {"latent": tf.TensorSpec([None, self.latent_dim], tf.float32)})}
