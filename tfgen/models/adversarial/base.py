"""The family of adversarial models: a generator, a discriminator, and the one training step for all of them."""

import dataclasses
import functools
from collections.abc import Hashable, Sequence

import keras
import tensorflow as tf

from tfgen import random
from tfgen.layers.spectral_norm import update_spectral_state
from tfgen.losses import OBJECTIVES, PENALTIES, REGULARIZERS, Objective, clip_weights
from tfgen.models.adversarial.statistics import kept_statistics, set_standing_statistics
from tfgen.models.base import TrainableModel
from tfgen.models.capabilities import Sampler
from tfgen.models.checks import check_whole
from tfgen.networks import GivenNetwork, make_networks
from tfgen.training.players import Player

_NETWORKS = ("generator", "discriminator")
_LABELS = 1 << 20  # added to the number of a noise stream: that of the labels of the same images


@dataclasses.dataclass(frozen=True)
class Pass:
    """Images, real or generated, on their way through the discriminator: what the hooks of a paper see.

    Attributes:
        images: [B, H, W, C] in [-1, 1].
        one_hot: the labels that the images were made for or have, [B, K]; None where there are none.
        latents: [B, latent_dim] of generated images; None of real ones.
        outputs: what the discriminator returned for the images, {"logit": ..., "features": ..., ...}, in the shapes that it
            has them.
    """

    images: tf.Tensor
    one_hot: tf.Tensor | None = None
    latents: tf.Tensor | None = None
    outputs: dict | None = None

    @property
    def logit(self):
        return self.outputs["logit"]


