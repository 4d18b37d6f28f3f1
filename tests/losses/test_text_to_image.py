"""Losses of images from text against numbers computed by hand and closed forms."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tfgen.losses import augmentation_divergence, colour_consistency, matching_discriminator

MEAN, S = np.array([[0.5, -1.0], [0.0, 2.0]]), np.array([[0.0, 0.2], [-0.5, 0.1]])


def test_divergence():
    """S as ln stddev, as in the first StackGAN, and as ln variance, as in the second; the mean over all components."""
    assert float(augmentation_divergence(MEAN, S)) == pytest.approx(0.7163883621, abs=1e-9)
    assert float(augmentation_divergence(MEAN, 0.5 * S)) == pytest.approx(0.672888042, abs=1e-9)
    assert float(augmentation_divergence(MEAN[:1], S[:1])) == pytest.approx(0.3354561744, abs=1e-9)
    assert float(augmentation_divergence(np.zeros([3, 4]), np.zeros([3, 4]))) == 0.0


def test_terms_of_a_discriminator():
    logits = np.array([0.0, 2.0]), np.array([1.0, -1.0]), np.array([3.0, 0.0])
    wanted = [0.5 * (math.log(2) + math.log1p(math.exp(-2))), 0.5 * (math.log1p(math.e) + math.log1p(math.exp(-1))),
              0.5 * (math.log1p(math.exp(3)) + math.log(2))]  # fmt: skip
    np.testing.assert_allclose(matching_discriminator(*logits), wanted, atol=1e-9)
    wanted[1] = 0.5 * math.log1p(math.e)  # the second row is no mismatch
    np.testing.assert_allclose(matching_discriminator(*logits, np.array([1.0, 0.0])), wanted, atol=1e-9)


A = np.stack([[[0, 0.2], [0.4, 0.6]], [[1, 0.5], [-0.5, 0]]], axis=-1)[None]
B = np.stack([[[0.1, 0.1], [0.1, 0.5]], [[0.2, -0.2], [0, 0.4]]], axis=-1)[None]


def test_colours():
    assert float(colour_consistency(A, B, 0.0)) == pytest.approx(0.01625, abs=1e-9)
    assert 50 * float(colour_consistency(A, B)) == pytest.approx(7.256640625, abs=1e-7)
    assert float(colour_consistency(A, A)) == 0.0
    # Neither the order of the pixels nor their number counts.
    assert float(colour_consistency(A[:, ::-1], np.repeat(A, 2, axis=1))) == pytest.approx(0.0, abs=1e-12)
    two = float(colour_consistency(np.concatenate([A, A]), np.concatenate([B, A])))
    assert two == pytest.approx(7.256640625 / 100, abs=1e-9)


def test_no_gradient_goes_into_the_smaller_images():
    large, small = tf.Variable(A), tf.Variable(B)
    with tf.GradientTape() as tape:
        loss = colour_consistency(large, small)
    gradients = tape.gradient(loss, [large, small])
    assert np.any(gradients[0] != 0) and gradients[1] is None
