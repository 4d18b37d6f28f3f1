"""What the tests of growing models share: a plan of two levels, plain NumPy versions of the changes of size, training."""

import numpy as np
import tensorflow as tf

# Steps 0 to 2 are of the first level, 3 to 8 of the second one while it fades in, then of the second one.
STEPS, MIDDLE = 12, 6


def count(network):
    return sum(int(np.prod(v.shape)) for v in network.trainable_variables)


def up(images, factor=2):
    return np.repeat(np.repeat(images, factor, 1), factor, 2)


def down(images):
    n, h, w, c = images.shape
    return images.reshape(n, h // 2, 2, w // 2, 2, c).mean((2, 4))


def replace(model, name, value):
    object.__setattr__(model, name, value)


def batches(first, steps):
    sizes = [8] * 3 + [4] * (STEPS - 3)
    made = [np.random.default_rng(step).random((sizes[step], 8, 8, 1), "float32") for step in range(first, first + steps)]
    return tf.data.Dataset.from_generator(lambda: iter(made), output_signature=tf.TensorSpec([None, 8, 8, 1]))


def fit(model, first, steps, callbacks=()):
    model.fit(batches(first, steps), steps_per_epoch=steps, verbose=0, callbacks=list(callbacks))


def values(model):
    return {key: v.numpy() for key, v in model.state().items()}