class AdversarialModel(Sampler, TrainableModel):
    """Network x objective x penalty x constraint x regulariser, each of them chosen on its own.

    A subclass calls `set_networks` in its constructor, mostly with what `make_networks` returns. A paper's own idea goes
    into `discriminator_terms` and `generator_terms` (further losses), `adversarial_loss` (another loss of the generator),
    `draw_latents` and `draw_labels` (what images are generated of) or `generator_turn` (another schedule). A subclass whose
    users may give networks of their own says so in `own_networks`.

    A training step takes one batch: one discriminator update on it and then, if it is the generator's turn,
    `generator_steps` generator updates with fresh noise. With `discriminator_steps` = 5 every discriminator update so has
    its own real images, and every fifth is followed by the generator's. Real and fake images pass the discriminator in
    separate batches, so that its batch norm sees one kind at a time. Labels of generated images are drawn uniformly.

    Args:
        image_shape: (H, W, C).
        latent_dim: width of the noise z.
        latent_distribution: "normal" N(0, 1), or "uniform" in [-1, 1).
        num_classes: 0, or the number of classes of a conditional model (batches then need `label`).
        objective: a name in `tfgen.losses.OBJECTIVES`, or an `Objective`.
        penalty: None or a name in `tfgen.losses.PENALTIES`; added to the discriminator's loss.
        penalty_weight: its factor.
        weight_clip: None or c: the discriminator's weights are clipped to [-c, c] after each of its updates.
        regularizer: None or a name in `tfgen.losses.REGULARIZERS`; added to the losses of both networks.
        regularizer_weight: its factor.
        discriminator_steps: discriminator updates for each turn of the generator.
        generator_steps: generator updates in one turn.
        generator_batch_factor: the generator's batch is this many times the discriminator's.
        generator: None, or a network of your own (see `tfgen.networks.given_network`; copied, with its weights): latents
            [B, latent_dim] -> images [B, H, W, C] in [-1, 1]. Its second input, if the model is conditional, are one-hot
            labels [B, num_classes].
        discriminator: None, or a network of your own: images [B, H, W, C] in [-1, 1], and one-hot labels -> logits [B, 1].
            Where the paper needs the features, [B, any], they are a second output, or it returns a dict
            {"logit", "features"}.
        seed: int, of the training noise.
    """

    loss_names = ("generator_loss", "discriminator_loss", "real_logit", "fake_logit")
    batch_norm_modes = ("moving", "batch", "standing")

    def __init__(
        self,
        *,
        image_shape: Sequence[int],
        latent_dim: int = 100,
        latent_distribution: str = "normal",
        num_classes: int = 0,
        objective: str | Objective = "non_saturating",
        penalty: str | None = None,
        penalty_weight: float = 1.0,
        weight_clip: float | None = None,
        regularizer: str | None = None,
        regularizer_weight: float = 1e-5,
        discriminator_steps: int = 1,
        generator_steps: int = 1,
        generator_batch_factor: int = 1,
        generator: keras.Model | dict | str | None = None,
        discriminator: keras.Model | dict | str | None = None,
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(image_shape=image_shape, seed=seed, **kwargs)
        check_whole(
            latent_dim=latent_dim, discriminator_steps=discriminator_steps, generator_steps=generator_steps,
            generator_batch_factor=generator_batch_factor,
        )  # fmt: skip
        check_whole(0, num_classes=num_classes)
        if latent_distribution not in ("normal", "uniform"):
            raise ValueError(f"latent_distribution must be 'normal' or 'uniform'; received {latent_distribution!r}.")
        if weight_clip is not None and not weight_clip > 0:
            raise ValueError(f"weight_clip must be positive or None; received {weight_clip!r}.")
        self.latent_dim, self.latent_distribution = int(latent_dim), latent_distribution
        self.num_classes = int(num_classes)
        known = isinstance(objective, Objective)
        self.objective = objective if known else _choose("objective", objective, OBJECTIVES)
        self.penalty = None if penalty is None else _choose("penalty", penalty, PENALTIES)
        self.regularizer = None if regularizer is None else _choose("regularizer", regularizer, REGULARIZERS)
        self.penalty_weight, self.regularizer_weight = float(penalty_weight), float(regularizer_weight)
        self.weight_clip = weight_clip
        self.discriminator_steps, self.generator_steps = discriminator_steps, generator_steps
        self.generator_batch_factor = generator_batch_factor
        self.generator, self.discriminator = self._own_networks(generator, discriminator)
        self._batch_statistics = False  # whether sampling uses the statistics of its batch

    def discriminator_outputs(self) -> tuple[dict, tuple[str, ...]]:
        """({output: shape without the batch}, names of those that are needed) of a discriminator of the user's own."""
        return {"logit": (1,), "features": (None,)}, ("logit",)

    def _own_networks(self, generator, discriminator):
        """The user's own networks in the form of a `tfgen.networks.Network`, each None where there is none."""
        labels = [(self.num_classes,)] if self.num_classes else []
        generator = self.own_network("generator", generator, [(self.latent_dim,), *labels], self.image_shape)
        outputs, needed = self.discriminator_outputs()
        discriminator = self.own_network("discriminator", discriminator, [self.image_shape, *labels], outputs, needed)
        return (
            None if generator is None else GivenNetwork(generator, name="generator"),
            None if discriminator is None else GivenNetwork(discriminator, tuple(outputs), name="discriminator"),
        )

    def make_networks(self, kind: str, **settings) -> list[keras.layers.Layer]:
        """(generator, discriminator) of `tfgen.networks.make_networks`; in their places, the user's own where there are any.

        Raises:
            ValueError: as there, and where `network_args` has settings of a network that the user's own takes the place of.
        """
        own = {name: network for name in _NETWORKS if (network := getattr(self, name)) is not None}
        for name in own:
            if (self._config.get("network_args") or {}).get(name):
                raise ValueError(f"network_args[{name!r}] is of the built-in {name}; {name}= takes its place: leave it out.")
        return make_networks(kind, image_shape=self.image_shape, dtype=self.dtype_policy, **{**settings, **own})

    def set_networks(self, generator: keras.Model, discriminator: keras.Model) -> None:
        """Builds both. Inputs are [latent or image, one-hot labels], the second only for a conditional model.

        The generator returns images [B, H, W, C] in [-1, 1]; the discriminator a dict with `logit` [B, 1], or [B, h, w, 1]
        of patches, and what the model's own losses need, such as `features`.
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
        """Whether step `step` (an int, counted from 0) ends with the generator's turn."""
        return (step + 1) % self.discriminator_steps == 0

    def updates_of(self, player: str, steps: int) -> int:
        if player == "discriminator":
            return steps
        return self.generator_steps * sum(self.generator_turn(step) for step in range(steps))

    def step_kind(self, step: int) -> Hashable:
        """("discriminator", "generator"): the players that are updated, the second only if it is the generator's turn.

        A subclass with further kinds of step appends them.
        """
        return ("discriminator", "generator") if self.generator_turn(step) else ("discriminator",)

    def call(self, latents, training=False):
        return self.decode_images(latents)

    def generate_raw(self, latents: tf.Tensor, one_hot: tf.Tensor | None = None, training: bool = False) -> tf.Tensor:
        """The generator's own output, float32 [B, H, W, C] in [-1, 1]."""
        inputs = [latents] if one_hot is None else [latents, one_hot]
        return tf.cast(self.generator(inputs, training=training), tf.float32)

    def discriminate(
        self, raw_images: tf.Tensor, one_hot: tf.Tensor | None = None, training: bool = False, **noise
    ) -> dict[str, tf.Tensor]:
        """What the discriminator returns for images in [-1, 1]: {"logit": float32 [B], "features": ...}.

        Values are float32 and keep their shapes; only a logit [B, 1] becomes [B].

        Args:
            noise: what `discriminator_noise` draws for this pass; nothing outside of training.
        """
        inputs = [raw_images] if one_hot is None else [raw_images, one_hot]
        outputs = self.discriminator(inputs, training=training, **noise)
        outputs = {key: tf.cast(value, tf.float32) for key, value in outputs.items()}
        if outputs["logit"].shape[1:] == (1,):
            outputs["logit"] = outputs["logit"][:, 0]
        return outputs

    def logits(self, raw_images: tf.Tensor, one_hot: tf.Tensor | None = None, training: bool = False, **noise) -> tf.Tensor:
        """The logits alone of `discriminate`, float32 [B]."""
        return self.discriminate(raw_images, one_hot, training, **noise)["logit"]

    def discriminator_noise(self, batch_size: int | tf.Tensor, stream: int, part: int = 0) -> dict[str, tf.Tensor]:
        """{"keys": uint64 [batch_size]} for one pass of a discriminator that is `noisy` (see `tfgen.layers.noise`), else {}.

        Args:
            stream: of the update that the pass belongs to. Its latents are drawn from other keys.
            part: tells the passes of one update apart.
        """
        if not getattr(self.discriminator, "noisy", False):
            return {}
        return {"keys": random.fold(self.noise_keys(batch_size, -1 - stream), part)}

    def generator_stream(self, turn: int) -> int:
        """The number of the noise stream of the generator's update `turn`, counted from 0, of a step."""
        return 2 + turn

    def passed(self, images: Pass, stream: int, part: int = 0) -> Pass:
        """The `Pass` with the outputs of the discriminator in training; `stream` and `part` as for `discriminator_noise`."""
        noise = self.discriminator_noise(tf.shape(images.images)[0], stream, part)
        outputs = self.discriminate(images.images, images.one_hot, training=True, **noise)
        return dataclasses.replace(images, outputs=outputs)

    def generated(self, size: int | tf.Tensor, stream: int) -> Pass:
        """A `Pass` of `size` images that the generator makes in training, for an update with the noise `stream`."""
        latents = self.draw_latents(self.noise_keys(size, stream))
        one_hot = self.draw_labels(self.noise_keys(size, stream + _LABELS)) if self.num_classes else None
        return Pass(self.generate_raw(latents, one_hot, training=True), one_hot, latents)

    # ---- what a paper changes

    def discriminator_terms(self, batch: dict, real: Pass, fake: Pass) -> dict[str, tf.Tensor]:
        """{name: scalar} added to the discriminator's loss.

        Args:
            batch: the batch of training, with `raw`, its images in [-1, 1].
            real, fake: `Pass`, of the batch and of as many generated images.
        """
        return {}

    def generator_terms(self, batch: dict, fake: Pass) -> dict[str, tf.Tensor]:
        """{name: scalar} added to the generator's loss; `fake` is the `Pass` of the images that it made."""
        return {}

    def adversarial_loss(self, batch: dict, fake: Pass) -> tf.Tensor:
        """The generator's loss on the `Pass` of its images, a scalar; further terms are added to it."""
        return self.objective.generator(fake.logit)

    def draw_latents(self, keys: tf.Tensor) -> tf.Tensor:
        """Latents [B, latent_dim], each a function of its key in `keys` [B] alone: in training and in sampling."""
        return random.DISTRIBUTIONS[self.latent_distribution](keys, self.latent_dim)

    def draw_labels(self, keys: tf.Tensor) -> tf.Tensor:
        """One-hot labels [B, num_classes] of generated images in training, uniform, each a function of its key."""
        drawn = random.uniform(keys, 1)[:, 0] * self.num_classes
        return tf.one_hot(tf.cast(drawn, tf.int32), self.num_classes)

    # ---- the training step

    def update(self, batch: dict) -> dict[str, tf.Tensor]:
        if self.num_classes:
            batch = {**batch, "one_hot": self.one_hot(batch["label"])}
        batch = {**batch, "raw": 2.0 * batch["image"] - 1.0}
        losses = self.update_discriminator(batch)
        if self.kind is None or "generator" in self.kind:
            for turn in range(self.generator_steps):
                losses |= self.update_generator(batch, turn)
        return losses

    def update_discriminator(self, batch: dict, stream: int = 0) -> dict[str, tf.Tensor]:
        """One update of the discriminator; `batch` has `raw`, real images in [-1, 1], and `one_hot` if conditional."""
        with tf.control_dependencies([batch["raw"]]):  # a batch that is refused changes nothing
            update_spectral_state(self.discriminator)
        real = Pass(batch["raw"], batch.get("one_hot"))
        size = tf.shape(real.images)[0]
        made = self.generated(size, stream)
        made = dataclasses.replace(made, images=tf.stop_gradient(made.images))
        noise = self.discriminator_noise(size, stream, part=2)

        def losses_fn():
            seen, fake = self.passed(real, stream, part=0), self.passed(made, stream, part=1)
            terms = self.discriminator_terms(batch, seen, fake)
            loss = self.objective.discriminator(seen.logit, fake.logit) + sum(terms.values())
            if self.penalty is not None:
                alpha = 0.5 + 0.5 * self.noise([], size, stream + 1, "uniform")
                loss += self.penalty_weight * self.penalty(
                    lambda x: self.logits(x, real.one_hot, training=True, **noise), real.images, made.images, alpha
                )
            loss += self.regularization(self.discriminator)
            logits = {f"{name}_logit": tf.reduce_mean(one.logit) for name, one in (("real", seen), ("fake", fake))}
            return {**terms, "discriminator_loss": loss, **logits}

        return self.step_players({"discriminator": "discriminator_loss"}, losses_fn)

    def update_generator(self, batch: dict, turn: int = 0) -> dict[str, tf.Tensor]:
        """One update of the generator on fresh latents; the gradient passes through the discriminator, which stays.

        Args:
            turn: which of the `generator_steps` of this step it is, from 0.
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
        if self.regularizer is None:
            return 0.0
        return self.regularizer_weight * self.regularizer(network.trainable_variables)

    # ---- sampling

    def latents(self, seeds: tf.Tensor) -> tf.Tensor:
        return self.draw_latents(random.key(seeds))

    def sample(
        self, num: int, *, seed: int = 0, batch_size: int = 256, batch_norm: str = "moving", **conditions
    ) -> tf.Tensor:
        """As `Sampler.sample`, with a choice of the statistics that the generator's batch norm uses.

        Args:
            batch_norm: "moving": those followed in training; an image does not depend on the others. "batch": those of each
                batch of `batch_size` images (the last may be smaller), as several papers' code does. "standing": the mean
                over those of 16 batches of `batch_size`, made anew with the weights as they are (Brock et al. 2019,
                arXiv:1809.11096, section 3.1): right for averaged weights, whose statistics training never saw.
        """
        if batch_norm not in self.batch_norm_modes:
            raise ValueError(f"batch_norm must be one of {', '.join(self.batch_norm_modes)}; received {batch_norm!r}.")
        draw = functools.partial(super().sample, seed=seed, batch_size=batch_size, **conditions)
        if batch_norm == "moving":
            return draw(num)
        with kept_statistics(self.generator) as norms:
            if batch_norm == "standing":
                set_standing_statistics(norms, functools.partial(self._standing_batch, seed, batch_size), batches=16)
                return draw(num)
            cached = self.__dict__.pop("_generate", None)
            self._batch_statistics = True
            try:
                return draw(num)
            finally:
                self._batch_statistics = False
                self.__dict__.pop("_generate", None)
                if cached is not None:
                    object.__setattr__(self, "_generate", cached)

    def _standing_batch(self, seed, size, index):
        """One batch of latents, and labels if conditional, through the generator in training mode."""
        keys = random.fold(random.fold(random.key(seed), index), tf.range(size))
        one_hot = None
        if self.num_classes:
            one_hot = self.draw_labels(random.fold(keys, 1))
        self.generate_raw(self.draw_latents(keys), one_hot, training=True)

    def decode_images(self, latents: tf.Tensor, labels: tf.Tensor | None = None) -> tf.Tensor:
        """Images float32 [B, H, W, C] in [0, 1] of latents [B, latent_dim]; `labels` int [B] if conditional.

        Batch norm uses its moving statistics (but see `sample`): an image does not depend on the others in its batch.
        """
        one_hot = None if labels is None and not self.num_classes else self.one_hot(labels)
        raw = self.generate_raw(latents, one_hot, training=self._batch_statistics)
        return tf.clip_by_value(0.5 + 0.5 * raw, 0.0, 1.0)


def _choose(what, name, table):
    if name not in table:
        raise ValueError(f"{what} must be one of {', '.join(sorted(table))}; received {name!r}.")
    return table[name]
