"""Regularisers of weights and codes against golden vectors and invariances."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import losses

CODES = tf.constant([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0]], tf.float64)


def test_l2_leaves_biases_alone():
    kernel, bias = tf.Variable([[3.0, 4.0]]), tf.Variable([100.0])
    with tf.GradientTape() as tape:
        loss = losses.l2_regularizer([kernel, bias])
    assert float(loss) == 12.5
    np.testing.assert_array_equal(tape.gradient(loss, kernel), kernel)


@pytest.mark.parametrize(
    ("weight", "value", "gradient"),
    [
        ([[1, 2], [3, 4]], 242, [[132, 176], [44, 88]]),
        ([[1, 0, 2], [0, 1, -1]], 8, [[0, -8, 8], [-8, 0, -16]]),
        ([[1, 0, 2], [0, 1, -1], [1, 1, 0]], 12, [[4, -4, 8], [-4, 4, -16], [4, 4, 4]]),
    ],
)
def test_orthogonal_golden(weight, value, gradient):
    weight = np.array(weight, "float64")  # [outputs, rest]; a kernel is its transpose
    kernel, bias = tf.Variable(weight.T), tf.Variable([9.0, 9.0])
    with tf.GradientTape() as tape:
        loss = losses.REGULARIZERS["orthogonal"]([kernel, bias])
    assert float(loss) == pytest.approx(value)
    np.testing.assert_allclose(np.transpose(tape.gradient(loss, kernel)), gradient)


def test_orthogonal_of_convolutions():
    rng = np.random.default_rng(0)
    frame = np.linalg.qr(rng.normal(size=(18, 4)))[0] * [1.0, 2.0, 3.0, 0.0]  # orthogonal filters of any norm
    kernel = tf.Variable(frame.reshape(3, 3, 2, 4))
    assert float(losses.orthogonal_regularizer([kernel])) == pytest.approx(0.0, abs=1e-20)
    kernel.assign(rng.normal(size=kernel.shape))
    filters = kernel.numpy().reshape(18, 4).T
    expected = sum((filters[i] @ filters[j]) ** 2 for i in range(4) for j in range(4) if i != j)
    assert float(losses.orthogonal_regularizer([kernel])) == pytest.approx(expected)
    assert float(losses.orthogonal_regularizer([kernel, kernel])) == pytest.approx(2 * expected)


def test_regularizers_take_the_variables_of_a_half_precision_network():
    layer = keras.layers.Conv2D(3, 3, dtype="bfloat16")
    layer.build([None, 8, 8, 2])
    kernel = np.float32(layer.kernel)
    half = {name: regularizer(layer.trainable_variables) for name, regularizer in losses.REGULARIZERS.items()}
    for name, value in half.items():
        assert value.dtype == tf.float32
        assert float(value) == pytest.approx(float(losses.REGULARIZERS[name]([tf.Variable(kernel)])), rel=1e-6)


@pytest.mark.parametrize("name", sorted(losses.REGULARIZERS))
def test_no_kernels_is_an_error(name):
    with pytest.raises(ValueError, match="No kernel.*among the 1 variables received"):
        losses.REGULARIZERS[name]([tf.Variable([1.0])])


# ---- pulling away


def test_pulling_away_golden():
    assert float(losses.pulling_away(CODES)) == pytest.approx(1 / 3)  # squared cosines 0.5, 0, 0.5


def test_pulling_away_extremes_and_scale():
    one = np.random.default_rng(0).normal(size=(1, 6))
    assert float(losses.pulling_away(one * [[1.0], [2.0], [-3.0]])) == pytest.approx(1.0)
    assert float(losses.pulling_away(np.diag([1.0, 5.0, 0.1]))) == 0.0
    assert float(losses.pulling_away(CODES * [[3.0], [0.01], [1e4]])) == pytest.approx(1 / 3)  # one norm per row
    assert float(losses.pulling_away(tf.reshape(CODES, [3, 1, 2, 1]))) == pytest.approx(1 / 3)


def test_pulling_away_pushes_towards_orthogonality_and_survives_a_zero_code():
    codes = tf.Variable([[1.0, 0.2], [1.0, -0.1], [0.0, 0.0]])
    with tf.GradientTape() as tape:
        before = losses.pulling_away(codes)
    slope = tape.gradient(before, codes)
    assert np.isfinite(slope).all()
    codes.assign_sub(0.01 * slope)
    assert float(losses.pulling_away(codes)) < float(before)


def test_pulling_away_needs_two_codes():
    with pytest.raises(ValueError, match=r"N of at least 2; received shape \(1, 2\)"):
        losses.pulling_away(CODES[:1])
    with pytest.raises(ValueError, match=r"received shape \(2,\)"):
        losses.pulling_away(CODES[0])
    unknown = tf.function(losses.pulling_away, input_signature=[tf.TensorSpec([None, 2], tf.float64)])
    assert float(unknown(CODES)) == pytest.approx(1 / 3)
    with pytest.raises(tf.errors.InvalidArgumentError, match="at least 2 codes"):
        unknown(CODES[:1])


# ---- historical averaging


def test_running_mean_is_the_mean():
    values = np.random.default_rng(0).normal(size=(7, 3))
    mean = np.full(3, 123.0)
    for t, value in enumerate(values, start=1):
        mean = losses.running_mean(mean, value, t)
        np.testing.assert_allclose(mean, values[:t].mean(axis=0), rtol=1e-12)
    with pytest.raises(ValueError, match="at least 1; received 0"):
        losses.running_mean(mean, values[0], 0)


def test_historical_is_zero_at_the_first_step_and_pulls_to_a_constant_mean():
    variables = [tf.Variable([[1.0, 2.0]]), tf.Variable([3.0])]
    averages = [tf.Variable(tf.zeros_like(v)) for v in variables]
    first = [losses.running_mean(a, v, 1) for a, v in zip(averages, variables, strict=True)]
    assert float(losses.historical(variables, first)) == 0.0
    with tf.GradientTape() as tape:
        loss = losses.historical(variables, averages)
    assert float(loss) == 14.0
    slopes = tape.gradient(loss, variables + averages)
    np.testing.assert_array_equal(slopes[0], 2 * variables[0])
    assert slopes[2] is None and slopes[3] is None


@pytest.mark.parametrize("averages", [[tf.zeros([2])], [tf.zeros([1]), tf.zeros([2])]])
def test_historical_needs_one_average_for_each_variable(averages):
    with pytest.raises(ValueError, match="one average for each variable.*received"):
        losses.historical([tf.Variable([1.0, 2.0]), tf.Variable([3.0])], averages)
