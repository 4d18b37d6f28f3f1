import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import layers
from tfgen.layers import update_spectral_state

# name: (layer, its plain twin, input)
IMAGE = np.random.default_rng(0).normal(size=(2, 5, 5, 3)).astype("float32")
CASES = {
    "dense": (lambda **k: layers.SpectralDense(4, **k), keras.layers.Dense(4), IMAGE[:, 0, 0]),
    "conv": (
        lambda **k: layers.SpectralConv2D(4, 3, strides=2, padding="same", **k),
        keras.layers.Conv2D(4, 3, strides=2, padding="same"),
        IMAGE,
    ),
    "transposed": (
        lambda **k: layers.SpectralConv2DTranspose(6, 4, strides=2, padding="same", **k),
        keras.layers.Conv2DTranspose(6, 4, strides=2, padding="same"),
        IMAGE,
    ),
    "embedding": (lambda **k: layers.SpectralEmbedding(7, 4, **k), keras.layers.Embedding(7, 4), np.array([[1, 6], [0, 1]])),
}


def build(name, iterations=0, **kwargs):
    layer = CASES[name][0](**kwargs)
    layer(CASES[name][2])
    for _ in range(iterations):
        layer.power_iteration()
    return layer


def effective(layer):
    return layer.embeddings if isinstance(layer, keras.layers.Embedding) else layer.kernel


def matrix(layer, kernel):
    """[rest, out] of a kernel, by a route of its own."""
    kernel = np.asarray(kernel, "float64")
    return (np.moveaxis(kernel, 2, 3) if isinstance(layer, keras.layers.Conv2DTranspose) else kernel).reshape(
        -1, layer.u.shape[0]
    )


