"""The first GAN: its networks, its theory where it can be computed, and noise that is a function of (seed, step)."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import losses, presets
from tfgen.metrics import parzen
from tfgen.models import GAN
from tfgen.networks.maxout import max_pool

TINY = {"image_shape": (8, 8, 1), "width": 16, "latent_dim": 3}
CONV = {"image_shape": (8, 8, 1), "network": "conv_maxout", "width": 8, "latent_dim": 3}


def images(num=6, seed=0, shape=(8, 8, 1)):
    return np.random.default_rng(seed).random((num, *shape), dtype="float32")


def trainable(network):
    return sum(int(np.prod(v.shape)) for v in network.trainable_variables)


def build(name):
    preset = presets.get(name)
    return preset, preset.model(**preset.model_args)


def test_the_networks_of_mnist():
    _, model = build("gan/mnist-paper")
    assert trainable(model.generator) == 101 * 1200 + 1201 * 1200 + 1201 * 784
    assert trainable(model.discriminator) == 785 * 1200 + 241 * 1200 + 241
    for network, limit in ((model.generator, 0.05), (model.discriminator, 0.005)):
        for v in network.trainable_variables:
            if len(v.shape) > 1:
                assert 0.98 * limit < np.abs(v.numpy()).max() <= np.float32(limit)
                assert v.numpy().std() == pytest.approx(limit / 3**0.5, rel=0.1)
            else:
                assert not np.any(v.numpy())


def test_the_latents_of_mnist_are_uniform_with_variance_1():
    latents = presets.get("gan/mnist-paper").build().latents(np.arange(2000)).numpy()
    assert latents.shape == (2000, 100) and np.abs(latents).max() == pytest.approx(np.sqrt(3), abs=1e-3)
    assert np.histogram(latents, 4, (-np.sqrt(3), np.sqrt(3)))[0] / latents.size == pytest.approx(np.full(4, 0.25), abs=5e-3)
    assert latents.var() == pytest.approx(1.0, abs=0.01)


def test_the_networks_of_cifar10():
    _, model = build("gan/cifar10-paper")
    assert trainable(model.generator) == 101 * 8000 + 8001 * 8000 + 25 * 80 * 3 + 32 * 32 * 3
    # Sides: 32 -> 33 -> 16 -> 15 -> 7 -> 9 -> 5.
    d = (64 * 3 * 64 + 64) + (64 * 32 * 64 + 64) + (25 * 32 * 384 + 384) + (25 * 192 + 1) * 2500 + 501
    assert trainable(model.discriminator) == d
    assert model.sample(1).shape == (1, 32, 32, 3)


def test_pooling_windows_may_hang_over():
    x = np.random.default_rng(0).normal(size=(1, 15, 15, 1)).astype("float32")
    out = max_pool(tf.constant(x), 4)[0, :, :, 0].numpy()
    expected = [[x[0, i : i + 4, j : j + 4, 0].max() for j in range(0, 13, 2)] for i in range(0, 13, 2)]
    np.testing.assert_array_equal(out, expected)  # 7 x 7, where windows within the map would make 6 x 6


def test_learning_rate_and_its_decay():
    preset, _ = build("gan/mnist-paper")
    model = preset.override({"width": 8, "network_args": {}}).build()
    for name, start in (("generator", 0.1), ("discriminator", 0.05)):
        optimizer = model.player_optimizers[name]
        assert optimizer.momentum == 0.5
        schedule = optimizer._learning_rate
        for step in (0, 1, 12_345, 125_000):
            np.testing.assert_allclose(schedule(step), start / 1.000004**step, rtol=1e-5)


def test_sigmoid_is_the_tanh_of_half_its_logit_and_mnist_takes_images_in_0_1():
    model = GAN(**TINY)
    z = model.latents(tf.range(4, dtype=tf.int64))
    hidden = z
    for layer in model.generator.dense:
        hidden = tf.nn.relu(layer(hidden))
    logits = model.generator.out(hidden)
    np.testing.assert_allclose(tf.reshape(model.decode_images(z), [4, -1]), tf.sigmoid(logits), atol=1e-6)
    black = model.logits(-tf.ones([1, 8, 8, 1]))
    for layer in model.discriminator.dense:
        layer.kernel.assign(3.0 * layer.kernel)
    np.testing.assert_array_equal(model.logits(-tf.ones([1, 8, 8, 1])), black)  # black is 0: weights do not matter


def test_output_bias_from_the_marginals():
    data = images(50)
    data[:, 0, 0] = 0.0
    for args in (TINY, {**TINY, "network": "mlp"}):
        model = GAN(**args)
        model.init_output_bias(data)
        model.generator.out.kernel.assign(0.0 * model.generator.out.kernel)
        np.testing.assert_allclose(model.sample(3)[1], data.mean(axis=0), atol=1e-6)
    with pytest.raises(ValueError, match="made for images"):
        model.init_output_bias(images(2, shape=(4, 4, 1)))
    with pytest.raises(ValueError, match="ends in a fully connected layer.*conv_maxout"):
        GAN(**CONV).init_output_bias(data)


# ---- the game


def test_losses_at_a_tie_and_gradients_where_the_discriminator_wins():
    zeros = tf.zeros([5])
    for name in ("minimax", "non_saturating"):
        objective = GAN(**TINY, objective=name).objective
        assert float(objective.discriminator(zeros, zeros)) == pytest.approx(2 * np.log(2))
        slopes = []
        for s in (-30.0, 0.0):
            with tf.GradientTape() as tape:
                logits = tf.constant([s])
                tape.watch(logits)
                loss = objective.generator(logits)
            slopes.append(float(tape.gradient(loss, logits)[0]))
        assert slopes == pytest.approx([0.0, -0.5] if name == "minimax" else [-1.0, -0.5], abs=1e-6)


def test_the_best_discriminator_of_two_histograms_and_the_value_of_the_game():
    """Theorem 1: the logit is log p - log q, and -loss = -log 4 + 2 JSD(p, q)."""
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.2, 0.6])
    real, fake = np.repeat([0, 1, 2], [50, 30, 20]), np.repeat([0, 1, 2], [20, 20, 60])  # 100 draws of each
    logits = tf.Variable(np.zeros(3))
    for _ in range(400):
        with tf.GradientTape() as tape:
            loss = losses.OBJECTIVES["minimax"].discriminator(tf.gather(logits, real), tf.gather(logits, fake))
        logits.assign_sub(4.0 * tf.convert_to_tensor(tape.gradient(loss, logits)))
    np.testing.assert_allclose(logits, np.log(p / q), atol=1e-6)
    m = (p + q) / 2
    jsd = 0.5 * (np.sum(p * np.log(p / m)) + np.sum(q * np.log(q / m)))
    assert -float(loss) == pytest.approx(-np.log(4) + 2 * jsd, abs=1e-9)


def test_gradient_of_the_generator_at_the_best_discriminator():
    """Saturating: that of 2 JSD; non-saturating: that of KL(q || p) - 2 JSD. Data N(0, 1), samples t + N(0, 1)."""
    t, x = tf.Variable(0.7, dtype=tf.float64), tf.linspace(tf.constant(-12.0, tf.float64), 12.0, 20_001)
    dx, log_p = x[1] - x[0], -0.5 * x**2 - 0.5 * np.log(2 * np.pi)

    def gradient(loss):
        with tf.GradientTape() as tape:
            value = loss()
        return float(tape.gradient(value, t))

    def divergences():
        log_q = -0.5 * (x - t) ** 2 - 0.5 * np.log(2 * np.pi)
        p, q = tf.exp(log_p), tf.exp(log_q)
        log_m = tf.math.log((p + q) / 2)
        jsd = 0.5 * tf.reduce_sum(p * (log_p - log_m) + q * (log_q - log_m)) * dx
        return jsd, tf.reduce_sum(q * (log_q - log_p)) * dx

    weights = tf.stop_gradient(tf.exp(-0.5 * x**2)) * dx / np.sqrt(2 * np.pi)  # of the noise z = x, N(0, 1)
    fixed = float(t)

    def game(name):  # s*(y) = log p(y) - log q(y), held fixed, at y = t + z
        y = t + x
        logit = -0.5 * y**2 + 0.5 * (y - fixed) ** 2
        per_sample = -tf.nn.softplus(logit) if name == "minimax" else tf.nn.softplus(-logit)
        np.testing.assert_allclose(losses.OBJECTIVES[name].generator(logit), tf.reduce_mean(per_sample), rtol=1e-9)
        return tf.reduce_sum(weights * per_sample)

    assert gradient(lambda: game("minimax")) == pytest.approx(gradient(lambda: 2 * divergences()[0]), rel=1e-6)
    expected = gradient(lambda: divergences()[1] - 2 * divergences()[0])
    assert gradient(lambda: game("non_saturating")) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("args", [TINY, CONV, {**TINY, "network": "mlp"}])
def test_which_loss_moves_which_network(args):
    model = GAN(**args)
    model.compile(run_eagerly=True)
    batch = {"raw": tf.constant(2 * images() - 1)}

    def moved(step):
        before = [[v.numpy() for v in network.trainable_variables] for network in (model.generator, model.discriminator)]
        step()
        after = [[v.numpy() for v in network.trainable_variables] for network in (model.generator, model.discriminator)]
        return [any(np.any(a != b) for a, b in zip(x, y, strict=True)) for x, y in zip(before, after, strict=True)]

    assert moved(lambda: model.update_discriminator(batch, stream=0)) == [False, True]
    assert moved(lambda: model.update_generator(batch)) == [True, False]


# ---- dropout


@pytest.mark.parametrize("args", [TINY, CONV])
def test_dropout_in_training_only_and_in_the_published_places(args):
    model = GAN(**args)
    rates = {layer.stream: layer.amount for layer in model.discriminator.dropouts}
    assert rates == {0: 0.2} | dict.fromkeys(range(1, len(model.discriminator.dropouts)), 0.5)
    raw = tf.constant(2 * images() - 1)
    np.testing.assert_array_equal(model.logits(raw), model.logits(raw))
    noise = model.discriminator_noise(6, stream=0)
    noisy = model.logits(raw, training=True, **noise)
    assert np.any(noisy != model.logits(raw))
    np.testing.assert_array_equal(noisy, model.logits(raw, training=True, **noise))
    half = {"keys": noise["keys"][:3]}
    np.testing.assert_allclose(model.logits(raw[:3], training=True, **half), noisy[:3], rtol=1e-5, atol=1e-7)


def test_each_pass_each_step_and_each_seed_has_its_own_dropout():
    model, other = GAN(**TINY), GAN(**TINY, seed=1)
    latent = set(model.noise_keys(4, 0).numpy()) | set(model.noise_keys(4, 2).numpy())
    passes = [(0, 0), (0, 1), (0, 2), (2, 0), (3, 0)]
    drawn = [model.discriminator_noise(4, stream, part)["keys"].numpy() for stream, part in passes]
    drawn.append(other.discriminator_noise(4, 0)["keys"].numpy())
    model.step.assign(1)
    drawn.append(model.discriminator_noise(4, 0)["keys"].numpy())
    drawn = np.concatenate(drawn)
    assert len(set(drawn)) == len(drawn) and not latent & set(drawn)
    assert GAN(**TINY, network="mlp").discriminator_noise(4, 0) == {}


def test_the_same_run_twice():
    def run():
        keras.utils.set_random_seed(3)
        model = GAN(**TINY)
        model.compile()
        model.fit(tf.data.Dataset.from_tensor_slices({"image": images(24)}).batch(8), verbose=0)
        return [v.numpy() for v in model.trainable_variables]

    for a, b in zip(run(), run(), strict=True):
        np.testing.assert_array_equal(a, b)


# ---- the paper's measure


def test_parzen_log_likelihood_of_samples():
    """As in the module's docstring; with all samples alike, the estimate is a Gaussian's log-density."""
    model = GAN(**TINY)
    model.generator.out.kernel.assign(0.0 * model.generator.out.kernel)
    samples = model.sample(20).numpy().reshape(20, -1)
    test = images(6).reshape(6, -1)
    estimate = parzen.parzen_estimate(samples, test[:3], test[3:], grid=np.logspace(-1, 0, 10))
    assert estimate.sigma in np.logspace(-1, 0, 10)
    squares = np.sum((test[3:] - 0.5) ** 2, axis=1)
    density = -squares / (2 * estimate.sigma**2) - 32 * np.log(2 * np.pi * estimate.sigma**2)
    assert estimate.mean == pytest.approx(density.mean(), rel=1e-5)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"network": "maxouts"}, "network must be"),
        ({"network_args": {"discriminator": {"pieces": 0}}}, "pieces must be"),
        ({"network_args": {"discriminator": {"dropout": [0.5]}}}, "dropout must be"),
        ({"network_args": {"discriminator": {"dropout": [0.5, 1.0]}}}, "dropout must be .a number in .0, 1., a number"),
        ({"network_args": {"slope": 0.1}}, "slope"),
        ({"network": "conv_maxout", "image_shape": (28, 28, 1)}, r"sides of 3 n \+ 2"),
        ({"objective": "saturating"}, "objective must be"),
    ],
)
def test_bad_arguments(bad, message):
    with pytest.raises(ValueError, match=message):
        GAN(**{**TINY, **bad})
