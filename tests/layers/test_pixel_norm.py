import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.layers import PixelNormalization


@pytest.mark.parametrize("vector, expected", [
    ([3, -4, 0, 0], [1.2, -1.6, 0, 0]), ([1, 2, 3, 4], [0.36514837, 0.73029674, 1.09544511, 1.46059349]),
    ([1, 2, 2], [0.577350, 1.154701, 1.154701]), ([1e-4, 0], [0.81649658, 0]), ([0, 0], [0, 0]),
])  # fmt: skip
def test_golden_values(vector, expected):
    np.testing.assert_allclose(PixelNormalization()(np.float32([vector]))[0], expected, atol=1e-6)


def test_every_pixel_has_mean_square_1():
    maps = np.random.default_rng(0).normal(3.0, 5.0, size=(2, 3, 4, 6)).astype("float32")
    out = PixelNormalization()(maps).numpy()
    np.testing.assert_allclose((out**2).mean(-1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(PixelNormalization()(100 * maps), out, rtol=1e-5)


def test_mixed_precision_and_saving(tmp_path):
    x = np.float32([[300.0, -400.0, 0.0, 0.0]])
    out = PixelNormalization(dtype="mixed_float16")(x)  # the squares would overflow
    assert out.dtype == tf.float16
    np.testing.assert_allclose(out, [[1.2, -1.6, 0, 0]], atol=1e-2)
    model = keras.Sequential([keras.Input((4,)), PixelNormalization(0.5)])
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras")(x), model(x))
