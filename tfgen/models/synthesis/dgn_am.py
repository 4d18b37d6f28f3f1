"""DGN-AM: images that a unit of a network likes best, looked for among the images of a generator.

Nguyen, Dosovitskiy, Yosinski, Brox, Clune, "Synthesizing the preferred inputs for neurons in neural networks via deep
generator networks", NeurIPS 2016, arXiv:1605.09304; the rule of a step as in the authors' code
(Evolving-AI-Lab/synthesizing).

The idea: pixels that are optimised for a unit become noise that no photo resembles. The generator G of `DeePSiM`, which
turns codes of an encoder E into images, knows what images look like. So the code h is optimised and not the pixels, within
the range that codes of real images have, and the network that is examined need not be E.

    maximise  a(G(h)) - penalty |h|       a: the activation of a unit, or the sum of those of several units
    h <- decay * clip(h + s_i d / mean|d|),    d the gradient for h,    clip to [0, mean + 3 sigma]           (section 2.4)
    s_i = s_first + (s_last - s_first) i / steps

a is the output before the softmax. Mean and sigma are those of each component of E's codes: `fit` measures them, which is
all that is learned here, since G, E and the examined network are fixed. h starts as N(0, 1), or as E's code of an image.

The code makes a step of the image first, x = G(h) + s g / mean|g| with the gradient g for the image, and pulls x - G(h) back
through G. This is the gradient for h up to a factor, which the mean of |d| removes: so h moves exactly as above.

Without a generator the pixels themselves are optimised, in [0, 1], from grey with noise of deviation .1.

What differs from the code: where the gradient is 0 the code does not stop but is clipped and shrunk; NaN is an error. The
paper's text clips to [0, 3 sigma]; its code, and this one, to [0, mean + 3 sigma]. The image after the last step is
returned, as there; it is not the one with the largest activation.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import keras
import tensorflow as tf
from absl import logging

from tfgen import fields, random, settings
from tfgen.models.base import TrainableModel
from tfgen.models.capabilities import Maximizer
from tfgen.models.capabilities.capability import in_graph
from tfgen.models.fixed import Fixed
from tfgen.models.synthesis.parts.fixed_features import Given, fixed_features
from tfgen.models.synthesis.parts.maximization import CodeStatistics, Units, falling_rate
from tfgen.sampling.ascent import Ascent, ascend
from tfgen.settings import (
    NOT_EMPTY,
    ImageShape,
    NaturalInt,
    NonNegativeFloat,
    PositiveFloat,
    PositiveFraction,
    PositiveInt,
)
from tfgen.training.players import Player

Resize = Literal["bilinear", "bicubic", "nearest"]


@keras.saving.register_keras_serializable("tfgen")
class DGNAM(Maximizer, TrainableModel):
    """Activation maximisation through a generator, or of pixels.

    `fit` on images measures their codes; "loss" is how much the means of the codes still change in a step. Before that,
    codes are not clipped, of which a warning tells.

    Example:
        >>> network = tfgen.features.encoder_network((8, 8, 1), 10, filters=(4, 6), units=5)
        >>> made = tfgen.models.DeePSiM(image_shape=(8, 8, 1), encoder=network, encoder_layers=("code", "maps"))
        >>> model = tfgen.models.DGNAM(
        ...     image_shape=(8, 8, 1), classifier=network, generator=made.generator, encoder=network, encoder_layer="code")
        >>> model.compile()
        >>> _ = model.fit(tf.random.uniform([16, 8, 8, 1]), verbose=0)
        >>> found = model.maximize(unit=[3, 7], seeds=[0, 0], steps=5)
        >>> found["image"].shape, found["activation"].shape
        (TensorShape([2, 8, 8, 1]), TensorShape([2]))

    Args:
        image_shape: (H, W, C) of the images.
        classifier: the examined network: `tfgen.features.FeatureNetwork`, or what `tfgen.features.get` takes, such as a
            `keras.Model` of images in [0, 1], the path of its .keras file or the dict of a maker.
        layer: its layer whose units are examined; None: its output. A dict names the layer itself. Of maps, the units are
            the channels at one position.
        position: None, or (row, column) in the maps; None: the centre.
        units: None: each unit is maximised on its own. Or groups of units, such as ((3,), (3, 5)): unit i of `maximize` is
            then the sum of group i.
        resize: None, or "bilinear", "bicubic" or "nearest", with which images are brought to the size of the classifier.
        generator: G: a `keras.Model` of codes -> images [B, H, W, C] in units of [0, 1], such as the `generator` of a
            `DeePSiM`, or the path of its .keras file, without which the model cannot be saved. None: pixels are optimised.
        encoder: E, in the forms of `classifier`; None: no bounds and no starts from images.
        encoder_layer: the layer of E whose outputs are the codes of G.
        bounds: "relu": [0, mean + k sigma]. "symmetric": mean -+ k sigma, for codes that may be negative. None: no clip.
            Without an encoder there are none.
        deviations: k.
        decay: factor of the code after the clip; pixels have none.
        penalty: of the code's norm.
        first_rate: mean size of a component's change at the first step. The default is for codes; pixels need less, such as
            0.05.
        last_rate: where it ends, in a straight line.
        ascent_steps: default number of steps of `maximize`.
        **kwargs: see `TrainableModel`.

    Raises:
        ValueError: a network or a layer does not exist; the networks do not fit one another or the images; there is no such
            unit or position; a setting has no effect.
    """

    def __init__(
        self, *, image_shape: ImageShape, classifier: Given, layer: str | None = None,
        position: tuple[NaturalInt, NaturalInt] | None = None,
        units: Annotated[Sequence[Annotated[Sequence[NaturalInt], NOT_EMPTY]], NOT_EMPTY] | None = None,
        resize: Resize | None = None, generator: keras.Model | dict | str | None = None,
        encoder: Given | None = None, encoder_layer: str | None = None,
        bounds: Literal["relu", "symmetric"] | None = "relu", deviations: PositiveFloat = 3.0,
        decay: PositiveFraction = 0.99, penalty: NonNegativeFloat = 0.0, first_rate: PositiveFloat = 8.0,
        last_rate: PositiveFloat = 1e-10, ascent_steps: PositiveInt = 200, **kwargs,
    ):  # fmt: skip
        super().__init__(image_shape=image_shape, **kwargs)
        self.units = Units(classifier, layer, self.image_shape, resize=resize, position=position)
        self.classifier = self.units.network
        self._config["classifier"] = self.classifier.get_config()
        self.num_units, self.groups = self.units.count, None
        if units is not None:
            wrong = sorted({unit for group in units for unit in group if unit >= self.units.count})
            if wrong:
                raise ValueError(f"units must be in [0, {self.units.count}), those of the layer; received {wrong}.")
            self.num_units = len(units)
            self.groups = [[float(unit in group) for unit in range(self.units.count)] for group in units]
        self.bounds, self.deviations, self.decay, self.penalty = bounds, float(deviations), float(decay), float(penalty)
        self.first_rate, self.last_rate, self.steps = float(first_rate), float(last_rate), ascent_steps
        self.generator = self.statistics = None
        self.encoder: Any = None
        self.code_shape = self.image_shape
        if generator is None and encoder is not None:
            raise ValueError("encoder is E of the codes of generator, which is None: leave encoder out to optimise pixels.")
        if generator is None:
            self.check_without_effect("generator=None", "decay")
        if encoder is None:
            self.check_without_effect("encoder=None", "encoder_layer", "deviations", *(["bounds"] if bounds else []))
        if bounds is None:
            self.check_without_effect("bounds=None", "deviations")
        if generator is not None:
            self.generator = Fixed(generator, "generator")
            self._config["generator"] = self.generator.get_config()
            self.code_shape = tuple(self.generator.network.input_shape[1:])
            made = tuple(self.generator.network.output_shape[1:])
            if made != self.image_shape:
                raise ValueError(f"generator must make images {self.image_shape}, image_shape; received one of {made}.")
        if encoder is not None:
            self.encoder = fixed_features(
                "encoder", encoder, None if encoder_layer is None else (encoder_layer,), self.image_shape
            )
            self._config["encoder"] = self.encoder.get_config()
            found = tuple(self._codes(tf.zeros([1, *self.image_shape])).shape[1:])
            if found != self.code_shape:
                raise ValueError(
                    f"The layer {self.encoder.layers[0]!r} of encoder must have the shape of the generator's codes, "
                    f"{self.code_shape}; received {found}."
                )
            self.statistics = CodeStatistics(self.code_shape, name="statistics")
        self.built = True

    def players(self):
        return {"model": Player((), averaged=False)}

    # ---- the bounds of codes

    def _codes(self, images):
        return next(iter(self.encoder(images).values()))

    def update(self, batch):
        if self.statistics is None:
            return {"loss": tf.constant(0.0)}
        return {"loss": self.statistics.observe(self._codes(batch["image"]))}

    def clip(self, codes: tf.Tensor) -> tf.Tensor:
        """Codes float32 [B, *code_shape] within the bounds; pixels within [0, 1]."""
        if self.generator is None:
            return tf.clip_by_value(codes, 0.0, 1.0)
        if self.statistics is None or self.bounds is None:
            return codes
        return tf.clip_by_value(codes, *self.statistics.bounds(self.deviations, self.bounds == "symmetric"))

    # ---- maximisation

    def decode_raw(self, codes: tf.Tensor) -> tf.Tensor:
        """G(codes), float32 [B, H, W, C] in units of [0, 1], not clipped; codes: float32 [B, *code_shape]."""
        return codes if self.generator is None else tf.cast(self.generator.network(codes, training=False), tf.float32)

    def activation(self, images: tf.Tensor, unit: tf.Tensor) -> tf.Tensor:
        """a, float32 [B], of images float32 [B, H, W, C] in [0, 1] and units int32 [B]."""
        found = self.units(images)
        if self.groups is None:
            return tf.gather(found, unit, batch_dims=1)
        return tf.reduce_sum(found * tf.gather(tf.constant(self.groups), unit), axis=-1)

    def start(self, seeds: tf.Tensor) -> tf.Tensor:
        """The first codes, float32 [B, *code_shape], of seeds int64 [B]."""
        drawn = tf.reshape(random.normal(random.keys(seeds), math.prod(self.code_shape)), [-1, *self.code_shape])
        return tf.clip_by_value(0.5 + 0.1 * drawn, 0.0, 1.0) if self.generator is None else drawn

    def climb(
        self, codes: tf.Tensor, unit: tf.Tensor, steps: tf.Tensor, first_rate: tf.Tensor | None = None, record: bool = False
    ) -> Ascent:
        """The `Ascent` of codes float32 [B, *code_shape] for units int32 [B], with steps int32 [B] and first rates [B]."""

        def towards_zero(codes, step):
            axes = list(range(1, codes.shape.rank))
            return -self.penalty * tf.math.divide_no_nan(codes, tf.sqrt(tf.reduce_sum(codes**2, axis=axes, keepdims=True)))

        return ascend(
            lambda codes, step: self.activation(self.decode_raw(codes), unit), codes, steps=steps, rule="normalized",
            rate=falling_rate(self.first_rate if first_rate is None else first_rate, self.last_rate, steps),
            drift=towards_zero if self.penalty else None, record=record,
            after=lambda codes, step: self.decay * self.clip(codes) if self.generator is not None else self.clip(codes),
        )  # fmt: skip

    def maximize(self, unit: tf.Tensor, seeds: tf.Tensor, steps: int | tf.Tensor | None = None) -> dict[str, tf.Tensor]:
        """See `Maximizer.maximize`."""
        self._warn()
        return super().maximize(unit, seeds, steps)

    def _warn(self):
        if self.statistics is not None and self.bounds is not None and not self.statistics.known:
            logging.warning("The codes of images were not measured, so codes are not clipped: call fit(images) first.")

    def maximize_rows(self, seeds: tf.Tensor, unit: tf.Tensor, steps: tf.Tensor) -> dict[str, tf.Tensor]:
        """{"image": float32 [B, H, W, C] in [0, 1], "activation": float32 [B]} after `steps` steps, of checked arguments.

        The activation is that of the generator's own output, before it is clipped to [0, 1].
        """
        return self._shown(self.climb(self.start(seeds), unit, steps))

    def _shown(self, found):
        image = tf.clip_by_value(self.decode_raw(found.codes), 0.0, 1.0)
        return {"image": image, "activation": found.objective[:, -1]}

    def maximize_images(
        self, images: tf.Tensor, unit: tf.Tensor, steps: PositiveInt = 30, first_rate: PositiveFloat = 1.0
    ) -> dict[str, tf.Tensor]:
        """As `maximize`, with starts from E's codes of images; the defaults are those of the authors' script.

        Args:
            images: float32 [B, H, W, C] in [0, 1].
            unit: int [B] in [0, num_units).
            steps: of all rows.
            first_rate: as in the constructor.

        Raises:
            ValueError: the model has no encoder, or an argument is wrong.
        """
        settings.check(DGNAM.maximize_images, steps=steps, first_rate=first_rate)
        if self.encoder is None and self.generator is not None:
            raise ValueError("Starts from images need the encoder of the generator's codes; this model has none.")
        images = self.check_images(images)
        unit = self.maximize_fields()[0].check(unit, "maximize_images")
        fields.check_rows({"images": images, "unit": unit})
        self._warn()
        steps, rates = (tf.fill(tf.shape(unit), value) for value in (steps, float(first_rate)))
        return in_graph(self, "climb_images")(images, unit, steps, rates)

    def climb_images(
        self, images: tf.Tensor, unit: tf.Tensor, steps: tf.Tensor, first_rate: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """`maximize_images` of checked arguments: float32 [B, H, W, C], int32 [B], int32 [B], float32 [B]."""
        codes = images if self.generator is None else self._codes(images)
        return self._shown(self.climb(codes, unit, steps, first_rate))
