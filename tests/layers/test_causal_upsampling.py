"""Transposed causal convolutions: their formula, and that they, with strides, are the same step by step."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.layers.causal import CausalConv2D, RowConv2D
from tfgen.layers.causal_upsampling import (
    CausalConv2DTranspose,
    RowConv2DTranspose,
    WeightNormCausalConv2DTranspose,
    WeightNormRowConv2DTranspose,
)
from tfgen.sampling.cached import Whole, scan


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


@pytest.mark.parametrize("layer", [CausalConv2DTranspose, RowConv2DTranspose])
def test_formula(layer):
    x, made = noise(2, 3, 4, 5), layer(6)
    made(x)
    made.kernel.assign(noise(*made.kernel.shape, seed=1))
    made.bias.assign(noise(6, seed=2))
    columns, w = made.columns, made.kernel.numpy()
    expected = np.tile(made.bias.numpy(), [2, 6, 8, 1])
    for i, j, a, b in np.ndindex(3, 4, 2, columns):
        at = 2 * j + b - (columns - 2)  # the row-level kernel reaches one column to the left
        if at >= 0:
            expected[:, 2 * i + a, at] += x[:, i, j] @ w[a, b]
    np.testing.assert_allclose(made(x), expected, rtol=1e-5, atol=1e-5)


def pyramid(halvings, channels, weight_norm=False):
    """A network of strided and transposed convolutions of both kinds, `halvings` deep; causal through masks A."""
    row_up = WeightNormRowConv2DTranspose if weight_norm else RowConv2DTranspose
    up = WeightNormCausalConv2DTranspose if weight_norm else CausalConv2DTranspose
    first = CausalConv2D(4, above=1, left=1, mask="A")
    down_v = [CausalConv2D(4, above=1, left=1, strides=2) for _ in range(halvings)]
    down_u = [RowConv2D(4, (2, 3), strides=2) for _ in range(halvings)]
    up_u, up_v = ([kind(4) for _ in range(halvings)] for kind in (row_up, up))

    def network(x, scope):
        scopes = [scope]
        u, v = scope.below(x, channels), first(x, scope=scope)
        for i in range(halvings):
            u, v = down_u[i](u, scope=scopes[-1]), down_v[i](v, scope=scopes[-1])
            scopes.append(scopes[-1].half())
        for i in range(halvings):
            here = scopes[-2 - i]
            u, v = up_u[i](u, scope=here), up_v[i](v, scope=here)
        u = scope.across(u, 4)
        return scope.pixels(lambda: tf.concat([u, tf.tanh(v)], axis=-1))

    return network


@pytest.mark.parametrize(
    "halvings, shape, weight_norm",
    [(1, (4, 6, 1), False), (1, (6, 4, 3), True), (2, (8, 12, 2), False),
     pytest.param(3, (16, 8, 1), True, marks=pytest.mark.long)],
)
def test_step_by_step_is_the_whole(halvings, shape, weight_norm):
    keras.utils.set_random_seed(0)
    image, network = tf.constant(noise(3, *shape)), pyramid(halvings, shape[-1], weight_norm)
    expected = network(image, Whole())
    found = tf.function(
        lambda: scan(
            network, lambda parameters, pixel, channel, row, column: image[:, row, column], batch=3, shape=shape, passes=1,
            prepare=tf.identity, keep_parameters=True,
        )
    )  # fmt: skip
    drawn, parameters = found()
    np.testing.assert_array_equal(drawn, image)
    np.testing.assert_allclose(parameters, expected, atol=1e-5)
    assert np.all(np.std(expected, axis=(0, 1, 2)) > 1e-3)


@pytest.mark.parametrize("layer", [WeightNormCausalConv2DTranspose, WeightNormRowConv2DTranspose])
def test_weight_norm_is_over_all_inputs_of_an_output(layer):
    made = layer(3)
    made(noise(1, 2, 2, 4))
    made.scale.assign([1.0, -2.0, 0.5])
    np.testing.assert_allclose(np.sqrt(np.sum(np.square(made.kernel), axis=(0, 1, 2))), [1.0, 2.0, 0.5], rtol=1e-5)
