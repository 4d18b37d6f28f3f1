"""InfoGAN's codes, its bound on the information, which loss reaches which weights, and what Q is used for."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import losses, presets, random
from tfgen.models import InfoGAN
from tfgen.models.adversarial.infogan import MIN_STDDEV
from tfgen.models.adversarial.parts.code_layout import CodeLayout
from tfgen.models.adversarial.parts.passes import Pass

LN10, LN2 = 2.302585093, 0.693147181
TINY = {
    "image_shape": (8, 8, 1), "network": "mlp", "width": 8, "q_width": 6, "categorical": (3, 2), "continuous": 2,
    "noise_dim": 4,
}  # fmt: skip


def size(variables):
    return sum(int(np.prod(v.shape)) for v in variables)


def images(num=4, shape=(8, 8, 1)):
    return np.random.default_rng(0).random((num, *shape), dtype="float32")


# ---- networks


def test_parameter_counts_of_the_mnist_networks():
    model = presets.get("infogan/mnist-paper").build()
    assert size(model.generator.trainable_variables) == 6_652_481
    assert size(model.discriminator.trainable_variables) == 6_692_431  # Q has 10 logits, 2 means, 2 deviations


def test_layer_tables_of_the_other_data_sets():
    def bn(n):
        return 2 * n

    def q(features, outputs):
        return features * 128 + 128 + bn(128) + 128 * outputs + outputs

    svhn = presets.get("infogan/svhn-paper").build()
    assert size(svhn.generator.trainable_variables) == (
        168 * 4 * 448 + 4 * 448 + bn(4 * 448)
        + 16 * (448 * 256 + 256 * 128 + 128 * 64 + 64 * 3) + (256 + 128 + 64 + 3) + bn(256 + 128 + 64)
    )  # fmt: skip
    assert size(svhn.discriminator.trainable_variables) == (
        16 * (3 * 64 + 64 * 128 + 128 * 256) + 64 + 128 + 256 + bn(128 + 256) + 4096 + 1 + q(4096, 40 + 8)
    )
    args = presets.get("infogan/chairs-paper").model_args  # with a narrower dense layer, to be quick
    chairs = InfoGAN(**{**args, "network_args": {**args["network_args"], "dense_width": 16}})
    assert chairs.generator.grid == (8, 8, 256)
    assert size(chairs.generator.trainable_variables) == (
        189 * 16 + 16 + bn(16) + 16 * 64 * 256 + 64 * 256 + bn(64 * 256)
        + 16 * (256 * 256 * 2 + 256 * 128 + 128 * 64 + 64) + (256 * 2 + 128 + 64 + 1) + bn(256 * 2 + 128 + 64)
    )  # fmt: skip


def test_discriminator_and_q_share_one_trunk():
    model = InfoGAN(**TINY)
    trunk, calls = model.discriminator.discriminator, []
    features = trunk.features
    object.__setattr__(trunk, "features", lambda *args: calls.append(1) or features(*args))
    outputs = model.discriminate(2.0 * images() - 1.0)
    assert len(calls) == 1
    hidden = model.discriminator.norm(model.discriminator.hidden(outputs["features"]))
    expected = model.discriminator.code(tf.nn.leaky_relu(hidden, 0.1))
    np.testing.assert_allclose(outputs["code"], expected, atol=1e-6)


# ---- codes


@pytest.mark.parametrize(("name", "total"), [("mnist", 74), ("svhn", 168), ("celeba", 228), ("faces", 133), ("chairs", 189)])
def test_published_layouts(name, total):
    args = presets.get(f"infogan/{name}-paper").model_args
    layout = CodeLayout(args["noise_dim"], args["categorical"], args["continuous"])
    assert sum(layout.sizes) == total


@pytest.mark.parametrize("layout", [CodeLayout(4, (3, 2), 2), CodeLayout(0, (), 1), CodeLayout(3, (2,), 0)])
def test_split_and_join_are_inverse(layout):
    latents = np.random.default_rng(0).normal(size=(5, sum(layout.sizes))).astype("float32")
    noise, one_hots, continuous = layout.split(latents)
    assert noise.shape == (5, layout.noise) and continuous.shape == (5, layout.continuous)
    assert tuple(part.shape[1] for part in one_hots) == layout.categorical
    np.testing.assert_array_equal(layout.join(noise, one_hots, continuous), latents)


def test_latents_are_uniform_codes_and_noise():
    model = InfoGAN(**TINY)
    latents = model.latents(np.arange(6000))
    noise, one_hots, continuous = (tf.nest.map_structure(np.array, part) for part in model.layout.split(latents))
    for one_hot in one_hots:
        assert set(one_hot.ravel()) == {0.0, 1.0} and np.all(one_hot.sum(axis=1) == 1)
        np.testing.assert_allclose(one_hot.mean(axis=0), 1 / one_hot.shape[1], atol=0.03)
    for part in (noise, continuous):
        assert -1 < part.min() < -0.99 and 0.99 < part.max() < 1
        np.testing.assert_allclose(part.std(axis=0), 3**-0.5, atol=0.02)
    independent = np.concatenate([noise, *[one_hot[:, 1:] for one_hot in one_hots], continuous], axis=1)
    correlation = np.corrcoef(independent.T)
    first = one_hots[0].shape[1] - 1  # the values of one categorical code exclude each other
    correlation[4 : 4 + first, 4 : 4 + first] = np.eye(first)
    np.testing.assert_allclose(correlation, np.eye(len(correlation)), atol=0.06)
    np.testing.assert_array_equal(model.latents([17, 5]), latents.numpy()[[17, 5]])


def test_extreme_random_numbers_give_a_category():
    model = InfoGAN(**{**TINY, "categorical": (3, 10, 7), "continuous": 0})
    for extreme in (2.0**-24, 1.0 - 2.0**-24):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(random, "uniform", lambda keys, size, value=extreme: tf.fill([2, size], tf.constant(value)))
            _, one_hots, _ = model.layout.split(model.latents([0, 1]))
        assert all(np.all(np.sum(one_hot, axis=1) == 1) for one_hot in one_hots)


def test_noise_may_be_normal():
    latents = InfoGAN(**TINY, latent_distribution="normal").latents(np.arange(500)).numpy()
    assert np.abs(latents[:, :4]).max() > 2 and np.abs(latents[:, 4:]).max() <= 1


# ---- the bound


def test_bound_of_a_blind_and_of_a_perfect_q():
    model = InfoGAN(**{**TINY, "categorical": (10,), "continuous": 0})
    latents = model.latents(np.arange(50))
    codes = model.layout.split(latents)[1][0]
    assert float(model.information(tf.zeros([50, 10]), latents)["categorical"]) == pytest.approx(0.0, abs=1e-5)
    assert float(model.information(100.0 * codes, latents)["categorical"]) == pytest.approx(LN10, abs=1e-5)
    assert model.information(tf.zeros([50, 10]), latents).keys() == {"categorical"}


def test_bounds_of_several_codes_add_up():
    model = InfoGAN(**TINY)
    latents = model.latents(np.arange(20))
    _, (first, second), values = model.layout.split(latents)
    outputs = tf.concat([100.0 * first, 0.0 * second, values, tf.random.stateless_normal([20, 2], [0, 1])], axis=1)
    bounds = model.information(outputs, latents)
    assert float(bounds["categorical"]) == pytest.approx(np.log(3), abs=1e-5)  # one known, the other not
    assert float(bounds["continuous"]) == pytest.approx(2 * (-0.918939 + LN2), abs=1e-5)
    shifted = model.information(outputs + tf.constant([0.0] * 5 + [0.3, 0, 0, 0]), latents)
    assert float(shifted["continuous"]) == pytest.approx(float(bounds["continuous"]) - 0.3**2 / 2, abs=1e-5)


def test_bound_is_the_information_where_q_is_the_posterior():
    """A channel from 3 codes to 4 images, its probabilities in eighths, so that a batch can hold it exactly."""
    channel = np.array([[5, 1, 1, 1], [0, 4, 4, 0], [2, 0, 2, 4]])  # p(x | c) * 8
    joint = channel / channel.sum()
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
    information = np.sum(joint[joint > 0] * np.log(joint[joint > 0] / independent[joint > 0]))
    codes, seen = (np.repeat(index, channel.ravel()) for index in np.indices(channel.shape).reshape(2, -1))
    model = InfoGAN(**{**TINY, "categorical": (3,), "continuous": 0, "noise_dim": 0})
    with np.errstate(divide="ignore"):
        logits = np.maximum(np.log(joint / joint.sum(axis=0)), -50.0).T[seen]
    latents = np.eye(3, dtype="float32")[codes]
    assert float(model.information(logits, latents)["categorical"]) == pytest.approx(information, abs=1e-6)
    other = logits + np.random.default_rng(0).normal(size=logits.shape)
    assert float(model.information(other, latents)["categorical"]) < information


def test_learned_deviation_has_a_floor():
    model = InfoGAN(**{**TINY, "categorical": (), "code_stddev": None})
    latents = model.latents(np.arange(20))
    values = model.layout.split(latents)[2]

    def bound(log_variance):
        outputs = tf.concat([values, tf.fill([20, 2], tf.constant(log_variance, tf.float32))], axis=1)
        return float(model.information(outputs, latents)["continuous"])

    highest = 2 * (-0.918939 - np.log(MIN_STDDEV) + LN2)
    assert bound(0.0) < bound(-4.0) < bound(-1e4) == pytest.approx(highest, abs=1e-5)
    assert bound(2 * np.log(1 - MIN_STDDEV)) == pytest.approx(2 * (-0.918939 + LN2), abs=1e-5)
    posterior = model.code_posterior(images())
    assert posterior.keys() == {"mean", "stddev"} and np.all(posterior["stddev"] > MIN_STDDEV)


# ---- training


def gradients(model, loss, *groups):
    """Whether `loss()` has a gradient in each group of variables."""
    variables = [v.value for group in groups for v in group]
    with tf.GradientTape() as tape:
        value = loss()
    found = iter(tape.gradient(value, variables, unconnected_gradients="zero"))
    return [any([np.any(next(found)) for _ in group]) for group in groups]


def test_which_loss_reaches_which_weights():
    model = InfoGAN(**TINY)
    d = model.discriminator.discriminator
    head, q = d.logit.trainable_variables, [
        v for layer in (model.discriminator.hidden, model.discriminator.norm, model.discriminator.code)
        for v in layer.trainable_variables
    ]  # fmt: skip
    trunk = [v for v in d.trainable_variables if not any(v is w for w in head)]
    groups = model.generator.trainable_variables, trunk, head, q
    assert size(trunk) + size(head) + size(q) == size(model.discriminator.trainable_variables)
    latents = model.latents(np.arange(16))

    def generated():
        images = model.generate_raw(latents, training=True)
        return Pass(images, latents=latents, outputs=model.discriminate(images, training=True))

    def term(kind):
        return lambda: model.generator_terms({}, generated())[f"{kind}_term"]

    for kind in ("categorical", "continuous"):
        assert gradients(model, term(kind), *groups) == [True, True, False, True]
    adversarial = lambda: model.adversarial_loss({}, generated())  # noqa: E731
    assert gradients(model, adversarial, *groups) == [True, True, True, False]


def test_real_images_do_not_enter_the_information():
    model = InfoGAN(**TINY)
    latents = model.latents(np.arange(4))
    generated, real = model.generate_raw(latents), tf.constant(2.0 * images() - 1.0)
    fake = Pass(generated, latents=latents, outputs=model.discriminate(generated))
    with tf.GradientTape() as tape:
        tape.watch(real)
        terms = model.discriminator_terms({}, Pass(real, outputs=model.discriminate(real)), fake)
    assert terms.keys() == {"categorical_term", "continuous_term"}
    assert tape.gradient(sum(terms.values()), real) is None


def test_each_step_moves_its_own_weights():
    model = InfoGAN(**TINY)
    model.compile()
    d = model.discriminator
    layers = [model.generator, d.discriminator, d.hidden, d.norm, d.code]

    def moved(step):
        before = [[v.numpy() for v in layer.trainable_variables] for layer in layers]
        step()
        return [
            any(np.any(a != v.numpy()) for a, v in zip(old, layer.trainable_variables, strict=True))
            for old, layer in zip(before, layers, strict=True)
        ]

    batch = {"raw": tf.constant(2.0 * images() - 1.0)}
    assert moved(lambda: model.update_discriminator(batch, stream=0)) == [False, True, True, True, True]
    assert moved(lambda: model.update_generator(batch)) == [True, False, False, False, False]


def test_terms_are_weighted_and_in_both_losses():
    settings = {**TINY, "categorical_weight": 0.5, "continuous_weight": 3.0}
    model = InfoGAN(**settings)
    model.compile(run_eagerly=True)
    batch = {"raw": tf.constant(2.0 * images() - 1.0)}
    seen = {}
    model.information = lambda outputs, latents: seen.update(InfoGAN.information(model, outputs, latents)) or seen
    logs = model.update_discriminator(batch, stream=0)
    assert float(logs["categorical_term"]) == pytest.approx(-0.5 * float(seen["categorical"]))
    assert float(logs["continuous_term"]) == pytest.approx(-3.0 * float(seen["continuous"]))

    outputs, discriminate = [], model.discriminate  # the objective alone, from the logits of the same step
    model.discriminate = lambda *args, **kwargs: outputs.append(discriminate(*args, **kwargs)) or outputs[-1]
    objective = losses.OBJECTIVES["non_saturating"]
    for step, alone in (
        (model.update_discriminator, objective.discriminator), (model.update_generator, objective.generator),
    ):  # fmt: skip
        outputs.clear()
        logs = step(batch)
        total = next(value for name, value in logs.items() if name.endswith("_loss"))
        information = float(logs["categorical_term"]) + float(logs["continuous_term"])
        assert float(total) == pytest.approx(float(alone(*[j["logit"] for j in outputs])) + information, abs=1e-5)


def test_information_rises_in_training():
    keras.utils.set_random_seed(0)
    model = InfoGAN(**{**TINY, "width": 32})
    model.compile(keras.optimizers.Adam(5e-3, beta_1=0.5), steps_per_execution=10)
    data = tf.data.Dataset.from_tensors({"image": images(64)}).repeat()
    logs = model.fit(data, epochs=4, steps_per_epoch=50, verbose=0).history
    assert logs["categorical_information"][0] < 1.2 < logs["categorical_information"][-1] < np.log(6)
    assert logs["continuous_information"][-1] > logs["continuous_information"][0] + 0.05
    latents = model.latents(np.arange(200))
    category = np.argmax(model.layout.split(latents)[1][0], axis=1)
    assert np.mean(model.classify(model.decode_images(latents)) == category) > 0.8


# ---- what Q and the codes are used for


def test_classify_is_the_mode_of_the_posterior():
    model = InfoGAN(**TINY)
    posterior = model.code_posterior(images())
    assert list(posterior) == ["category_0", "category_1", "mean", "stddev"]
    assert [posterior[key].shape[1] for key in posterior] == [3, 2, 2, 2]
    np.testing.assert_array_equal(posterior["stddev"], np.ones((4, 2)))
    for code in (0, 1):
        found = model.classify(images(), code)
        assert found.dtype == tf.int32
        np.testing.assert_allclose(tf.reduce_sum(posterior[f"category_{code}"], axis=1), 1.0, atol=1e-6)
        np.testing.assert_array_equal(found, np.argmax(posterior[f"category_{code}"], axis=1))


def test_replace_sets_one_code_and_leaves_the_rest():
    layout = CodeLayout(4, (3, 2), 2)
    latents = np.random.default_rng(0).normal(size=(2, 11)).astype("float32")
    places = {0: slice(4, 7), 1: slice(7, 9), 2: slice(9, 10), 3: slice(10, 11)}
    for code, place in places.items():
        got = layout.replace(latents, code, [1, 0]).numpy()
        expected = np.eye(place.stop - place.start)[[1, 0]] if code < 2 else [[1], [0]]
        np.testing.assert_array_equal(got[:, place], expected)
        rest = np.delete(np.arange(11), np.r_[place])
        np.testing.assert_array_equal(got[:, rest], latents[:, rest])
    np.testing.assert_array_equal(layout.replace(latents, 2, 0.5)[:, 9], [0.5, 0.5])


@pytest.mark.parametrize("code", [0, 1, 2, 3])
def test_traversal_changes_one_code_along_a_row(code):
    model = InfoGAN(**TINY)
    swept = model.traversal(code, rows=3, seed=7)
    own = model.latents(np.arange(3) + (7 << 32))
    values = np.arange(model.layout.categorical[code]) if code < 2 else np.linspace(-2, 2, 10)
    assert swept.shape == (3, len(values), 8, 8, 1)
    for i, value in enumerate(values):
        expected = model.decode_images(model.layout.replace(own, code, value))
        np.testing.assert_allclose(swept[:, i], expected, atol=1e-6)
    if code < 2:  # where the code has the value of the row's own sample, the image is that sample
        category = np.argmax(model.layout.split(own)[1][code], axis=1)
        sample = model.sample(3, seed=7).numpy()
        np.testing.assert_allclose(swept.numpy()[range(3), category], sample, atol=1e-6)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"latent_dim": 12}, "make 11 latent variables; received latent_dim=12"),
        ({"categorical": (10, 1)}, r"categorical must be a sequence of integers >= 2; received \(10, 1\)"),
        ({"categorical": (2.5,)}, r"integers >= 2; received \(2.5,\)"),
        ({"continuous": -1}, "continuous must be an integer >= 0; received -1"),
        ({"noise_dim": -1}, "noise_dim must be an integer >= 0; received -1"),
        ({"categorical": (), "continuous": 0}, "There must be a code"),
        ({"num_classes": 3}, "without labels; received num_classes=3"),
        ({"categorical_weight": 0.0}, "categorical_weight must be a number > 0; received 0.0"),
        ({"code_stddev": 0.0}, "code_stddev must be a number > 0.*received 0.0"),
        ({"network": "resnet"}, "slope"),
    ],
)
def test_bad_arguments(bad, message):
    with pytest.raises(ValueError, match=message):
        InfoGAN(**{**TINY, **bad})
    InfoGAN(**TINY, latent_dim=11)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((4,), "There are 4 codes.*received code 4"),
        ((-1,), "received code -1"),
        ((0.0,), r"received code 0\.0"),
        ((0, [0, 3]), r"integers in \[0, 3\)"),
        ((0, [0.5]), "integers"),
        ((2, [np.nan]), "finite"),
        ((2, ["a"]), "finite"),
        ((2, []), "at least one number"),
    ],
)
def test_bad_traversals(args, message):
    with pytest.raises(ValueError, match=message):
        InfoGAN(**TINY).traversal(*args)


def test_other_wrong_input():
    model = InfoGAN(**TINY)
    with pytest.raises(ValueError, match="There are 2 categorical codes.*received code 2"):
        model.classify(images(), code=2)
    with pytest.raises(ValueError, match="made for images"):
        model.classify(images(shape=(9, 8, 1)))
    with pytest.raises(ValueError, match="rows must be an integer >= 1; received 0"):
        model.traversal(0, rows=0)
    with pytest.raises(ValueError, match=r"Latents must be \[B, 11\].*received \(2, 3\)"):
        model.layout.replace(np.zeros((2, 3)), 0, 1)
    with pytest.raises(ValueError, match=r"widths \[4, 3, 2, 2\] are joined"):
        model.layout.join(tf.zeros([1, 4]), [tf.zeros([1, 2])] * 2, tf.zeros([1, 2]))


def test_codes_of_each_row_replace_those_of_its_seed():
    model = InfoGAN(**TINY)
    own, (sizes, continuous) = model.latents(np.arange(2)), (model.layout.categorical, model.layout.continuous)
    codes = np.array([[*(size - 1 for size in sizes), *[0.3] * continuous], [np.nan] * model.layout.num_codes], "float32")
    expected = own.numpy()[:1]
    for code, value in enumerate(codes[0]):
        expected = model.layout.replace(expected, code, int(value) if code < len(sizes) else value)
    np.testing.assert_allclose(model.layout.set(own, codes), np.concatenate([expected, own[1:]]), atol=1e-7)
    plain = model.sample(2)
    with_codes = model.sample(2, codes=codes)
    np.testing.assert_allclose(with_codes[1], plain[1], atol=1e-6)
    assert np.any(with_codes[0] != plain[0])
    with pytest.raises(ValueError, match=f"codes must be float .B, {len(codes[0])}."):
        model.sample(2, codes=codes[:, :1])
    with pytest.raises(tf.errors.InvalidArgumentError, match="categorical code 0 must be whole"):
        model.sample(1, codes=np.full_like(codes[:1], 0.5))
