"""Causal convolutions: their formula, what they see, and that they are the same step by step."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.layers.causal import (
    CausalConv2D,
    RowConv2D,
    WeightNormCausalConv2D,
    WeightNormRowConv2D,
    causal_mask,
    channel_groups,
)
from tfgen.sampling.cached import Whole, scan

CAUSAL = [
    {"above": 2, "left": 1, "right": 1, "mask": "A"},
    {"above": 1, "left": 2, "right": 2, "mask": "B", "groups": 3},
    {"above": 0, "left": 2, "mask": "A", "groups": 3, "blocks": 2},
    {"above": 1, "left": 1, "strides": 2},
]


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def made(layer, channels):
    """The layer with random weights, its biases too."""
    layer.build((None, None, None, channels))
    for i, weight in enumerate(layer.trainable_variables):
        weight.assign(noise(*weight.shape, seed=i))
    return layer


def test_groups_of_channels():
    np.testing.assert_array_equal(channel_groups(7, 3), [0, 0, 0, 1, 1, 2, 2])
    np.testing.assert_array_equal(channel_groups(6, 3, blocks=2), [0, 1, 2, 0, 1, 2])
    np.testing.assert_array_equal(channel_groups(3, 1), [0, 0, 0])
    for wrong in ((2, 3, 1), (7, 3, 2), (4, 3, 2)):
        with pytest.raises(ValueError, match="of at least 3 channels each are needed; received"):
            channel_groups(*wrong)


def test_masks_of_a_pixel_of_three_colours():
    colours = np.array([0, 1, 2])
    for kind, own in (("A", np.triu(np.ones([3, 3]), 1)), ("B", np.triu(np.ones([3, 3])))):
        mask = causal_mask(1, 1, 1, kind, colours, colours)
        assert mask.shape == (2, 3, 3, 3)
        np.testing.assert_array_equal(mask[0], np.ones([3, 3, 3]))  # the row above
        np.testing.assert_array_equal(mask[1, 0], np.ones([3, 3]))  # to the left
        np.testing.assert_array_equal(mask[1, 1], own)  # [in, out]: R -> G -> B
        np.testing.assert_array_equal(mask[1, 2], np.zeros([3, 3]))  # to the right


def sees(layer, row, column, source, target):
    """Whether the tap (row, column) leads from channel `source` to channel `target`: the definition, once more."""
    if row < layer.above or column < layer.left:
        return True
    before = source * layer.groups // layer.in_channels
    block = layer.filters // layer.blocks
    behind = target % block * layer.groups // block
    return column == layer.left and (before < behind or layer.mask == "B" and before == behind)


@pytest.mark.parametrize("settings", CAUSAL)
def test_formula(settings):
    layer, x = made(CausalConv2D(6, **settings), 3), noise(2, 4, 6, 3, seed=9)
    kernel, strides = layer.kernel.numpy(), layer.strides
    expected = np.tile(layer.bias.numpy(), [2, 4 // strides, 6 // strides, 1])
    for i, j, a, b, source, target in np.ndindex(*expected.shape[1:3], *kernel.shape):
        row, column = strides * i + a - layer.above, strides * j + b - layer.left
        if row >= 0 and 0 <= column < 6 and sees(layer, a, b, source, target):
            expected[:, i, j, target] += x[:, row, column, source] * kernel[a, b, source, target]
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("strides", [1, 2])
def test_formula_of_rows(strides):
    layer, x = made(RowConv2D(5, (2, 3), strides=strides), 3), noise(2, 4, 6, 3, seed=9)
    expected = np.tile(layer.bias.numpy(), [2, 4 // strides, 6 // strides, 1])
    for i, j, a, b in np.ndindex(*expected.shape[1:3], 2, 3):
        row, column = strides * i + a - 1, strides * j + b - 1
        if row >= 0 and 0 <= column < 6:
            expected[:, i, j] += x[:, row, column] @ layer.kernel.numpy()[a, b]
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("groups, blocks", [(1, 1), (3, 1), (3, 2)])
def test_step_by_step_is_the_whole(groups, blocks):
    """A pixel's own row by mask A and then B, the rows above by a convolution of rows; colours one after the other."""
    first = made(CausalConv2D(6, above=1, left=2, right=1, mask="A", groups=groups), 3)
    second = made(CausalConv2D(6, above=0, left=1, groups=groups, blocks=blocks), 6)
    rows = made(RowConv2D(6, (2, 3)), 3)

    def network(x, scope):
        above = scope.across(rows(scope.below(x, 3), scope=scope), 6)
        x = second(first(x, scope=scope), scope=scope)
        return scope.pixels(lambda: tf.reduce_prod(tf.split(x + above, blocks, axis=-1), axis=0))

    image = tf.constant(noise(2, 4, 5, 3, seed=9))

    def choose(parameters, pixel, channel, row, column):
        return tf.where(tf.range(3) <= channel, image[:, row, column], pixel) if groups == 3 else image[:, row, column]

    scanned = tf.function(
        lambda: scan(network, choose, batch=2, shape=(4, 5, 3), passes=groups, prepare=tf.identity, keep_parameters=True)
    )
    drawn, found = scanned()
    np.testing.assert_array_equal(drawn, image)
    np.testing.assert_allclose(found, network(image, Whole()), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("layer", [WeightNormCausalConv2D(3, above=1, left=1), WeightNormRowConv2D(3, (2, 3))])
def test_weight_norm_is_over_all_inputs_of_an_output(layer):
    layer.build((None, None, None, 4))
    layer.scale.assign([1.0, -2.0, 0.5])
    np.testing.assert_allclose(np.sqrt(np.sum(np.square(layer.kernel), axis=(0, 1, 2))), [1.0, 2.0, 0.5], rtol=1e-5)


def test_initial_kernels_are_those_of_the_inputs_that_are_seen():
    """Glorot's uniform, of variance 2 / (inputs + outputs): both are counted without the taps that the mask closes."""
    keras.utils.set_random_seed(0)
    layer = CausalConv2D(64, above=1, left=1, right=1, groups=1)
    layer.build((None, None, None, 48))
    taps = 3 + 2  # the last row ends at the pixel itself
    kernel = layer.kernel.numpy()
    limit = np.sqrt(6.0 / (taps * (48 + 64)))
    assert 0.99 * limit < np.abs(kernel).max() <= np.float32(limit)
    assert kernel.std() == pytest.approx(limit / 3**0.5, rel=0.02)
    assert not np.any(layer.bias)


@pytest.mark.parametrize(
    "layer",
    [CausalConv2D(6, use_bias=False, kernel_initializer="zeros", **CAUSAL[2]), RowConv2D(2, (2, 3), strides=2)],
)
def test_config_round_trip(layer):
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(twin) is type(layer) and twin.get_config() == layer.get_config()
    assert made(twin, 3)(noise(1, 4, 4, 3)).shape == made(layer, 3)(noise(1, 4, 4, 3)).shape


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: CausalConv2D(2, above=1, left=1, mask="C"), "mask must be 'A' or 'B'.*received 'C'"),
        (lambda: CausalConv2D(2, above=-1, left=1), "at least 0"),
        (lambda: CausalConv2D(2, above=1, left=1, strides=3), "strides 1 or 2"),
        (lambda: RowConv2D(2, (2, 2)), r"odd columns.*received \(2, 2\)"),
        (lambda: RowConv2D(2, (0, 3)), "received"),
        (lambda: RowConv2D(2, (1, 1), strides=3), "received"),
        (lambda: made(CausalConv2D(6, above=1, left=1, groups=3), 2), "at least 3 channels"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
