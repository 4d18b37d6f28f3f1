"""Averaged weights, on their own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.models import DCGAN
from tfgen.training import EMA


def test_ema_is_the_recursion_with_its_warm_up():
    variable = keras.Variable(np.array([1.0, -2.0], "float32"))
    other = keras.Variable(np.array([5.0], "float32"))
    ema, expected = EMA({"one": {"w": variable}, "two": {"v": other}}, decay=0.9), np.array([1.0, -2.0])
    for step in range(200):
        value = np.array([np.sin(step), step / 100], "float32")
        variable.assign(value)
        ema.update("one", tf.constant(step, tf.int64))
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
        if step == 100:
            other.assign([7.0])  # the shadows of the other group stay
    np.testing.assert_allclose(ema.named()["w"], expected, rtol=1e-5)
    np.testing.assert_array_equal(ema.named()["v"], [5.0])
    ema.update("two", tf.constant(0), moved=tf.constant(False))
    np.testing.assert_array_equal(ema.named()["v"], [5.0])
    ema.update("two", tf.constant(0), moved=tf.constant(True))
    np.testing.assert_allclose(ema.named()["v"], [0.1 * 5.0 + 0.9 * 7.0], rtol=1e-6)
    np.testing.assert_allclose(ema.named()["w"], expected, rtol=1e-5)


def test_ema_of_a_constant_stays_and_swapping_is_undone():
    model = DCGAN(image_shape=(8, 8, 1), width=4, stages=1, latent_dim=2)
    model.compile(ema_decay=0.99)
    names = [v.path for v in model.ema.variables]
    assert any("moving_variance" in name for name in names), "batch norm's moving statistics are averaged too"
    assert all("discriminator" not in name for name in names)
    live = [v.numpy() for v in model.ema.variables]
    for player in model.players():
        model.ema.update(player, tf.constant(5))
    for shadow, value in zip(model.ema.shadows, live, strict=True):
        np.testing.assert_allclose(shadow, value, rtol=1e-6)
    for shadow in model.ema.shadows:
        shadow.assign(tf.zeros_like(shadow.value))
    with pytest.raises(KeyError), model.ema.swapped():
        assert all(not np.any(v.numpy()) for v in model.ema.variables)
        with pytest.raises(RuntimeError, match="nested"), model.ema.swapped():
            pass
        raise KeyError
    for variable, value in zip(model.ema.variables, live, strict=True):
        np.testing.assert_array_equal(variable, value)
