import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import layers
from tfgen.layers import data_dependent_init

LAYERS = {
    "dense": lambda **k: layers.WeightNormDense(4, **k),
    "conv": lambda **k: layers.WeightNormConv2D(4, 3, strides=2, padding="same", **k),
    "transposed": lambda **k: layers.WeightNormConv2DTranspose(4, 4, strides=2, padding="same", **k),
}


def batch(size=64):
    return tf.constant(np.random.default_rng(1).normal(3.0, 5.0, size=(size, 6, 6, 3)), tf.float32)


def norms(layer):
    axes = (0, 1, 3) if isinstance(layer, keras.layers.Conv2DTranspose) else tuple(range(len(layer.kernel.shape) - 1))
    return np.sqrt(np.sum(np.square(layer.kernel), axis=axes))


@pytest.mark.parametrize("name", LAYERS)
def test_every_output_unit_has_the_norm_of_its_scale(name):
    layer = LAYERS[name](kernel_initializer=keras.initializers.RandomNormal(stddev=3.0))
    layer(batch(2))
    layer.scale.assign([1.0, -2.0, 0.5, 3.0])
    np.testing.assert_allclose(norms(layer), [1.0, 2.0, 0.5, 3.0], rtol=1e-5)
    before = layer.kernel.numpy()
    layer.raw_weight.assign(layer.raw_weight * 7.0)
    np.testing.assert_allclose(layer.kernel, before, rtol=1e-5)


def test_formula_and_its_epsilon():
    layer = layers.WeightNormDense(1)
    layer.build((None, 2))
    layer.raw_weight.assign([[3e-3], [4e-3]])
    layer.scale.assign([2.0])
    np.testing.assert_allclose(layer.kernel[:, 0], 2 * np.array([3e-3, 4e-3]) / np.sqrt(1e-6 + 25e-6), rtol=1e-6)
    layer.raw_weight.assign([[0.0], [0.0]])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer.kernel)
    np.testing.assert_allclose(tape.gradient(loss, layer.raw_weight.value), 2e3, rtol=1e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_gradient_of_the_direction_is_orthogonal_to_it(name):
    layer = LAYERS[name]()
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(layer(batch(4))))
    gradient = tape.gradient(loss, layer.raw_weight.value).numpy()
    assert abs(np.sum(gradient * layer.raw_weight)) < 1e-4 * np.linalg.norm(gradient) * np.linalg.norm(layer.raw_weight)


@pytest.mark.parametrize("init_stdv", [1.0, 0.1])
@pytest.mark.parametrize("name", LAYERS)
def test_pre_activations_get_mean_zero_and_the_given_deviation(name, init_stdv):
    layer = LAYERS[name](activation="relu", init_stdv=init_stdv, bias_initializer="ones")
    layer(batch(2))
    outputs = data_dependent_init(layer, batch())
    layer.activation = None
    pre = layer(batch())
    np.testing.assert_allclose(np.mean(pre, axis=(0, 1, 2)), 0.0, atol=1e-4)
    np.testing.assert_allclose(np.std(pre, axis=(0, 1, 2)), init_stdv, rtol=1e-4)
    np.testing.assert_allclose(outputs, np.maximum(pre, 0.0), atol=1e-5)


def test_layers_are_initialised_one_after_the_other():
    first, second = layers.WeightNormConv2D(8, 3, activation="relu"), layers.WeightNormDense(5, init_stdv=0.1)
    model = keras.Sequential([keras.Input([6, 6, 3]), keras.Sequential([first]), keras.layers.Flatten(), second])
    outputs = data_dependent_init(model, batch())
    # The last layer saw what the first gives now, not what it gave before.
    np.testing.assert_allclose(np.mean(outputs, axis=0), 0.0, atol=1e-5)
    np.testing.assert_allclose(np.std(outputs, axis=0), 0.1, rtol=1e-4)
    np.testing.assert_allclose(model(batch()), outputs, atol=1e-5)
    before = [v.numpy().copy() for v in model.variables]
    model(batch(7), training=True)  # later calls change nothing
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_a_shared_layer_is_initialised_by_its_first_use():
    layer = layers.WeightNormDense(3)
    inputs = keras.Input([3])
    model = keras.Model(inputs, [layer(inputs), layer(layer(inputs) * 10.0)])
    first, _ = data_dependent_init(model, batch()[:, 0, 0])
    np.testing.assert_allclose(np.std(first, axis=0), 1.0, rtol=1e-4)


def test_constant_units_keep_their_scale():
    layer = layers.WeightNormDense(2)
    data_dependent_init(layer, tf.zeros([8, 3]))
    np.testing.assert_array_equal(layer.scale, 1.0)


def test_initialisation_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match="no layer"):
        data_dependent_init(keras.Sequential([keras.layers.Dense(2)]), tf.ones([2, 2]))
    with pytest.raises(RuntimeError, match="outside"):
        tf.function(data_dependent_init)(layers.WeightNormDense(2), tf.ones([2, 2]))
    with pytest.raises(ValueError, match="init_stdv"):
        layers.WeightNormDense(2, init_stdv=0.0)
    layer = layers.WeightNormDense(2)
    layer.build((None, 3))
    with pytest.raises(ValueError):
        data_dependent_init(layer, tf.ones([2, 4]))
    assert "call" not in vars(layer)


@pytest.mark.parametrize("name", LAYERS)
def test_untrained_scale_and_saving(name, tmp_path):
    layer = LAYERS[name](train_scale=False, init_stdv=0.1)
    model = keras.Sequential([keras.Input([6, 6, 3]), layer])
    data_dependent_init(model, batch())
    assert [v.name for v in layer.trainable_variables] == ["kernel", "bias"]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert (loaded.layers[0].train_scale, loaded.layers[0].init_stdv) == (False, 0.1)
    for a, b in zip(loaded.layers[0].variables, layer.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(loaded(batch(3)), model(batch(3)))


@pytest.mark.parametrize("name", LAYERS)
def test_mixed_precision(name):
    layer = LAYERS[name](dtype="mixed_bfloat16")
    outputs = data_dependent_init(layer, batch())
    assert outputs.dtype == tf.bfloat16 and layer.scale.dtype == layer.raw_weight.dtype == "float32"
    np.testing.assert_allclose(np.std(tf.cast(outputs, tf.float32), axis=(0, 1, 2)), 1.0, rtol=0.02)