@pytest.mark.parametrize("name", CASES)
def test_largest_singular_value_is_one_after_iterations(name):
    layer = build(name, iterations=50)
    true = np.linalg.svd(matrix(layer, layer.raw_weight), compute_uv=False)[0]
    np.testing.assert_allclose(layer.sigma(), true, rtol=1e-3)
    np.testing.assert_allclose(np.linalg.svd(matrix(layer, effective(layer)), compute_uv=False)[0], 1.0, rtol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(layer.u), 1.0, rtol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_the_layer_is_its_plain_twin_with_the_kernel_divided(name):
    layer, (_, plain, inputs) = build(name, iterations=3), CASES[name]
    plain(inputs)
    weights = [layer.raw_weight / layer.sigma()]
    if not isinstance(layer, keras.layers.Embedding):
        layer.bias.assign(np.linspace(-1, 1, layer.bias.shape[0]))
        weights.append(layer.bias)
    plain.set_weights([np.asarray(w) for w in weights])
    np.testing.assert_allclose(layer(inputs), plain(inputs), atol=1e-6)
    assert layer.compute_output_shape(inputs.shape) == plain.compute_output_shape(inputs.shape)
    assert [v.name for v in layer.trainable_variables] == [v.name for v in plain.trainable_variables]


def test_known_matrix():
    layer = layers.SpectralDense(2, use_bias=False)
    layer.build((None, 3))
    layer.raw_weight.assign([[3.0, 0.0], [0.0, 1.0], [4.0, 0.0]])  # singular values 5 and 1
    for _ in range(20):
        layer.power_iteration()
    np.testing.assert_allclose(layer.sigma(), 5.0, rtol=1e-6)
    np.testing.assert_allclose(layer.kernel, [[0.6, 0.0], [0.0, 0.2], [0.8, 0.0]], atol=1e-6)


def test_a_matrix_of_rank_one_needs_one_step():
    layer = layers.SpectralDense(3)
    layer.build((None, 4))
    a, b = np.array([1.0, -2.0, 0.5, 3.0]), np.array([0.3, 2.0, -1.0])
    layer.raw_weight.assign(np.outer(a, b))
    layer.power_iteration()
    np.testing.assert_allclose(layer.sigma(), np.linalg.norm(a) * np.linalg.norm(b), rtol=1e-6)
    np.testing.assert_allclose(np.abs(layer.u), np.abs(b) / np.linalg.norm(b), rtol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_scale_of_the_raw_weight_does_not_matter(name):
    layer = build(name, iterations=2)
    before = effective(layer).numpy()
    layer.raw_weight.assign(layer.raw_weight * 1000.0)
    np.testing.assert_allclose(effective(layer), before, rtol=1e-5)
    layer.power_iteration()
    layer.raw_weight.assign(layer.raw_weight / 1000.0)
    np.testing.assert_allclose(np.linalg.norm(layer.u), 1.0, rtol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_gradient_is_the_papers(name):
    layer = build(name, iterations=100)
    weights = tf.random.stateless_normal(layer.raw_weight.shape, [1, 2])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(weights * effective(layer))  # G = weights
    gradient = matrix(layer, tape.gradient(loss, layer.raw_weight.value))
    raw, upstream, normed = (matrix(layer, w) for w in (layer.raw_weight, weights, effective(layer)))
    left, singular, right = np.linalg.svd(raw, full_matrices=False)
    expected = (upstream - np.sum(upstream * normed) * np.outer(left[:, 0], right[0])) / singular[0]
    np.testing.assert_allclose(gradient, expected, atol=2e-3 * np.abs(expected).max())
    # No step along W: scaling it changes nothing.
    assert abs(np.sum(gradient * raw)) < 1e-4 * np.linalg.norm(gradient) * np.linalg.norm(raw)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_calls_write_nothing(name, training):
    layer = build(name)
    before = [v.numpy().copy() for v in layer.variables]
    model = keras.Sequential([layer])
    tf.function(lambda x: model(x, training=training))(CASES[name][2])
    for variable, value in zip(layer.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    assert "Assign" not in str(
        tf.function(layer.__call__).get_concrete_function(tf.constant(CASES[name][2])).graph.as_graph_def()
    )


def test_a_zero_kernel_stays_finite():
    layer = layers.SpectralDense(3, kernel_initializer="zeros")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(tf.ones([2, 4])))
    layer.power_iteration()
    assert np.all(np.isfinite(tape.gradient(loss, layer.raw_weight.value))) and np.all(np.isfinite(layer.u))
    np.testing.assert_array_equal(layer.kernel, 0.0)


def test_update_reaches_nested_layers_once_per_call():
    class Block(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.parts = [layers.SpectralConv2D(2, 3), keras.Sequential([layers.SpectralConv2D(3, 1)])]

        def call(self, x):
            return self.parts[1](self.parts[0](x))

    shared = layers.SpectralDense(3)
    inputs = keras.Input([5, 5, 3])
    model = keras.Model(inputs, shared(shared(Block()(inputs))))
    found = [layer for layer in model._flatten_layers() if hasattr(layer, "u")]
    assert len(found) == 3
    expected = []
    for layer in found:
        w, u = matrix(layer, layer.raw_weight), layer.u.numpy()
        u = w.T @ (w @ u)
        expected.append(u / np.linalg.norm(u))
    tf.function(update_spectral_state)(model)
    for layer, u in zip(found, expected, strict=True):
        np.testing.assert_allclose(layer.u, u, atol=1e-5)
    update_spectral_state(keras.Sequential([keras.layers.Dense(2)]))  # nothing to do


@pytest.mark.parametrize("name", CASES)
def test_mixed_precision_keeps_norms_in_float32(name):
    exact, mixed = build(name), build(name, dtype="mixed_bfloat16")
    mixed.set_weights(exact.get_weights())
    mixed.power_iteration()
    exact.power_iteration()
    np.testing.assert_allclose(mixed.u, exact.u, atol=1e-6)
    outputs = mixed(CASES[name][2])
    assert outputs.dtype == tf.bfloat16 and mixed.raw_weight.dtype == mixed.u.dtype == "float32"

    class Probe(keras.layers.Layer):
        def call(self, x):  # sigma as it is seen from inside a call of a mixed-precision network
            return mixed.sigma()

    np.testing.assert_allclose(Probe(dtype="mixed_bfloat16")(IMAGE), exact.sigma(), rtol=1e-6)
    np.testing.assert_allclose(tf.cast(outputs, tf.float32), exact(CASES[name][2]), atol=0.05)


def test_replicas_share_one_state():
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        layer = build("conv")
    start = layer.u.numpy().copy()
    tf.function(lambda: strategy.run(layer.power_iteration))()
    first, second = (v.numpy() for v in strategy.experimental_local_results(layer.u.value))
    np.testing.assert_array_equal(first, second)
    w = matrix(layer, layer.raw_weight)
    expected = w.T @ (w @ start)
    np.testing.assert_allclose(first, expected / np.linalg.norm(expected), atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_saving_keeps_the_raw_weight_and_the_state(name, tmp_path):
    inputs = tf.constant(CASES[name][2])
    model = keras.Sequential([keras.Input(inputs.shape[1:], dtype=inputs.dtype.name), CASES[name][0]()])
    for _ in range(3):
        update_spectral_state(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert len(loaded.layers[0].variables) == len(model.layers[0].variables)
    for a, b in zip(loaded.layers[0].variables, model.layers[0].variables, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(loaded(inputs), model(inputs))


def test_the_kernel_cannot_be_assigned():
    layer = build("dense")
    with pytest.raises(AttributeError, match="raw_weight"):
        layer.kernel = tf.zeros([3, 4])
    with pytest.raises(AttributeError, match="built"):
        layers.SpectralDense(2).kernel  # noqa: B018
