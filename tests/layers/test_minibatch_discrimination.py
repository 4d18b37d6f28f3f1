import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.layers import MinibatchDiscrimination, data_dependent_init, minibatch_similarity

GOLDEN = tf.constant([[[0.0, 0.0]], [[1.0, 0.0]], [[0.0, 2.0]]], tf.float64)  # [3, 1 kernel, 2 dimensions]


def features(size=6, seed=0):
    return tf.constant(np.random.default_rng(seed).normal(size=(size, 5)), tf.float32)


def test_golden_values():
    with_self = minibatch_similarity(GOLDEN, mask_self=False)[:, 0]
    np.testing.assert_allclose(with_self, [1.503215, 1.417667, 1.185122], atol=1e-6)
    np.testing.assert_allclose(minibatch_similarity(GOLDEN)[:, 0], with_self - 1.0, atol=1e-15)
    np.testing.assert_allclose(with_self[0], 1 + np.exp(-1) + np.exp(-2), rtol=1e-12)


@pytest.mark.parametrize("mask_self, count", [(True, 4), (False, 5)])
def test_duplicates_count_in_full(mask_self, count):
    np.testing.assert_allclose(minibatch_similarity(tf.ones([5, 2, 3]), mask_self), count)


def test_small_neighbours_are_not_rounded_away():
    far = tf.constant([[[0.0]], [[30.0]]])
    np.testing.assert_allclose(minibatch_similarity(far)[:, 0], np.exp(-30.0), rtol=1e-5)


def test_translation_invariance_and_permutation_equivariance():
    layer = MinibatchDiscrimination(3, 2)
    x = features()
    out = layer(x).numpy()
    np.testing.assert_array_equal(out[:, :5], x)
    np.testing.assert_allclose(layer(x + tf.constant([1.0, -2.0, 3.0, 0.5, 4.0]))[:, 5:], out[:, 5:], atol=1e-5)
    order = [3, 1, 5, 0, 2, 4]
    np.testing.assert_allclose(layer(tf.gather(x, order)), out[order], atol=1e-6)
    assert layer.compute_output_shape((None, 5)) == (None, 8) and out.shape == (6, 8)


def test_layer_is_its_formula():
    layer = MinibatchDiscrimination(2, 3, mask_self=False)
    x = features(4)
    layer(x)
    layer.log_scale.assign(np.random.default_rng(1).normal(size=(2, 3)))
    theta, log_scale = layer.theta.numpy(), layer.log_scale.numpy()
    t = theta * np.exp(log_scale) / np.sqrt(1e-6 + np.sum(theta**2, axis=0))
    m = np.einsum("nf,fbc->nbc", x, t)
    expected = [[sum(np.exp(-np.abs(m[i, b] - m[j, b]).sum()) for j in range(4)) - 1.0 for b in range(2)] for i in range(4)]
    np.testing.assert_allclose(layer(x)[:, 5:], expected, atol=1e-5)


def test_gradient_pushes_neighbours_apart():
    m = tf.constant([[[0.0]], [[0.5]]], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(m)
        total = tf.reduce_sum(minibatch_similarity(m))
    np.testing.assert_allclose(tape.gradient(total, m)[:, 0, 0], [2 * np.exp(-0.5), -2 * np.exp(-0.5)], rtol=1e-12)


def test_initialisation_from_data():
    layer = MinibatchDiscrimination(4, 3)
    x = features(32) * 20.0
    out = data_dependent_init(layer, x)
    np.testing.assert_allclose(np.mean(out[:, 5:], axis=0), 0.0, atol=1e-6)
    m = layer._project(x).numpy()
    distances = np.abs(m[:, None] - m[None]).sum(-1) + 1e9 * np.eye(32)[..., None]
    np.testing.assert_allclose(distances.min(axis=1).mean(axis=0), 2.0, rtol=1e-4)


def test_too_small_batches_and_wrong_shapes():
    layer = MinibatchDiscrimination(2, 2)
    with pytest.raises(ValueError, match="needs at least 2 examples"):
        layer(features(1))
    with pytest.raises(ValueError, match="needs features"):
        MinibatchDiscrimination(2, 2)(tf.ones([2, 3, 3]))
    with pytest.raises(ValueError, match="kernels, dimensions"):
        minibatch_similarity(tf.ones([2, 3]))
    with pytest.raises(ValueError, match="received 0"):
        MinibatchDiscrimination(0, 2)
    run = tf.function(layer, input_signature=[tf.TensorSpec([None, 5])])
    run(features(2))
    with pytest.raises(tf.errors.InvalidArgumentError, match="at least 2"):
        run(features(1))


def test_saving_and_mixed_precision(tmp_path):
    model = keras.Sequential([keras.Input([5]), MinibatchDiscrimination(2, 3, mask_self=False)])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(features()), model(features()))
    mixed = MinibatchDiscrimination(2, 3, mask_self=False, dtype="mixed_bfloat16")
    mixed.build((None, 5))
    mixed.set_weights(model.get_weights())
    out = mixed(features())
    assert out.dtype == tf.bfloat16
    np.testing.assert_allclose(tf.cast(out, tf.float32), model(features()), atol=0.03)
