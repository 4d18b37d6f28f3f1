"""What all adversarial models do with their settings: the weights of their losses, and where penalties look.

The discriminator is linear, f(x) = <k, x> + b, so that penalties and gradients are known.
"""

import keras
import numpy as np
import pytest
from scipy import stats

from tfgen import losses
from tfgen.models import WGANGP

RATE = 0.1  # of plain gradient descent


def images(size=50):
    return np.random.default_rng(0).random((size, 2, 3, 1), dtype="float32")


def linear(**settings):
    keras.utils.set_random_seed(0)
    return WGANGP(
        image_shape=(2, 3, 1), network="mlp", network_args={"depth": 0}, latent_dim=2, discriminator_steps=1, **settings
    )


def trained(model, generator_rate=0.0, discriminator_rate=0.0, steps=1):
    """The losses of the last of some steps of gradient descent."""
    rates = {"generator": generator_rate, "discriminator": discriminator_rate}
    model.compile({name: keras.optimizers.SGD(rate) for name, rate in rates.items()}, run_eagerly=True)
    history = model.fit(images(), batch_size=50, epochs=steps, verbose=0).history
    return {name: values[-1] for name, values in history.items()}


def test_penalty_counts_by_its_weight(weight=7.0):
    """(|k| - 1)^2 in the loss, and 2 (|k| - 1) k / |k| in its gradient, each times the weight."""
    found = {}
    for factor in (0.0, weight):
        model = linear(penalty_weight=factor)
        kernel = model.discriminator.logit.kernel
        kernel.assign(3.0 * kernel)
        k = kernel.numpy()
        loss = trained(model, discriminator_rate=RATE)["discriminator_loss"]
        found[factor] = loss, kernel.numpy()
    norm = np.linalg.norm(k)
    assert abs(norm - 1.0) > 0.5
    assert found[weight][0] - found[0.0][0] == pytest.approx(weight * (norm - 1.0) ** 2, rel=1e-4)
    np.testing.assert_allclose(
        found[weight][1] - found[0.0][1], -RATE * weight * 2.0 * (norm - 1.0) * k / norm, rtol=1e-3, atol=1e-5
    )


@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_regularizer_counts_by_its_weight(player, weight=7.0):
    """Half the sum of squares of the kernel in the loss, and the kernel in its gradient, each times the weight."""
    found = {}
    for factor in (0.0, weight):
        model = linear(regularizer="l2", regularizer_weight=factor, penalty=None)
        (kernel,) = [v for v in getattr(model, player).trainable_variables if len(v.shape) > 1]
        kernel.assign(kernel + 0.1)
        start = kernel.numpy()
        loss = trained(model, **{f"{player}_rate": RATE})[f"{player}_loss"]
        found[factor] = loss, kernel.numpy()
    assert found[weight][0] - found[0.0][0] == pytest.approx(weight * 0.5 * np.sum(start**2), rel=1e-4)
    np.testing.assert_allclose(found[weight][1] - found[0.0][1], -RATE * weight * start, rtol=1e-3, atol=1e-5)


def test_gradient_penalty_looks_at_another_uniform_place_for_each_row_and_step(monkeypatch):
    """At alpha real + (1 - alpha) fake: the numbers that the penalty is given, by the test of Kolmogorov and Smirnov."""
    seen = []

    def penalty(critic, real, fake, alpha):
        seen.append(alpha.numpy())
        return losses.gradient_penalty(critic, real, fake, alpha)

    monkeypatch.setitem(losses.PENALTIES, "gradient_penalty", penalty)
    trained(linear(), steps=20)
    alphas = np.array(seen)
    assert alphas.shape == (20, 50) and 0.0 < alphas.min() and alphas.max() < 1.0
    assert len(np.unique(alphas)) == alphas.size
    assert stats.kstest(alphas.ravel(), "uniform").pvalue > 0.01
    for rows in (alphas, alphas.T):
        assert abs(np.corrcoef(rows[:-1].ravel(), rows[1:].ravel())[0, 1]) < 0.1
