"""Adversarial losses against golden vectors, closed forms and limits."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen import losses
from tfgen.losses.objectives import ebgan, logistic_discriminator

REAL, FAKE = tf.constant([1.5, -0.5, 2.0], tf.float64), tf.constant([-1.0, 0.3, 0.8], tf.float64)
GOLDEN = {  # name: (discriminator, generator)
    "non_saturating": (1.2137119570, 0.7462391993),
    "minimax": (1.2137119570, -0.7795725327),
    "least_squares": (0.8716666667, 0.7550000000),
    "wasserstein": (-0.9666666667, -0.0333333333),
    "hinge": (1.5333333333, -0.0333333333),
}


@pytest.mark.parametrize("name", sorted(losses.OBJECTIVES))
def test_golden_vectors(name):
    objective = losses.OBJECTIVES[name]
    assert float(objective.discriminator(REAL, FAKE)) == pytest.approx(GOLDEN[name][0], abs=1e-9)
    assert float(objective.generator(FAKE)) == pytest.approx(GOLDEN[name][1], abs=1e-9)


def test_energy_objective_and_one_sided_smoothing():
    assert float(ebgan(2.0).discriminator(tf.abs(REAL), tf.abs(FAKE))) == pytest.approx(2.6333333333, abs=1e-9)
    assert float(ebgan(2.0).generator(tf.abs(FAKE))) == pytest.approx(0.7, abs=1e-9)
    assert float(logistic_discriminator(REAL, FAKE, real_target=0.9)) == pytest.approx(1.3137119570, abs=1e-9)


def test_at_a_tie():
    zero = tf.zeros(4, tf.float64)
    expected = {"non_saturating": (2 * np.log(2), np.log(2)), "hinge": (2.0, 0.0), "minimax": (2 * np.log(2), -np.log(2))}
    for name, (discriminator, generator) in expected.items():
        assert float(losses.OBJECTIVES[name].discriminator(zero, zero)) == pytest.approx(discriminator)
        assert float(losses.OBJECTIVES[name].generator(zero)) == pytest.approx(generator)


def generator_gradient(name, logit):
    logit = tf.Variable([logit], dtype=tf.float64)
    with tf.GradientTape() as tape:
        loss = losses.OBJECTIVES[name].generator(logit)
    return float(tape.gradient(loss, logit)[0])


def test_why_the_generator_loss_is_the_non_saturating_one():
    # Where D is sure, the saturating gradient vanishes and the other does not; at a tie they agree.
    assert generator_gradient("non_saturating", -50.0) == pytest.approx(-1.0)
    assert generator_gradient("minimax", -50.0) == pytest.approx(0.0, abs=1e-20)
    assert generator_gradient("non_saturating", 0.0) == generator_gradient("minimax", 0.0) == -0.5


def test_logits_of_any_size_stay_finite():
    for objective in losses.OBJECTIVES.values():
        for value in (-1e4, 1e4):
            logits = tf.constant([value], tf.float32)
            assert np.isfinite(float(objective.discriminator(logits, -logits)))
            assert np.isfinite(float(objective.generator(logits)))


def test_best_logit_of_two_histograms_is_the_log_ratio():
    p, q = np.array([0.2, 0.3, 0.5]), np.array([0.6, 0.3, 0.1])
    logits = tf.Variable(np.log(p / q))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(p * tf.nn.softplus(-logits)) + tf.reduce_sum(q * tf.nn.softplus(logits))
    np.testing.assert_allclose(tape.gradient(loss, logits), 0.0, atol=1e-15)
    # The value there is 2 ln 2 - 2 JSD: the divergence that the generator minimises.
    m = (p + q) / 2
    jsd = (np.sum(p * np.log(p / m)) + np.sum(q * np.log(q / m))) / 2
    assert float(loss) == pytest.approx(2 * np.log(2) - 2 * jsd)


def images(seed):
    return tf.constant(np.random.default_rng(seed).normal(size=(5, 4, 3, 2)), tf.float32)


def linear(weight):
    return lambda x: tf.einsum("bhwc,hwc->b", x, weight)


def test_penalties_of_a_linear_critic():
    weight = images(0)[0]
    norm = float(tf.norm(weight))
    alpha = tf.linspace(0.0, 1.0, 5)
    for bias in (0.0, 7.0):

        def critic(x, bias=bias):
            return linear(weight)(x) + bias

        assert float(losses.gradient_penalty(critic, images(1), images(2), alpha)) == pytest.approx(
            (norm - 1) ** 2, rel=1e-5
        )
        assert float(losses.r1_penalty(critic, images(1), images(2), alpha)) == pytest.approx(norm**2 / 2, rel=1e-5)


def test_gradient_penalty_takes_one_norm_per_example():
    def critic(x):  # gradient norm of row i is i
        return tf.range(5.0) * x[:, 0, 0, 0]

    expected = np.mean([(i - 1) ** 2 for i in range(5)])
    assert float(losses.gradient_penalty(critic, images(1), images(2), tf.fill([5], 0.5))) == pytest.approx(expected)


def test_gradient_penalty_is_zero_where_the_norm_is_one_and_safe_where_it_is_zero():
    assert float(losses.gradient_penalty(lambda x: tf.norm(tf.reshape(x, [5, -1]), axis=1), images(1), images(2),
                                         tf.fill([5], 0.3))) == pytest.approx(0.0, abs=1e-10)  # fmt: skip
    scale = tf.Variable(0.0)
    with tf.GradientTape() as tape:
        penalty = losses.gradient_penalty(
            lambda x: scale * tf.reduce_sum(x, [1, 2, 3]), images(1), images(2), tf.fill([5], 0.3)
        )
    assert float(penalty) == 1.0
    assert np.isfinite(float(tape.gradient(penalty, scale)))


@pytest.mark.parametrize(("alpha", "where"), [(1.0, 1), (0.0, 2)])
def test_gradient_penalty_end_points(alpha, where):
    seen = []
    losses.gradient_penalty(
        lambda x: seen.append(x) or tf.reduce_sum(x, [1, 2, 3]), images(1), images(2), tf.fill([5], alpha)
    )
    np.testing.assert_array_equal(seen[0], images(where))


def test_gradient_penalty_reaches_the_critic_but_not_the_generator():
    critic, generator = tf.Variable(images(0)[0]), tf.Variable(1.0)
    with tf.GradientTape() as tape:
        penalty = losses.gradient_penalty(
            lambda x: linear(critic)(tf.sin(x)), images(1), generator * images(2), tf.fill([5], 0.5)
        )
    to_critic, to_generator = tape.gradient(penalty, [critic, generator])
    assert float(tf.norm(to_critic)) > 0 and to_generator is None


def test_l2_leaves_biases_alone():
    kernel, bias = tf.Variable([[3.0, 4.0]]), tf.Variable([100.0])
    with tf.GradientTape() as tape:
        loss = losses.l2_regularizer([kernel, bias])
    assert float(loss) == 12.5
    np.testing.assert_array_equal(tape.gradient(loss, kernel), kernel)
