import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.layers import ConditionalBatchNorm


def maps(size=8, seed=0):
    return tf.constant(np.random.default_rng(seed).normal(2.0, 3.0, size=(size, 4, 4, 3)), tf.float32)


def one_hot(size=8, classes=5):
    return tf.one_hot(np.arange(size) % classes, classes)


@pytest.mark.parametrize("training", [True, False])
def test_equal_tables_are_batch_norm(training):
    layer, plain = ConditionalBatchNorm(5), keras.layers.BatchNormalization(momentum=0.9, epsilon=2e-5)
    layer([maps(), one_hot()]), plain(maps())
    gamma, beta = np.array([1.0, -2.0, 0.5]), np.array([0.0, 1.0, 2.0])
    plain.gamma.assign(gamma), plain.beta.assign(beta)
    layer.gamma.assign(np.tile(gamma, (5, 1))), layer.beta.assign(np.tile(beta, (5, 1)))
    for step in range(3):  # moving statistics too
        x = maps(seed=step)
        np.testing.assert_allclose(layer([x, one_hot()], training=True), plain(x, training=True), atol=1e-5)
    x = maps(seed=9)
    np.testing.assert_allclose(layer([x, one_hot()], training=training), plain(x, training=training), atol=1e-5)


def test_each_row_takes_the_table_of_its_class():
    layer = ConditionalBatchNorm(3)
    x = maps(3)
    normal = layer([x, one_hot(3, 3)], training=True).numpy()
    rng = np.random.default_rng(0)
    gamma, beta = rng.normal(size=(3, 3)), rng.normal(size=(3, 3))
    layer.gamma.assign(gamma), layer.beta.assign(beta)
    labels = [2, 0, 2]
    out = layer([x, tf.one_hot(labels, 3)], training=True)
    expected = gamma[labels][:, None, None] * normal + beta[labels][:, None, None]
    np.testing.assert_allclose(out, expected, atol=1e-5)


def test_mixtures_lie_between_their_classes():
    layer = ConditionalBatchNorm(2)
    x = maps(4)
    layer([x, one_hot(4, 2)])
    layer.gamma.assign([[1.0, 2.0, 3.0], [-1.0, 0.0, 5.0]])
    layer.beta.assign([[0.0, 1.0, 0.0], [4.0, 0.0, 2.0]])
    first, second, between = (layer([x, tf.tile([w], [4, 1])]) for w in ([1.0, 0.0], [0.0, 1.0], [0.25, 0.75]))
    np.testing.assert_allclose(between, 0.25 * first + 0.75 * second, atol=1e-5)


def test_only_the_tables_of_the_classes_present_get_a_gradient():
    layer = ConditionalBatchNorm(4)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(layer([maps(), tf.one_hot([1, 1, 3, 3, 1, 3, 1, 1], 4)], training=True)))
    gradient = tape.gradient(loss, layer.gamma.value).numpy()
    assert np.all(gradient[[0, 2]] == 0.0) and np.all(gradient[[1, 3]] != 0.0)


def test_replicas_share_the_statistics_of_the_global_batch():
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        layer = ConditionalBatchNorm(5)
        layer.build([(None, 4, 4, 3), (None, 5)])
    alone = ConditionalBatchNorm(5)
    expected = alone([maps(), one_hot()], training=True)

    def value(context):
        part = slice(4 * context.replica_id_in_sync_group, 4 * context.replica_id_in_sync_group + 4)
        return maps()[part], one_hot()[part]

    x, weights = (strategy.experimental_distribute_values_from_function(lambda c, i=i: value(c)[i]) for i in range(2))
    out = tf.function(lambda x, w: strategy.run(lambda a, b: layer([a, b], training=True), args=(x, w)))(x, weights)
    np.testing.assert_allclose(np.concatenate(strategy.experimental_local_results(out)), expected, atol=1e-4)


def test_wrong_shapes():
    for wrong in ([maps(), one_hot(classes=4)], [maps()], [maps(), one_hot(), one_hot()], maps(), [maps(), tf.ones([8])]):
        with pytest.raises(ValueError, match="needs \\[x, weights\\]"):
            ConditionalBatchNorm(5)(wrong)
    with pytest.raises(ValueError, match="received 0"):
        ConditionalBatchNorm(0)


def test_saving_and_mixed_precision(tmp_path):
    inputs = [keras.Input([4, 4, 3]), keras.Input([5])]
    model = keras.Model(inputs, ConditionalBatchNorm(5, momentum=0.5)(inputs))
    model.layers[-1].gamma.assign(np.random.default_rng(0).normal(size=(5, 3)))
    model([maps(), one_hot()], training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    expected = model([maps(), one_hot()])
    np.testing.assert_array_equal(loaded([maps(), one_hot()]), expected)
    mixed = ConditionalBatchNorm(5, momentum=0.5, dtype="mixed_bfloat16")
    mixed.build([(None, 4, 4, 3), (None, 5)])
    mixed.set_weights(model.get_weights())
    out = mixed([maps(), one_hot()])
    assert out.dtype == tf.bfloat16 and out.shape == mixed.compute_output_shape([(8, 4, 4, 3), (8, 5)])
    np.testing.assert_allclose(tf.cast(out, tf.float32), expected, atol=0.1)
