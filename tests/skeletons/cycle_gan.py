"""CycleGAN's shape (Zhu et al. 2017): two generators that share one gradient, two discriminators, pools of earlier fakes."""

import keras
import tensorflow as tf

from tests.skeletons.networks import conv
from tfgen import fields
from tfgen.models import TrainableModel
from tfgen.models.capabilities import Translator
from tfgen.training import Player


@keras.saving.register_keras_serializable("tests")
class CycleGAN(Translator, TrainableModel):
    loss_names = ("generator_loss", "discriminator_loss")

    def __init__(self, *, image_shape, pool_size=4, **kwargs):
        super().__init__(image_shape=image_shape, **kwargs)
        self.to_b, self.to_a = (conv(f"to_{x}", self.image_shape, self.image_shape[-1], "sigmoid") for x in "ba")
        self.of_a, self.of_b = (conv(f"of_{x}", self.image_shape, 1) for x in "ab")
        settings = {"shape": (pool_size, *self.image_shape), "trainable": False, "aggregation": "only_first_replica"}
        self.pools = {x: self.add_weight(name=f"pool_{x}", initializer="zeros", **settings) for x in "ab"}
        self.built = True

    @classmethod
    def fields_of(cls, config):
        return fields.image(config["image_shape"]), fields.image(config["image_shape"], "other")

    def players(self):
        return {"generators": Player((self.to_b, self.to_a)), "discriminators": Player((self.of_a, self.of_b), None, False)}

    def pooled(self, domain, fakes):
        """Of each row an earlier fake or the new one, by a coin; the new one takes the place that was drawn."""
        pool, drawn = self.pools[domain], self.noise([2], tf.shape(fakes)[0], ord(domain), "uniform")
        place = tf.cast((drawn[:, 0] + 1.0) / 2.0 * pool.shape[0], tf.int32)
        old = tf.gather(tf.convert_to_tensor(pool), place)
        pool.assign(tf.tensor_scatter_nd_update(tf.convert_to_tensor(pool), place[:, None], fakes))
        return tf.where(drawn[:, 1, None, None, None] > 0.0, old, fakes)

    def update(self, batch):
        real, fakes = {"a": batch["image"], "b": batch["other"]}, {}

        def generators():
            fakes.update(b=self.to_b(real["a"]), a=self.to_a(real["b"]))
            cycles = abs(self.to_a(fakes["b"]) - real["a"]) + abs(self.to_b(fakes["a"]) - real["b"])
            fooled = (self.of_a(fakes["a"]) - 1.0) ** 2 + (self.of_b(fakes["b"]) - 1.0) ** 2
            return {"generator_loss": tf.reduce_mean(fooled) + 10.0 * tf.reduce_mean(cycles)}

        def discriminators():
            errors = [(d(real[x]) - 1.0) ** 2 + d(old[x]) ** 2 for d, x in ((self.of_a, "a"), (self.of_b, "b"))]
            return {"discriminator_loss": tf.reduce_mean(tf.add_n(errors))}

        losses = self.step_players({"generators": "generator_loss"}, generators)
        old = {x: self.pooled(x, tf.stop_gradient(fakes[x])) for x in "ab"}
        return losses | self.step_players({"discriminators": "discriminator_loss"}, discriminators)

    def translate_rows(self, image):
        return {"image": self.to_b(image)}
