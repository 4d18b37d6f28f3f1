import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.layers import Maxout


def test_dense_maxout_is_its_formula():
    rng = np.random.default_rng(0)
    x, weight, bias = rng.normal(size=(5, 3)), rng.normal(size=(3, 4, 2)), rng.normal(size=(4, 2))
    dense = keras.layers.Dense(8)
    dense.build((None, 3))
    dense.set_weights([weight.reshape(3, 8), bias.reshape(8)])
    expected = (np.einsum("nf,fuk->nuk", x, weight) + bias).max(axis=-1)
    np.testing.assert_allclose(Maxout(2)(dense(tf.constant(x, tf.float32))), expected, rtol=1e-5, atol=1e-6)


def test_one_piece_is_the_identity():
    x = tf.random.stateless_normal([2, 4, 4, 6], [0, 1])
    np.testing.assert_array_equal(Maxout(1)(x), x)


def test_two_pieces_make_the_absolute_value_and_the_gradient_goes_to_the_winner():
    z = tf.constant([[3.0, -3.0, -2.0, 2.0]])
    with tf.GradientTape() as tape:
        tape.watch(z)
        h = Maxout(2)(z)
    np.testing.assert_array_equal(h, [[3.0, 2.0]])
    np.testing.assert_array_equal(tape.gradient(h, z), [[1, 0, 0, 1]])


def test_maps_and_unknown_batch():
    run = tf.function(Maxout(3), input_signature=[tf.TensorSpec([None, 4, 4, 6])])
    x = tf.random.stateless_normal([2, 4, 4, 6], [0, 1])
    np.testing.assert_array_equal(run(x), x.numpy().reshape(2, 4, 4, 2, 3).max(-1))
    assert Maxout(3).compute_output_shape((None, 4, 4, 6)) == (None, 4, 4, 2)


def test_config_and_bad_arguments():
    assert Maxout.from_config(Maxout(3).get_config()).pieces == 3
    for pieces in (0, -1, 1.5):
        with pytest.raises(ValueError, match="whole number of at least 1"):
            Maxout(pieces)
    with pytest.raises(ValueError, match="multiple of pieces=2; received 5"):
        Maxout(2)(tf.ones([1, 5]))
