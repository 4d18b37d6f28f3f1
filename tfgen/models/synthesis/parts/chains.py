"""`ChainModel`: the chains of codes of PPGN, and what they are used for: samples of classes, maximisation, completion."""

import contextlib
from typing import Annotated, Any, NamedTuple

import keras
import tensorflow as tf
from absl import logging

from tfgen import fields, random, settings
from tfgen.models.base import TrainableModel
from tfgen.models.capabilities import Completer, Encoder, Maximizer, Sampler
from tfgen.models.capabilities.capability import in_graph
from tfgen.models.fixed import Fixed
from tfgen.models.synthesis.parts.fixed_features import Given
from tfgen.models.synthesis.parts.mala import log_probability, mala_approx
from tfgen.models.synthesis.parts.scores import Scores
from tfgen.settings import ImageShape, NaturalInt, NonNegativeFloat, PositiveFloat, PositiveInt, Rule, Seed
from tfgen.training.state import named_variables

RELEASED_BOUNDS = (0.0, 30.0)
_OF_CONDITION = "condition", "condition_layer", "position", "full_gradient"  # without effect if eps2 is 0
Bounds = Annotated[tuple[float, float], Rule("with the lower one first", lambda pair: pair[0] < pair[1])]


class Chain(NamedTuple):
    """A recorded chain, see `ChainModel.chain`.

    Attributes:
        image: float32 [B, T + 1, H, W, C] in [0, 1], before each step and after the last one.
        codes: float32 [B, T + 1, Z].
        log_probability: float32 [B, T + 1], the sum over the units of a row; 0 without units.
    """

    image: tf.Tensor
    codes: tf.Tensor
    log_probability: tf.Tensor


