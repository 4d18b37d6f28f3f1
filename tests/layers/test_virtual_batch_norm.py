import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.layers import VirtualBatchNorm


def rows(*shape, seed=0):
    return tf.constant(np.random.default_rng(seed).normal(2.0, 3.0, size=shape), tf.float32)


@pytest.mark.parametrize("shape", [(6, 3), (6, 4, 5, 3)])
def test_with_only_the_reference_it_is_batch_norm(shape):
    virtual, batch = VirtualBatchNorm(epsilon=1e-3), keras.layers.BatchNormalization(epsilon=1e-3)
    x = rows(*shape)
    batch(x), virtual(x, num_reference=6)
    for layer in (virtual, batch):
        layer.gamma.assign([1.0, -2.0, 0.5])
        layer.beta.assign([0.0, 1.0, 2.0])
    np.testing.assert_allclose(virtual(x, num_reference=6), batch(x, training=True), atol=1e-5)
    assert not virtual.non_trainable_variables


@pytest.mark.parametrize("shape", [(3,), (4, 5, 3)])
def test_a_row_depends_only_on_the_reference_and_itself(shape):
    layer, reference, x = VirtualBatchNorm(), rows(4, *shape), rows(3, *shape, seed=1)
    together = layer(tf.concat([reference, x], 0), num_reference=4)
    np.testing.assert_allclose(together[:4], layer(reference, num_reference=4), atol=1e-6)
    for i in range(3):
        alone = layer(tf.concat([reference, x[i : i + 1]], 0), num_reference=4)
        np.testing.assert_allclose(alone[4], together[4 + i], atol=1e-6)
    other = layer(tf.concat([reference * 2.0, x], 0), num_reference=4)
    assert np.abs(other[4:] - together[4:]).max() > 0.1


@pytest.mark.parametrize("shape", [(3,), (4, 5, 3)])
def test_statistics_are_those_of_the_paper(shape):
    reference, x = rows(4, *shape).numpy(), rows(1, *shape, seed=1).numpy()
    axes = tuple(range(len(shape)))
    own = axes[1:]
    mean = (4 * reference.mean(axes) + x[0].mean(tuple(a - 1 for a in own))) / 5
    square = (4 * (reference**2).mean(axes) + (x[0] ** 2).mean(tuple(a - 1 for a in own))) / 5
    expected = (x[0] - mean) / np.sqrt(square - mean**2 + 1e-5)
    out = VirtualBatchNorm()(np.concatenate([reference, x]), num_reference=4)
    np.testing.assert_allclose(out[4], expected, atol=1e-4)


def test_a_row_equal_to_a_constant_reference_stays_finite():
    np.testing.assert_array_equal(VirtualBatchNorm()(tf.fill([3, 2], 1e4), num_reference=2), 0.0)


def test_wrong_arguments():
    layer = VirtualBatchNorm()
    for wrong in (0, 2.0, None):
        with pytest.raises(ValueError, match="num_reference"):
            layer(rows(4, 3), num_reference=wrong)
    with pytest.raises(ValueError, match="received 4"):
        layer(rows(4, 3), num_reference=5)
    with pytest.raises(ValueError, match="channels"):
        VirtualBatchNorm()(rows(4), num_reference=2)
    with pytest.raises(ValueError, match="epsilon"):
        VirtualBatchNorm(epsilon=0.0)
    run = tf.function(lambda x: layer(x, num_reference=3), input_signature=[tf.TensorSpec([None, 3])])
    run(rows(3, 3))
    with pytest.raises(tf.errors.InvalidArgumentError, match="fewer rows"):
        run(rows(2, 3))


def test_saving_and_mixed_precision(tmp_path):
    inputs = keras.Input([4, 4, 3])
    model = keras.Model(inputs, VirtualBatchNorm(epsilon=1e-4)(inputs, num_reference=2))
    model.layers[1].gamma.assign([3.0, 2.0, 1.0])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    x = rows(5, 4, 4, 3)
    np.testing.assert_array_equal(loaded(x), model(x))
    mixed = VirtualBatchNorm(epsilon=1e-4, dtype="mixed_bfloat16")
    # Means far above the deviations: in bfloat16 the variance of 256 + (0, 2, 4, ...) would be lost.
    x = 256.0 + 2.0 * tf.reshape(tf.range(4.0), [4, 1])
    out = mixed(x, num_reference=4)
    assert out.dtype == tf.bfloat16
    np.testing.assert_allclose(tf.cast(out, tf.float32)[:, 0], (np.arange(4) - 1.5) / np.sqrt(1.25), atol=0.01)
