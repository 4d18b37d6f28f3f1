"""AdaIN's shape (Huang, Belongie 2017): a translator of a content and a style, over an encoder that is never trained."""

import keras
import tensorflow as tf

from tfgen import fields
from tfgen.models import TrainableModel
from tfgen.models.capabilities import Translator
from tfgen.models.fixed import Fixed
from tfgen.training import Player


@keras.saving.register_keras_serializable("tests")
class StyleTransfer(Translator, TrainableModel):
    loss_names = ("loss",)

    def __init__(self, *, image_shape, encoder, **kwargs):
        super().__init__(image_shape=image_shape, **kwargs)
        self.encoder = Fixed(encoder, "encoder")
        channels = self.encoder.network.output_shape[-1]
        self.decoder = keras.layers.Conv2D(self.image_shape[-1], 3, padding="same", activation="sigmoid", name="decoder")
        self.decoder.build((None, *self.image_shape[:2], channels))
        self.built = True

    def get_config(self):
        return {**super().get_config(), "encoder": self.encoder.get_config()}

    @classmethod
    def fields_of(cls, config):
        return fields.image(config["image_shape"]), fields.image(config["image_shape"], "style")

    def players(self):
        return {"decoder": Player(self.decoder)}

    def mixed(self, content, style):
        content, style = self.encoder.network(content), self.encoder.network(style)
        (mean, variance), (to, spread) = (tf.nn.moments(x, [1, 2], keepdims=True) for x in (content, style))
        return (content - mean) * tf.sqrt((spread + 1e-5) / (variance + 1e-5)) + to

    def update(self, batch):
        target = self.mixed(batch["image"], batch["style"])

        def losses_fn():
            return {"loss": tf.reduce_mean((self.encoder.network(self.decoder(target)) - target) ** 2)}

        return self.step_players({"decoder": "loss"}, losses_fn)

    def translated_fields(self):
        strength = fields.Field("alpha", (), low=0.0, high=1.0)
        return fields.image(self.image_shape), fields.image(self.image_shape, "style"), strength

    def translate_rows(self, image, style, alpha=1.0):
        alpha = tf.reshape(tf.cast(alpha, tf.float32), [-1, 1, 1, 1])
        content = self.encoder.network(image)
        return {"image": self.decoder(content + alpha * (self.mixed(image, style) - content))}