class ChainModel(Sampler, Maximizer, Completer, Encoder, TrainableModel):
    """A model whose images come from chains of codes, see `mala_approx`.

    A subclass has `latent_dim` and implements `code_of`, `image_of` and `denoised`. Chains of a model that was not
    initialised give a warning.

    Args:
        image_shape: (H, W, C).
        condition: the fixed network of the conditions: what `tfgen.features.get` takes, such as a `keras.Model` of images in
            [0, 1] or the path of its .keras file, or a `Classifier` of tfgen. Images are resized to its input size. To ask a
            captioner for a sentence, make it a network of two units whose softmax is (p, 1 - p), p the probability of the
            sentence: log p and log(1 - p).
        condition_layer: its layer with the units; None: its output.
        position: (row, column) of the units in a layer of maps; None: the centre. Probabilities are then those of a softmax
            over the channels there.
        chain_steps: default number of steps of a chain.
        rate: size of the first step.
        last_rate: None, or the size to which it falls over the steps.
        epsilons: (eps1 of the prior, eps2 of the condition, eps3 of the noise). With eps2 = 0 there are no conditions, no
            labels and no units, and `condition` must be left out.
        context_weight: eps4, of the known pixels of a completion.
        normalized: whether a step has the mean size `rate`, as in the released code, else as in the paper.
        full_gradient: whether the gradient of the condition is that of log softmax; else, as in the released code, it is
            1 - p at the unit's own logit alone.
        reset: 0, or the number of steps after which a chain begins anew, see `mala_approx`.
        code_bounds: (lowest, highest) number in a code; None: those in the codes of images, see `initialize`.
        start_noise: standard deviation of the noise on the code at which a completion begins, by which completions of one
            image differ.
        **kwargs: see `TrainableModel`.

    Raises:
        ValueError: the condition is missing, cannot be used, see `Scores`, or has no effect.
    """

    def __init__(
        self, *, image_shape: ImageShape, condition: Given | None = None, condition_layer: str | None = None,
        position: tuple[NaturalInt, NaturalInt] | None = None,
        chain_steps: Annotated[PositiveInt, settings.within(1, Maximizer.max_steps)] = 100, rate: PositiveFloat = 0.1,
        last_rate: NonNegativeFloat | None = None,
        epsilons: tuple[NonNegativeFloat, NonNegativeFloat, NonNegativeFloat] = (1e-5, 1.0, 0.0),
        context_weight: NonNegativeFloat = 1.0, normalized: bool = True, full_gradient: bool = False, reset: NaturalInt = 0,
        code_bounds: Bounds | None = None, start_noise: NonNegativeFloat = 0.1, **kwargs,
    ):  # fmt: skip
        super().__init__(image_shape=image_shape, **kwargs)
        self.steps = chain_steps
        self.full_gradient, self.start_noise, self.has_noise = full_gradient, float(start_noise), bool(epsilons[2] or reset)
        self.mala: dict[str, Any] = {
            "epsilons": epsilons, "rate": rate, "last_rate": last_rate, "normalized": normalized, "reset": reset,
            "context_weight": float(context_weight),
        }  # fmt: skip
        self.condition, self.num_units = None, 0
        if epsilons[1]:
            if condition is None:
                raise ValueError("condition is needed, a network with units, unless eps2, the second epsilon, is 0.")
            self.scores = Scores("condition", condition, condition_layer, self.image_shape, position)
            self.condition, self.num_units = self.scores.network, self.scores.count
        else:
            self.check_without_effect("eps2=0", *_OF_CONDITION)
        self._config["condition"] = self.condition and self.condition.get_config()
        self.num_classes = self.num_units
        self.initialized_by_data = self.measures_bounds = code_bounds is None
        self.code_bounds = self.add_weight(
            name="code_bounds", shape=[2], trainable=False, autocast=False,
            initializer=lambda shape, dtype=None: tf.constant(code_bounds or RELEASED_BOUNDS, dtype),
        )  # fmt: skip

    # ---- of subclasses

    def code_of(self, images: tf.Tensor) -> tf.Tensor:
        """E(images), float32 [B, latent_dim], of images float32 [B, H, W, C] in [0, 1]."""
        raise NotImplementedError(f"{type(self).__name__} must implement code_of(images).")

    def image_of(self, codes: tf.Tensor) -> tf.Tensor:
        """G(codes), float32 [B, H, W, C] in [0, 1], of codes float32 [B, latent_dim]."""
        raise NotImplementedError(f"{type(self).__name__} must implement image_of(codes).")

    def denoised(self, codes: tf.Tensor, images: tf.Tensor) -> tf.Tensor | None:
        """R(codes), float32 [B, latent_dim]; None: no prior. `images`: what is shown of the codes, in a completion with
        the known pixels.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement denoised(codes, images).")

    def held(self) -> dict[str, object]:
        """{constructor argument: fixed network}, those that the model uses now."""
        return {} if self.condition is None else {"condition": _again(self.condition)}

    # ---- other settings, the same weights

    def with_settings(self, **changed) -> "ChainModel":
        """The same networks and weights with other settings of the chains, such as `condition`: no training is needed.

        The weights are the averaged ones, if this model has them; the new one is not compiled.

        Example:
            >>> network = tfgen.features.encoder_network((8, 8, 1), 10, units=5)
            >>> model = tfgen.models.JointPPGN(image_shape=(8, 8, 1), encoder=network, encoder_layers=("code", "maps"))
            >>> other = tfgen.features.encoder_network((16, 16, 3), 2)
            >>> model.with_settings(condition=other, rate=1.0).sample(1, labels=[1]).shape
            TensorShape([1, 8, 8, 1])

        Args:
            **changed: constructor arguments.

        Raises:
            ValueError: with these settings the model has other weights.
        """
        kept = {**self._config, **self.held()}
        if "condition" in changed:  # the settings of the other one
            kept |= {"condition_layer": None, "position": None}
        if not changed.get("epsilons", kept["epsilons"])[1]:
            kept |= {name: self.config_parameters()[name].default for name in _OF_CONDITION}
        model = type(self)(**{**kept, **changed})
        own, other = named_variables(self), named_variables(model)
        if {key: v.shape for key, v in own.items()} != {key: v.shape for key, v in other.items()}:
            raise ValueError(f"With {', '.join(changed)} this {type(self).__name__} would have other weights.")
        bounds = model.code_bounds.numpy()
        averages = None if self.ema is None or self.ema.is_swapped else self.ema
        with contextlib.nullcontext() if averages is None else averages.swapped():
            for key, variable in other.items():
                variable.assign(own[key])
        if "code_bounds" in changed:
            model.code_bounds.assign(bounds)
        return model

    # ---- data

    def initialize(self, batch):
        """Sets the bounds of codes from the codes of images, float32 [B, H, W, C] in [0, 1]: {"image": images}.

        Before it, they are those of the released code, [0, 30]. With `code_bounds` they stay as they are.
        """
        if self.measures_bounds:
            codes = self.code_of(self.check_images(batch["image"]))
            self.code_bounds.assign([tf.reduce_min(codes), tf.reduce_max(codes)])

    def unmeasured(self) -> str | None:
        """What is not as images have it, since `initialize` was not called: a part of a sentence; or None."""
        if self.measures_bounds and tuple(keras.ops.convert_to_numpy(self.code_bounds)) == RELEASED_BOUNDS:
            return f"the bounds of codes are {list(RELEASED_BOUNDS)}, those of the released code"
        return None

    def _warn(self):
        if tf.distribute.has_strategy() and not tf.distribute.in_cross_replica_context():
            return
        with tf.init_scope():  # graphs that are traced read the values, too
            found = self.unmeasured()
        if found:
            logging.warning('The codes of images were not measured, so %s: call initialize({"image": images}) first.', found)

    def encode(self, images):
        return self.code_of(self.check_images(images))

    def reconstruct(self, images):
        return self.image_of(self.encode(images))

    def call(self, images, training=False):
        return self.reconstruct(images)

    # ---- chains

    def _chain(self, start, units=None, seeds=None, steps=None, known=None, mask=None, record=False):
        """`Ascent` of codes [B, latent_dim]; known: images; mask: bool [B, H, W], true for known pixels."""
        keep = None if mask is None else mask[..., None]

        def shown(codes):
            made = self.image_of(codes)
            return made if keep is None else tf.where(keep, known, made)

        def condition(codes):  # a known pixel passes no gradient on
            return log_probability(self.scores(shown(codes)), units, self.full_gradient)

        def context(codes):
            missed = tf.where(keep, known - self.image_of(codes), 0.0)
            return -0.5 * tf.reduce_sum(missed**2, axis=[1, 2, 3])

        def prior(codes):
            found = self.denoised(codes, shown(codes))
            return codes if found is None else found

        if seeds is None and self.has_noise:
            # The start is all that there is: its first two numbers have about 46 random bits.
            seeds = tf.bitcast(tf.concat([start, start], axis=1)[:, :2], tf.int64)
        return mala_approx(
            start, steps=self.steps if steps is None else steps, prior=prior, condition=None if units is None else condition,
            context=None if keep is None else context, bounds=tuple(tf.unstack(tf.convert_to_tensor(self.code_bounds))),
            seeds=seeds, record=record, **self.mala,
        )  # fmt: skip

    def chain(
        self, seeds: tf.Tensor, units: tf.Tensor | None = None, *, steps: int | None = None, start: tf.Tensor | None = None,
        known: tf.Tensor | None = None, mask: tf.Tensor | None = None,
    ) -> Chain:  # fmt: skip
        """Chains with all their steps, for pictures: `tfgen.sampling.save_animation(path, chain.image)`.

        For one class after another in a chain, give the last codes of a chain as the start of the next.

        Args:
            seeds: int [B].
            units: int [B] in [0, num_units); or [B, P] for the product of P experts, whose logarithms are added. None if
                eps2 is 0.
            steps: None: the model's `chain_steps`.
            start: float32 [B, latent_dim]; None: N(0, 1), or for completions the codes of the known pixels.
            known: None, or images float32 [B, H, W, C] in [0, 1] to be completed. The first codes are those of the images
                that are black where pixels are not known (the released code: the mean colour).
            mask: bool [B, H, W], true for known pixels; needed with `known`.

        Raises:
            ValueError: an argument has another dtype, shape or number of rows than `seeds`, or units are missing.
            InvalidArgumentError: a unit, an image or a number of steps is out of range.
        """
        self._warn()
        given = {"seeds": fields.seeds().check(seeds)}
        if (units is None) != (self.num_units == 0):
            raise ValueError(f"units must be {'None, since eps2 is 0' if units is not None else 'given, int [batch]'}.")
        if units is not None:
            units = fields.as_tensor(units, "units", "int [batch] or [batch, experts]")
            units = fields.Field("units", units.shape[1:], "int32", low=0, high=self.num_units - 1).check(units)
            given["units"] = units[:, None] if units.shape.rank == 1 else units  # one graph for both
        if start is not None:
            given["start"] = self.check_latents(start)
        if (known is None) != (mask is None):
            raise ValueError("known and mask must be given together.")
        if known is not None:
            given |= {"known": self.check_images(known), "mask": self._mask(mask, 3)}
        count = fields.Field("steps", (), "int32", low=0, high=self.max_steps)
        given["steps"] = count.check(tf.fill(tf.shape(given["seeds"]), self.steps if steps is None else steps))
        fields.check_rows(given)
        return Chain(**in_graph(self, "chain_rows")(**given))

    def chain_rows(
        self, seeds: tf.Tensor, steps: tf.Tensor, units: tf.Tensor | None = None, start: tf.Tensor | None = None,
        known: tf.Tensor | None = None, mask: tf.Tensor | None = None,
    ) -> dict[str, tf.Tensor]:  # fmt: skip
        """{name of `Chain`: tensor} of the checked arguments of `chain`."""
        noise = None if start is None and known is None else seeds  # else that of `decode_images`, so of `sample`
        start = self._start(seeds, known, mask) if start is None else start
        found = self._chain(start, units, noise, steps, known, mask, record=True)
        # One step after the other: the maps of all at once would need much memory.
        images = tf.map_fn(self.image_of, tf.transpose(found.path, [1, 0, 2]))
        images = tf.transpose(images, [1, 0, 2, 3, 4])
        if known is not None:
            assert mask is not None
            images = tf.where(mask[:, None, ..., None], known[:, None], images)
        return {"image": images, "codes": found.path, "log_probability": found.objective}

    def _start(self, seeds, known=None, mask=None):
        if known is None:
            return self.latents(seeds)
        code = self.code_of(tf.where(mask[..., None], known, 0.0))
        return code + self.start_noise * random.normal(random.keys(seeds), self.latent_dim)

    # ---- capabilities

    def conditions(self):
        return (fields.label(self.num_units),) if self.num_units else ()

    def latents(self, seeds):
        """The starts of chains, N(0, 1)."""
        return random.normal(random.keys(seeds), self.latent_dim)

    def decode_images(self, latents: tf.Tensor, labels: tf.Tensor | None = None) -> tf.Tensor:
        """Images float32 [B, H, W, C] in [0, 1] at the end of chains that begin at `latents`, float32 [B, latent_dim]."""
        self._warn()
        latents = self.check_latents(latents)
        given = self.check_conditions(latents.shape[0], {"labels": labels})
        return self.image_of(self._chain(latents, given.get("labels")).codes)

    def maximize(self, unit: tf.Tensor, seeds: tf.Tensor, steps: int | tf.Tensor | None = None) -> dict[str, tf.Tensor]:
        """See `Maximizer.maximize`."""
        self._warn()
        return super().maximize(unit, seeds, steps)

    def maximize_rows(self, seeds, unit, steps):
        """{"image", "activation": log p of the unit, float32 [B], "probability"}."""
        found = self._chain(self.latents(seeds), unit, steps=steps)
        value = found.objective[:, -1]
        return {"image": self.image_of(found.codes), "activation": value, "probability": tf.exp(value)}

    def complete(
        self, known: tf.Tensor, mask: tf.Tensor, num: PositiveInt = 1, seed: Seed = 0, **conditions
    ) -> tf.Tensor:  # fmt: skip
        """Completes images: a chain from the code of the known pixels, which keeps near them. Known pixels stay as they are.

        Args:
            known: float32 [B, H, W, C] in [0, 1]; values at unknown pixels have no effect.
            mask: bool [H, W] or [B, H, W], true for known pixels.
            num: number of completions of each image.
            seed: int in [0, 2**31); completion k is a function of (seed, k) and of its image.
            **conditions: `labels` int [B], unless eps2 is 0.

        Returns:
            float32 [B, num, H, W, C].

        Raises:
            ValueError: `known`, `mask` or the labels have another dtype, shape or number of rows; `num` is below 1.
            InvalidArgumentError: `known` or a label is out of range.
        """
        settings.check(ChainModel.complete, num=num, seed=seed)
        self._warn()
        known, mask = self.check_images(known), self._mask(mask)
        batch = known.shape[0]
        if mask.shape.rank == 3:
            fields.check_rows({"known": known, "mask": mask})
        given = {"known": known, "mask": tf.broadcast_to(mask, [batch, *self.image_shape[:2]]),
                 **self.check_conditions(batch, conditions)}  # fmt: skip
        given = {name: tf.repeat(value, num, axis=0) for name, value in given.items()}
        seeds = tf.tile(tf.range(num, dtype=tf.int64) + (seed << 32), [batch])
        return tf.reshape(in_graph(self, "complete_rows")(seeds=seeds, **given), [batch, num, *self.image_shape])

    def complete_rows(
        self, seeds: tf.Tensor, known: tf.Tensor, mask: tf.Tensor, labels: tf.Tensor | None = None
    ) -> tf.Tensor:  # fmt: skip
        known = tf.where(mask[..., None], known, 0.0)
        given = self.check_conditions(known.shape[0], {"labels": labels})
        found = self._chain(self._start(seeds, known, mask), given.get("labels"), seeds, None, known, mask)
        return tf.where(mask[..., None], known, self.image_of(found.codes))

    def _mask(self, mask, rank=None):
        height, width, _ = self.image_shape
        wanted = f"bool [{height}, {width}], or one for each image, true where known"
        mask = fields.as_tensor(mask, "mask", wanted)
        if mask.dtype != tf.bool or mask.shape.rank not in (rank or 2, 3) or mask.shape[-2:] != (height, width):
            raise ValueError(f"mask must be {wanted}; received {mask.dtype.name} {mask.shape}.")
        return mask


def _again(held):
    """What a constructor makes the same fixed network of."""
    return held if not isinstance(held, Fixed) else held.get_config() if held.path else held.network
