import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.layers import ConditionalInstanceNorm, InstanceNormalization

X = np.array([[1, 3], [2, 3], [3, -1], [6, -1]], "float32").reshape(1, 2, 2, 2)


def golden():
    layer = ConditionalInstanceNorm(2)
    layer.build([(None, 2, 2, 2), (None, 2)])
    layer.gamma.assign([[1.0, 2.0], [3.0, -1.0]])
    layer.beta.assign([[0.0, 1.0], [-2.0, 0.5]])
    return layer


@pytest.mark.parametrize(
    ("weights", "first", "second"),
    [
        ([0.25, 0.75], [-4.1726086011, -2.8363043006, -1.5, 2.5089129017], [0.3750003125] * 2 + [0.8749996875] * 2),
        ([1.0, 0.0], [-1.0690434404, -0.5345217202, 0.0, 1.6035651607], [2.9999975, 2.9999975, -0.9999975, -0.9999975]),
    ],
)  # fmt: skip
def test_golden_values(weights, first, second):
    found = np.reshape(golden()([X, tf.constant([weights])]), (4, 2))
    np.testing.assert_allclose(found[:, 0], first, rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(found[:, 1], second, rtol=2e-6, atol=1e-6)


def test_rows_are_independent():
    both = golden()([np.concatenate([X, 2.0 * X]), tf.constant([[0.0, 1.0], [1.0, 0.0]])])
    np.testing.assert_allclose(both[:1], golden()([X, tf.constant([[0.0, 1.0]])]), atol=1e-6)
    np.testing.assert_allclose(both[1:], golden()([2.0 * X, tf.constant([[1.0, 0.0]])]), atol=1e-6)


def test_new_rows_are_plain_instance_norm_and_others_get_no_gradient():
    layer, x = ConditionalInstanceNorm(3), np.random.default_rng(0).normal(size=(2, 4, 4, 2)).astype("float32")
    with tf.GradientTape() as tape:
        found = layer([x, tf.one_hot([1, 1], 3)])
        total = tf.reduce_sum(found**3)
    np.testing.assert_allclose(found, InstanceNormalization()(x), atol=1e-6)
    for gradient in tape.gradient(total, [layer.gamma.value, layer.beta.value]):
        assert np.any(gradient[1]) and not np.any(gradient[0]) and not np.any(gradient[2])


def test_mixed_precision_and_config():
    layer = ConditionalInstanceNorm(2, epsilon=1e-3, dtype="mixed_bfloat16")
    out = layer([256.0 + 2.0 * tf.reshape(tf.range(4.0), [1, 2, 2, 1]), tf.constant([[1.0, 0.0]])])
    assert out.dtype == tf.bfloat16
    np.testing.assert_allclose(np.ravel(tf.cast(out, tf.float32)), (np.arange(4) - 1.5) / np.sqrt(1.25), atol=0.01)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config() and again.num_styles == 2


def test_wrong_inputs():
    with pytest.raises(ValueError, match="num_styles must be at least 1 .* received 0"):
        ConditionalInstanceNorm(0)
    for inputs in ([X, tf.ones([1, 3])], X, [X[0], tf.ones([2, 2])]):
        with pytest.raises(ValueError, match=r"needs \[x, weights\] of shapes .* \[batch, 2\]"):
            ConditionalInstanceNorm(2)(inputs)
