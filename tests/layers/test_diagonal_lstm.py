import numpy as np
import pytest
import tensorflow as tf

from tests.layers.test_row_lstm import built, inputs, numpy_lstm
from tfgen.layers.diagonal_lstm import DiagonalBiLSTM, skew, unskew


@pytest.mark.parametrize("height, width", [(1, 4), (4, 1), (3, 5), (5, 3)])
def test_skew_moves_row_i_by_i(height, width):
    x = inputs(2, height, width, 3)
    skewed = skew(x).numpy()
    assert skewed.shape == (2, height, width + height - 1, 3)
    for i in range(height):
        np.testing.assert_array_equal(skewed[:, i, i : i + width], x[:, i])
        assert not skewed[:, i, :i].any() and not skewed[:, i, i + width :].any()
    np.testing.assert_array_equal(unskew(skewed), x)


def numpy_direction(x, weights, direction):
    """One direction by a loop over the pixels of x [H, W, C], before it is moved down."""
    name = ("rightward", "leftward")[direction]
    kernel, (h0, c0) = weights["state_kernel"][direction], weights["initial"][:, direction]
    n = len(h0)
    found = np.zeros([*x.shape[:2], n])
    for i in range(len(x)):
        h, c = h0, c0
        for j in range(x.shape[1]):
            above = found[i - 1, j] if i else np.zeros(n)
            gates = x[i, j] @ weights[f"{name}_kernel"][0, 0] + weights[f"{name}_bias"]
            h, c = numpy_lstm(gates + above @ kernel[:n] + h @ kernel[n:], c)
            found[i, j] = h
    return found


def test_equals_a_loop_over_pixels():
    layer, x = built(DiagonalBiLSTM(2), 3), inputs(2, 3, 4, 3)
    weights = {weight.path.split("/", 1)[-1].replace("/", "_"): weight.numpy() for weight in layer.trainable_variables}
    for image, found in zip(x, layer(x).numpy(), strict=True):
        leftward = numpy_direction(image[:, ::-1], weights, 1)[:, ::-1]
        expected = numpy_direction(image, weights, 0) + np.concatenate([np.zeros([1, 4, 2]), leftward[:-1]])
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_one_layer_depends_on_exactly_the_earlier_pixels():
    """By the gradients of all 20 pixels, one copy of the image for each."""
    layer, x = built(DiagonalBiLSTM(2), 1), tf.constant(np.repeat(inputs(1, 4, 5, 1), 20, axis=0))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reduce_sum(tf.linalg.diag_part(tf.reshape(tf.reduce_sum(layer(x), axis=-1), [20, 20])))
    seen = tape.gradient(y, x).numpy().reshape(20, 20) != 0.0
    np.testing.assert_array_equal(seen, np.tri(20, dtype=bool))


def test_graph_does_not_grow_with_the_image():
    layer = built(DiagonalBiLSTM(2), 1)
    graphs = [tf.function(layer).get_concrete_function(tf.TensorSpec([2, n, n, 1])).graph for n in (3, 9)]
    assert len(graphs[0].get_operations()) == len(graphs[1].get_operations())


def test_condition_is_added_to_the_gates_of_both_directions():
    layer, x = built(DiagonalBiLSTM(2, condition_channels=3), 1), inputs(2, 3, 4, 1)
    vector = inputs(2, 3)
    as_map = np.tile(vector[:, None, None], [1, 3, 4, 1])
    np.testing.assert_allclose(layer(x, vector), layer(x, as_map), atol=1e-6)
    as_map[:, 1, 2] += 1.0
    # A vector and its map go through other kernels: equal up to rounding.
    changed = np.any(np.abs(layer(x, as_map).numpy() - layer(x, vector).numpy()) > 1e-5, axis=(0, -1))
    np.testing.assert_array_equal(changed, [[0, 0, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1]])


@pytest.mark.parametrize("args", [{"filters": 0}, {"filters": 2, "condition_channels": -1}])
def test_bad_arguments(args):
    with pytest.raises(ValueError, match="received"):
        DiagonalBiLSTM(**args)
