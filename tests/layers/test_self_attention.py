import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.layers import SelfAttention2D, update_spectral_state

MAPS = np.random.default_rng(0).normal(size=(2, 4, 6, 16)).astype("float32")
ROWS = np.array([[1, 0], [0, 1], [2, 1], [-1, 2], [0, 0], [1, 1], [0.5, -1], [1, 2]], "float32")


def by_hand(pool):
    """A layer with one channel of queries, keys and values, and small weights."""
    layer = SelfAttention2D(key_divisor=2, value_divisor=2, pool=pool)
    layer.build((None, 2, 2, 2))
    for part, kernel in (("query", [[1], [0.5]]), ("key", [[-1], [1]]), ("value", [[2], [1]]), ("out", [[1, -1]])):
        getattr(layer, part).kernel.assign(np.array(kernel, "float32")[None, None])
    layer.gamma.assign(0.5)
    return layer


def test_closed_form_without_pooling():
    layer, x = by_hand(pool=False), ROWS[:4].reshape(1, 2, 2, 2)
    weights = layer.attention(x)[0].numpy()
    np.testing.assert_allclose(weights[0], [0.01562812, 0.11547709, 0.01562812, 0.85326667], atol=1e-6)
    np.testing.assert_allclose(weights[3], 0.25, atol=1e-6)
    expected = [[1.11243698, -0.11243698], [0.40133851, 0.59866149], [2.00350395, 0.99649605], [0, 1]]
    np.testing.assert_allclose(layer(x)[0].numpy().reshape(4, 2), expected, atol=1e-6)


def test_closed_form_with_pooling():
    x = ROWS.reshape(1, 4, 2, 2)
    layer = SelfAttention2D(key_divisor=2, value_divisor=2)
    layer.build((None, 4, 2, 2))
    for part in ("query", "key", "value", "out"):
        getattr(layer, part).kernel.assign(getattr(by_hand(True), part).kernel)
    layer.gamma.assign(0.5)
    assert layer.key_size == (2, 1)
    weights = layer.attention(x)[0].numpy()
    np.testing.assert_allclose(weights[0], [0.88079708, 0.11920292], atol=1e-6)
    np.testing.assert_allclose(weights[2], [0.99330715, 0.00669285], atol=1e-6)
    expected = [3.44039854, 2.36552929, 4.49665357, 1.25, 2.25, 3.47628706, 2.75, 3.4910069]
    np.testing.assert_allclose(layer(x)[0, :, :, 0].numpy().ravel(), expected, atol=1e-5)


def test_it_is_the_identity_at_first_but_gamma_learns():
    layer = SelfAttention2D()
    with tf.GradientTape() as tape:
        out = layer(MAPS)
        loss = tf.reduce_sum(out**2)
    np.testing.assert_array_equal(out, MAPS)
    assert abs(tape.gradient(loss, layer.gamma.value)) > 0


@pytest.mark.parametrize("pool, keys", [(True, 6), (False, 24)])
def test_weights_are_a_distribution_over_the_keys(pool, keys):
    layer = SelfAttention2D(pool=pool)
    layer(MAPS)
    weights = layer.attention(MAPS).numpy()
    assert weights.shape == (2, 24, keys) and layer.key_size[0] * layer.key_size[1] == keys
    np.testing.assert_allclose(weights.sum(-1), 1.0, atol=1e-5)
    np.testing.assert_allclose(layer.attention(np.ones_like(MAPS)), 1 / keys, atol=1e-6)


def test_every_position_sees_every_other_and_their_order_does_not_matter():
    layer = SelfAttention2D(pool=False)
    layer(MAPS)
    layer.gamma.assign(1.0)
    x = tf.constant(MAPS[:1])
    with tf.GradientTape() as tape:
        tape.watch(x)
        corner = tf.reduce_sum(layer(x)[0, 0, 0])
    assert np.all(np.abs(tape.gradient(corner, x)).sum(-1) > 0)
    order = np.random.default_rng(1).permutation(24)
    mixed = MAPS[:1].reshape(1, 24, 16)[:, order].reshape(1, 4, 6, 16)
    np.testing.assert_allclose(
        layer(mixed).numpy().reshape(24, 16), layer(x).numpy().reshape(24, 16)[order], atol=1e-5
    )  # fmt: skip


def test_sizes():
    for channels, count in ((64, 5_121), (128, 20_481), (256, 81_921)):  # with spectral norm and without
        for spectral in (False, True):
            layer = SelfAttention2D(spectral=spectral)
            layer.build((None, 8, 8, channels))
            assert sum(int(np.prod(v.shape)) for v in layer.trainable_variables) == count
    text = SelfAttention2D(pool=False, value_divisor=8)  # the paper's text: all of C / 8
    text.build((None, 7, 7, 16))
    shapes = sorted(tuple(v.shape) for v in text.trainable_variables)
    assert shapes == sorted([(1, 1, 16, 2)] * 3 + [(1, 1, 2, 16), ()])
    odd = SelfAttention2D()
    odd.build((None, 7, 7, 16))
    assert odd.key_size == (3, 3)


def test_watched_sees_calls_inside_of_networks():
    layer = SelfAttention2D()
    network = keras.Sequential([keras.Input((4, 6, 16)), layer])
    with layer.watched() as seen:
        network(MAPS)
    network(MAPS)
    (weights,) = seen
    np.testing.assert_array_equal(weights, layer.attention(MAPS))


def test_spectral_kernels_have_norm_one():
    layer = SelfAttention2D(spectral=True)
    layer(MAPS)
    for _ in range(50):
        update_spectral_state(layer)
    for part in (layer.query, layer.key, layer.value, layer.out):
        assert np.linalg.norm(part.kernel.numpy()[0, 0], 2) == pytest.approx(1.0, abs=1e-3)


def test_saving_and_mixed_precision(tmp_path):
    layer = SelfAttention2D(key_divisor=4, value_divisor=4, pool=False, spectral=True)
    model = keras.Sequential([keras.Input((4, 6, 16)), layer])
    layer.gamma.assign(0.7)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(MAPS), model(MAPS))
    half = SelfAttention2D(dtype="mixed_float16")
    assert half(1000.0 * MAPS).dtype == tf.float16
    assert np.all(np.isfinite(half.attention(1000.0 * MAPS))), "products of features overflow float16"


@pytest.mark.parametrize("shape, what", [((2, 4, 4, 4), "at least 8 channels"), ((2, 1, 4, 8), "2 x 2 positions"),
                                         ((2, None, 4, 8), "known size")])  # fmt: skip
def test_wrong_maps(shape, what):
    with pytest.raises(ValueError, match=what):
        SelfAttention2D().build(shape)


@pytest.mark.parametrize("name", ["key_divisor", "value_divisor"])
@pytest.mark.parametrize("divisor", [0, -1, 1.5, "8", True])
def test_wrong_divisors(name, divisor):
    with pytest.raises(ValueError, match=f"{name} must be an integer >= 1; received"):
        SelfAttention2D(**{name: divisor})
