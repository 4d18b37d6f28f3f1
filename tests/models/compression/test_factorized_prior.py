"""Samples of the factorized prior."""

import numpy as np
import tensorflow as tf

from tests.models.compression.helpers import made


def test_samples_follow_the_entropy_model():
    model = made("factorized")
    latents = tf.reshape(model.latents(tf.range(500, dtype=tf.int64)), [-1, 4]).numpy()
    mass = np.exp(model.prior.log_prob(np.zeros((1, 4), "float32")))[0]
    np.testing.assert_allclose((latents == 0).mean(axis=0), mass, atol=0.05)
