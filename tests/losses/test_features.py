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


@pytest.mark.parametrize("scales, layers, factor", [(1, 4, 1.0), (2, 4, 0.5), (3, 4, 1 / 3), (1, 3, 4 / 3), (2, 3, 2 / 3),
                                                    (3, 3, 4 / 9), (1, 2, 2.0), (2, 2, 1.0), (3, 2, 2 / 3)])  # fmt: skip
def test_matching_at_several_scales(scales, layers, factor):
    """4 / (layers scales) of each map; maps of different sizes count the same."""
    zeros = [[tf.zeros([2, 8 - i, 8 - j, 3]) for j in range(layers)] for i in range(scales)]
    assert float(losses.multi_scale_feature_matching(zeros, zeros)) == 0.0
    ones = [[tf.ones_like(one) for one in maps] for maps in zeros]
    assert float(losses.multi_scale_feature_matching(zeros, ones)) == pytest.approx(4.0)
    changed = [list(maps) for maps in zeros]
    changed[-1][0] = -ones[-1][0]
    assert float(losses.multi_scale_feature_matching(changed, zeros)) == pytest.approx(factor)


def test_matching_pulls_the_fakes_alone_and_compares_pairs():
    real, fake = tf.Variable([[1.0], [3.0]]), tf.Variable([[3.0], [1.0]])
    with tf.GradientTape() as tape:
        loss = losses.multi_scale_feature_matching([[real]], [[fake]])
    assert float(loss) == 8.0  # the means of both batches are equal
    of_real, of_fake = tape.gradient(loss, [real, fake])
    assert of_real is None and of_fake.numpy().ravel().tolist() == [2.0, -2.0]
    for wrong in ([], [[]], [[real], [real]], [[real[:, 0]]]):
        with pytest.raises(ValueError, match="must have the same scales, layers and shapes"):
            losses.multi_scale_feature_matching(wrong, [[fake]] if wrong else [])


# ---- of a frozen network


def test_the_weights_of_layers_are_those_of_pix2pix_hd():
    """1/32, 1/16, 1/8, 1/4, 1 for the five layers of VGG; no gradient to the real features."""
    zeros = [tf.zeros([2, 3, 3, 4])] * 5
    for layer, weight in enumerate((1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)):
        other = [zeros[0] + float(i == layer) for i in range(5)]
        assert float(losses.perceptual_distance(zeros, other)) == pytest.approx(weight)
    assert float(losses.perceptual_distance(zeros[:1], [zeros[0] - 2.0])) == 2.0
    real, fake = tf.Variable(tf.zeros([2, 4])), tf.Variable(tf.ones([2, 4]))
    with tf.GradientTape() as tape:
        loss = losses.perceptual_distance([real], [fake])
    to_real, to_fake = tape.gradient(loss, [real, fake])
    assert to_real is None
    np.testing.assert_allclose(to_fake, np.full([2, 4], 1 / 8))
    for wrong in ([], [tf.zeros([2, 3])], [real, real]):
        with pytest.raises(ValueError, match="same layers and shapes"):
            losses.perceptual_distance(wrong, [fake] if wrong else [])
