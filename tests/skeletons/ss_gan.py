"""SS-GAN's hook (Chen et al. 2019): the discriminator also tells by how many quarters images were turned."""

import keras
import tensorflow as tf

from tfgen.models.adversarial.dcgan import DCGAN
from tfgen.models.adversarial.parts.passes import Pass


@keras.saving.register_keras_serializable("tests")
class SSGAN(DCGAN):
    loss_names = (*DCGAN.loss_names, "rotation_real", "rotation_fake")

    def __init__(self, *, rotation_weight=1.0, **kwargs):
        super().__init__(**kwargs)
        self.rotation_weight = rotation_weight
        width = self.discriminate(tf.zeros([1, *self.image_shape]))["features"].shape[-1]
        self.turns = keras.layers.Dense(4, name="turns")
        self.turns.build((None, width))
        self.discriminator_parts = (self.discriminator, self.turns)

    def players(self):
        from dataclasses import replace

        players = super().players()
        return {**players, "discriminator": replace(players["discriminator"], networks=self.discriminator_parts)}

    def rotation_loss(self, images, part):
        turned = tf.concat([tf.image.rot90(images, k) for k in range(4)], axis=0)
        logits = self.turns(self.passed(Pass(turned), 0, part).outputs["features"])
        labels = tf.repeat(tf.range(4), tf.shape(images)[0])
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))

    def discriminator_terms(self, batch, real, fake):
        return {"rotation_real": self.rotation_weight * self.rotation_loss(real.images, part=5)}

    def generator_terms(self, batch, fake):
        return {"rotation_fake": 0.2 * self.rotation_loss(fake.images, part=6)}
