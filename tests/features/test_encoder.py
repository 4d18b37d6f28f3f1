"""The small classifier whose layers are codes."""

import keras
import numpy as np
import pytest

import tfgen
from tfgen.features import encoder_network, train_encoder


def test_a_trained_encoder_classifies_and_is_saved(tmp_path):
    source, test = (tfgen.data.load("digits", split) for split in ("train", "test"))
    network = train_encoder(source, tmp_path / "folder/encoder.keras", steps=150)
    classes = np.argmax(network(test.images()), axis=1)
    assert np.mean(classes == test.labels()) > 0.85 and not network.trainable_variables
    loaded = tfgen.features.get(str(tmp_path / "folder/encoder.keras"), ("code", "logits"))
    assert loaded(test.images(3))["code"].shape == (3, 128)
    np.testing.assert_allclose(loaded(test.images(3))["logits"], network(test.images(3)), atol=1e-5)


def test_a_seed_gives_one_network():
    source = tfgen.data.load("digits")
    one, same, other, slower, smaller = (
        train_encoder(source, **{"steps": 2, "units": 4, "seed": 1, **more}).get_weights()
        for more in ({}, {}, {"seed": 2}, {"learning_rate": 1e-5}, {"batch_size": 9})
    )
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not any(np.array_equal(one[0], changed[0]) for changed in (other, slower, smaller))


def test_layers_end_with_relu():
    network = encoder_network((8, 8, 1), 10, filters=(3, 4), units=5)
    images = np.random.default_rng(0).random((4, 8, 8, 1)).astype("float32")
    for name, shape in (("maps", (2, 2, 4)), ("code", (5,))):
        found = keras.Model(network.inputs, network.get_layer(name).output)(images).numpy()
        assert found.shape[1:] == shape and found.min() >= 0.0


def test_wrong_arguments():
    source = tfgen.data.load("digits")
    with pytest.raises(ValueError, match=r"path must be that of a \.keras file"):
        train_encoder(source, "encoder.h5", steps=1)
    with pytest.raises(ValueError, match="An encoder is trained on labels"):
        train_encoder(tfgen.data.from_arrays(source.images(8)), steps=1)
