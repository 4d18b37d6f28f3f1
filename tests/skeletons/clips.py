"""vid2vid's shape (Wang et al. 2018): clips to clips, frame by frame, each frame made of the one before."""

import keras
import tensorflow as tf

from tfgen import fields
from tfgen.models import TrainableModel
from tfgen.models.capabilities import Translator


@keras.saving.register_keras_serializable("tests")
class ClipTranslator(Translator, TrainableModel):
    def __init__(self, *, image_shape, num_frames=3, **kwargs):
        super().__init__(image_shape=image_shape, **kwargs)
        self.num_frames, channels = num_frames, self.image_shape[-1]
        self.frame = keras.layers.Conv2D(channels, 3, padding="same", activation="sigmoid", name="frame")
        self.frame.build((None, *self.image_shape[:2], 2 * channels))
        self.built = True

    @classmethod
    def fields_of(cls, config):
        clip = (config["num_frames"], *config["image_shape"])
        return fields.frames(clip), fields.frames(clip, "target")

    def run(self, frames, previous):
        """(clip, last frame): the state that a longer clip goes on from."""
        made = []
        for frame in tf.unstack(frames, num=self.num_frames, axis=1):
            previous = self.frame(tf.concat([frame, previous], axis=-1))
            made.append(previous)
        return tf.stack(made, axis=1), previous

    def update(self, batch):
        def losses_fn():
            made, _ = self.run(batch["frames"], tf.zeros_like(batch["frames"][:, 0]))
            return {"loss": tf.reduce_mean(abs(made - batch["target"]))}

        return self.step_players({"model": "loss"}, losses_fn)

    def translated_fields(self):
        clip = (self.num_frames, *self.image_shape)
        return fields.frames(clip), fields.image(self.image_shape, "previous")

    def translate_rows(self, frames, previous=None):
        previous = tf.zeros_like(frames[:, 0]) if previous is None else previous  # as in training
        made, last = self.run(frames, previous)
        return {"frames": made, "previous": last}
