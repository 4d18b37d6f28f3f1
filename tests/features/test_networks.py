"""The trained networks by name: their images, their layers, and what is said where weights cannot be had."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import features
from tfgen.features import inception_v3, vgg16, vgg19
from tfgen.features.preprocessing import VGGInput

IMAGES = np.random.default_rng(0).random((2, 32, 40, 3)).astype("float32")


@pytest.mark.parametrize("maker, name", [(vgg16, "VGG16"), (vgg19, "VGG19")])
def test_vgg_is_the_network_of_keras_behind_its_own_preprocessing(maker, name):
    keras.utils.set_random_seed(1)
    found = maker(None, ("block1_conv1", "block3_pool"))(IMAGES)
    keras.utils.set_random_seed(1)
    network = getattr(keras.applications, name)(include_top=False, weights=None)
    inputs = getattr(keras.applications, name.lower()).preprocess_input(255.0 * IMAGES)
    for layer, values in found.items():
        expected = keras.Model(network.inputs, network.get_layer(layer).output)(inputs)
        np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-3)
    assert found["block3_pool"].shape == (2, 4, 5, 256)


@pytest.mark.long
def test_average_pooling_of_vgg():
    """The same weights; only the pooling layers differ."""
    keras.utils.set_random_seed(1)
    found = vgg16(None, ("block1_conv2", "block1_pool", "block2_conv1"), pooling="average")
    maps = found(IMAGES)
    np.testing.assert_allclose(maps["block1_pool"], tf.nn.avg_pool2d(maps["block1_conv2"], 2, 2, "VALID"), rtol=1e-5)
    keras.utils.set_random_seed(1)
    plain = vgg16(None, ("block1_conv2", "block1_pool", "block2_conv1"))
    np.testing.assert_array_equal(maps["block1_conv2"], plain(IMAGES)["block1_conv2"])
    assert np.any(maps["block2_conv1"] != plain(IMAGES)["block2_conv1"])
    assert found.get_config()["arguments"]["pooling"] == "average" and found.fingerprint != plain.fingerprint


def test_another_pooling_is_refused():
    with pytest.raises(ValueError, match="pooling must be 'max' or 'average'; received 'sum'"):
        vgg19(None, pooling="sum")


def test_grey_is_three_equal_channels():
    keras.utils.set_random_seed(1)
    grey = vgg16(None, ("block1_conv1",), image_shape=(32, 32, 1))
    keras.utils.set_random_seed(1)
    colour = vgg16(None, ("block1_conv1",), image_shape=(32, 32, 3))
    images = IMAGES[:, :, :32, :1]
    np.testing.assert_array_equal(grey(images)["block1_conv1"], colour(images.repeat(3, axis=3))["block1_conv1"])


def test_vgg_input_is_inverted_exactly():
    found = VGGInput()(IMAGES).numpy().astype("float64")
    np.testing.assert_allclose(((found + [103.939, 116.779, 123.68]) / 255.0)[..., ::-1], IMAGES, atol=1e-6)


@pytest.mark.long
def test_inception_has_a_gradient_unless_it_rounds():
    keras.utils.set_random_seed(1)
    images = tf.constant(IMAGES)
    for quantize, expected in ((False, True), (True, False)):
        maker = inception_v3(None, ("mixed0",), quantize=quantize)
        with tf.GradientTape() as tape:
            tape.watch(images)
            total = tf.reduce_sum(maker(images)["mixed0"] ** 2)
        gradient = tape.gradient(total, images)
        assert (gradient is not None and float(tf.reduce_max(tf.abs(gradient))) > 0) == expected


def test_random_weights_are_not_made_again():
    frozen = vgg16(None, ("block1_conv1",))
    assert frozen.get_config()["arguments"] == {
        "weights": None, "layers": ["block1_conv1"], "image_shape": [None, None, 3]
    }  # fmt: skip
    assert isinstance(features.deserialize(frozen.get_config()), features.MissingFeatureNetwork)


def test_weights_that_cannot_be_loaded(tmp_path, monkeypatch):
    (tmp_path / "weights.h5").write_text("no weights")
    for maker, file in ((vgg19, "vgg19_weights.*notop.h5"), (inception_v3, "inception_v3_weights_tf_dim.*kernels.h5")):
        with pytest.raises(ValueError, match=f"weights.h5 does not hold the weights of .*{file}"):
            maker(tmp_path / "weights.h5")

    def fail(**settings):
        assert settings == {"weights": "imagenet", "include_top": False}
        raise Exception("URL fetch failure: Name or service not known")

    monkeypatch.setattr(keras.applications, "VGG19", fail)
    with pytest.raises(ValueError, match="could not be loaded .*URL fetch failure.*~/.keras/models"):
        vgg19()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: vgg16(None, image_shape=(28, 28, 1)), r"'vgg16' takes images of 32 pixels or more.*\(28, 28, 1\)"),
        (lambda: vgg19(None, image_shape=(64, 64, 2)), r"1 or 3 channels; received \(64, 64, 2\)"),
        (lambda: inception_v3(None, image_shape=(64, 64, 2)), r"1 or 3 channels; received \(64, 64, 2\)"),
        (lambda: inception_v3(None, resize="lanczos"), "resize must be one of.*'lanczos'"),
    ],
)
def test_wrong_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
