"""The VAE against cases whose likelihood is known."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy.stats import multivariate_normal

import tfgen
from tfgen.models import VAE
from tfgen.models.autoencoders.base import LatentVariableModel

tfd = tfp.distributions


class LinearGaussian(LatentVariableModel):
    """p(z) = N(0, I), p(x|z) = N(W z + b, s^2 I), with its exact posterior as q (diagonal: W has orthogonal columns)."""

    def __init__(self, *, image_shape, weight, bias, stddev, shift=0.0, **kwargs):
        super().__init__(image_shape=image_shape, **kwargs)
        self.weight, self.offset, self.stddev = np.float32(weight), np.float32(bias), stddev
        self.latent_dim, self.shift = weight.shape[1], shift

    def posterior(self, images, training=False):
        precision = np.sum(self.weight**2, axis=0) / self.stddev**2 + 1.0
        flat = tf.reshape(images, [tf.shape(images)[0], -1]) - self.offset
        return tfd.Independent(
            tfd.Normal(flat @ (self.weight / self.stddev**2 / precision) + self.shift, tf.ones(1) * precision**-0.5), 1
        )

    def decode(self, latents, training=False):
        mean = tf.linalg.matvec(self.weight, latents) + self.offset
        shape = tf.concat([tf.shape(latents)[:-1], self.image_shape], axis=0)
        return tfd.Independent(tfd.Normal(tf.reshape(mean, shape), self.stddev), 3)


@pytest.fixture
def linear():
    rng = np.random.default_rng(0)
    orthogonal = np.linalg.qr(rng.normal(size=(6, 2)))[0] * [0.3, 0.1]
    bias, images = rng.uniform(0.3, 0.7, 6), rng.uniform(0, 1, (4, 2, 3, 1)).astype("float32")
    exact = multivariate_normal(bias, orthogonal @ orthogonal.T + 0.25 * np.eye(6)).logpdf(images.reshape(4, 6))
    return {"image_shape": (2, 3, 1), "weight": orthogonal, "bias": bias, "stddev": 0.5}, images, exact


def test_linear_gaussian_bounds_are_exact_for_every_noise(linear):
    args, images, exact = linear
    model = LinearGaussian(**args)
    for seed in range(3):
        reconstruction, kl = model.elbo_terms(images, model.evaluation_noise(4, seed))
        # With the exact posterior log p(x, z) - log q(z|x) = log p(x) whatever z is.
        np.testing.assert_allclose(model.log_prob(images, num_importance_samples=1, seed=seed), exact, rtol=1e-5)
        for k, chunk in ((7, 3), (7, 7), (50, 50)):
            bound = model.log_prob(images, num_importance_samples=k, chunk=chunk, seed=seed)
            np.testing.assert_allclose(bound, exact, rtol=1e-5)
        assert np.isfinite(reconstruction - kl).all()
    elbo = tf.reshape(model.elbo(np.tile(images, (4000, 1, 1, 1))), [4000, 4])
    np.testing.assert_allclose(tf.reduce_mean(elbo, 0), exact, atol=0.02)


def test_importance_weighted_bounds_grow_towards_the_likelihood(linear):
    args, images, exact = linear
    model = LinearGaussian(**args, shift=0.8)  # a wrong posterior
    bounds = [
        np.mean([model.log_prob(images, num_importance_samples=k, chunk=100, seed=s) for s in range(20)], axis=0).mean()
        for k in (1, 5, 50, 500)
    ]
    assert bounds[0] < bounds[1] < bounds[2] < bounds[3] + 1e-3 < exact.mean() + 0.05
    assert bounds[0] < exact.mean() - 0.3


def test_chunks_of_importance_samples_do_not_change_the_sum():
    keras.utils.set_random_seed(0)
    model = VAE(image_shape=(4, 4, 1), latent_dim=2, hidden=(8,))
    images = np.random.default_rng(0).integers(0, 2, (3, 4, 4, 1)).astype("float32")
    # Chunks of 1 draw the same noise as a hand-made loop over them.
    posterior, weights = model.encode(images), []
    for i in range(5):
        z = posterior.mean() + posterior.stddev() * model.evaluation_noise(3, 0, draw=i + 1)
        weights.append(model.decode(z).log_prob(images) + model.prior.log_prob(z) - posterior.log_prob(z))
    expected = tf.reduce_logsumexp(tf.stack(weights), axis=0) - np.log(5.0)
    np.testing.assert_allclose(model.log_prob(images, num_importance_samples=5, chunk=1), expected, rtol=1e-5)


def test_kl_closed_form():
    prior = tfd.Independent(tfd.Normal(tf.zeros(3), tf.ones(3)), 1)
    for mean, stddev in ((0.0, 1.0), (1.0, 1.0), (-0.5, 2.0)):
        posterior = tfd.Independent(tfd.Normal(tf.fill([3], mean), tf.fill([3], stddev)), 1)
        expected = 3 * 0.5 * (stddev**2 + mean**2 - 1 - np.log(stddev**2))
        assert float(tfd.kl_divergence(posterior, prior)) == pytest.approx(expected, abs=1e-6)
        z = posterior.sample(200_000, seed=1)
        assert float(tf.reduce_mean(posterior.log_prob(z) - prior.log_prob(z))) == pytest.approx(expected, abs=0.03)


def test_a_decoder_that_ignores_z_gives_the_independent_model():
    model = VAE(image_shape=(4, 4, 1), latent_dim=2, hidden=(8,))
    for layer in (*model.encoder.layers[-1:], model.decoder.layers[-2]):
        for variable in layer.trainable_variables:
            variable.assign(tf.zeros_like(variable.value))
    logits = np.random.default_rng(0).normal(size=16).astype("float32")
    model.decoder.layers[-2].bias.assign(logits)
    images = np.random.default_rng(1).integers(0, 2, (5, 4, 4, 1)).astype("float32")
    flat = images.reshape(5, 16)
    expected = np.sum(flat * logits - np.log1p(np.exp(logits)), axis=1)
    np.testing.assert_allclose(model.elbo(images), expected, rtol=1e-5)
    np.testing.assert_allclose(model.log_prob(images, num_importance_samples=9), expected, rtol=1e-5)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "discretized_logistic"])
@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_networks_and_likelihoods(network, likelihood):
    hidden = (8,) if network == "mlp" else (4, 4, 8)
    model = VAE(image_shape=(8, 12, 3), latent_dim=2, network=network, hidden=hidden, likelihood=likelihood, levels=17)
    images = np.random.default_rng(0).integers(0, 2, (2, 8, 12, 3)).astype("float32")
    assert model.encode(images).event_shape == (2,) and model.encode(images).batch_shape == (2,)
    assert model.decode(tf.zeros([5, 2, 2])).batch_shape == (5, 2)
    assert model.decode(tf.zeros([2, 2])).event_shape == (8, 12, 3)
    assert model.reconstruct(images).shape == (2, 8, 12, 3)
    assert np.isfinite(model.elbo(images)).all() and model.elbo(images).shape == (2,)


def test_gaussian_decoder_cannot_be_surer_than_a_level():
    model = VAE(image_shape=(4, 4, 1), latent_dim=2, hidden=(8,), likelihood="gaussian", levels=17)
    model.decoder.layers[-2].bias.assign(tf.fill([32], -1e4))
    assert float(tf.reduce_min(model.decode(tf.zeros([1, 2])).distribution.stddev())) == pytest.approx(1 / 17)


def test_pathwise_gradient_is_that_of_finite_differences():
    model = VAE(image_shape=(4, 4, 1), latent_dim=2, hidden=(8,))
    images = np.random.default_rng(0).integers(0, 2, (3, 4, 4, 1)).astype("float32")
    noise, kernel = model.evaluation_noise(3, 0), model.encoder.layers[-1].kernel

    def bound():
        return tf.reduce_mean(tf.subtract(*model.elbo_terms(images, noise)))

    with tf.GradientTape() as tape:
        value = bound()
    gradient = tape.gradient(value, kernel.value).numpy()
    start, h = kernel.numpy(), 1e-2
    for index in ((0, 0), (3, 1), (5, 3)):
        values = []
        for sign in (1, -1):
            moved = start.copy()
            moved[index] += sign * h
            kernel.assign(moved)
            values.append(float(bound()))
        assert (values[0] - values[1]) / (2 * h) == pytest.approx(gradient[index], rel=0.02, abs=2e-3)


def test_bad_arguments():
    good = {"image_shape": (8, 8, 1)}
    for bad, message in (
        ({"image_shape": (8, 8)}, "image_shape must be"), ({"likelihood": "normal"}, "likelihood must be"),
        ({"network": "rnn"}, "network must be"), ({"latent_dim": 2.5}, "latent_dim must be an integer >= 1"),
        ({"network": "conv", "hidden": (1, 2, 3), "image_shape": (6, 8, 1)}, "multiples of 4"),
        ({"hidden": (4, 0)}, "hidden must be a sequence of integers >= 1"), ({"levels": 1}, "levels must be"),
        ({"kl_weight": -1.0}, "kl_weight must be a number >= 0"),
        ({"network": "conv", "hidden": (1,)}, "three widths"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            VAE(**{**good, **bad})
    model = VAE(**good)
    with pytest.raises(ValueError, match="integer >= 1; received 0"):
        model.log_prob(np.zeros((1, 8, 8, 1), "float32"), num_importance_samples=0)
    with pytest.raises(ValueError, match="ema_decay"):
        model.compile(ema_decay=1.0)


def test_plain_keras_use_on_real_digits(digits):
    """What the README shows: fit on arrays, evaluate, sample; better than independent pixels (25.3 nats)."""
    images = (digits[0] >= 0.5).astype("float32")
    model = VAE(image_shape=(8, 8, 1), latent_dim=8, hidden=(64,), activation="relu")
    model.compile(keras.optimizers.Adam(3e-3))
    history = model.fit(images[:1400], batch_size=100, epochs=25, verbose=0)
    assert history.history["loss"][-1] < 21
    logs = model.evaluate(images[1400:], batch_size=397, return_dict=True, verbose=0)
    assert 17 < logs["loss"] < 22 and logs["kl"] > 2
    assert model.sample(3).shape == (3, 8, 8, 1)


def test_every_preset_builds():
    for name, preset in tfgen.presets.all_presets().items():
        if preset.model is VAE:
            model = preset.build()
            assert model.latents(tf.constant([1, 2])).shape == (2, preset.model_args["latent_dim"]), name
