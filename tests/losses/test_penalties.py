"""Penalties on the discriminator against closed forms, invariances and finite differences."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen import losses

NUM = 5
ALPHA = tf.linspace(0.0, 1.0, NUM)


def images(seed):
    return tf.constant(np.random.default_rng(seed).normal(size=(NUM, 4, 3, 2)), tf.float32)


def linear(weight):
    return lambda x: tf.einsum("bhwc,hwc->b", x, weight)


@pytest.mark.parametrize("bias", [0.0, 7.0])
def test_penalties_of_a_linear_critic(bias):
    weight = images(0)[0]
    norm = float(tf.norm(weight))
    values = {name: float(penalty(lambda x: linear(weight)(x) + bias, images(1), images(2), ALPHA))
              for name, penalty in losses.PENALTIES.items()}  # fmt: skip
    assert values["gradient_penalty"] == pytest.approx((norm - 1) ** 2, rel=1e-5)
    assert values["r1"] == values["r2"] == pytest.approx(norm**2 / 2, rel=1e-5)
    assert values["drift"] == pytest.approx(np.mean((linear(weight)(images(1)) + bias) ** 2), rel=1e-5)


def test_gradient_penalty_takes_one_norm_per_example():
    def critic(x):  # gradient norm of row i is i
        return tf.range(5.0) * x[:, 0, 0, 0]

    expected = np.mean([(i - 1) ** 2 for i in range(5)])
    assert float(losses.gradient_penalty(critic, images(1), images(2), tf.fill([5], 0.5))) == pytest.approx(expected)
    expected = np.mean([(i - 3) ** 2 for i in range(5)])
    assert float(losses.gradient_penalty(critic, images(1), images(2), ALPHA, target=3.0)) == pytest.approx(expected)


def test_gradient_penalty_is_zero_where_the_norm_is_one():
    def distance(x):
        return tf.norm(tf.reshape(x, [NUM, -1]), axis=1)

    assert float(losses.gradient_penalty(distance, images(1), images(2), ALPHA)) == pytest.approx(0.0, abs=1e-10)


def test_gradient_penalty_is_safe_where_the_norm_is_zero():
    scale = tf.Variable(0.0)
    with tf.GradientTape() as tape:
        penalty = losses.gradient_penalty(lambda x: scale * tf.reduce_sum(x, [1, 2, 3]), images(1), images(2), ALPHA)
    assert float(penalty) == 1.0
    assert np.isfinite(float(tape.gradient(penalty, scale)))


@pytest.mark.parametrize(
    ("penalty", "alpha", "where"),
    [("gradient_penalty", 1.0, 1), ("gradient_penalty", 0.0, 2), ("r1", 0.5, 1), ("r2", 0.5, 2), ("drift", 0.5, 1)],
)
def test_each_penalty_is_computed_at_its_points(penalty, alpha, where):
    seen = []
    losses.PENALTIES[penalty](
        lambda x: seen.append(x) or tf.reduce_sum(x, [1, 2, 3]), images(1), images(2), tf.fill([NUM], alpha)
    )
    assert len(seen) == 1
    np.testing.assert_array_equal(seen[0], images(where))


def curved(weight):
    return lambda x: tf.reduce_sum(tf.sin(x * weight), [1, 2, 3])


@pytest.mark.parametrize("name", sorted(losses.PENALTIES))
def test_order_of_the_examples_does_not_matter(name):
    order = [3, 0, 4, 1, 2]
    critic = curved(images(0)[0])
    real, fake = images(1), images(2)
    shuffled = [tf.gather(x, order) for x in (real, fake, ALPHA)]
    value = float(losses.PENALTIES[name](critic, real, fake, ALPHA))
    assert float(losses.PENALTIES[name](critic, *shuffled)) == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("name", sorted(losses.PENALTIES))
def test_derivative_with_respect_to_the_critic(name):
    """Through the inner gradient, in float64, against central differences."""
    rng = np.random.default_rng(0)
    real, fake = (tf.constant(rng.normal(size=(3, 2, 2, 1))) for _ in range(2))
    alpha = tf.constant([0.2, 0.5, 0.9], tf.float64)
    start = rng.normal(size=(2, 2, 1))

    def value(weight):
        return losses.PENALTIES[name](curved(weight), real, fake, alpha)

    weight = tf.Variable(start)
    with tf.GradientTape() as tape:
        loss = value(weight)
    step = 1e-2  # the input gradients are float32
    for i, slope in enumerate(tf.reshape(tape.gradient(loss, weight), [-1])):
        shift = step * np.eye(4)[i].reshape(start.shape)
        numeric = (float(value(start + shift)) - float(value(start - shift))) / (2 * step)
        assert float(slope) == pytest.approx(numeric, rel=5e-3, abs=1e-3)


@pytest.mark.parametrize("name", ["gradient_penalty", "r2"])
def test_no_gradient_reaches_the_generator(name):
    critic, generator = tf.Variable(images(0)[0]), tf.Variable(1.0)
    with tf.GradientTape() as tape:
        penalty = losses.PENALTIES[name](curved(critic), images(1), generator * images(2), ALPHA)
    to_critic, to_generator = tape.gradient(penalty, [critic, generator])
    assert float(tf.norm(to_critic)) > 0 and to_generator is None


def test_shapes_that_would_broadcast_are_errors():
    with pytest.raises(ValueError, match=r"\(5, 4, 3, 2\).*\(1, 4, 3, 2\)"):
        losses.gradient_penalty(curved(1.0), images(1), images(2)[:1], ALPHA)
    with pytest.raises(ValueError, match=r"\(1,\).*\(5,\)"):
        losses.gradient_penalty(curved(1.0), images(1), images(2), ALPHA[:1])


# ---- what the penalties do to the game


def test_slope_of_a_critic_between_two_points():
    """One real point at d, one fake at 0, critic k x: loss -k d + weight (|k| - 1)^2 is least at k = 1 + d / (2 weight)."""
    distance, weight = 3.0, 10.0
    slope = tf.Variable(1.0 + distance / (2 * weight))
    real, fake = tf.constant([[distance]]), tf.constant([[0.0]])

    def critic(x):
        return slope * x[:, 0]

    with tf.GradientTape() as tape:
        loss = losses.OBJECTIVES["wasserstein"].discriminator(critic(real), critic(fake))
        loss += weight * losses.gradient_penalty(critic, real, fake, tf.constant([0.3]))
    assert float(tape.gradient(loss, slope)) == pytest.approx(0.0, abs=1e-5)


def test_slope_of_a_logistic_discriminator_under_r1():
    """One real point at d, one fake at 0, s(x) = k x: sp(-k d) + gamma k^2 / 2 is least where d sigmoid(-k d) = gamma k."""
    distance, gamma = 1.5, 0.4
    low, high = 0.0, 10.0
    for _ in range(60):
        middle = (low + high) / 2
        rising = gamma * middle > distance / (1 + np.exp(middle * distance))
        low, high = (low, middle) if rising else (middle, high)
    slope, real, fake = tf.Variable(low, dtype=tf.float32), tf.constant([[distance]]), tf.constant([[0.0]])
    with tf.GradientTape() as tape:
        loss = losses.OBJECTIVES["non_saturating"].discriminator(slope * real[:, 0], slope * fake[:, 0])
        loss += gamma * losses.r1_penalty(lambda x: slope * x[:, 0], real, fake, None)
    assert 0.5 < low < 2.0
    assert float(tape.gradient(loss, slope)) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0])
def test_dirac_gan(gamma):
    """Mescheder et al. 2018: data at 0, generator at theta, D(x) = psi x, non-saturating loss, R1 of weight gamma.

    The gradient flow has, at (0, 0), eigenvalues -gamma/2 +- sqrt(gamma^2/4 - 1/4): it circles without the penalty,
    converges with it, and without oscillation from gamma = 1 on.
    """
    objective = losses.OBJECTIVES["non_saturating"]

    def flow(state):
        theta, psi = tf.Variable(state[0]), tf.Variable(state[1])

        def discriminate(x):
            return psi * x[:, 0]

        with tf.GradientTape(persistent=True) as tape:
            real, fake = tf.zeros([1, 1]), tf.reshape(theta, [1, 1])
            logits = discriminate(fake)
            loss_g = objective.generator(logits)
            loss_d = objective.discriminator(discriminate(real), logits)
            loss_d += gamma * losses.r1_penalty(discriminate, real, fake, None)
        return np.array([-float(tape.gradient(loss_g, theta)), -float(tape.gradient(loss_d, psi))])

    step = np.float32(1e-2)
    columns = [(flow(step * e) - flow(-step * e)) / (2 * step) for e in np.eye(2, dtype=np.float32)]
    found = np.sort_complex(np.linalg.eigvals(np.stack(columns, axis=1)))
    root = np.sqrt(complex(gamma**2 / 4 - 0.25))
    expected = np.sort_complex([-gamma / 2 - root, -gamma / 2 + root])
    # At gamma = 1 the two eigenvalues meet, and an error of 1e-5 in the matrix moves them by its root.
    np.testing.assert_allclose(found, expected, atol=1e-2 if gamma == 1.0 else 1e-4)
