"""PPGN's shape (Nguyen et al. 2017): a prior of codes is trained; a generator and a classifier are fixed."""

import keras
import tensorflow as tf

from tfgen import fields, random
from tfgen.models import TrainableModel
from tfgen.models.capabilities import Maximizer, Sampler
from tfgen.models.fixed import Fixed
from tfgen.sampling import ascend


@keras.saving.register_keras_serializable("tests")
class PPGN(Sampler, Maximizer, TrainableModel):
    def __init__(self, *, image_shape, generator, classifier, code_dim=3, steps=4, **kwargs):
        super().__init__(image_shape=image_shape, **kwargs)
        self.generator, self.classifier = Fixed(generator, "generator"), Fixed(classifier, "classifier")
        self.latent_dim, self.steps, self.num_units = code_dim, steps, self.classifier.network.output_shape[-1]
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

    def conditions(self):
        return (fields.label(self.num_units),)

    def latents(self, seeds):
        return random.normal(random.key(seeds), self.latent_dim)

    def decode_images(self, latents, labels):
        return self.generator.network(self.chain(latents, labels, self.steps).codes)

    def maximize_rows(self, seeds, unit, steps):
        chain = self.chain(self.latents(seeds), unit, steps, seeds=seeds, noise=1e-3)
        return {"image": self.generator.network(chain.codes), "activation": chain.objective[:, -1]}

    def chain(self, codes, unit, steps, **noise):
        def log_probability(codes, step):
            logits = self.classifier.network(self.generator.network(codes))
            return tf.gather(tf.nn.log_softmax(logits), unit, batch_dims=1)

        def towards_prior(codes, step):
            return 0.1 * (self.prior(codes) - codes)

        def clip(codes, step):
            return tf.clip_by_value(codes, -3.0, 3.0)

        settings = {"steps": steps, "rate": 0.1, "rule": "normalized", "drift": towards_prior, "after": clip}
        return ascend(log_probability, codes, **settings, **noise)
