"""Three players in one forward pass, one of which a balance rule holds back (as in VAE/GAN)."""

import keras
import tensorflow as tf

from tfgen.models import TrainableModel
from tfgen.models.capabilities import Encoder
from tfgen.training import Player


@keras.saving.register_keras_serializable("tests")
class ThreePlayers(Encoder, TrainableModel):
    loss_names = ("encoder_loss", "decoder_loss", "critic_loss", "critic_moved")

    def __init__(self, *, image_shape, size=3, bound=0.69, **kwargs):
        super().__init__(image_shape=image_shape, **kwargs)
        self.bound, flat = bound, self.image_shape[0] * self.image_shape[1] * self.image_shape[2]
        self.encoder, self.decoder, self.critic = (
            keras.layers.Dense(n, name=name) for n, name in ((size, "encoder"), (flat, "decoder"), (1, "critic"))
        )
        self.encoder.build((None, flat))
        self.decoder.build((None, size))
        self.critic.build((None, flat))
        self.built = True

    def players(self):
        return {"encoder": Player(self.encoder), "decoder": Player(self.decoder),
                "critic": Player(self.critic, averaged=False)}  # fmt: skip

    def update(self, batch):
        flat, moved = tf.reshape(batch["image"], [-1, self.decoder.units]), {}

        def losses_fn():
            made = tf.sigmoid(self.decoder(self.encoder(flat)))
            real, fake = self.critic(flat), self.critic(made)
            error = tf.reduce_mean((made - flat) ** 2)
            critic = tf.reduce_mean(tf.nn.softplus(-real)) + tf.reduce_mean(tf.nn.softplus(fake))
            return {"encoder_loss": error, "decoder_loss": error + 0.1 * tf.reduce_mean(tf.nn.softplus(-fake)),
                    "critic_loss": critic}  # fmt: skip

        def when(losses):
            moved["critic"] = losses["critic_loss"] > 2 * self.bound
            return moved

        names = {name: f"{name}_loss" for name in ("encoder", "decoder", "critic")}
        return self.step_players(names, losses_fn, when=when) | {"critic_moved": tf.cast(moved["critic"], tf.float32)}

    def encode(self, images):
        return self.encoder(tf.reshape(self.check_images(images), [-1, self.decoder.units]))

    def reconstruct(self, images):
        return tf.reshape(tf.sigmoid(self.decoder(self.encode(images))), [-1, *self.image_shape])
