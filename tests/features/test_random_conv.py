"""Random maps: a function of their arguments alone, of the published sizes of weights, made again from their config."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import features
from tfgen.features import random_conv

IMAGES = np.random.default_rng(0).random((2, 9, 12, 3)).astype("float32")


def test_maps_are_convolutions_of_means():
    network = random_conv((4, 6), channels=3)
    first, second = (network.network.get_layer(f"conv_{i}").kernel for i in range(2))
    maps = tf.nn.relu(tf.nn.conv2d(IMAGES, first.value, 1, "SAME"))
    found = network(IMAGES)
    np.testing.assert_allclose(found["relu_0"], maps, atol=1e-5)
    maps = tf.nn.relu(tf.nn.conv2d(tf.nn.avg_pool2d(maps, 2, 2, "VALID"), second.value, 1, "SAME"))
    np.testing.assert_allclose(found["relu_1"], maps, atol=1e-5)
    assert found["relu_1"].shape == (2, 4, 6, 6)


def test_weights_are_a_function_of_the_seed():
    keras.utils.set_random_seed(3)
    one = random_conv((64, 64), channels=3)
    keras.utils.set_random_seed(4)
    assert one.fingerprint == random_conv((64, 64), channels=3).fingerprint
    assert one.fingerprint != random_conv((64, 64), channels=3, seed=1).fingerprint
    for i, inputs in enumerate((27, 9 * 64)):
        kernel = one.network.get_layer(f"conv_{i}").kernel.numpy()
        assert np.std(kernel) == pytest.approx(np.sqrt(2 / inputs), rel=0.05)


def test_the_config_makes_it_again():
    network = random_conv((4, 6), layers=("relu_1",))
    config = json.loads(json.dumps(network.get_config()))
    again = features.deserialize(config)
    assert again.layers == ("relu_1",) and again.fingerprint == network.fingerprint == config["fingerprint"]


def test_wrong_arguments():
    with pytest.raises(ValueError, match="^filters must be"):
        random_conv((4, 0))
    with pytest.raises(ValueError, match="^channels must be 1 or 3; received 2"):
        random_conv((4,), channels=2)
    with pytest.raises(ValueError, match="feature_layers must be some of"):
        random_conv((4,), layers=("relu_1",))
