"""What the tests of autoregressive models share: small models, and the dependence of every output on every input."""

import keras
import numpy as np
import tensorflow as tf

from tfgen.sampling.cached import Whole


def made(model, seed=0, scale=None, **args):
    """A model with random weights; `scale`: the standard deviation of all of them, biases too, so that nothing is dead."""
    keras.utils.set_random_seed(seed)
    model = model(**args)
    if scale:
        rng = np.random.default_rng(seed)
        for variable in model.trainable_variables:
            variable.assign(rng.normal(0.0, scale, variable.shape))
    return model


def images(model, num, seed=0):
    levels = np.random.default_rng(seed).integers(0, model.levels, (num, *model.image_shape))
    return (levels / np.float32(model.levels - 1)).astype("float32")


def conditions(model, num):
    """Valid conditions of `num` images."""
    rng = np.random.default_rng(3)
    found = {}
    for field in model.conditions():
        found[field.argument] = (
            (np.arange(num) % model.num_classes).astype("int32") if field.dtype == "int32"
            else rng.normal(size=(num, *field.shape)).astype("float32")
        )  # fmt: skip
    return found


def parameters(model, levels, **given):
    return tf.cast(model.network(model.prepare(levels), Whole(), model.condition(**given)), tf.float32)


def dependence(model, seed=0):
    """Whether parameters of sub-pixel o depend on input sub-pixel i, bool [o, i], both in raster order, R before G before B.

    For models that draw a pixel as one, of pixels instead of sub-pixels. By exact zeros of the gradients.
    """
    passes = model.likelihood.passes
    height, width, channels = model.image_shape
    count = height * width * passes
    # One copy of the image for each output, so that one backward pass gives all rows of the Jacobian.
    levels = tf.repeat(tf.constant(images(model, 1, seed)) * (model.levels - 1), count, axis=0)
    given = {name: np.repeat(value, count, axis=0) for name, value in conditions(model, 1).items()}
    weights = np.random.default_rng(seed).normal(size=model.likelihood.num_parameters // passes).astype("float32")
    with tf.GradientTape() as tape:
        tape.watch(levels)
        outputs = tf.reshape(parameters(model, levels, **given), [count, count, -1]) @ weights[:, None]
        total = tf.reduce_sum(tf.linalg.diag_part(outputs[..., 0]))
    jacobian = tape.gradient(total, levels).numpy().reshape(count, height * width, channels)
    return (jacobian if passes == channels else np.abs(jacobian).sum(-1, keepdims=True)).reshape(count, count) != 0.0
