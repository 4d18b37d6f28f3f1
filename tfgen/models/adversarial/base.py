"""The family of adversarial models: a generator and a discriminator, and their training step."""

import dataclasses
import functools
from collections.abc import Hashable
from typing import Annotated, Literal

import keras
import tensorflow as tf

from tfgen import random
from tfgen.layers.spectral_norm import update_spectral_state
from tfgen.losses import OBJECTIVES, REGULARIZERS, Objective, clip_weights
from tfgen.losses.objectives import ObjectiveName
from tfgen.losses.penalties import PenaltyName
from tfgen.losses.regularizers import RegularizerName
from tfgen.models.adversarial.parts.augmentation import ADAPTIVE, POLICIES, is_policy
from tfgen.models.adversarial.parts.limited_data import LimitedDataMixin
from tfgen.models.adversarial.parts.passes import Pass, PassMixin
from tfgen.models.adversarial.parts.penalty import PenaltyMixin
from tfgen.models.adversarial.parts.sampler import AdversarialSampler
from tfgen.models.base import TrainableModel
from tfgen.networks import GivenNetwork, make_networks
from tfgen.settings import Classes, Count, ImageShape, NonNegativeFloat, PositiveFloat, PositiveInt, Rule, Seed
from tfgen.training.players import Player

_NETWORKS = ("generator", "discriminator")

LatentDistribution = Literal["normal", "uniform", "unit_uniform"]  # of `tfgen.random.DISTRIBUTIONS`
_POLICIES = f"that is {ADAPTIVE}, or one or more of {', '.join(POLICIES)} with commas between"
Augmentation = Annotated[str, Rule(_POLICIES, lambda value: value == ADAPTIVE or is_policy(value))]


