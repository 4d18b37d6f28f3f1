"""The family of adversarial models: a generator, a discriminator, and the one training step for all of them."""

import keras
import tensorflow as tf

from tfgen import random
from tfgen.losses import OBJECTIVES, PENALTIES, REGULARIZERS, Objective
from tfgen.models.base import GenerativeModel, encode_png, parse_integers


class AdversarialModel(GenerativeModel):
    """Network x objective x penalty x regulariser, each of them chosen on its own.

    A subclass calls `set_networks` in its constructor and, if it is conditional, has `num_classes` > 0.

    A training step is one discriminator update, then one generator update with fresh noise. Real and fake images pass the
    discriminator in separate batches, so that its batch norm sees one kind at a time.

    Args:
        image_shape: (H, W, C).
        latent_dim: width of the noise z.
        latent_distribution: "normal" N(0, 1), or "uniform" in [-1, 1).
        num_classes: 0, or the number of classes of a conditional model (batches then need `label`).
        objective: a name in `tfgen.losses.OBJECTIVES`, or an `Objective`.
        penalty: None or a name in `tfgen.losses.PENALTIES`; added to the discriminator's loss.
        penalty_weight: its factor.
        regularizer: None or a name in `tfgen.losses.REGULARIZERS`; added to the losses of both networks.
        regularizer_weight: its factor.
        seed: int, of the training noise.
    """

    loss_names = ("generator_loss", "discriminator_loss", "real_logit", "fake_logit")

    def __init__(
        self, *, image_shape, latent_dim, latent_distribution, num_classes, objective, penalty, penalty_weight,
        regularizer, regularizer_weight, seed, **kwargs,
    ):  # fmt: skip
        super().__init__(image_shape=image_shape, seed=seed, **kwargs)
        if latent_dim < 1 or num_classes < 0:
            raise ValueError(
                f"latent_dim must be at least 1 and num_classes at least 0; received {latent_dim} and {num_classes}."
            )
        if latent_distribution not in ("normal", "uniform"):
            raise ValueError(f"latent_distribution must be 'normal' or 'uniform'; received {latent_distribution!r}.")
        self.latent_dim, self.latent_distribution = int(latent_dim), latent_distribution
        self.num_classes = int(num_classes)
        known = isinstance(objective, Objective)
        self.objective = objective if known else _choose("objective", objective, OBJECTIVES)
        self.penalty = None if penalty is None else _choose("penalty", penalty, PENALTIES)
        self.regularizer = None if regularizer is None else _choose("regularizer", regularizer, REGULARIZERS)
        self.penalty_weight, self.regularizer_weight = float(penalty_weight), float(regularizer_weight)

    def set_networks(self, generator, discriminator):
        """Builds both. Inputs are [latent or image, one-hot labels], the second only for a conditional model."""
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
        return self.generator.variables

    def call(self, latents, training=False):
        return self.decode_images(latents)

    def generate_raw(self, latents, one_hot=None, training=False):
        """The generator's own output, float32 [B, H, W, C] in [-1, 1]."""
        inputs = [latents] if one_hot is None else [latents, one_hot]
        return tf.cast(self.generator(inputs, training=training), tf.float32)

    def discriminate(self, raw_images, one_hot=None, training=False):
        """Logits float32 [B] of images in [-1, 1]."""
        inputs = [raw_images] if one_hot is None else [raw_images, one_hot]
        return tf.reshape(tf.cast(self.discriminator(inputs, training=training), tf.float32), [-1])

    def update(self, batch):
        one_hot = self.one_hot(batch["label"]) if self.num_classes else None
        losses = self.update_discriminator(2.0 * batch["image"] - 1.0, one_hot, stream=0)
        return losses | self.update_generator(tf.shape(batch["image"])[0], one_hot, stream=2)

    def update_discriminator(self, real, one_hot, stream):
        """One discriminator step on real images [b, H, W, C] in [-1, 1]."""
        size = tf.shape(real)[0]
        latents = self.noise([self.latent_dim], size, stream, self.latent_distribution)
        fake = tf.stop_gradient(self.generate_raw(latents, one_hot, training=True))

        def loss_fn():
            real_logits = self.discriminate(real, one_hot, training=True)
            fake_logits = self.discriminate(fake, one_hot, training=True)
            loss = self.objective.discriminator(real_logits, fake_logits)
            if self.penalty is not None:
                alpha = 0.5 + 0.5 * self.noise([], size, stream + 1, "uniform")
                penalty = self.penalty(lambda x: self.discriminate(x, one_hot, training=True), real, fake, alpha)
                loss += self.penalty_weight * penalty
            loss += self.regularization(self.discriminator)
            logits = {"real_logit": tf.reduce_mean(real_logits), "fake_logit": tf.reduce_mean(fake_logits)}
            return loss, {"discriminator_loss": loss, **logits}

        return self.apply_gradients(self.discriminator_optimizer, loss_fn, self.discriminator.trainable_variables)

    def update_generator(self, size, one_hot, stream):
        """One generator step on `size` fresh latents; the gradient passes through the discriminator, which stays."""
        latents = self.noise([self.latent_dim], size, stream, self.latent_distribution)

        def loss_fn():
            fake_logits = self.discriminate(self.generate_raw(latents, one_hot, training=True), one_hot, training=True)
            loss = self.objective.generator(fake_logits) + self.regularization(self.generator)
            return loss, {"generator_loss": loss}

        return self.apply_gradients(self.optimizer, loss_fn, self.generator.trainable_variables)

    def regularization(self, network):
        if self.regularizer is None:
            return 0.0
        return self.regularizer_weight * self.regularizer(network.trainable_variables)

    # ---- sampling

    def latents(self, seeds):
        return random.DISTRIBUTIONS[self.latent_distribution](random.key(seeds), self.latent_dim)

    def decode_images(self, latents, labels=None):
        """Images float32 [B, H, W, C] in [0, 1] of latents [B, latent_dim]; `labels` int [B] if conditional.

        Batch norm uses its moving statistics: an image does not depend on the others in its batch.
        """
        if self.num_classes and labels is None:
            raise ValueError(f"{type(self).__name__} is conditional: labels, int [B] in [0, {self.num_classes}), needed.")
        if labels is not None and not self.num_classes:
            raise ValueError(f"{type(self).__name__} was built with num_classes=0 and takes no labels.")
        one_hot = None if labels is None else self.one_hot(labels)
        return tf.clip_by_value(0.5 + 0.5 * self.generate_raw(latents, one_hot), 0.0, 1.0)

    def one_hot(self, labels):
        """[B, num_classes] of integer labels; an error, at run time, for a label out of range."""
        labels = tf.convert_to_tensor(labels)
        if not labels.dtype.is_integer:
            raise ValueError(f"labels must be integers; received dtype {labels.dtype.name}.")
        in_range = tf.reduce_all((labels >= 0) & (labels < self.num_classes))
        message = f"Labels must lie in [0, {self.num_classes}); received a range of"
        tf.debugging.Assert(in_range, [message, tf.reduce_min(labels), tf.reduce_max(labels)])
        return tf.one_hot(labels, self.num_classes)

    def signatures(self):
        signatures = super().signatures()
        if not self.num_classes:
            return signatures
        labels = {"labels": tf.TensorSpec([None], tf.int32)}

        def sample(seeds, labels):
            return {"image": self.generate(seeds, labels=labels)}

        def serving_default(seeds, labels):
            return {"image_bytes": encode_png(self.generate(seeds, labels=labels))}

        def decode(latent, labels):
            return {"image": self.decode_images(latent, labels=labels)}

        def serve_examples(examples):
            features = parse_integers(examples, "seed", "label")
            return {"image": self.generate(features["seed"], labels=features["label"])}

        functions = {"sample": sample, "serving_default": serving_default, "decode": decode}
        labelled = {name: (function, {**signatures[name][1], **labels}) for name, function in functions.items()}
        return {**signatures, **labelled, "serve_examples": (serve_examples, signatures["serve_examples"][1])}


def _choose(what, name, table):
    if name not in table:
        raise ValueError(f"{what} must be one of {', '.join(sorted(table))}; received {name!r}.")
    return table[name]
