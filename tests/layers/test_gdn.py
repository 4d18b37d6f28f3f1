import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.layers.gdn import GDN, lower_bound, to_raw


def maps(scale=1.0, channels=3):
    return (scale * np.random.default_rng(0).normal(size=(2, 4, 5, channels))).astype("float32")


def built(beta, gamma, **kwargs):
    layer = GDN(**kwargs)
    layer.build((None, None, None, len(beta)))
    layer.raw_beta.assign(to_raw(tf.constant(beta, tf.float32)))
    layer.raw_gamma.assign(to_raw(tf.constant(gamma, tf.float32)))
    return layer


def test_formula():
    beta, gamma = np.array([0.5, 1.0, 2.0]), np.random.default_rng(1).uniform(0, 1, (3, 3))
    x = maps().astype("float64")
    norm = np.sqrt(beta + np.einsum("bhwj,ji->bhwi", x**2, gamma))
    np.testing.assert_allclose(built(beta, gamma)(maps()), x / norm, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(built(beta, gamma, inverse=True)(maps()), x * norm, rtol=1e-5, atol=1e-6)


def test_without_gamma_it_is_a_gain():
    for inverse, power in ((False, -0.5), (True, 0.5)):
        np.testing.assert_allclose(built(np.ones(3), np.zeros((3, 3)), inverse=inverse)(maps()), maps(), rtol=1e-6)
        scaled = built(np.full(3, 4.0), np.zeros((3, 3)), inverse=inverse)(maps())
        np.testing.assert_allclose(scaled, maps() * 4.0**power, rtol=1e-6)


def test_large_responses_saturate():
    gamma = np.diag([0.25, 1.0, 4.0])
    out = built(np.ones(3), gamma)(1e4 * np.sign(maps()).astype("float32"))
    np.testing.assert_allclose(np.abs(out), np.broadcast_to([2.0, 1.0, 0.5], out.shape), rtol=1e-5)


def test_inverse_to_first_order():
    errors = []
    for small in (1e-2, 5e-3):
        gamma = np.full((3, 3), small)
        out = built(np.ones(3), gamma, inverse=True)(built(np.ones(3), gamma)(maps()))
        errors.append(np.abs(out - maps()).max())
    assert errors[0] < 2e-2 and errors[1] < 0.3 * errors[0]  # the error is of the second order


def test_start_and_bounds():
    layer = GDN()
    layer.build((None, None, None, 3))
    np.testing.assert_allclose(layer.beta, np.ones(3), rtol=1e-6)
    np.testing.assert_allclose(layer.gamma, 0.1 * np.eye(3), atol=1e-6)
    layer.raw_beta.assign([-1.0, 0.0, 2.0])
    layer.raw_gamma.assign(-tf.ones([3, 3]))
    np.testing.assert_allclose(layer.beta, [1e-6, 1e-6, 4.0], rtol=1e-4)
    assert np.all(layer.gamma.numpy() >= 0) and np.isfinite(layer(maps(1e3))).all()


def test_lower_bound_passes_gradients_that_raise_the_value():
    x = tf.constant([-1.0, -1.0, 1.0, 1.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        out = lower_bound(x, 0.0) * [1.0, -1.0, 1.0, -1.0]
    np.testing.assert_array_equal(tf.abs(out), [0, 0, 1, 1])
    np.testing.assert_array_equal(tape.gradient(out, x), [0.0, -1.0, 1.0, -1.0])


def test_wrong_inputs():
    with pytest.raises(ValueError, match=r"received shape \(3, 4\)"):
        GDN()(np.ones((3, 4), "float32"))
    with pytest.raises(ValueError, match="gamma_init"):
        GDN(gamma_init=-1.0)


def test_saving_and_mixed_precision(tmp_path):
    model = keras.Sequential([keras.Input([4, 5, 3]), GDN(inverse=True, gamma_init=0.3)])
    model.layers[0].raw_beta.assign([1.0, 2.0, 3.0])
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras")(maps()), model(maps()))
    out = GDN(dtype="mixed_bfloat16")(maps())
    assert out.dtype == tf.bfloat16
    np.testing.assert_allclose(tf.cast(out, tf.float32), GDN()(tf.cast(tf.cast(maps(), tf.bfloat16), tf.float32)), rtol=1e-2)
