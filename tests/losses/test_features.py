"""Feature matching."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen import losses


def features(seed, num=6):
    return tf.constant(np.random.default_rng(seed).normal(size=(num, 3, 4)), tf.float64)


@pytest.mark.parametrize("norm", ["squared", "absolute"])
def test_only_the_batch_means_count(norm):
    real = features(0)
    assert float(losses.feature_matching(real, tf.gather(real, [5, 2, 0, 1, 4, 3]), norm)) == pytest.approx(0.0, abs=1e-15)
    assert float(losses.feature_matching(real, tf.tile(tf.reduce_mean(real, 0, keepdims=True), [9, 1, 1]), norm)) < 1e-15
    assert float(losses.feature_matching(real, features(1), norm)) > 0.01


def test_closed_forms():
    real, fake = tf.constant([[0.0, 1.0], [2.0, 3.0]]), tf.constant([[3.0, 2.0]])  # means [1, 2] and [3, 2]
    assert float(losses.feature_matching(real, fake)) == 2.0
    assert float(losses.feature_matching(real, fake, "absolute")) == 1.0
    fake = tf.Variable(fake)
    with tf.GradientTape() as tape:
        loss = losses.feature_matching(real, fake)
    np.testing.assert_array_equal(tape.gradient(loss, fake), [[2.0, 0.0]])


def test_half_precision_features_are_averaged_in_float32():
    real, fake = tf.constant([[1.0], [0.0], [0.0]], tf.bfloat16), tf.zeros([3, 1], tf.bfloat16)
    assert float(losses.feature_matching(real, fake, "absolute")) == pytest.approx(1 / 3, rel=1e-6)


def test_wrong_input():
    with pytest.raises(ValueError, match="one of absolute, squared; received 'l2'"):
        losses.feature_matching(features(0), features(1), "l2")
    with pytest.raises(ValueError, match=r"received \(6, 3, 4\) and \(6, 1, 4\)"):
        losses.feature_matching(features(0), features(1)[:, :1])
