import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.seeds import set_seed
from tfgen.layers import EqualizedConv2D, EqualizedDense

SQRT_2 = np.sqrt(2.0)


@pytest.mark.parametrize("layer, inputs, scale", [
    (EqualizedConv2D(4, 3), 512, 0.0208333333), (EqualizedConv2D(4, 3), 64, 0.0589255651),
    (EqualizedConv2D(4, 3), 513, 0.0208130180), (EqualizedConv2D(4, 3), 65, 0.0584705346),
    (EqualizedDense(4), 512, 0.0625), (EqualizedDense(4, gain=SQRT_2 / 4), 512, 0.0156250),
    (EqualizedDense(4, gain=SQRT_2 / 4), 64, 0.0441941738), (EqualizedDense(4), 8192, 0.0156250),
    (EqualizedDense(4), 1024, 0.0441941738), (EqualizedConv2D(4, 1, gain=1), 512, 0.0441941738),
    (EqualizedDense(4, gain=1), 64, 0.125), (EqualizedDense(4, lrmul=0.01), 512, 0.000625),
    (EqualizedDense(4, lrmul=0.01), 64, 0.00176776695), (EqualizedConv2D(4, 1), 3, 0.816497),
    (EqualizedConv2D(4, 1), 1, SQRT_2),
])  # fmt: skip
def test_golden_factors(layer, inputs, scale):
    layer.build((None, inputs) if isinstance(layer, EqualizedDense) else (None, 4, 4, inputs))
    assert layer.scale == pytest.approx(scale, rel=1e-6)
    np.testing.assert_allclose(layer.kernel, layer.raw_weight.numpy() * layer.scale, rtol=1e-6)


@pytest.mark.parametrize("lrmul", [1.0, 0.01])
def test_weights_start_normal_and_untruncated(lrmul):
    set_seed(0)
    layer = EqualizedDense(300, lrmul=lrmul)
    layer.build((None, 500))
    weight = layer.raw_weight.numpy() * lrmul
    assert weight.std() == pytest.approx(1.0, rel=0.01) and np.abs(weight).max() > 4
    assert not np.any(layer.bias)


def test_a_mapping_layer_of_stylegan_in_closed_form():
    """PN(z) of z = [1, -2, 2]; the bias is scaled by lrmul alone."""
    layer = EqualizedDense(2, lrmul=0.01, activation=lambda x: tf.nn.leaky_relu(x, 0.2))
    layer.build((None, 3))
    layer.raw_weight.assign([[100, -50], [20, 80], [-30, 60]])
    layer.trainable_variables[1].assign([10, -20])
    np.testing.assert_allclose(layer.bias, [0.1, -0.2], rtol=1e-6)
    np.testing.assert_allclose(layer(np.float32([[0.57735027, -1.15470054, 1.15470054]])), [[0.1, -0.12485281]], atol=1e-6)
    assert len(layer.trainable_variables) == 2


@pytest.mark.parametrize("resample, shape", [("up", (2, 8, 12, 5)), ("down", (2, 2, 3, 5)), (None, (2, 4, 6, 5))])
@pytest.mark.parametrize("fused", [True, False])
def test_bias_and_activation_follow_the_change_of_size(resample, shape, fused):
    x = np.random.default_rng(0).normal(size=(2, 4, 6, 3)).astype("float32")
    layer = EqualizedConv2D(5, 3, resample=resample, fused=fused, activation="relu")
    out = layer(x)
    assert out.shape == shape == layer.compute_output_shape(x.shape)
    assert layer.compute_output_shape((None, None, None, 3)) == (None, None, None, 5)
    layer.bias.assign([-0.1, 0.2, 0.3, 0.4, 0.5])
    kernel, big = layer.kernel, x
    if resample == "up":
        big = np.repeat(np.repeat(x, 2, 1), 2, 2)
    found = tf.nn.conv2d(big, kernel, 1, "SAME").numpy()
    if resample == "down":
        found = found.reshape(2, 2, 2, 3, 2, 5).mean((2, 4))
    np.testing.assert_allclose(layer(x), np.maximum(found + layer.bias.numpy(), 0), atol=2e-6)


def test_pooling_precedes_the_activation():
    """[1, -3, 2, -4] has mean -1, of which the leaky rectifier makes -.2; the other order gives .4."""
    for fused in (True, False):
        layer = EqualizedConv2D(1, 1, resample="down", fused=fused, gain=1.0, activation=lambda x: tf.nn.leaky_relu(x, 0.2))
        layer.build((None, 2, 2, 1))
        layer.raw_weight.assign(tf.ones([1, 1, 1, 1]))
        np.testing.assert_allclose(layer(np.float32([1, -3, 2, -4]).reshape(1, 2, 2, 1)).numpy().ravel(), [-0.2], atol=1e-6)


def test_saving_and_mixed_precision(tmp_path):
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype("float32")
    model = keras.Sequential([
        keras.Input((4, 4, 3)), EqualizedConv2D(4, 3, resample="down", gain=0.5), keras.layers.Flatten(),
        EqualizedDense(2, lrmul=0.1),
    ])  # fmt: skip
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), model(x))
    mixed = EqualizedConv2D(4, 3, resample="up", dtype="mixed_bfloat16")
    out = mixed(x)
    assert out.dtype == tf.bfloat16 and mixed.raw_weight.dtype == "float32"
    plain = EqualizedConv2D(4, 3, resample="up")
    plain.build(x.shape)
    plain.set_weights(mixed.get_weights())
    np.testing.assert_allclose(tf.cast(out, tf.float32), plain(x), atol=0.05)


@pytest.mark.parametrize("wrong, what", [
    ({"gain": 0}, "gain must be .* > 0; received 0"), ({"lrmul": -1.0}, "lrmul must be .* > 0; received -1.0"),
    ({"resample": "sideways"}, "'up' or 'down'; received 'sideways'"), ({"resample": "up", "strides": 2}, "needs an odd"),
    ({"resample": "down", "kernel_size": 4}, r"received \(4, 4\)"), ({"resample": "up", "padding": "valid"}, "'valid'"),
])  # fmt: skip
def test_wrong_arguments(wrong, what):
    with pytest.raises(ValueError, match=what):
        EqualizedConv2D(**{"filters": 4, "kernel_size": 3, **wrong})
