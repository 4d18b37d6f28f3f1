"""The family of adversarial models: a generator, a discriminator, and the one training loop for all of them."""

import functools

import keras
import tensorflow as tf

from tfgen import random
from tfgen.layers.spectral_norm import update_spectral_state
from tfgen.losses import OBJECTIVES, PENALTIES, REGULARIZERS, Objective, clip_weights
from tfgen.models.adversarial.statistics import kept_statistics, set_standing_statistics
from tfgen.models.base import GenerativeModel
from tfgen.models.checks import check_whole

MOST_STEPS = 10  # in one graph where steps differ: each is there in full, and TensorFlow refuses more than about 30


class AdversarialModel(GenerativeModel):
    """Network x objective x penalty x constraint x regulariser, each of them chosen on its own.

    A subclass calls `set_networks` in its constructor. A paper's own idea goes into `discriminator_terms` and
    `generator_terms` (further losses), `draw_latents` (another latent space) or `generator_turn` (another schedule).

    A training step takes one batch: one discriminator update on it and then, if it is the generator's turn,
    `generator_steps` generator updates with fresh noise. With `discriminator_steps` = 5 every discriminator update so has
    its own real images, and every fifth is followed by the generator's. Real and fake images pass the discriminator in
    separate batches, so that its batch norm sees one kind at a time.

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
        seed: int, of the training noise.
    """

    loss_names = ("generator_loss", "discriminator_loss", "real_logit", "fake_logit")

    def __init__(
        self,
        *,
        image_shape,
        latent_dim=100,
        latent_distribution="normal",
        num_classes=0,
        objective="non_saturating",
        penalty=None,
        penalty_weight=1.0,
        weight_clip=None,
        regularizer=None,
        regularizer_weight=1e-5,
        discriminator_steps=1,
        generator_steps=1,
        generator_batch_factor=1,
        seed=0,
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
        self._generator_turn = True  # of the step that is being traced
        self._batch_statistics = False  # whether sampling uses the statistics of its batch

    def set_networks(self, generator, discriminator):
        """Builds both. Inputs are [latent or image, one-hot labels], the second only for a conditional model.

        The generator returns images [B, H, W, C] in [-1, 1]; the discriminator a dict with `logit` [B, 1] and what the
        model's own losses need, such as `features`.
        """
        labels = [(None, self.num_classes)] if self.num_classes else []
        generator.build([(None, self.latent_dim), *labels])
        discriminator.build([(None, *self.image_shape), *labels])
        self.generator, self.discriminator = generator, discriminator
        self.built = True

    # ---- training

    def compile(self, generator_optimizer=None, discriminator_optimizer=None, **kwargs):
        """As `GenerativeModel.compile`, with an optimiser for each network; None: `default_optimizer()`."""
        self.discriminator_optimizer = keras.optimizers.get(
            self.default_optimizer() if discriminator_optimizer is None else discriminator_optimizer
        )
        super().compile(generator_optimizer, **kwargs)

    def default_optimizer(self):
        return keras.optimizers.Adam(2e-4, beta_1=0.5)

    def optimizers(self):
        return [
            (self.optimizer, self.generator.trainable_variables),
            (self.discriminator_optimizer, self.discriminator.trainable_variables),
        ]

    def ema_variables(self):
        return [v for v in self.generator.variables if keras.backend.is_float_dtype(v.dtype)]

    def generator_turn(self, step):
        """Whether step `step` (an int, counted from 0) ends with the generator's turn."""
        return (step + 1) % self.discriminator_steps == 0

    def averages_turn(self):
        return self._generator_turn

    def make_train_function(self, force=False):
        """Keras' own function where all steps are alike; else one graph for each pattern of turns that comes up."""
        if all(self.generator_turn(step) for step in range(100)):
            return super().make_train_function(force)
        if self.train_function is not None and not force:
            return self.train_function
        strategy, wrap = self.distribute_strategy, (lambda f, **kwargs: f) if self.run_eagerly else tf.function

        def one_step(turn):
            def on_replica(data):
                self._generator_turn = turn
                return self.train_step(data)

            def on_data(data):
                return tf.nest.map_structure(
                    lambda log: strategy.reduce("MEAN", log, axis=None), strategy.run(on_replica, args=(data,))
                )

            return wrap(on_data, reduce_retracing=True, jit_compile=self.jit_compile, autograph=False)

        steps = {turn: one_step(turn) for turn in (False, True)}

        def pattern(turns):
            def on_iterator(iterator):
                for turn in turns:
                    logs = steps[turn](next(iterator))
                return logs

            return wrap(on_iterator, autograph=False)

        patterns = {}

        def function(iterator):
            first = int(self.step.value.numpy())
            turns = [self.generator_turn(first + i) for i in range(self.steps_per_execution)]
            while turns:
                some, turns = tuple(turns[:MOST_STEPS]), turns[MOST_STEPS:]
                if some not in patterns:
                    patterns[some] = pattern(some)
                logs = patterns[some](iterator)
            return logs

        self.train_function = function
        return function

    def call(self, latents, training=False):
        return self.decode_images(latents)

    def generate_raw(self, latents, one_hot=None, training=False):
        """The generator's own output, float32 [B, H, W, C] in [-1, 1]."""
        inputs = [latents] if one_hot is None else [latents, one_hot]
        return tf.cast(self.generator(inputs, training=training), tf.float32)

    def judge(self, raw_images, one_hot=None, training=False, **noise):
        """What the discriminator says of images in [-1, 1]: {"logit": float32 [B], "features": ...}.

        `noise` is what `judge_noise` draws for this pass; nothing outside of training.
        """
        inputs = [raw_images] if one_hot is None else [raw_images, one_hot]
        outputs = self.discriminator(inputs, training=training, **noise)
        outputs = {key: tf.cast(value, tf.float32) for key, value in outputs.items()}
        return {**outputs, "logit": tf.reshape(outputs["logit"], [-1])}

    def judge_noise(self, batch_size, stream, part=0):
        """{"keys": uint64 [batch_size]} for one pass of a discriminator that is `noisy` (see `tfgen.layers.noise`), else {}.

        Args:
            stream: of the update that the pass belongs to. Its latents are drawn from other keys.
            part: tells the passes of one update apart.
        """
        if not getattr(self.discriminator, "noisy", False):
            return {}
        return {"keys": random.fold(self.noise_keys(batch_size, -1 - stream), part)}

    def discriminate(self, raw_images, one_hot=None, training=False, **noise):
        """Logits float32 [B] of images in [-1, 1]."""
        return self.judge(raw_images, one_hot, training, **noise)["logit"]

    def discriminator_terms(self, batch, real, fake, latents):
        """{name: scalar} added to the discriminator's loss; `real` and `fake` are what `judge` says of each."""
        return {}

    def generator_terms(self, batch, fake, latents):
        """{name: scalar} added to the generator's loss."""
        return {}

    def adversarial_loss(self, batch, fake):
        """What the generator minimises, of `fake`, what `judge` says of its images."""
        return self.objective.generator(fake["logit"])

    def update(self, batch):
        if self.num_classes:
            batch = {**batch, "one_hot": self.one_hot(**self.conditions_of(batch))}
        batch = {**batch, "raw": 2.0 * batch["image"] - 1.0}
        losses = self.update_discriminator(batch, stream=0)
        if self._generator_turn:
            for i in range(self.generator_steps):
                losses |= self.update_generator(batch, stream=2 + i)
        return losses

    def update_discriminator(self, batch, stream):
        """One discriminator step; `batch` has `raw`, real images [b, H, W, C] in [-1, 1], and `one_hot` if conditional."""
        update_spectral_state(self.discriminator)
        real_images, one_hot = batch["raw"], batch.get("one_hot")
        size = tf.shape(real_images)[0]
        latents = self.draw_latents(self.noise_keys(size, stream))
        fake_images = tf.stop_gradient(self.generate_raw(latents, one_hot, training=True))
        noise = [self.judge_noise(size, stream, part) for part in range(3)]

        def loss_fn():
            real = self.judge(real_images, one_hot, training=True, **noise[0])
            fake = self.judge(fake_images, one_hot, training=True, **noise[1])
            terms = self.discriminator_terms(batch, real, fake, latents)
            loss = self.objective.discriminator(real["logit"], fake["logit"]) + sum(terms.values())
            if self.penalty is not None:
                alpha = 0.5 + 0.5 * self.noise([], size, stream + 1, "uniform")
                loss += self.penalty_weight * self.penalty(
                    lambda x: self.discriminate(x, one_hot, training=True, **noise[2]), real_images, fake_images, alpha
                )
            loss += self.regularization(self.discriminator)
            logits = {f"{name}_logit": tf.reduce_mean(judged["logit"]) for name, judged in (("real", real), ("fake", fake))}
            return loss, {**terms, "discriminator_loss": loss, **logits}

        variables = self.discriminator.trainable_variables
        outputs = self.apply_gradients(self.discriminator_optimizer, loss_fn, variables)
        if self.weight_clip is not None:
            clip_weights(variables, self.weight_clip)
        return outputs

    def update_generator(self, batch, stream):
        """One generator step on fresh latents; the gradient passes through the discriminator, which stays."""
        one_hot, factor = batch.get("one_hot"), self.generator_batch_factor
        if one_hot is not None:
            one_hot = tf.repeat(one_hot, factor, axis=0)
        size = factor * tf.shape(batch["raw"])[0]
        latents, noise = self.draw_latents(self.noise_keys(size, stream)), self.judge_noise(size, stream)

        def loss_fn():
            fake = self.judge(self.generate_raw(latents, one_hot, training=True), one_hot, training=True, **noise)
            terms = self.generator_terms(batch, fake, latents)
            loss = self.adversarial_loss(batch, fake) + sum(terms.values()) + self.regularization(self.generator)
            return loss, {**terms, "generator_loss": loss}

        return self.apply_gradients(self.optimizer, loss_fn, self.generator.trainable_variables)

    def regularization(self, network):
        if self.regularizer is None:
            return 0.0
        return self.regularizer_weight * self.regularizer(network.trainable_variables)

    # ---- sampling

    def draw_latents(self, keys):
        """Latents [B, latent_dim], each a function of its key in `keys` [B] alone: in training and in sampling."""
        return random.DISTRIBUTIONS[self.latent_distribution](keys, self.latent_dim)

    def latents(self, seeds):
        return self.draw_latents(random.key(seeds))

    def sample(self, num, *, seed=0, batch_size=256, batch_norm="moving", **conditions):
        """As `GenerativeModel.sample`, with a choice of the statistics that the generator's batch norm uses.

        Args:
            batch_norm: "moving": those followed in training; an image does not depend on the others. "batch": those of each
                batch of `batch_size` images (the last may be smaller), as several papers' code does. "standing": the mean
                over those of 16 batches of `batch_size`, made anew with the weights as they are (Brock et al. 2019,
                arXiv:1809.11096, section 3.1): right for averaged weights, whose statistics training never saw.
        """
        if batch_norm not in ("moving", "batch", "standing"):
            raise ValueError(f"batch_norm must be 'moving', 'batch' or 'standing'; received {batch_norm!r}.")
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
            drawn = random.uniform(random.fold(keys, 1), 1)[:, 0] * self.num_classes
            one_hot = tf.one_hot(tf.cast(drawn, tf.int32), self.num_classes)
        self.generate_raw(self.draw_latents(keys), one_hot, training=True)

    def decode_images(self, latents, labels=None):
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
