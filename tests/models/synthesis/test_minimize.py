"""L-BFGS of many codes, and the free variables of bounded codes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import random
from tfgen.models import DCGAN, SNGAN
from tfgen.models.synthesis.parts.latent_generator import LatentGenerator
from tfgen.models.synthesis.parts.minimize import minimize

CURVATURE = tf.constant([1.0, 10.0, 100.0])


def quadratic(x):
    """Its minimum is -.555, at [1, .1, .01]."""
    return tf.reduce_sum(0.5 * CURVATURE * x**2 - x, axis=1)


def test_a_quadratic_in_few_steps():
    """Rows of other starts change nothing; one row's cost is finite at its start alone, and there it stays."""

    def cost(x):
        x = tf.debugging.check_numerics(x, "asked for NaN")
        return tf.where(x[:, 0] > 5.0, tf.where(x[:, 0] == 9.0, x[:, 0], np.nan), quadratic(x))

    traced = tf.function(lambda start: minimize(cost, start, steps=5), reduce_retracing=True)
    traced.get_concrete_function(tf.TensorSpec([None, 3]))
    start = tf.constant([[0.0, 0, 0], [9.0, 0, 0], [2.0, -1, 0.5]])
    codes, costs = traced(start)
    np.testing.assert_allclose(codes[0], [1.0, 0.1, 0.01], atol=1e-4)
    np.testing.assert_allclose(tf.gather(costs, [0, 2]), [-0.555] * 2, atol=1e-3)
    np.testing.assert_array_equal(codes[1], start[1])
    assert float(costs[1]) == 9.0
    np.testing.assert_allclose(traced(start[2:])[0], codes[2:], atol=1e-5)


@pytest.mark.parametrize("factor", [1e-6, 1e-3, 1e3, 1e6])
def test_costs_of_any_unit(factor):
    """A mean over many pixels has a gradient of 1e-4, a sum over them one of 1e3; the way is the same."""
    start = tf.constant([[0.0, 0, 0], [2.0, -1, 0.5]])
    codes, costs = minimize(lambda x: factor * (quadratic(x) + 1.0), start, steps=10)
    np.testing.assert_allclose(codes, [[1.0, 0.1, 0.01]] * 2, atol=1e-3)
    np.testing.assert_allclose(costs / factor, [0.445] * 2, rtol=1e-5)


def test_no_steps():
    codes, costs = minimize(quadratic, tf.ones([1, 3]), steps=0)
    assert float(costs[0]) == pytest.approx(52.5) and np.all(codes == 1.0)


def network(size=3):
    return keras.Sequential([keras.Input((size,)), keras.layers.Dense(16, "sigmoid"), keras.layers.Reshape((4, 4, 1))])


def test_free_variables_of_bounded_codes():
    codes = LatentGenerator(network(8), (4, 4, 1), "uniform")
    given = tf.constant([[-0.99, -0.5, 0.0, 0.25, 0.5, 0.9, 0.99, 0.999]])
    expected = [-2.6466524124, -0.5493061443, 0, 0.2554128119, 0.5493061443, 1.4722194896, 2.6466524124, 2.6466524124]
    np.testing.assert_allclose(codes.to_free(given)[0], expected, rtol=1e-5)  # at most .99 of the bound
    np.testing.assert_allclose(codes.to_codes(codes.to_free(given[:, :7])), given[:, :7], atol=1e-6)
    wide = LatentGenerator(network(8), (4, 4, 1), "unit_uniform")
    np.testing.assert_allclose(wide.to_free(3**0.5 * given), codes.to_free(given), rtol=1e-4)
    np.testing.assert_allclose(wide.to_codes(tf.constant([50.0])), [3**0.5], rtol=1e-6)
    free = LatentGenerator(network(8), (4, 4, 1))
    assert free.bound is None and free.to_free(given) is given


def test_codes_are_those_of_the_sampler():
    gan = DCGAN(image_shape=(8, 8, 1), latent_dim=3, width=4)
    codes = LatentGenerator(gan, (8, 8, 1))
    drawn = codes.draw(random.fold(random.key(0), tf.range(500)))
    assert codes.bound == 1.0 and drawn.shape == (500, 3)
    assert -1.0 < tf.reduce_min(drawn) < -0.95 and abs(tf.reduce_mean(drawn)) < 0.05  # uniform
    np.testing.assert_array_equal(codes.decode(drawn[:2]), gan.decode_images(drawn[:2]))
    assert LatentGenerator(SNGAN(image_shape=(8, 8, 1), latent_dim=3, width=4), (8, 8, 1)).bound is None
