"""PPGN's sampler against closed forms: stationary laws, step sizes, gradients, resets."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen.models.synthesis.parts.mala import RESET_PRIOR, log_probability, mala_approx

CODES = np.array([[0.5, 2.0, -1.0], [3.0, 0.1, 4.0]], np.float32)


def chain(start=CODES, **settings):
    seeds = np.arange(len(start))
    return mala_approx(start, **{"steps": 1, "epsilons": (1.0, 1.0, 0.0), "rate": 1.0, "seeds": seeds, **settings})


@pytest.mark.parametrize(
    ("a", "eps1", "eps3", "variance"),
    [(0.8, 0.5, 0.1, 0.0526315789), (0.8, 1.0, 1.0, 2.7777777778), (0.5, 0.1, 0.1, 0.1025641026),
     (0.8, 0.1, 0.1, 0.2525252525)],
)  # fmt: skip
def test_free_steps_of_a_linear_prior_have_the_variance_of_an_autoregression(a, eps1, eps3, variance):
    """R(h) = a h: h <- (1 - eps1 (1 - a)) h + eps3 n, of variance eps3^2 / (1 - c^2)."""
    settings = {"epsilons": (eps1, 0.0, eps3), "normalized": False, "prior": lambda h: a * h}
    found = chain(np.zeros([3000, 10], np.float32), steps=300, **settings).codes.numpy()
    assert found.var() == pytest.approx(variance, rel=0.03) and abs(found.mean()) < 0.05 * np.sqrt(variance)


@pytest.mark.parametrize(("eps", "variance"), [(0.5, 1.0666666667), (1.0, 1.3333333333)])
def test_langevin_on_a_unit_gaussian_is_too_wide_by_the_known_factor(eps, variance):
    """eps1 = eps^2 / 2 on the score -h, that is R = 0, without rejections: 1 / (1 - eps^2 / 4)."""
    settings = {"epsilons": (eps**2 / 2, 0.0, eps), "normalized": False, "prior": tf.zeros_like}
    found = chain(np.zeros([3000, 10], np.float32), steps=60, **settings).codes.numpy()
    assert found.var() == pytest.approx(variance, rel=0.03)


def test_the_denoiser_of_a_gaussian_leads_a_free_chain_to_its_mean():
    """S = 4, sigma = 1/2, mean 3: R(h) = 3 + 4 / 4.25 (h - 3)."""
    found = chain(np.full([1, 2], -5.0, np.float32), steps=200, epsilons=(1.0, 0.0, 0.0), normalized=False,
                  prior=lambda h: 3.0 + 4.0 / 4.25 * (h - 3.0), record=True)  # fmt: skip
    path = 3.0 - 8.0 * (4.0 / 4.25) ** np.arange(201)
    np.testing.assert_allclose(found.path[0, :, 0], path, atol=1e-4)


@pytest.mark.parametrize("normalized", [True, False])
def test_without_epsilons_nothing_moves(normalized):
    pull = {"prior": tf.zeros_like, "condition": lambda h: tf.reduce_sum(h, axis=1)}
    found = chain(epsilons=(0.0, 0.0, 0.0), steps=5, normalized=normalized, bounds=(-30.0, 30.0), **pull)
    np.testing.assert_array_equal(found.codes, CODES)
    np.testing.assert_allclose(found.objective, np.tile(CODES.sum(axis=1)[:, None], 6), rtol=1e-6)


def test_normalized_steps_have_the_size_of_the_rate_before_the_bounds():
    direction = tf.constant([[3.0, -1.0, 0.0, 4.0]])
    start = np.array([[0.2, 0.1, 5.0, 29.5]], np.float32)
    settings = {"rate": 0.5, "condition": lambda h: tf.reduce_sum(direction * h, axis=1)}
    np.testing.assert_allclose(chain(start, **settings).codes - start, [[0.75, -0.25, 0.0, 1.0]], atol=1e-5)
    np.testing.assert_allclose(chain(start, **settings, bounds=(0.0, 30.0)).codes, [[0.95, 0.0, 5.0, 30.0]], atol=1e-6)
    long = chain(steps=7, rate=0.3, epsilons=(0.2, 0.7, 0.1), prior=lambda h: h**2 - 1.0, record=True,
                 condition=lambda h: -tf.reduce_sum(h**2, axis=1))  # fmt: skip
    np.testing.assert_allclose(np.abs(np.diff(long.path, axis=1)).mean(axis=2), 0.3, rtol=1e-4)


def test_terms_are_added_before_the_one_normalisation():
    start = np.array([[1.0, -2.0]], np.float32)
    terms = {"prior": lambda h: h + [[2.0, 0.0]], "condition": lambda h: 3.0 * h[:, 1], "context": lambda h: h[:, 0],
             "context_weight": 10.0}  # fmt: skip
    free = chain(start, epsilons=(0.5, 2.0, 0.0), rate=0.1, normalized=False, **terms)
    np.testing.assert_allclose(free.codes, [[1.0 + 0.1 * (1.0 + 10.0), -2.0 + 0.1 * 6.0]], rtol=1e-6)
    np.testing.assert_allclose(free.objective[:, 0], [-6.0], rtol=1e-6)  # that of the condition, without its weight
    held = chain(start, epsilons=(0.5, 2.0, 0.0), rate=0.1, **terms)
    np.testing.assert_allclose(held.codes, [[1.0 + 0.1 * 11.0 / 8.5, -2.0 + 0.1 * 6.0 / 8.5]], rtol=1e-6)


def test_nothing_is_differentiated_through_the_prior():
    """The gradient of |R(h) - h|^2, or of R, would not be the vector R(h) - h."""
    found = chain(epsilons=(1.0, 0.0, 0.0), normalized=False, prior=lambda h: h + tf.sin(3.0 * h))
    np.testing.assert_allclose(found.codes, CODES + np.sin(3.0 * CODES), rtol=1e-5)


def test_the_rate_falls_in_a_straight_line_over_the_steps_of_a_row():
    found = chain(steps=np.array([20, 4]), rate=1.0, last_rate=1e-32, record=True,
                  condition=lambda h: tf.reduce_sum(h, axis=1))  # fmt: skip
    sizes = np.abs(np.diff(found.path, axis=1)).mean(axis=2)
    np.testing.assert_allclose(sizes[0, [0, 10, 19]], [1.0, 0.5, 0.05], rtol=1e-4)
    np.testing.assert_allclose(sizes[1], [1.0, 0.75, 0.5, 0.25] + [0.0] * 16, atol=1e-5)


def test_resets_begin_new_chains_with_other_priors():
    """After the updates 3 and 6: N(0, 1) without bounds, then a drawn eps1. The first chain has one update more."""
    settings = {"steps": 9, "epsilons": (0.5, 0.0, 0.0), "normalized": False, "prior": lambda h: h + 1.0, "reset": 3,
                "bounds": (0.0, 1e6), "record": True}  # fmt: skip
    path = chain(np.zeros([400, 5], np.float32), **settings).path.numpy()
    np.testing.assert_allclose(path[:, :4], np.broadcast_to([[[0.0], [0.5], [1.0], [1.5]]], [400, 4, 5]))
    for start in (path[:, 4], path[:, 7]):
        assert start.std() == pytest.approx(1.0, abs=0.05) and start.mean() == pytest.approx(0.0, abs=0.07)
    moves = path[:, 6] - path[:, 5], path[:, 9] - path[:, 8]
    for move in moves:
        np.testing.assert_allclose(move, move[:, :1].repeat(5, axis=1), atol=1e-6)  # one eps1 of a chain
        assert RESET_PRIOR[0] <= move.min() + 1e-6 and move.max() <= RESET_PRIOR[1] + 1e-6 and move.std() > 2e-3
    assert np.abs(moves[0] - moves[1]).max() > 1e-3
    assert path[:, 5].min() >= 0.0 > path[:, 4].min()
    whole = chain(np.zeros([3, 5], np.float32), **settings)
    part = mala_approx(np.zeros([1, 5]), seeds=[2], rate=1.0, **settings)
    np.testing.assert_allclose(whole.path[2:], part.path, atol=1e-6)


def test_a_row_depends_on_its_seed_alone():
    settings = {"steps": 4, "epsilons": (0.1, 0.0, 1.0), "rate": 0.1, "prior": lambda h: 0.5 * h}
    whole = mala_approx(np.repeat(CODES[:1], 3, axis=0), seeds=[7, -1, 2**40], **settings).codes
    assert np.abs(whole[0] - whole[1]).max() > 1e-3
    np.testing.assert_allclose(mala_approx(CODES[:1], seeds=[2**40], **settings).codes, whole[2:], atol=1e-6)
    with pytest.raises(ValueError, match="need seeds"):
        mala_approx(CODES, **settings)


@pytest.mark.parametrize(
    ("full", "units", "wanted"),
    [(True, [0], [0.7687761024, -0.6285317192, -0.1402443832]), (False, [0], [0.7687761024, 0.0, 0.0]),
     (True, [[0, 1]], [0.5375522048, -0.2570634384, -0.2804887663]), (False, [[0, 1]], [0.7687761024, 0.3714682808, 0.0])],
)  # fmt: skip
def test_both_gradients_of_the_softmax(full, units, wanted):
    logits = tf.constant([[1.0, 2.0, 0.5]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = log_probability(logits, tf.constant(units), full)
    np.testing.assert_allclose(tape.gradient(value, logits), [wanted], atol=1e-6)
    p = np.array([0.2312238976, 0.6285317192, 0.1402443832])
    np.testing.assert_allclose(value, [np.log(p[np.ravel(units)]).sum()], atol=1e-5)


def test_the_gradient_of_the_logit_alone_has_another_direction_in_the_features():
    features, weights = tf.constant([[0.5, 1.5]]), tf.constant([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    found = {}
    for full in (True, False):
        with tf.GradientTape() as tape:
            tape.watch(features)
            shift = tf.constant([[0.5, 0.5, -1.5]])  # so that the logits are 1, 2, 0.5
            value = log_probability(tf.linalg.matvec(weights, features) + shift, tf.constant([0]), full)
        found[full] = tape.gradient(value, features).numpy()
    np.testing.assert_allclose(found[True], [[0.6285317192, -0.7687761024]], atol=1e-6)
    np.testing.assert_allclose(found[False], [[0.7687761024, 0.0]], atol=1e-6)


def test_the_rate_multiplies_the_noise_too():
    found = chain(np.zeros([400, 10], np.float32), epsilons=(0.0, 0.0, 0.5), rate=0.1, normalized=False).codes.numpy()
    assert found.std() == pytest.approx(0.05, rel=0.05)


def test_a_chain_without_a_prior_has_one_after_a_reset():
    found = chain(epsilons=(0.0, 0.0, 0.0), steps=5, normalized=False, prior=lambda h: h + 1.0, reset=2, record=True)
    path = found.path.numpy()
    np.testing.assert_array_equal(path[:, :3], CODES[:, None].repeat(3, axis=1))
    moves = path[:, 4] - path[:, 3]
    assert moves.min() > 0.0 and moves.max() <= RESET_PRIOR[1] + 1e-6
