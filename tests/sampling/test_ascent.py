"""`ascend` against closed forms, and what it promises of rows, seeds, steps and weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import random
from tfgen.sampling import ascend

CURVES, OPTIMUM = np.array([1.0, 0.5, 0.1]), np.array([0.3, -2.0, 5.0])


def quadratic(codes, step):
    """-sum c (x - x*)^2 / 2, whose gradient is -c (x - x*)."""
    return -0.5 * tf.reduce_sum(tf.constant(CURVES, tf.float32) * (codes - tf.constant(OPTIMUM, tf.float32)) ** 2, axis=1)


def linear(codes, step):
    return tf.reduce_sum(codes, axis=1)


def none(codes, step):
    return 0.0 * tf.reduce_sum(codes, axis=1)


def test_plain_steps_follow_the_closed_form():
    start = np.array([[0.0, 0.0, 0.0], [1.0, -3.0, 2.0]])
    found = ascend(quadratic, start, steps=30, rate=0.4, record=True)
    powers = (1.0 - 0.4 * CURVES) ** np.arange(31)[:, None]  # [31, 3]
    path = OPTIMUM + (start[:, None] - OPTIMUM) * powers
    np.testing.assert_allclose(found.path, path, atol=1e-5)
    np.testing.assert_allclose(found.objective, -0.5 * np.sum(CURVES * (path - OPTIMUM) ** 2, axis=-1), atol=1e-4)
    np.testing.assert_array_equal(found.codes, found.path[:, -1])
    assert ascend(quadratic, start, steps=500, rate=0.4).codes.numpy() == pytest.approx(np.stack([OPTIMUM] * 2), abs=1e-4)


def test_normalized_steps_and_what_comes_after_them():
    direction, start = tf.constant([[3.0, -1.0, 0.0, 4.0]]), tf.constant([[0.2, 0.1, 5.0, 29.5]])
    bound = tf.constant([[1.0, 1.0, 4.0, 20.0]])

    def moved(**settings):
        return ascend(lambda x, _: tf.reduce_sum(direction * x, axis=1), start, steps=1, rate=0.5, rule="normalized",
                      **settings).codes.numpy()  # fmt: skip

    np.testing.assert_allclose(moved() - start, [[0.75, -0.25, 0.0, 1.0]], atol=1e-5)
    np.testing.assert_allclose(moved(after=lambda x, _: tf.clip_by_value(x, 0.0, 30.0)), [[0.95, 0.0, 5.0, 30.0]], atol=1e-6)
    shrunk = moved(after=lambda x, _: 0.99 * tf.clip_by_value(x, 0.0, bound))
    np.testing.assert_allclose(shrunk, [[0.9405, 0.0, 3.96, 19.8]], atol=1e-5)


def test_normalized_steps_of_images_have_the_size_of_the_rate_or_0():
    start = tf.constant(np.random.default_rng(0).normal(size=(3, 4, 4, 2)), tf.float32)
    found = ascend(lambda x, _: tf.reduce_sum(x**3, axis=[1, 2, 3]), start, steps=1, rate=0.1, rule="normalized")
    np.testing.assert_allclose(np.abs(found.codes - start).mean(axis=(1, 2, 3)), 0.1, rtol=1e-3)
    np.testing.assert_array_equal(ascend(none, start[:, 0, 0], steps=5, rate=0.1, rule="normalized").codes, start[:, 0, 0])


def test_adam_against_the_formulas_of_its_paper():
    x, mean, square = np.zeros(3), np.zeros(3), np.zeros(3)
    for t in range(1, 21):
        gradient = -CURVES * (x - OPTIMUM)
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        x = x + 0.05 * (mean / (1 - 0.9**t)) / (np.sqrt(square / (1 - 0.999**t)) + 1e-8)
    found = ascend(quadratic, tf.zeros([2, 3]), steps=20, rate=0.05, rule="adam")
    np.testing.assert_allclose(found.codes, np.stack([x, x]), atol=1e-5)


def test_variance_of_a_chain_with_a_linear_prior():
    """h <- h + .5 (.8 h - h) + .1 n has the variance .01 / (1 - .9^2)."""
    found = ascend(none, tf.zeros([5000, 2]), steps=60, rate=1.0, drift=lambda h, _: 0.5 * (0.8 * h - h), noise=0.1,
                   seeds=tf.range(5000), record=True)  # fmt: skip
    late = found.path[:, -2:].numpy()
    assert np.var(late[:, -1]) == pytest.approx(0.0526315789, rel=0.06)
    assert np.mean(late[:, 0] * late[:, 1]) / np.var(late[:, 0]) == pytest.approx(0.9, abs=0.03)


def test_variance_of_langevin_steps_on_a_normal_density():
    """x <- x + eps^2/2 d log p + eps n with eps = 1: variance 1 / (1 - eps^2/4)."""
    found = ascend(lambda x, _: -0.5 * tf.reduce_sum(x**2, axis=1), tf.zeros([5000, 2]), steps=30, rate=0.5, noise=2.0,
                   seeds=tf.range(5000))  # fmt: skip
    assert np.var(found.codes) == pytest.approx(4 / 3, rel=0.06)


def test_rate_and_noise_are_functions_of_the_step():
    def falling(step):
        return 8.0 + (1e-10 - 8.0) * tf.cast(step.index, tf.float32) / 200.0

    path = ascend(linear, tf.zeros([2, 1]), steps=200, rate=falling, record=True).path[0, :, 0].numpy().astype("float64")
    np.testing.assert_allclose(np.diff(path)[[0, 100, 199]], [8.0, 4.0, 0.04], atol=1e-3)
    noise = ascend(none, tf.zeros([2, 1]), steps=4, rate=1.0, noise=lambda s: tf.where(s.index < 2, 1.0, 0.0), seeds=[1, 2],
                   record=True).path[..., 0].numpy()  # fmt: skip
    assert np.all(np.diff(noise)[:, :2] != 0.0) and np.all(np.diff(noise)[:, 2:] == 0.0)


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(3)
    layers = [keras.layers.Dense(8, "tanh"), keras.layers.BatchNormalization(), keras.layers.Dense(1)]
    network = keras.Sequential([keras.Input((3,)), *layers])
    network.layers[1].moving_mean.assign(np.linspace(-0.5, 0.5, 8))
    return network


def chain(network, seeds, steps, rule):
    """A chain with everything that depends on seeds: start, noise, jitter of the objective."""

    def objective(codes, step):
        return network(codes + 0.01 * random.normal(step.keys, 3), training=False)[:, 0]

    start = random.normal(random.key(seeds), 3)
    return ascend(objective, start, steps=steps, rate=0.1, rule=rule, drift=lambda h, _: -0.1 * h, noise=0.05, seeds=seeds,
                  after=lambda h, _: tf.clip_by_value(h, -2.0, 2.0))  # fmt: skip


@pytest.fixture(scope="module", params=["plain", "normalized", "adam"])
def graph(request, network):
    """`chain` as one graph: seeds [B], steps [B] -> `Ascent`."""
    specs = [tf.TensorSpec([None], tf.int64), tf.TensorSpec([None], tf.int32)]
    return tf.function(lambda seeds, steps: chain(network, seeds, steps, request.param), input_signature=specs)


def test_a_row_depends_only_on_its_seed(graph):
    seeds, order = tf.constant([5, 2**40, -1, 7, 8], tf.int64), [3, 0, 4]
    whole, part = graph(seeds, [20] * 5), graph(tf.gather(seeds, order), [20] * 3)
    np.testing.assert_allclose(part.codes, tf.gather(whole.codes, order), atol=1e-5)
    np.testing.assert_allclose(part.objective, tf.gather(whole.objective, order), atol=1e-5)
    np.testing.assert_array_equal(graph(seeds, [20] * 5).codes, whole.codes)
    others = graph(seeds + 1, [20] * 5)
    assert np.all(np.any(others.codes.numpy() != whole.codes.numpy(), axis=1))


def test_a_row_makes_its_own_number_of_steps(graph):
    seeds = tf.constant([5, 6, 7], tf.int64)
    found = graph(seeds, [0, 4, 9])
    assert found.objective.shape == (3, 10)
    for row, steps in enumerate((0, 4, 9)):
        alone = graph(seeds[row : row + 1], [steps])
        assert alone.objective.shape == (1, steps + 1)
        np.testing.assert_allclose(found.codes[row], alone.codes[0], atol=1e-5)
        np.testing.assert_allclose(found.objective[row, : steps + 1], alone.objective[0], atol=1e-5)
        np.testing.assert_allclose(found.objective[row, steps:], float(alone.objective[0, -1]), atol=1e-5)


def test_the_same_outside_of_a_graph_and_no_weight_changes(network, graph, request):
    before, seeds = [v.numpy() for v in network.variables], tf.constant([5, 6, 7], tf.int64)
    rule = request.node.callspec.params["graph"]
    eager = chain(network, seeds, 9, rule)
    assert eager.objective.shape == (3, 10) and eager.path is None
    np.testing.assert_allclose(eager.codes, graph(seeds, [9] * 3).codes, atol=1e-5)
    for variable, value in zip(network.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_errors():
    start = tf.zeros([3, 2])
    with pytest.raises(ValueError, match="rule must be one of plain, normalized, adam; received 'sgd'"):
        ascend(linear, start, steps=1, rate=0.1, rule="sgd")
    with pytest.raises(ValueError, match="steps must be at least 0; received -1"):
        ascend(linear, start, steps=-1, rate=0.1)
    with pytest.raises(ValueError, match="noise needs seeds"):
        ascend(linear, start, steps=1, rate=0.1, noise=0.1)
    with pytest.raises(ValueError, match=r"one value for each row, \[B\]; received the shape \(\)"):
        ascend(lambda x, _: tf.reduce_mean(x), start, steps=1, rate=0.1)
    with pytest.raises(ValueError, match="does not depend on the codes"):
        ascend(lambda x, _: tf.ones([3]), start, steps=1, rate=0.1)


def test_values_that_are_not_finite_are_refused():
    def log(codes, step):
        return tf.math.log(codes[:, 0])  # NaN below 0

    start = tf.constant([[1.0], [0.35], [1.0]])
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"NaN or infinite \(is the rate too large\?\).* \[1\] \[4\]"):
        ascend(log, start, steps=10, rate=0.0, after=lambda x, _: x - 0.1 * tf.cast(start < 0.5, tf.float32))
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"NaN or infinite.* \[3\] \[5\]"):
        ascend(lambda x, _: tf.tanh(x[:, 0]), start, steps=5, rate=1.0, drift=lambda x, _: 1e38 + 0.0 * x)
