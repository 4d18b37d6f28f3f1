"""Fused batch norm is Keras' batch norm."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.layers import BatchNormalization

SETTINGS = {"momentum": 0.7, "epsilon": 1e-3, "gamma_initializer": keras.initializers.RandomNormal(1.0, 0.5, seed=1)}


@pytest.mark.parametrize("more", [{}, {"scale": False}, {"center": False, "scale": False}])
@pytest.mark.parametrize("shape", [(4, 3, 5, 6), (2, 1, 1, 3), (8, 6)])
@pytest.mark.parametrize("training", [True, False])
def test_outputs_gradients_and_statistics_are_those_of_keras(shape, more, training):
    x = tf.constant(np.random.default_rng(0).normal(2.0, 3.0, shape).astype("float32"))
    found = []
    for layer in (BatchNormalization(**SETTINGS, **more), keras.layers.BatchNormalization(**SETTINGS, **more)):
        layer.build(shape)
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(layer(x, training=training) ** 3)
        gradients = tape.gradient(loss, [x, *(v.value for v in layer.trainable_variables)])
        found.append([layer(x), *gradients, *(v.numpy() for v in layer.variables)])
    for ours, keras_own in zip(*found, strict=True):
        np.testing.assert_allclose(ours, keras_own, rtol=2e-3, atol=2e-3)


def test_second_derivatives():
    layer = BatchNormalization()
    layer.build((4, 3, 3, 2))
    x = tf.constant(np.random.default_rng(0).normal(size=(4, 3, 3, 2)).astype("float32"))

    def penalty(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(layer(x, training=True) ** 3)
        return tf.reduce_sum(tape.gradient(y, x) ** 2)

    theory, numeric = tf.test.compute_gradient(penalty, [x], delta=1e-2)
    np.testing.assert_allclose(theory[0], numeric[0], rtol=5e-2, atol=5e-1 * np.abs(theory[0]).mean())
