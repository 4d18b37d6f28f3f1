"""Progressive GAN's shape (Karras et al. 2018): levels with kinds of step, batch sizes and optimisers of their own."""

import keras
import tensorflow as tf

from tfgen.models.adversarial.base import AdversarialModel

layers = keras.layers
PHASES = ((0, 8), (6, 4), (14, 4))  # (first step, batch size) of level 0, of level 1 as it fades in, of level 1 alone


@keras.saving.register_keras_serializable("tests")
class ProgressiveGAN(AdversarialModel):
    def __init__(self, *, image_shape, latent_dim=3, **kwargs):
        super().__init__(image_shape=image_shape, latent_dim=latent_dim, **kwargs)
        height, width, channels = (self.image_shape[0] // 2, self.image_shape[1] // 2, self.image_shape[2])
        seed = [layers.Dense(height * width * 4, "relu", name="dense"), layers.Reshape((height, width, 4), name="grid")]
        small = [layers.Conv2D(channels, 1, name="to_image"), layers.UpSampling2D(2, name="up")]
        large = [layers.Conv2DTranspose(channels, 4, strides=2, padding="same", name="to_image")]
        self.generator = _Levels(seed, small, large, [layers.Activation("tanh", name="tanh")], name="generator")
        small = [layers.AveragePooling2D(2, name="down"), layers.Conv2D(4, 1, name="of_image")]
        large = [layers.Conv2D(4, 4, strides=2, padding="same", name="of_image")]
        self.discriminator = _Levels([], small, large, [layers.ReLU(name="relu"), layers.Flatten(name="flat"),
                                                        layers.Dense(1, name="logit")], name="discriminator")  # fmt: skip
        self.generator(tf.zeros([1, latent_dim]), self.fade())
        self.discriminator(tf.zeros([1, *self.image_shape]), self.fade())
        self.built = True

    def phase(self, step):
        return sum(step >= first for first, _ in PHASES) - 1

    def step_kind(self, step):
        return (*super().step_kind(step), self.phase(step))

    def begin_phase(self, phase):
        self.reset_optimizers()

    def fade(self):
        """The share of level 1, a tensor made of the step."""
        (_, (first, _), (last, _)), step = PHASES, tf.cast(tf.convert_to_tensor(self.step), tf.float32)
        return tf.clip_by_value((step - first) / (last - first), 0.0, 1.0)

    def generate_raw(self, latents, one_hot=None, training=False):
        return self.generator(latents, self.fade())

    def discriminate(self, raw_images, one_hot=None, training=False, **noise):
        return {"logit": self.discriminator(raw_images, self.fade())[:, 0]}


class _Levels(layers.Layer):
    def __init__(self, first, small, large, last, **kwargs):
        super().__init__(**kwargs)
        self.first, self.small, self.large, self.last = (keras.Sequential(part) for part in (first, small, large, last))

    def call(self, inputs, grown):
        x = self.first(inputs) if self.first.layers else inputs
        small, large = self.small(x), self.large(x)
        return self.last(small + grown * (large - small))
