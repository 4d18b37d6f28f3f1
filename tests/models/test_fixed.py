"""Trained networks that another model uses."""

import json

import keras
import pytest

from tfgen.models.fixed import Fixed

layers = keras.layers


def test_a_network_in_memory_and_its_file_have_one_fingerprint(tmp_path):
    path = str(tmp_path / "network.keras")
    network = keras.Sequential([layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(2)])
    network.build((None, 4, 4, 1))
    network(keras.Input((4, 4, 1)))
    network.save(path)
    in_memory, loaded = Fixed(network, "encoder"), Fixed(path, "encoder")
    assert in_memory.fingerprint == loaded.fingerprint
    config = json.loads(json.dumps(loaded.get_config()))
    assert Fixed(config, "encoder").get_config() == config
    network.layers[-1].bias.assign([0.0, 1.0])
    network.save(path)
    with pytest.raises(ValueError, match=f"encoder: .*; expected {loaded.fingerprint}"):
        Fixed(config, "encoder")


def test_a_network_without_weights_is_refused():
    with pytest.raises(ValueError, match="encoder: 'late' has no weights yet"):
        Fixed(keras.Sequential([layers.Dense(2)], name="late"), "encoder")