class AdversarialModel(LimitedDataMixin, PenaltyMixin, PassMixin, AdversarialSampler, TrainableModel):
    """A GAN with any combination of networks, objective, penalty, constraint and regulariser.

    The constructor of a subclass calls `set_networks`, usually with the result of `make_networks`. A subclass implements the
    idea of its paper in `discriminator_terms` and `generator_terms` (further losses), `adversarial_loss` (another loss of
    the generator), `draw_latents` and `draw_labels` (the inputs of the generator) or `generator_turn` (another schedule). If
    users can give their own networks, it names the arguments in `own_networks`.

    A training step has one batch. It updates the discriminator once, with this batch, and then, if it is the generator's
    turn, the generator `generator_steps` times, with new noise. So with `discriminator_steps` = 5 each discriminator update
    has its own real images, and the generator is updated after every fifth. The discriminator sees real and fake images in
    separate batches, so its batch norm has separate statistics for them. Labels of generated images are drawn uniformly.

    Args:
        image_shape: (H, W, C).
        latent_dim: width of the noise z.
        latent_distribution: "normal" N(0, 1), "uniform" in (-1, 1), or "unit_uniform" in (-sqrt 3, sqrt 3).
        num_classes: 0, or the number of classes of a conditional model (batches then need `label`).
        objective: a name in `tfgen.losses.OBJECTIVES`, or an `Objective`.
        penalty: None or a name in `tfgen.losses.PENALTIES`; added to the discriminator's loss.
        penalty_weight: its factor.
        penalty_interval: k; above 1 the penalty is lazy (StyleGAN2, arXiv:1912.04958, section 3.1): every k-th step, the
            first one included, has a second update of the discriminator, which minimises k times the weighted penalty of the
            same images. The log has this loss as "penalty", and "discriminator_loss" is without it. Adam then takes k + 1
            updates where it took k: `compile` corrects the default optimiser by `tfgen.training.schedules.lazy`, with which
            you correct one of your own.
        weight_clip: None or c: the discriminator's weights are clipped to [-c, c] after each of its updates.
        regularizer: None or a name in `tfgen.losses.REGULARIZERS`; added to the losses of both networks.
        regularizer_weight: its factor.
        discriminator_steps: discriminator updates for each turn of the generator.
        generator_steps: generator updates in one turn.
        generator_batch_factor: the generator's batch is this many times the discriminator's.
        discriminator_augmentation: None; or the random changes of real and generated images that the discriminator sees,
            which help with few images (see `tfgen.models.adversarial.parts.augmentation`): a policy of DiffAugment, for
            example "color,translation,cutout", or "adaptive", whose probability rises while the discriminator overfits.
            "adaptive" needs an objective whose logits are positive for real images.
        adaptation_images: for "adaptive", the number of real images over which the probability can rise from 0 to 1.
        lecam_weight: factor of `tfgen.losses.lecam_penalty` in the discriminator's loss; 0: none.
        generator: None, or a network of your own (see `tfgen.networks.given_network`; copied, with its weights): latents
            [B, latent_dim] -> images [B, H, W, C] in [-1, 1]. In a conditional model its second input is one-hot labels
            [B, num_classes].
        discriminator: None, or a network of your own: images [B, H, W, C] in [-1, 1], and one-hot labels -> logits [B, 1].
            For a paper that needs features [B, any], they are a second output, or the network returns a dict
            {"logit", "features"}.
        seed: int, of the training noise.
    """

    loss_names: tuple[str, ...] = ("generator_loss", "discriminator_loss", "real_logit", "fake_logit")

    def __init__(
        self,
        *,
        image_shape: ImageShape,
        latent_dim: PositiveInt = 100,
        latent_distribution: LatentDistribution = "normal",
        num_classes: Classes = 0,
        objective: ObjectiveName | Objective = "non_saturating",
        penalty: PenaltyName | None = None,
        penalty_weight: NonNegativeFloat = 1.0,
        penalty_interval: PositiveInt = 1,
        weight_clip: PositiveFloat | None = None,
        regularizer: RegularizerName | None = None,
        regularizer_weight: NonNegativeFloat = 1e-5,
        discriminator_steps: PositiveInt = 1,
        generator_steps: Count = 1,
        generator_batch_factor: PositiveInt = 1,
        discriminator_augmentation: Augmentation | None = None,
        adaptation_images: PositiveInt = 500_000,
        lecam_weight: NonNegativeFloat = 0.0,
        generator: keras.Model | dict | str | None = None,
        discriminator: keras.Model | dict | str | None = None,
        seed: Seed = 0,
        **kwargs,
    ):
        logs = {"augmentation_probability": discriminator_augmentation == ADAPTIVE, "lecam": lecam_weight > 0,
                "penalty": penalty_interval > 1}  # fmt: skip
        # Before Keras' own __init__, in which it allows no attributes.
        object.__setattr__(self, "loss_names", (*type(self).loss_names, *(name for name, on in logs.items() if on)))
        super().__init__(image_shape=image_shape, seed=seed, **kwargs)
        self.latent_dim, self.latent_distribution = int(latent_dim), latent_distribution
        self.num_classes = int(num_classes)
        self.objective = objective if isinstance(objective, Objective) else OBJECTIVES[objective]
        self.regularizer = None if regularizer is None else REGULARIZERS[regularizer]
        self.regularizer_weight, self.weight_clip = float(regularizer_weight), weight_clip
        self.discriminator_steps, self.generator_steps = discriminator_steps, generator_steps
        self.generator_batch_factor = generator_batch_factor
        self.set_penalty(penalty, penalty_weight, penalty_interval)
        self.set_limited_data(discriminator_augmentation, adaptation_images, lecam_weight)
        self.generator, self.discriminator = self._own_networks(generator, discriminator)

    def discriminator_outputs(self) -> tuple[dict, tuple[str, ...]]:
        """({output: shape without the batch}, names of the required outputs) of the user's own discriminator."""
        return {"logit": (1,), "features": (None,)}, ("logit",)

    def _own_networks(self, generator, discriminator):
        """(generator, discriminator): the user's own networks, called as a `tfgen.networks.Network` is, or None."""
        labels = [(self.num_classes,)] if self.num_classes else []
        generator = self.own_network("generator", generator, [(self.latent_dim,), *labels], self.image_shape)
        outputs, needed = self.discriminator_outputs()
        discriminator = self.own_network("discriminator", discriminator, [self.image_shape, *labels], outputs, needed)
        return (
            None if generator is None else GivenNetwork(generator, name="generator"),
            None if discriminator is None else GivenNetwork(discriminator, tuple(outputs), name="discriminator"),
        )

    def make_networks(self, kind: str | dict, **settings) -> list[keras.layers.Layer]:
        """The user's own networks if given, else those of `tfgen.networks.make_networks`.

        Args:
            kind: a name in `tfgen.networks.NETWORKS`, or {"generator": name, "discriminator": name}.
            **settings: as for `tfgen.networks.make_networks`.

        Returns:
            [generator, discriminator].

        Raises:
            ValueError: `tfgen.networks.make_networks` raises it, or `network_args` has settings of a network that the user
                replaces.
        """
        own = {name: network for name in _NETWORKS if (network := getattr(self, name)) is not None}
        for name in own:
            if (self._config.get("network_args") or {}).get(name):
                raise ValueError(f"network_args[{name!r}] is for the built-in {name}, which {name}= replaces: leave it out.")
        return make_networks(kind, image_shape=self.image_shape, dtype=self.dtype_policy, **{**settings, **own})

    def set_networks(self, generator: keras.Model, discriminator: keras.Model) -> None:
        """Sets and builds both networks.

        Args:
            generator: [latents [B, latent_dim], one-hot labels] -> images [B, H, W, C] in [-1, 1]. Only a conditional model
                has labels.
            discriminator: [images [B, H, W, C] in [-1, 1], one-hot labels] -> a dict with `logit`, [B, 1] or [B, h, w, 1] of
                patches, and the other outputs that the losses of the model need, such as `features`.
        """
        labels = [(None, self.num_classes)] if self.num_classes else []
        generator.build([(None, self.latent_dim), *labels])
        discriminator.build([(None, *self.image_shape), *labels])
        self.generator, self.discriminator = generator, discriminator
        self.built = True

    # ---- training

    def players(self) -> dict[str, Player]:
        clip = None if self.weight_clip is None else functools.partial(clip_weights, limit=self.weight_clip)
        return {
            "generator": Player(self.generator),
            "discriminator": Player(self.discriminator, constraint=clip, averaged=False),
        }

    def default_optimizer(self) -> keras.optimizers.Optimizer | dict:
        return keras.optimizers.Adam(2e-4, beta_1=0.5)

    def generator_turn(self, step: int) -> bool:
        """Whether step `step` (an int, counted from 0) also updates the generator."""
        return (step + 1) % self.discriminator_steps == 0

    def updates_of(self, player: str, steps: int) -> int:
        if player == "discriminator":
            return steps + self.lazy_turns(steps)
        return self.generator_steps * sum(self.generator_turn(step) for step in range(steps))

    def step_kind(self, step: int) -> tuple[Hashable, ...]:
        """("discriminator", "generator", "penalty"): the players that are updated, the second only if it is the generator's
        turn, and the lazy penalty in its steps.

        A subclass with further kinds of step appends them.
        """
        turns = {"generator": self.generator_turn(step), "penalty": self.lazy_turn(step)}
        return ("discriminator", *(name for name, on in turns.items() if on))

    # ---- what a paper changes

    def discriminator_terms(self, batch: dict, real: Pass, fake: Pass) -> dict[str, tf.Tensor]:
        """{name: scalar} added to the discriminator's loss.

        Args:
            batch: the training batch, with `raw`, its images in [-1, 1].
            real: `Pass` of the real images.
            fake: `Pass` of as many generated images.
        """
        return {}

    def generator_terms(self, batch: dict, fake: Pass) -> dict[str, tf.Tensor]:
        """{name: scalar} added to the generator's loss; `fake` is the `Pass` of its images."""
        return {}

    def adversarial_loss(self, batch: dict, fake: Pass) -> tf.Tensor:
        """The generator's adversarial loss, a scalar; `fake` is the `Pass` of its images. `generator_terms` are added."""
        return self.objective.generator(fake.logit)

    def draw_latents(self, keys: tf.Tensor) -> tf.Tensor:
        """Latents [B, latent_dim] in training and sampling; row i is a function of keys[i] (uint64 [B]) alone."""
        return random.DISTRIBUTIONS[self.latent_distribution](keys, self.latent_dim)

    def draw_labels(self, keys: tf.Tensor) -> tf.Tensor:
        """Uniform one-hot labels [B, num_classes] of generated images in training; row i is a function of keys[i] alone."""
        drawn = random.uniform(keys, 1)[:, 0] * self.num_classes
        return tf.one_hot(tf.cast(drawn, tf.int32), self.num_classes)

    # ---- the training step

    def update(self, batch: dict) -> dict[str, tf.Tensor]:
        if self.num_classes:
            batch = {**batch, "one_hot": self.one_hot(batch["label"])}
        batch = {**batch, "raw": 2.0 * batch["image"] - 1.0}
        losses = self.begin_augmentation()
        losses |= self.update_discriminator(batch)
        if self.kind is None or "generator" in self.kind:
            for turn in range(self.generator_steps):
                losses |= self.update_generator(batch, turn)
        return losses

    def update_discriminator(self, batch: dict, stream: int = 0) -> dict[str, tf.Tensor]:
        """One update of the discriminator; in a step of a lazy penalty, a second one, for the penalty.

        Args:
            batch: has `raw`, real images [B, H, W, C] in [-1, 1], and in a conditional model `one_hot`, [B, num_classes].
            stream: number of the noise stream of this update.

        Returns:
            {loss name: scalar}.
        """
        with tf.control_dependencies([batch["raw"]]):  # an invalid batch changes nothing
            update_spectral_state(self.discriminator)
        real = Pass(batch["raw"], batch.get("one_hot"))
        size = tf.shape(real.images)[0]
        made = self.generated(size, stream)
        made = dataclasses.replace(made, images=tf.stop_gradient(made.images))

        def losses_fn():
            seen, fake = self.passed(real, stream, part=0), self.passed(made, stream, part=1)
            terms = {**self.discriminator_terms(batch, seen, fake), **self.lecam_terms(seen.logit, fake.logit)}
            loss = self.objective.discriminator(seen.logit, fake.logit) + sum(terms.values())
            if self.penalty is not None and self.penalty_interval == 1:
                loss += self.weighted_penalty(real, made, stream)
            loss += self.regularization(self.discriminator)
            self.observe_logits(seen.logit)
            logits = {f"{name}_logit": tf.reduce_mean(one.logit) for name, one in (("real", seen), ("fake", fake))}
            return {**terms, "discriminator_loss": loss, **logits}

        losses = self.step_players({"discriminator": "discriminator_loss"}, losses_fn)
        return losses | self.update_lazily(real, made, stream)

    def update_generator(self, batch: dict, turn: int = 0) -> dict[str, tf.Tensor]:
        """One update of the generator with new latents; the discriminator does not change.

        Args:
            batch: as for `update_discriminator`.
            turn: number of this update in the step, in [0, generator_steps).

        Returns:
            {loss name: scalar}.
        """
        stream, size = self.generator_stream(turn), self.generator_batch_factor * tf.shape(batch["raw"])[0]
        with tf.control_dependencies([batch["raw"]]):
            update_spectral_state(self.generator)

        def losses_fn():
            fake = self.passed(self.generated(size, stream), stream)
            terms = self.generator_terms(batch, fake)
            loss = self.adversarial_loss(batch, fake) + sum(terms.values()) + self.regularization(self.generator)
            return {**terms, "generator_loss": loss}

        return self.step_players({"generator": "generator_loss"}, losses_fn)

    def regularization(self, network: keras.Model) -> float | tf.Tensor:
        """The weighted regulariser of a network's trainable variables, a scalar."""
        if self.regularizer is None:
            return 0.0
        return self.regularizer_weight * self.regularizer(network.trainable_variables)
