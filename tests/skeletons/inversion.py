"""iGAN's shape (Zhu et al. 2016): codes of images in a fixed generator, predicted by a network and then optimised."""

import keras
import tensorflow as tf

from tfgen.models import TrainableModel
from tfgen.models.capabilities import Encoder, Projector
from tfgen.models.fixed import Fixed
from tfgen.sampling import ascend


@keras.saving.register_keras_serializable("tests")
class Inversion(Encoder, Projector, TrainableModel):
    def __init__(self, *, image_shape, generator, steps=60, **kwargs):
        super().__init__(image_shape=image_shape, **kwargs)
        self.generator, self.steps = Fixed(generator, "generator"), steps
        self.latent_dim = self.generator.network.input_shape[-1]
        self.predictor = keras.Sequential(name="predictor")
        self.predictor.add(keras.layers.Flatten(name="flat"))
        self.predictor.add(keras.layers.Dense(self.latent_dim, name="code"))
        self.predictor.build((None, *self.image_shape))
        self.built = True

    def get_config(self):
        return {**super().get_config(), "generator": self.generator.get_config()}

    def update(self, batch):
        codes = self.noise([self.latent_dim], tf.shape(batch["image"])[0], stream=0)
        images = self.decode_images(codes)

        def losses_fn():
            return {"loss": tf.reduce_mean((self.predictor(images) - codes) ** 2)}

        return self.step_players({"model": "loss"}, losses_fn)

    def encode(self, images):
        return self.predictor(self.check_images(images))

    def reconstruct(self, images):
        return self.decode_images(self.encode(images))

    def decode_images(self, latents):
        return self.generator.network(latents)

    def invert(self, images):
        def closeness(codes, step):
            return -tf.reduce_mean((self.decode_images(codes) - images) ** 2, axis=[1, 2, 3])

        def rate(step):  # falls to 0 over the last half of the steps
            left = 1.0 - tf.cast(step.index, tf.float32) / self.steps
            return 0.2 * tf.minimum(1.0, 2.0 * left)

        return ascend(closeness, self.predictor(images), steps=self.steps, rate=rate, rule="adam").codes
