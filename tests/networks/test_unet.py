"""U-Net: its layers against Keras', its connections, its dropout and its statistics."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import random
from tfgen.networks import UNet

IMAGES = np.random.default_rng(0).normal(size=(4, 16, 16, 2)).astype("float32")


def built(shape=(16, 16, 2), **settings):
    network = UNet(**{"channels": 3, "filters": (4, 6, 8, 8), "dropout": 0.0, **settings})
    network.build([(None, *shape)])
    return network


def parameters(network):
    return sum(int(np.prod(v.shape)) for v in network.trainable_variables)


def functional(network, skips=True):
    """The same network of Keras' layers, with its weights."""

    def norm(x, of):
        if of is None:
            return x
        layer = keras.layers.BatchNormalization(epsilon=1e-5, momentum=0.9)
        x = layer(x)
        layer.set_weights(of.get_weights())
        return x

    def conv(kind, x, of):
        layer = kind(of.filters, 4, strides=2, padding="same")
        x = layer(x)
        layer.set_weights(of.get_weights())
        return x

    inputs = x = keras.Input(IMAGES.shape[1:])
    e = []
    for i, (down, of) in enumerate(zip(network.downs, network.down_norms, strict=True)):
        x = conv(keras.layers.Conv2D, keras.layers.LeakyReLU(negative_slope=0.2)(x) if i else x, down)
        x = norm(x, of if i not in (0, len(network.downs) - 1) else None)
        e.append(x)
    for i, up in enumerate(network.ups):
        x = conv(keras.layers.Conv2DTranspose, keras.layers.ReLU()(x), up)
        if i < len(network.ups) - 1:
            x = norm(x, network.up_norms[i])
            x = keras.layers.Concatenate()([x, e[-2 - i]]) if skips else x
    return keras.Model(inputs, keras.layers.Activation("tanh")(x))


@pytest.mark.parametrize("skips", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_equals_keras_layers(skips, training):
    network = built(skips=skips)
    for variable in network.variables:  # moving statistics and biases too
        variable.assign(variable + np.random.default_rng(1).uniform(0.1, 0.5, variable.shape))
    twin = functional(network, skips)
    wanted = twin(IMAGES, training=training)
    np.testing.assert_allclose(network([IMAGES], training=training), wanted, rtol=1e-4, atol=1e-5)
    for a, b in zip(network.non_trainable_variables, twin.non_trainable_variables, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, err_msg=a.path)


def test_parameters_of_the_tables():
    def small(levels, channels):
        filters = [16 * min(2**i, 8) for i in range(levels)]
        return parameters(built((2**levels, 2**levels, channels), channels=channels, filters=filters))

    assert (small(5, 1), small(5, 3), small(6, 3)) == (1_042_689, 1_044_227, 1_831_427)


@pytest.mark.long
def test_parameters_for_128_pixels():
    filters = [64 * min(2**i, 8) for i in range(7)]
    assert parameters(built((128, 128, 3), filters=filters)) == 41_833_475


def test_the_connections_carry_what_the_bottleneck_loses():
    """With a dead bottleneck the result still depends on the image, and without connections it does not."""
    for skips in (True, False):
        network = built(skips=skips)
        for variable in network.downs[-1].trainable_variables:
            variable.assign(tf.zeros_like(variable.value))
        a, b = network([IMAGES]).numpy(), network([IMAGES[::-1]]).numpy()
        assert (np.abs(a - b).max() > 1e-4) == skips


def test_sides_may_differ():
    network = built((16, 48, 2))
    assert network([tf.zeros([1, 16, 48, 2])]).shape == (1, 16, 48, 3)


def test_dropout_is_in_the_innermost_levels_and_a_function_of_the_keys():
    network, keys = built(dropout=0.5, dropout_levels=2), random.keys(np.arange(4))
    for norm in network.up_norms:  # dropout comes after the shift of the norm
        norm.beta.assign(norm.beta + 0.5)
    assert len({layer.stream for layer in network.dropouts}) == 3
    assert [layer.amount for layer in network.dropouts] == [0.5, 0.5, 0.0]
    one, again = (network([IMAGES], keys=keys).numpy() for _ in range(2))
    np.testing.assert_array_equal(one, again)
    np.testing.assert_allclose(network([IMAGES[2:]], keys=keys[2:]), one[2:], atol=1e-6)
    assert np.any(one != network([IMAGES]).numpy()) and np.any(one != network([IMAGES], keys=keys[::-1]).numpy())
    # The rate, and another mask in each level: what reaches the next deconvolution is 0 or twice what it is without.
    seen = {}
    for i in (1, 2):
        layer, call = network.ups[i], network.ups[i].call
        object.__setattr__(layer, "call", lambda x, i=i, call=call: seen.setdefault(i, []).append(x.numpy()) or call(x))
    network([IMAGES], keys=keys)
    network([IMAGES])
    (dropped, plain), width = seen[1], 8  # channels of d_n
    alive = plain[..., :width] > 0
    ratio = (dropped[..., :width][alive] / plain[..., :width][alive]).round(4)
    assert set(ratio) == {0.0, 2.0} and 0.3 < (ratio > 0).mean() < 0.7
    np.testing.assert_array_equal(dropped[..., width:], plain[..., width:])  # what the encoder gives is whole


def test_own_statistics_are_those_of_training_on_one_image():
    network = built()
    moving = [v.numpy() for v in network.non_trainable_variables]
    made = network([IMAGES], own_statistics=True)
    for before, variable in zip(moving, network.non_trainable_variables, strict=True):
        np.testing.assert_array_equal(before, variable)
    alone = [network([IMAGES[i : i + 1]], training=True) for i in range(4)]
    np.testing.assert_allclose(made, np.concatenate(alone), rtol=1e-3, atol=1e-4)
    whole = network([IMAGES], training=True)
    assert np.abs(made - whole).max() > 1e-2
    np.testing.assert_array_equal(whole, network([IMAGES], training=True, own_statistics=True))  # not of training
    assert np.abs(made - network([IMAGES])).max() > 1e-2


@pytest.mark.parametrize("norm", ["instance", None])
def test_norms_without_statistics_of_a_batch(norm):
    network = built(norm=norm)
    for mode in ({}, {"training": True}, {"own_statistics": True}):
        np.testing.assert_allclose(network([IMAGES], **mode)[:1], network([IMAGES[:1]]), rtol=1e-4, atol=1e-6)
    assert not network.non_trainable_variables
