"""The GMVAE against its formulas written out, term by term."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import logsumexp
from scipy.stats import norm

import tfgen
from tfgen.models import GMVAE

TINY = {"image_shape": (4, 4, 1), "num_clusters": 3, "latent_dim": 2, "style_dim": 2, "hidden": (8,), "prior_hidden": 8}


def make(**kwargs):
    """A model whose components lie apart, as after some training."""
    keras.utils.set_random_seed(0)
    model = GMVAE(**{**TINY, **kwargs})
    kernel = model.prior_network.layers[-1].kernel
    kernel.assign(0.5 * np.random.default_rng(0).normal(size=kernel.shape))
    return model


def pictures(num=4, shape=(4, 4, 1), seed=0):
    return np.random.default_rng(seed).integers(0, 2, (num, *shape)).astype("float32")


def set_components(model, mean, variance):
    """Components that do not depend on w: means and variances [K, latent_dim]."""
    last = model.prior_network.layers[-1]
    last.kernel.assign(tf.zeros_like(last.kernel.value))
    raw = np.log(np.expm1(np.asarray(variance) - 1e-3))  # the inverse of softplus
    last.bias.assign(np.concatenate([mean, raw], axis=-1).ravel().astype("float32"))


def gaussian_kl(mean, stddev, other_mean, other_stddev):
    return np.sum(
        np.log(other_stddev / stddev) + (stddev**2 + (mean - other_mean) ** 2) / (2 * other_stddev**2) - 0.5, axis=-1
    )


def moments(distribution):
    return distribution.mean().numpy().astype("float64"), distribution.stddev().numpy().astype("float64")


def written_out(model, images, noise):
    """The four terms [B] and p(z|x,w) [M, B, K], one image, one draw and one cluster at a time, in float64."""
    (x_mean, x_std), (w_mean, w_std) = map(moments, model.posteriors(images))
    draws, rows, num = noise.shape[0], len(images), model.num_clusters
    terms = {name: np.zeros((draws, rows)) for name in ("reconstruction", "x_kl", "w_kl", "z_kl")}
    posterior = np.zeros((draws, rows, num))
    for m, b in itertools.product(range(draws), range(rows)):
        x = x_mean[b] + x_std[b] * noise[m, b, : model.latent_dim]
        w = w_mean[b] + w_std[b] * noise[m, b, model.latent_dim :]
        mean, std = moments(model.components(tf.constant(w[None], tf.float32)))
        joint = [np.log(1 / num) + norm.logpdf(x, mean[0, k], std[0, k]).sum() for k in range(num)]
        posterior[m, b] = np.exp(joint - logsumexp(joint))
        logits = model.decoder(x[None].astype("float32")).numpy()[0].astype("float64")
        terms["reconstruction"][m, b] = -np.sum(images[b] * logits - np.logaddexp(0, logits))
        for k in range(num):
            terms["x_kl"][m, b] += posterior[m, b, k] * gaussian_kl(x_mean[b], x_std[b], mean[0, k], std[0, k])
            terms["z_kl"][m, b] += posterior[m, b, k] * (np.log(posterior[m, b, k]) - np.log(1 / num))
        terms["w_kl"][m, b] = gaussian_kl(w_mean[b], w_std[b], 0.0, 1.0)
    return {name: value.mean(axis=0) for name, value in terms.items()}, posterior


def test_terms_are_those_of_an_enumeration_of_the_clusters():
    model, images = make(), pictures()
    noise = np.random.default_rng(1).normal(size=(5, 4, 4)).astype("float32")
    expected, posterior = written_out(model, images, noise)
    terms = model.bound_terms(images, noise)
    assert terms.keys() == expected.keys()
    for name, value in terms.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-4, atol=1e-5, err_msg=name)
    log_likelihood, kl = model.elbo_terms(images, noise[0])
    one, _ = written_out(model, images, noise[:1])
    np.testing.assert_allclose(log_likelihood - kl, -sum(one.values()), rtol=1e-4)
    drawn = model.evaluation_noise(4, seed=3).numpy()[None]
    _, posterior = written_out(model, images, drawn)
    np.testing.assert_allclose(model.cluster_probabilities(images, num_samples=1, seed=3), posterior[0], rtol=1e-4)
    _, at_means = written_out(model, images, np.zeros((1, 4, 4), "float32"))
    np.testing.assert_allclose(model.cluster_probabilities(images), at_means[0], rtol=1e-4)
    np.testing.assert_array_equal(model.cluster(images), at_means[0].argmax(axis=-1))


def test_cluster_probabilities_of_many_draws_are_their_mean():
    model, images = make(), pictures()
    noise = tf.reshape(model.evaluation_noise(7 * 4, seed=2), [7, 4, 4]).numpy()
    found = model.cluster_probabilities(images, num_samples=7, seed=2)
    np.testing.assert_allclose(found, written_out(model, images, noise)[1].mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(tf.reduce_sum(found, axis=-1), 1.0, rtol=1e-6)


def test_one_cluster_is_a_vae_of_two_layers():
    model, images = make(num_clusters=1, free_bits=0.0), pictures()
    noise = np.random.default_rng(1).normal(size=(1, 4, 4)).astype("float32")
    terms = model.bound_terms(images, noise)
    np.testing.assert_array_equal(terms["z_kl"], 0.0)
    (x_mean, x_std), (w_mean, w_std) = map(moments, model.posteriors(images))
    mean, std = moments(model.components(tf.constant(w_mean + w_std * noise[0, :, 2:], tf.float32)))
    np.testing.assert_allclose(terms["x_kl"], gaussian_kl(x_mean, x_std, mean[:, 0], std[:, 0]), rtol=1e-4)
    np.testing.assert_array_equal(model.cluster_probabilities(images), 1.0)


def test_components_that_are_one_leave_the_posterior_at_the_prior():
    model, images = make(), pictures()
    set_components(model, [[0.3, -0.2]] * 3, [[0.5, 2.0]] * 3)
    terms = model.bound_terms(images, np.zeros((1, 4, 4), "float32"))
    np.testing.assert_allclose(model.cluster_probabilities(images), 1 / 3, rtol=1e-6)
    np.testing.assert_allclose(terms["z_kl"], 0.0, atol=1e-6)
    single = gaussian_kl(*moments(model.encode(images)), np.array([0.3, -0.2]), np.sqrt([0.5, 2.0]))
    np.testing.assert_allclose(terms["x_kl"], single, rtol=1e-5)


def test_components_far_apart_are_told_apart():
    model, images = make(), pictures()
    mean = np.array([[-90.0, 0.0], [0.0, 0.0], [90.0, 0.0]])
    set_components(model, mean, np.full((3, 2), 0.01))
    model.encoder.layers[-1].kernel.assign(tf.zeros_like(model.encoder.layers[-1].kernel.value))
    for k in range(3):
        model.encoder.layers[-1].bias.assign([*mean[k], -9, -9, 0, 0, 0, 0])
        terms = model.bound_terms(images, np.ones((1, 4, 4), "float32"))
        np.testing.assert_array_equal(model.cluster_probabilities(images), np.tile(np.eye(3)[k], (4, 1)))
        np.testing.assert_allclose(terms["z_kl"], np.log(3.0), rtol=1e-6)  # its greatest value; no 0 * inf
        assert np.isfinite(terms["x_kl"]).all()


def test_the_numbers_of_the_clusters_mean_nothing():
    model, images = make(), pictures()
    noise = np.random.default_rng(1).normal(size=(2, 4, 4)).astype("float32")
    before, probabilities = model.bound_terms(images, noise), model.cluster_probabilities(images).numpy()
    bound, order = model.log_prob(images, num_importance_samples=5), [2, 0, 1]
    last = model.prior_network.layers[-1]
    for variable in (last.kernel, last.bias):
        blocks = tf.reshape(variable.value, [-1, 3, 4])
        variable.assign(tf.reshape(tf.gather(blocks, order, axis=1), variable.shape))
    np.testing.assert_allclose(model.cluster_probabilities(images), probabilities[:, order], rtol=1e-5)
    assert np.abs(probabilities[:, order] - probabilities).max() > 0.01
    for name, value in model.bound_terms(images, noise).items():
        np.testing.assert_allclose(value, before[name], rtol=1e-5, err_msg=name)
    np.testing.assert_allclose(model.log_prob(images, num_importance_samples=5), bound, rtol=1e-5)


def test_components_start_almost_as_one():
    keras.utils.set_random_seed(0)
    probabilities = GMVAE(**TINY).cluster_probabilities(pictures()).numpy()
    np.testing.assert_allclose(probabilities, 1 / 3, atol=1e-3)
    assert np.ptp(probabilities) > 0  # exactly as one they would stay so


def test_no_component_closes_in_on_a_point():
    model = make()
    model.prior_network.layers[-1].bias.assign(tf.fill([12], -1e4))
    assert float(tf.reduce_min(model.components(tf.zeros([1, 2])).stddev())) == pytest.approx(1e-3**0.5)


# ---- free bits


@pytest.mark.parametrize(("z_kl", "gradient"), [(0.2, 0.0), (0.49, 0.0), (0.51, 1.0), (0.9, 1.0)])
def test_free_bits(z_kl, gradient):
    model, value = make(free_bits=0.5), tf.constant(z_kl)
    with tf.GradientTape() as tape:
        tape.watch(value)
        loss = model.above_free_bits(value)
    assert float(loss) == pytest.approx(max(z_kl, 0.5))
    assert float(tape.gradient(loss, value)) == gradient


@pytest.mark.parametrize(("values", "gradient"), [((0.2, 0.7), 0.0), ((0.4, 0.7), 1.0)])
def test_free_bits_are_decided_by_the_mean_over_replicas(values, gradient):
    reduction = tf.distribute.ReductionToOneDevice()
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], cross_device_ops=reduction)
    with strategy.scope():
        model = make(free_bits=0.5)

    @tf.function
    def step():
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        value = tf.gather(tf.constant(values), replica)
        with tf.GradientTape() as tape:
            tape.watch(value)
            loss = model.above_free_bits(value)
        return loss, tape.gradient(loss, value)

    losses, gradients = (strategy.experimental_local_results(part) for part in strategy.run(step))
    assert np.mean(losses) == pytest.approx(max(np.mean(values), 0.5))
    np.testing.assert_array_equal(gradients, gradient)


def test_the_loss_is_the_bound_but_for_free_bits():
    images = pictures(8)
    logs = {}
    for free_bits in (0.0, 1.0):
        model = make(free_bits=free_bits, num_samples=2)
        model.compile(keras.optimizers.SGD(0.0))
        logs[free_bits] = {name: float(value) for name, value in model.update(model.as_batch(images)).items()}
    free, bound = logs[1.0], logs[0.0]
    assert bound["loss"] == pytest.approx(sum(value for name, value in bound.items() if name != "loss"), rel=1e-5)
    assert 0 < bound["z_kl"] < 1
    assert free["loss"] == pytest.approx(bound["loss"] - bound["z_kl"] + 1.0, rel=1e-5)
    evaluated = model.evaluate(images, batch_size=8, return_dict=True, verbose=0)
    assert evaluated["loss"] == pytest.approx(-float(tf.reduce_mean(model.elbo(images))), rel=1e-5)


@pytest.mark.long
def test_free_bits_keep_the_clusters_from_merging(digits):
    images = (digits[0][:1400] >= 0.5).astype("float32")
    settings = {"image_shape": (8, 8, 1), "num_clusters": 10, "latent_dim": 10, "style_dim": 6, "hidden": (64,)}
    found = {}
    for free_bits in (0.0, 1.0):
        keras.utils.set_random_seed(0)
        model = GMVAE(**settings, prior_hidden=32, free_bits=free_bits)
        model.compile(keras.optimizers.Adam(2e-3), steps_per_execution=14)
        history = model.fit(images, batch_size=100, epochs=20, verbose=0).history
        found[free_bits] = history["z_kl"][-1]
    assert found[0.0] < 0.3 and found[1.0] > found[0.0] + 0.4


# ---- gradients


def test_gradients_are_those_of_finite_differences():
    """All ways through the sample: also those from p(z|x,w) into the encoder and the network of the components."""
    model, images = make(), pictures()
    noise = np.random.default_rng(1).normal(size=(2, 4, 4)).astype("float32")
    prior = model.prior_network.layers
    variables = [model.encoder.layers[-1].kernel, prior[0].kernel, prior[-1].kernel]

    def value():
        terms = model.bound_terms(images, noise)
        return tf.reduce_mean(terms["x_kl"] + terms["w_kl"] + 5.0 * terms["z_kl"])

    with tf.GradientTape() as tape:
        loss = value()
    gradients, h = tape.gradient(loss, [v.value for v in variables]), 1e-2
    for variable, gradient in zip(variables, gradients, strict=True):
        start = variable.numpy()
        places = np.argsort(-np.abs(gradient.numpy()).ravel())[[0, 3, 5]]
        for index in zip(*np.unravel_index(places, start.shape), strict=True):
            values = []
            for sign in (1, -1):
                moved = start.copy()
                moved[index] += sign * h
                variable.assign(moved)
                values.append(float(value()))
            variable.assign(start)
            assert (values[0] - values[1]) / (2 * h) == pytest.approx(float(gradient[index]), rel=0.03, abs=2e-3)


# ---- likelihood


def test_importance_weighted_bound_reaches_the_likelihood_by_quadrature():
    shape = (1, 2, 1)
    model = make(image_shape=shape, latent_dim=1, style_dim=1)
    last = model.encoder.layers[-1]  # q wider than the posterior: importance weights of small variance
    last.kernel.assign(0.3 * last.kernel.value)
    last.bias.assign([0.0, 1.5, 0.0, 0.5])  # mean and ln variance of x, then of w
    images = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float32").reshape(4, *shape)
    w = np.linspace(-6, 6, 121)
    x = np.linspace(-12, 12, 601)
    mean, std = moments(model.components(tf.constant(w[:, None], tf.float32)))  # [W, K, 1]
    density = norm.pdf(x[None, None], mean, std).mean(axis=1)  # p(x|w), z summed out: [W, X]
    p_x = norm.pdf(w) @ density * (w[1] - w[0])
    likelihood = np.exp(model.decode(tf.constant(x[:, None], tf.float32)).log_prob(images[:, None]))  # [4, X]
    exact = np.log(likelihood @ p_x * (x[1] - x[0]))
    assert np.exp(exact).sum() == pytest.approx(1.0, abs=1e-3)
    np.testing.assert_allclose(model.log_prob(images, num_importance_samples=20_000, chunk=5000), exact, atol=0.02)
    many = np.repeat(images, 5000, axis=0)
    elbo, exact_elbo = model.elbo(many), model.log_prob(many, num_importance_samples=1)
    # The paper's bound lies under the ELBO, and that under the likelihood.
    bounds = [np.reshape(value, [4, 5000]).mean(axis=1) for value in (elbo, exact_elbo)]
    assert np.all(bounds[0] < bounds[1] + 0.02) and np.all(bounds[1] < exact)
    set_components(model, [[-2.0], [0.0], [2.0]], np.full((3, 1), 0.3))  # well apart for q: what independence costs
    gap = np.mean(model.log_prob(many, num_importance_samples=1)) - np.mean(model.elbo(many))
    assert gap > 0.2


# ---- sampling


def test_latents_come_from_the_cluster_that_is_asked_for():
    model, seeds = make(), tf.range(5, dtype=tf.int64)
    set_components(model, [[-9.0, 1.0], [0.0, 2.0], [9.0, 3.0]], np.full((3, 2), 0.25))
    codes = [model.latents(seeds, tf.fill([5], k)).numpy() for k in range(3)]
    np.testing.assert_allclose(codes[1] - codes[0], np.tile([9.0, 1.0], (5, 1)), atol=1e-5)  # the noise is that of the seed
    np.testing.assert_allclose(codes[2] - codes[1], np.tile([9.0, 1.0], (5, 1)), atol=1e-5)
    many = model.latents(tf.range(6000, dtype=tf.int64)).numpy()
    shares = np.bincount(np.digitize(many[:, 0], [-4.5, 4.5]), minlength=3) / 6000
    np.testing.assert_allclose(shares, 1 / 3, atol=0.02)
    middle = many[np.abs(many[:, 0]) < 4.5]
    np.testing.assert_allclose(middle.mean(axis=0), [0.0, 2.0], atol=0.04)
    np.testing.assert_allclose(middle.std(axis=0), 0.5, atol=0.03)
    np.testing.assert_allclose(model.latents(seeds[2:4]), many[2:4], atol=1e-6)


def test_sweep_has_a_row_for_each_cluster_and_a_column_for_each_style():
    model = make()
    sweep = model.sweep(4, seed=3)
    assert sweep.shape == (3, 4, 4, 4, 1)
    seeds = tf.range(4, dtype=tf.int64) + (3 << 32)
    for k in range(3):
        expected = model.decode_images(model.latents(seeds, tf.fill([4], k)))
        np.testing.assert_allclose(sweep[k], expected, atol=1e-6)
    sample = model.sample(4, seed=3).numpy()
    assert all(np.abs(sweep[:, i] - sample[i]).max(axis=(1, 2, 3)).min() < 1e-6 for i in range(4))
    clusters = tf.constant([2, 0, 1])
    np.testing.assert_allclose(
        model.sample(3, seed=3, clusters=clusters), [sweep[k, i] for i, k in enumerate(clusters.numpy())], atol=1e-6
    )
    function, specs = model.signatures()["sample_clusters"]
    assert specs["clusters"].dtype == tf.int32
    served = function(seeds=seeds[:3], clusters=clusters)["image"]
    np.testing.assert_allclose(served, model.sample(3, seed=3, clusters=clusters), atol=1e-6)


# ---- networks and arguments


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("network", ["mlp", "conv", "strided"])
def test_networks_and_likelihoods(network, likelihood):
    shape = (16, 8, 3) if network == "strided" else (14, 12, 3)
    hidden = (8, 6) if network == "mlp" else (2, 3, 4, 8)
    model = make(image_shape=shape, network=network, hidden=hidden, likelihood=likelihood, levels=17)
    images = pictures(2, shape)
    assert model.encode(images).event_shape == (2,) and model.encode(images).batch_shape == (2,)
    assert model.decode(tf.zeros([5, 2, 2])).batch_shape == (5, 2)
    assert model.decode(tf.zeros([2, 2])).event_shape == shape
    assert model.reconstruct(images).shape == (2, *shape) and model.elbo(images).shape == (2,)
    assert np.isfinite(model.elbo(images)).all()
    assert model.components(tf.zeros([5, 2, 2])).batch_shape == (5, 2, 3)
    assert model.cluster(images).dtype == tf.int32 and model.cluster(images).shape == (2,)


def test_the_papers_convolutions_on_28_pixels():
    model = make(image_shape=(28, 28, 1), network="conv", hidden=(16, 32, 64, 500))
    maps = [layer.output.shape[1:] for layer in model.encoder.layers if isinstance(layer, keras.layers.Conv2D)]
    assert maps == [(23, 23, 16), (18, 18, 32), (9, 9, 64)]
    maps = [layer.output.shape[1:] for layer in model.decoder.layers if isinstance(layer, keras.layers.Conv2DTranspose)]
    assert maps == [(18, 18, 32), (23, 23, 16), (28, 28, 1)]


def test_the_network_of_svhn():
    """Weights and batch norms as in the authors' code: four convolutions 4x4, the last of them over all of its input."""
    model = tfgen.presets.get("gmvae/svhn-paper").build()
    maps = [layer.output.shape[1:] for layer in model.encoder.layers if isinstance(layer, keras.layers.Conv2D)]
    assert maps == [(16, 16, 64), (8, 8, 128), (4, 4, 256)]
    maps = [layer.output.shape[1:] for layer in model.decoder.layers if isinstance(layer, keras.layers.Conv2DTranspose)]
    assert maps == [(8, 8, 128), (16, 16, 64), (32, 32, 6)]
    kernels = [16 * 3 * 64, 16 * 64 * 128, 16 * 128 * 256, 16 * 256 * 500]
    found = [int(np.prod(v.shape)) for v in model.encoder.trainable_variables if v.name == "kernel"]
    assert found == [*kernels, 500 * 700]
    norms = [layer for layer in [*model.encoder.layers, *model.decoder.layers] if hasattr(layer, "moving_mean")]
    assert len(norms) == 8 and {layer.epsilon for layer in norms} == {1e-5}


