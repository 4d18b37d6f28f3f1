import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.layers import Blur2D


def impulse(row, column):
    x = np.zeros((1, 4, 4, 1), "float32")
    x[0, row, column] = 1
    return Blur2D()(x)[0, :, :, 0].numpy()


def test_golden_impulses():
    corner, edge = impulse(0, 0), impulse(0, 1)
    np.testing.assert_allclose(corner[:2, :2], [[0.25, 0.125], [0.125, 0.0625]])
    assert corner.sum() == pytest.approx(0.5625) and edge.sum() == pytest.approx(0.75)
    np.testing.assert_allclose(edge[:2], [[0.125, 0.25, 0.125, 0], [0.0625, 0.125, 0.0625, 0]])
    assert impulse(1, 1).sum() == pytest.approx(1)


def test_borders_are_zero_and_channels_apart():
    ones = Blur2D()(np.ones((2, 4, 5, 3), "float32")).numpy()
    assert np.all(ones[:, 0, 0] == 0.5625) and np.all(ones[:, 0, 1:-1] == 0.75) and np.all(ones[:, 1:-1, 1:-1] == 1)
    x = np.random.default_rng(0).normal(size=(2, 4, 5, 3)).astype("float32")
    kernel = np.outer([1, 2, 1], [1, 2, 1]) / 16
    depthwise = tf.nn.depthwise_conv2d(x, np.tile(kernel[..., None, None], (1, 1, 3, 1)).astype("float32"), [1] * 4, "SAME")
    np.testing.assert_allclose(Blur2D()(x), depthwise, atol=1e-6)


def test_saving_mixed_precision_and_wrong_shapes(tmp_path):
    model = keras.Sequential([keras.Input((4, 4, 2)), Blur2D()])
    model.save(tmp_path / "model.keras")
    x = np.random.default_rng(0).random((1, 4, 4, 2)).astype("float32")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras")(x), model(x))
    assert Blur2D(dtype="mixed_bfloat16")(x).dtype == tf.bfloat16 and not model.weights
    with pytest.raises(ValueError, match="needs maps"):
        Blur2D()(np.ones((4, 3)))
