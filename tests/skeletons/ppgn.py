"""PPGN's shape (Nguyen et al. 2017): a prior of codes is trained; a generator and a classifier are fixed."""

import keras
import tensorflow as tf

from tfgen import random
from tfgen.models import TrainableModel
from tfgen.models.capabilities import Sampler
from tfgen.models.fixed import Fixed


@keras.saving.register_keras_serializable("tests")
class PPGN(Sampler, TrainableModel):
    def __init__(self, *, image_shape, generator, classifier, code_dim=3, steps=4, **kwargs):
        super().__init__(image_shape=image_shape, **kwargs)
        self.generator, self.classifier = Fixed(generator, "generator"), Fixed(classifier, "classifier")
        self.latent_dim, self.steps = code_dim, steps
        self.prior = keras.layers.Dense(code_dim, name="prior")  # R(h) of a denoising autoencoder of codes
        self.prior.build((None, code_dim))
        self.built = True

    def get_config(self):
        return {**super().get_config(), "generator": self.generator.get_config(), "classifier": self.classifier.get_config()}

    def update(self, batch):
        size = tf.shape(batch["image"])[0]
        codes, noise = (self.noise([self.latent_dim], size, stream) for stream in range(2))

        def losses_fn():
            return {"loss": tf.reduce_mean((self.prior(codes + 0.1 * noise) - codes) ** 2)}

        return self.step_players({"model": "loss"}, losses_fn)

    def latents(self, seeds):
        return random.normal(random.key(seeds), self.latent_dim)

    def decode_images(self, latents):
        return self.generator.network(self.maximize(latents, unit=0))

    def maximize(self, latents, unit):
        """Codes [B, code_dim] that `steps` steps of ascent of a class lead to from `latents`."""

        def step(i, codes):
            with tf.GradientTape() as tape:
                tape.watch(codes)
                found = tf.nn.log_softmax(self.classifier.network(self.generator.network(codes)))[:, unit]
            return i + 1, codes + 0.1 * (self.prior(codes) - codes) + 0.1 * tape.gradient(found, codes)

        return tf.while_loop(lambda i, _: i < self.steps, step, (0, latents))[1]