def test_bad_arguments():
    for bad, message in (
        ({"num_clusters": 0}, "num_clusters must be an integer >= 1; received 0"),
        ({"num_samples": 1.5}, "num_samples must be an integer"), ({"style_dim": -1}, "style_dim must be"),
        ({"free_bits": 1.2}, r"free_bits must lie in \[0, ln num_clusters = 1.0986\].*received 1.2"),
        ({"free_bits": -0.1}, "free_bits must be a number >= 0"), ({"likelihood": "normal"}, "likelihood must be"),
        ({"network": "rnn"}, "network must be"), ({"network": "conv"}, "of at least 12; received"),
        ({"network": "conv", "image_shape": (13, 12, 1)}, "even height and width"),
        ({"network": "conv", "image_shape": (12, 12, 1)}, "four widths"),
        ({"network": "strided", "image_shape": (12, 8, 1)}, "multiples of 8; received"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            make(**bad)
    model, seeds = make(), tf.range(2, dtype=tf.int64)
    with pytest.raises(ValueError, match=r"clusters must be integers \[batch\]; received dtype float32"):
        model.latents(seeds, [0.0, 1.0])
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"clusters must lie in \[0, 3\)"):
        model.sample(2, clusters=[0, 3])
    with pytest.raises(ValueError, match="clusters and seeds must be of one length; received 3 and 2"):
        model.latents(seeds, [0, 1, 2])
    with pytest.raises(ValueError, match="num_samples must be an integer >= 0; received -1"):
        model.cluster_probabilities(pictures(), num_samples=-1)
    with pytest.raises(ValueError, match="made for images"):
        model.cluster(pictures(2, (8, 8, 1)))


def test_every_preset_builds():
    found = {name: preset for name, preset in tfgen.presets.all_presets().items() if preset.model is GMVAE}
    assert {"gmvae/mnist-paper", "gmvae/svhn-paper", "gmvae/mnist", "gmvae/digits"} <= found.keys()
    for name, preset in found.items():
        if "-clusters-" in name:  # the networks of mnist-paper with other numbers
            continue
        model = preset.build()
        assert model.latents(tf.constant([1, 2])).shape == (2, model.latent_dim), name
