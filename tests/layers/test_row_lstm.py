import numpy as np
import pytest
import tensorflow as tf

from tfgen.layers.row_lstm import RowLSTM, unroll


def built(layer, channels, seed=0):
    layer.build((None, 5, 7, channels))
    rng = np.random.default_rng(seed)
    for weight in layer.trainable_variables:
        weight.assign(rng.normal(0.0, 0.5, weight.shape))
    return layer


def inputs(*shape):
    return np.random.default_rng(1).normal(size=shape).astype("float32")


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def numpy_lstm(gates, c):
    o, f, i, g = np.split(gates, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def test_equals_a_loop_over_pixels():
    layer, x = built(RowLSTM(2), 3), inputs(1, 3, 4, 3)
    weights = {weight.path.split("/", 1)[-1].replace("/", "_"): weight.numpy() for weight in layer.trainable_variables}
    of_input, of_state = weights["input_to_state_kernel"], weights["state_to_state_kernel"]
    h, c = np.tile(weights["initial"][:, None, None], [1, 5, 6, 1])  # row 0 is the one above the image
    h[:, [0, -1]] = 0.0  # beside the image
    for i in range(3):
        for j in range(4):
            gates = weights["input_to_state_bias"] + x[0, i, j] @ of_input[0, 1]
            gates = gates + (x[0, i, j - 1] @ of_input[0, 0] if j else 0.0)
            gates = gates + sum(h[i, j + k] @ of_state[0, k] for k in range(3))
            h[i + 1, j + 1], c[i + 1, j + 1] = numpy_lstm(gates, c[i, j + 1])
    np.testing.assert_allclose(layer(x)[0], h[1:4, 1:5], atol=1e-5)


def test_sees_a_triangle_above_and_what_is_left_in_its_rows():
    layer, x = built(RowLSTM(2), 1), tf.constant(inputs(1, 4, 9, 1))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reduce_sum(layer(x)[0, 3, 4])
    seen = tape.gradient(y, x).numpy()[0, ..., 0] != 0.0
    expected = np.zeros((4, 9), bool)
    for n in range(4):  # rows above; the input's own kernel adds one pixel to the left
        expected[3 - n, 4 - n - 1 : 4 + n + 1] = True
    np.testing.assert_array_equal(seen, expected)


def test_condition_is_added_to_the_gates():
    layer, x = built(RowLSTM(2, condition_channels=3), 1), inputs(2, 3, 4, 1)
    vector = inputs(2, 3)
    as_map = np.tile(vector[:, None, None], [1, 3, 4, 1])
    np.testing.assert_allclose(layer(x, vector), layer(x, as_map), atol=1e-6)
    as_map[:, 1, 2] += 1.0
    # A vector and its map go through other kernels: equal up to rounding.
    changed = np.any(np.abs(layer(x, as_map).numpy() - layer(x, vector).numpy()) > 1e-5, axis=(0, -1))
    np.testing.assert_array_equal(changed, [[0, 0, 0, 0], [0, 0, 1, 0], [0, 1, 1, 1]])


def test_one_round_for_each_row():
    """The graph does not grow with the image, and its loop has one round for each row."""
    layer = built(RowLSTM(2), 1)
    graphs = [tf.function(layer).get_concrete_function(tf.TensorSpec([2, rows, 4, 1])).graph for rows in (3, 9)]
    assert len(graphs[0].get_operations()) == len(graphs[1].get_operations())
    rounds = []
    unroll(lambda i, x, h, c: (rounds.append(1) or h + x, c), tf.ones([9, 2]), tf.zeros([2]), tf.zeros([2]))
    assert len(rounds) == 9


def test_unroll_stacks_the_states():
    found = unroll(lambda i, x, h, c: (h + x, c), tf.constant([[1.0], [2.0], [4.0]]), tf.zeros([1]), tf.zeros([1]))
    np.testing.assert_array_equal(found, [[1.0], [3.0], [7.0]])


@pytest.mark.parametrize(
    "args", [{"filters": 0}, {"filters": 2, "kernel_size": 2}, {"filters": 2, "condition_channels": -1}]
)
def test_bad_arguments(args):
    with pytest.raises(ValueError, match="received"):
        RowLSTM(**args)


def test_bad_conditions():
    with pytest.raises(ValueError, match="A condition must be given if and only if"):
        built(RowLSTM(2), 1)(inputs(1, 3, 4, 1), inputs(1, 3))
    with pytest.raises(ValueError, match="A condition must be given if and only if"):
        built(RowLSTM(2, condition_channels=3), 1)(inputs(1, 3, 4, 1))
    with pytest.raises(ValueError, match="at least 3 channels"):
        built(RowLSTM(2, groups=3), 3)
