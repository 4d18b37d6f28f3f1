"""Models of a few numbers, whose training can be computed by hand."""

import keras
import numpy as np
import tensorflow as tf

from tfgen.models import TrainableModel
from tfgen.training import Player


class Number(keras.layers.Layer):
    """One trainable number `w`."""

    def __init__(self, value, **kwargs):
        super().__init__(**kwargs)
        self.w = self.add_weight(name="w", shape=(), initializer=keras.initializers.Constant(value), autocast=False)
        self.built = True

    def read(self):
        return tf.convert_to_tensor(self.w.value)


class Pair(TrainableModel):
    """Two players with a number each, 2 and 3. With m, the mean of the images:

        left_loss = m left right + left^2,   right_loss = -m left right
    """

    loss_names = ("left_loss", "right_loss", "mean")

    def __init__(self, *, image_shape=(1, 1, 1), **kwargs):
        super().__init__(image_shape=image_shape, **kwargs)
        self.left, self.right = Number(2.0, name="left"), Number(3.0, name="right")
        self.built = True

    def players(self):
        return {"left": Player(self.left), "right": Player(self.right)}

    def losses(self, batch):
        left, right, m = self.left.read(), self.right.read(), tf.reduce_mean(batch["image"])
        return {"left_loss": m * left * right + left**2, "right_loss": -m * left * right, "mean": m}

    def update(self, batch):
        return self.step_players({"left": "left_loss", "right": "right_loss"}, lambda: self.losses(batch))

    @property
    def numbers(self):
        return float(self.left.w.numpy()), float(self.right.w.numpy())


def images(*values):
    return {"image": np.array(values, "float32").reshape(-1, 1, 1, 1)}


def data(*values, steps):
    """A data set of `steps` equal batches with these images."""
    return tf.data.Dataset.from_tensors(images(*values)).repeat(steps)


def two_devices():
    # Without collectives: those of several strategies in one process get in each other's way on CPU.
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice())
