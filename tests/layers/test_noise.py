import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import random
from tfgen.layers import Dropout, GaussianNoise, dropout, gaussian_noise

KEYS = random.fold(random.key(7), tf.range(64))
LAYERS = [Dropout(0.3, stream=0), GaussianNoise(0.3, stream=0)]


def test_dropout_keeps_the_mean_and_only_ever_drops_or_scales():
    out = dropout(tf.ones([64, 40, 50]), KEYS, 0.3).numpy()
    np.testing.assert_allclose(np.unique(out), [0.0, 1 / 0.7], rtol=1e-6)
    assert out.mean() == pytest.approx(1.0, abs=4 * np.sqrt(0.3 / 0.7 / out.size))
    x = tf.reshape(tf.range(64 * 6, dtype=tf.float32), [64, 6])
    np.testing.assert_array_equal(dropout(x, KEYS, 0.0), x)


def test_gaussian_noise_has_the_right_moments():
    x = tf.fill([64, 2000], 5.0)
    added = (gaussian_noise(x, KEYS, 0.3) - x).numpy() / 0.3
    assert added.mean() == pytest.approx(0.0, abs=4 / np.sqrt(added.size))
    assert added.std() == pytest.approx(1.0, abs=4 / np.sqrt(2 * added.size))
    np.testing.assert_array_equal(gaussian_noise(x, KEYS, 0.0), x)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_row_is_a_function_of_its_key(layer):
    x = tf.constant(np.random.default_rng(0).normal(size=(64, 3, 4, 2)), tf.float32)
    whole = layer(x, KEYS).numpy()
    np.testing.assert_array_equal(layer(x, KEYS), whole)
    np.testing.assert_array_equal(np.concatenate([layer(x[:10], KEYS[:10]), layer(x[10:], KEYS[10:])]), whole)
    same = layer(tf.repeat(x[:1], 2, axis=0), KEYS[:2]).numpy()
    assert np.any(same[0] != same[1]), "two rows drew the same noise"
    for jit in (False, True):
        traced = tf.function(layer, jit_compile=jit)
        np.testing.assert_allclose(traced(x, KEYS), whole, atol=1e-6)


@pytest.mark.parametrize("make", [lambda i: Dropout(0.5, stream=i), lambda i: GaussianNoise(1.0, stream=i)])
def test_streams_are_independent(make):
    x = tf.ones([64, 200])
    a, b = ((make(i)(x, KEYS) - x).numpy().ravel() for i in range(2))
    assert abs(np.corrcoef(a, b)[0, 1]) < 4 / np.sqrt(a.size)


@pytest.mark.parametrize("layer", LAYERS)
def test_without_keys_nothing_happens(layer):
    x = tf.random.stateless_normal([4, 5], [0, 1])
    np.testing.assert_array_equal(layer(x), x)
    np.testing.assert_array_equal(layer(x, None), x)


def test_gradient_passes_to_the_largest_values():
    x = tf.ones([64, 10])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = dropout(x, KEYS, 0.5)
    np.testing.assert_array_equal(tape.gradient(y, x), y)  # both are 0 or 2


@pytest.mark.parametrize("layer", LAYERS)
def test_config_round_trip_and_dtype(layer):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    x = tf.ones([64, 3])
    np.testing.assert_array_equal(again(x, KEYS), layer(x, KEYS))
    again = type(layer)(layer.amount, stream=0, dtype="mixed_bfloat16")
    assert again(x, KEYS).dtype == tf.bfloat16


def test_bad_arguments():
    for rate in (-0.1, 1.0, float("nan")):
        with pytest.raises(ValueError, match="rate must be in"):
            Dropout(rate, stream=0)
    for stddev in (-0.1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="stddev must be"):
            GaussianNoise(stddev, stream=0)
    unknown = tf.function(lambda x: dropout(x, KEYS, 0.5), input_signature=[tf.TensorSpec([64, None])])
    with pytest.raises(ValueError, match="all axes but the first known"):
        unknown(tf.ones([64, 3]))
