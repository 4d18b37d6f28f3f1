"""Adversarial objectives against golden vectors, limits and the optima that their papers derive."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen import losses
from tfgen.losses.objectives import logistic_discriminator

REAL, FAKE = tf.constant([1.5, -0.5, 2.0], tf.float64), tf.constant([-1.0, 0.3, 0.8], tf.float64)
GOLDEN = {  # name: (discriminator, generator)
    "non_saturating": (1.2137119570, 0.7462391993),
    "minimax": (1.2137119570, -0.7795725327),
    "least_squares": (0.8716666667, 0.7550000000),
    "wasserstein": (-0.9666666667, -0.0333333333),
    "hinge": (1.5333333333, -0.0333333333),
}
P, Q = np.array([0.2, 0.3, 0.4, 0.1]), np.array([0.5, 0.3, 0.1, 0.1])  # two histograms: of data, of the generator


def discriminator_loss(objective, logits, p=P, q=Q):
    """The exact loss of a discriminator with one logit per bin: each bin alone, weighted by its probability.

    Every discriminator loss here is a function of the real examples plus one of the fake examples, and the difference
    from a reference value takes the two apart.
    """
    objective = losses.OBJECTIVES[objective] if isinstance(objective, str) else objective
    zero = tf.zeros(1, tf.float64)
    base = objective.discriminator(zero, zero)
    total = base
    for i in range(len(p)):
        logit = tf.reshape(tf.cast(logits[i], tf.float64), [1])
        total += p[i] * (objective.discriminator(logit, zero) - base) + q[i] * (objective.discriminator(zero, logit) - base)
    return total


def gradient(function, *values):
    values = [tf.constant(v, tf.float64) for v in values]
    with tf.GradientTape() as tape:
        tape.watch(values)
        result = function(*values)
    return [g.numpy() for g in tape.gradient(result, values)]


def kl(p, q):
    return np.sum(p * np.log(p / q))


def jsd(p, q):
    return (kl(p, (p + q) / 2) + kl(q, (p + q) / 2)) / 2


@pytest.mark.parametrize("name", sorted(losses.OBJECTIVES))
def test_golden_vectors(name):
    objective = losses.OBJECTIVES[name]
    assert objective.name == name
    assert float(objective.discriminator(REAL, FAKE)) == pytest.approx(GOLDEN[name][0], abs=1e-9)
    assert float(objective.generator(FAKE)) == pytest.approx(GOLDEN[name][1], abs=1e-9)


def test_energy_objective():
    objective = losses.ebgan(2.0)
    assert float(objective.discriminator(tf.abs(REAL), tf.abs(FAKE))) == pytest.approx(2.6333333333, abs=1e-9)
    assert float(objective.generator(tf.abs(FAKE))) == pytest.approx(0.7, abs=1e-9)


def test_energy_objective_has_one_hinge_per_example():
    # Energies 0 and 5 average to more than the margin; each on its own, one is still pushed up and the other is not.
    (slope,) = gradient(lambda fake: losses.ebgan(2.0).discriminator(tf.zeros(2, tf.float64), fake), [0.0, 5.0])
    np.testing.assert_array_equal(slope, [-0.5, 0.0])


def test_energies_coincide_at_the_optimum_and_the_loss_is_the_margin():
    # p = q: in each bin, e + max(0, m - e) = m for any energy up to m, so the loss is m, and rises beyond.
    for energies in ([0.0, 0.0, 0.0, 0.0], [0.3, 1.9, 2.0, 1.0]):
        assert float(discriminator_loss(losses.ebgan(2.0), energies, P, P)) == pytest.approx(2.0)
    assert float(discriminator_loss(losses.ebgan(2.0), [3.0, 2.0, 2.0, 2.0], P, P)) == pytest.approx(2.2)


@pytest.mark.parametrize("margin", [0.0, -1.0, float("nan"), float("inf")])
def test_energy_margin_is_checked(margin):
    with pytest.raises(ValueError, match="margin must be positive.*received"):
        losses.ebgan(margin)


def test_at_a_tie():
    zero = tf.zeros(4, tf.float64)
    expected = {"non_saturating": (2 * np.log(2), np.log(2)), "hinge": (2.0, 0.0), "minimax": (2 * np.log(2), -np.log(2))}
    for name, (discriminator, generator) in expected.items():
        assert float(losses.OBJECTIVES[name].discriminator(zero, zero)) == pytest.approx(discriminator)
        assert float(losses.OBJECTIVES[name].generator(zero)) == pytest.approx(generator)


def test_why_the_generator_loss_is_the_non_saturating_one():
    # Where D is sure, the saturating gradient vanishes and the other does not; at a tie they agree.
    def slope(name, logit):
        return gradient(losses.OBJECTIVES[name].generator, [logit])[0][0]

    assert slope("non_saturating", -50.0) == pytest.approx(-1.0)
    assert slope("minimax", -50.0) == pytest.approx(0.0, abs=1e-20)
    assert slope("non_saturating", 0.0) == slope("minimax", 0.0) == -0.5
    for logit in (-3.0, 0.7, 5.0):
        sigmoid = 1 / (1 + np.exp(-logit))
        assert slope("non_saturating", logit) == pytest.approx(-(1 - sigmoid))
        assert slope("minimax", logit) == pytest.approx(-sigmoid)


def test_a_perfect_hinge_critic_rests_while_the_generator_learns():
    hinge, real, fake = losses.OBJECTIVES["hinge"], [1.0, 2.0], [-1.0, -3.0]
    assert float(hinge.discriminator(tf.constant(real), tf.constant(fake))) == 0.0
    np.testing.assert_array_equal(gradient(hinge.discriminator, real, fake), 0.0)
    np.testing.assert_array_equal(gradient(hinge.generator, fake)[0], -0.5)


def test_logits_of_any_size_stay_finite():
    for objective in (*losses.OBJECTIVES.values(), losses.ebgan(1.0), losses.label_smoothing()):
        for value in (-1e4, 1e4):
            logits = tf.constant([value], tf.float32)
            assert np.isfinite(float(objective.discriminator(logits, -logits)))
            assert np.isfinite(float(objective.generator(logits)))


# ---- optima


def test_logistic_optimum_is_the_log_ratio_and_its_value_a_divergence():
    logits = np.log(P / Q)
    np.testing.assert_allclose(gradient(lambda s: discriminator_loss("minimax", s), logits)[0], 0.0, atol=1e-12)
    assert float(discriminator_loss("minimax", logits)) == pytest.approx(2 * np.log(2) - 2 * jsd(P, Q))


def test_least_squares_optimum_is_the_share_of_the_data():
    slope = gradient(lambda s: discriminator_loss("least_squares", s), P / (P + Q))[0]
    np.testing.assert_allclose(slope, 0.0, atol=1e-12)


def test_hinge_optimum_is_a_sign_and_its_value_the_total_variation():
    best = np.sign(P - Q)
    value = float(discriminator_loss("hinge", best))
    assert value == pytest.approx(2 - 2 * (0.5 * np.abs(P - Q).sum()))
    for step in np.random.default_rng(0).normal(size=(50, 4)):
        assert float(discriminator_loss("hinge", best + step)) >= value - 1e-12


def test_what_the_generator_descends_when_the_discriminator_is_optimal():
    """Arjovsky, Bottou 2017, arXiv:1701.04862, theorem 2.5, by quadrature over two Gaussians of variance 1.

    With D held at its optimum, the saturating gradient is that of 2 JSD, the other that of KL(q || p) - 2 JSD.
    """
    grid = tf.linspace(tf.constant(-12.0, tf.float64), 12.0, 4001)
    cell = float(grid[1] - grid[0])

    def log_density(mean):
        return -0.5 * tf.square(grid - mean) - 0.5 * np.log(2 * np.pi)

    log_p, log_q0 = log_density(0.0), log_density(1.3)

    def expected_loss(name):
        values = tf.stack([losses.OBJECTIVES[name].generator(s[None]) for s in tf.unstack((log_p - log_q0)[::20])])
        return lambda mean: tf.reduce_sum(tf.exp(log_density(mean))[::20] * values) * 20 * cell

    def kl_q_p(mean):
        return tf.reduce_sum(tf.exp(log_density(mean)) * (log_density(mean) - log_p)) * cell

    def two_jsd(mean):
        log_q = log_density(mean)
        log_m = tf.reduce_logsumexp(tf.stack([log_p, log_q]), axis=0) - np.log(2)
        return tf.reduce_sum(tf.exp(log_p) * (log_p - log_m) + tf.exp(log_q) * (log_q - log_m)) * cell

    saturating, kept = (gradient(expected_loss(name), 1.3)[0] for name in ("minimax", "non_saturating"))
    assert saturating == pytest.approx(gradient(two_jsd, 1.3)[0], rel=1e-6)
    assert kept == pytest.approx(gradient(kl_q_p, 1.3)[0] - gradient(two_jsd, 1.3)[0], rel=1e-6)
    assert saturating > 0.1 and kept > 0.1


# ---- label smoothing


def test_label_smoothing_golden():
    smoothed = losses.label_smoothing("non_saturating", real_target=0.9)
    assert smoothed.name == "non_saturating_smoothed"
    assert float(smoothed.discriminator(REAL, FAKE)) == pytest.approx(1.3137119570, abs=1e-9)
    assert float(smoothed.generator(FAKE)) == pytest.approx(GOLDEN["non_saturating"][1], abs=1e-9)
    assert float(losses.label_smoothing(losses.OBJECTIVES["minimax"]).generator(FAKE)) == pytest.approx(-0.7795725327)


def test_label_smoothing_is_one_sided():
    smoothed, plain = losses.label_smoothing(real_target=0.8), losses.OBJECTIVES["non_saturating"]
    slopes = [gradient(objective.discriminator, REAL, FAKE) for objective in (smoothed, plain)]
    np.testing.assert_array_equal(slopes[0][1], slopes[1][1])
    np.testing.assert_allclose(slopes[0][0], slopes[1][0] + 0.2 / 3)  # sigmoid(s) - 0.8, not sigmoid(s) - 1
    same = losses.label_smoothing(real_target=1.0).discriminator(REAL, FAKE)
    assert float(same) == float(plain.discriminator(REAL, FAKE))


def test_smoothed_optimum():
    share = 0.9 * P / (P + Q)  # 0.45 at a tie; the share of the fakes stays in the denominator
    objective = losses.label_smoothing()
    # The real term has both targets: the fake-only part of the loss is the plain one.
    slope = gradient(lambda s: discriminator_loss(objective, s), np.log(share / (1 - share)))[0]
    np.testing.assert_allclose(slope, 0.0, atol=1e-12)
    assert share[1] == pytest.approx(0.45)


def test_smallest_smoothed_real_term_is_the_entropy_of_the_target():
    logit = tf.constant([np.log(0.9 / 0.1)], tf.float64)
    never = tf.constant([-800.0], tf.float64)  # a fake term of 0
    value, slope = (float(f) for f in (logistic_discriminator(logit, never, 0.9), gradient(
        lambda s: logistic_discriminator(s, never, 0.9), logit)[0][0]))  # fmt: skip
    assert value == pytest.approx(0.325083, abs=1e-6)
    assert slope == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("objective", ["hinge", "unknown", losses.OBJECTIVES["wasserstein"]])
def test_label_smoothing_needs_labels(objective):
    with pytest.raises(ValueError, match="needs the objective 'minimax' or 'non_saturating'; received"):
        losses.label_smoothing(objective)


@pytest.mark.parametrize("target", [0.0, 1.1, float("nan")])
def test_label_smoothing_target_is_checked(target):
    with pytest.raises(ValueError, match="real_target must be in .0, 1.; received"):
        losses.label_smoothing(real_target=target)
