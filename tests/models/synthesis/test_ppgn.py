"""PPGN: steps against NumPy, completions, priors, conditions that are changed, what is trained and what is fixed."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import random
from tfgen.features import encoder_network
from tfgen.features.frozen import fingerprint
from tfgen.models import PPGN, GlimpseClassifier, JointPPGN
from tfgen.models.synthesis.parts import chains
from tfgen.models.synthesis.parts.denoisers import linear_denoiser, linear_error
from tfgen.models.synthesis.parts.scores import within
from tfgen.training.state import named_variables

layers = keras.layers
SHAPE, Z, CLASSES = (4, 4, 1), 3, 4
RNG = np.random.default_rng(0)
# G(h) = sigmoid(h W + b), E(x) = max(0, x A), logits x V.
W, B, A, V = (RNG.normal(size=shape) for shape in ((Z, 16), 16, (16, Z), (16, CLASSES)))
IMAGES = RNG.random((5, *SHAPE), dtype="float32")
MASK = np.arange(16).reshape(4, 4) % 3 > 0  # true for known pixels


def fixed(inputs, *given, **weights):
    network = keras.Sequential([keras.Input(inputs), *given])
    for layer in network.layers:
        if layer.name in weights:
            layer.set_weights(weights[layer.name])
    return network


GENERATOR = fixed((Z,), layers.Dense(16, "sigmoid", name="w"), layers.Reshape(SHAPE), w=[W, B])
ENCODER = fixed(SHAPE, layers.Flatten(), layers.Dense(Z, "relu", use_bias=False, name="a"), a=[A])
CONDITION = fixed(SHAPE, layers.Flatten(), layers.Dense(CLASSES, use_bias=False, name="v"), v=[V])
NETWORKS = {"image_shape": SHAPE, "generator": GENERATOR, "encoder": ENCODER, "condition": CONDITION}


@pytest.fixture(scope="module")
def model():
    return PPGN(**NETWORKS, chain_steps=3, rate=0.5, epsilons=(0.3, 2.0, 0.0), code_bounds=(-1.0, 1.0))


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def step(h, units, mask=None, eps=(0.3, 2.0), context_weight=1.0, full=False, known=None):
    """The direction at codes h [B, Z] in float64, by the chain rule; mask [16], known [B, 16]."""
    made = sigmoid(h @ W + B)
    keep = np.zeros(16) if mask is None else mask.ravel().astype(float)
    known = np.zeros_like(made) if known is None else known.reshape(len(h), 16)
    shown = keep * known + (1 - keep) * made
    logits = shown @ V
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    slope = made * (1 - made)
    pull = np.zeros_like(made)
    for unit in np.reshape(units, [len(h), -1]).T:
        hot = np.eye(CLASSES)[unit]
        of_logits = hot - p if full else hot * (1 - p)
        pull += of_logits @ V.T * (1 - keep) * slope
    context = (known - made) * keep * slope
    return eps[0] * (np.maximum(0, shown @ A) - h) + (eps[1] * pull + context_weight * context) @ W.T


def walk(h, steps, rate, *args, normalized=True, **kwargs):
    path = [h]
    for _ in range(steps):
        d = step(path[-1], *args, **kwargs)
        path.append(np.clip(path[-1] + rate * (d / np.abs(d).mean(axis=1, keepdims=True) if normalized else d), -1.0, 1.0))
    return np.stack(path, axis=1)


# ---- chains


@pytest.mark.parametrize("units", [[1, 3], [[0, 2], [3, 1]]])
def test_a_chain_against_numpy(model, units):
    found = model.chain([4, 5], units)
    start = model.latents(tf.constant([4, 5])).numpy()
    path = walk(start, 3, 0.5, np.array(units))
    np.testing.assert_allclose(found.codes, path, atol=2e-4)
    made = sigmoid(path @ W + B)
    np.testing.assert_allclose(found.image, made.reshape(2, 4, *SHAPE), atol=2e-4)
    logits = made @ V
    p = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    units = np.reshape(units, [2, -1])
    value = sum(np.log(p[np.arange(2)[:, None], np.arange(4), units[:, i : i + 1]]) for i in range(units.shape[1]))
    np.testing.assert_allclose(found.log_probability, value, atol=1e-3)
    assert (np.abs(path[:, 1:]) == 1.0).any(axis=(0, 2)).all()  # some were clipped in each step
    final = model.maximize(units[:, 0], [4, 5])
    if units.shape[1] == 1:
        np.testing.assert_allclose(final["image"], found.image[:, -1], atol=1e-5)
        np.testing.assert_allclose(final["probability"], np.exp(value[:, -1]), rtol=1e-3)
        np.testing.assert_allclose(model.generate([4, 5], labels=units[:, 0]), found.image[:, -1], atol=1e-5)
        np.testing.assert_allclose(model.maximize(units[:, 0], [4, 5], steps=1)["image"], found.image[:, 1], atol=1e-5)


def test_free_steps_and_the_full_gradient_against_numpy(model):
    free = model.with_settings(normalized=False, full_gradient=True, rate=1.0, epsilons=(0.1, 0.4, 0.0))
    found = free.chain([4, 5], [1, 3])
    path = walk(free.latents(tf.constant([4, 5])).numpy(), 3, 1.0, [1, 3], eps=(0.1, 0.4), full=True, normalized=False)
    np.testing.assert_allclose(found.codes, path, atol=1e-4)


def test_one_class_after_another_in_a_chain(model):
    first = model.chain([4], [1])
    second = model.chain([4], [2], start=first.codes[:, -1])
    np.testing.assert_array_equal(second.codes[:, 0], first.codes[:, -1])
    assert second.log_probability[0, -1] > second.log_probability[0, 0]


def test_steps_are_compiled_once_for_all_batches(model):
    quiet, calls, denoised = model.with_settings(rate=0.4), [], PPGN.denoised
    object.__setattr__(quiet, "denoised", lambda *given: calls.append(1) or denoised(quiet, *given))
    whole = quiet.chain([4, 5, 6], [1, 3, 0])
    traced = len(calls)
    part = quiet.chain([6], [0])
    assert traced > 0 and len(calls) == traced
    np.testing.assert_allclose(part.codes, whole.codes[2:], atol=1e-5)


def test_noise_is_that_of_the_seed_and_of_the_start(model):
    noisy = model.with_settings(epsilons=(0.3, 2.0, 5.0))
    found = noisy.chain([4, 2**40], [1, 1])
    assert np.abs(np.diff(found.codes[:, 1:], axis=0)).max() > 0.1
    np.testing.assert_allclose(noisy.chain([2**40], [1]).codes, found.codes[1:], atol=1e-5)
    latents = noisy.latents(tf.constant([4, 5]))
    once, again = (noisy.decode_images(latents[i:], labels=[1, 1][i:]) for i in range(2))
    np.testing.assert_allclose(once[1:], again, atol=1e-5)
    # All verbs draw the same chain of a seed.
    np.testing.assert_allclose(noisy.chain([4, 5], [1, 1]).image[:, -1], once, atol=1e-5)
    np.testing.assert_allclose(noisy.maximize([1, 1], [4, 5])["image"], once, atol=1e-5)


def test_resets_are_those_of_the_start():
    """Without noise too: samples have no seeds besides their starts."""
    resets = PPGN(**NETWORKS, chain_steps=4, rate=0.5, epsilons=(0.3, 2.0, 0.0), code_bounds=(-1.0, 1.0), reset=2)
    latents = resets.latents(tf.constant([4, 5]))
    once, again = (resets.decode_images(latents[i:], labels=[1, 1][i:]) for i in range(2))
    np.testing.assert_allclose(once[1:], again, atol=1e-5)


def test_a_captioner_is_a_condition():
    """A network of two units whose softmax is (p, 1 - p) for the probability p of a sentence: the product of its words'."""
    words, count = [2, 0, 3], 5
    before = np.eye(count, dtype="float32")[[4, 2, 0]]  # the words before each of them, the first of which is a beginning
    image = keras.Input(SHAPE)
    state = layers.Dense(8, "tanh")(layers.Flatten()(image))
    given = keras.ops.zeros_like(state[:, None, :count]) + before[None]
    logits = layers.Dense(count)(layers.GRU(8, return_sequences=True)(given, initial_state=state))
    total = keras.ops.sum(keras.ops.log_softmax(logits) * np.eye(count, dtype="float32")[words], axis=(1, 2))
    captioner = keras.Model(image, keras.ops.stack([total, keras.ops.log1p(-keras.ops.exp(total))], axis=1))
    model = PPGN(**{**NETWORKS, "condition": captioner}, chain_steps=20, rate=0.3, epsilons=(0.0, 1.0, 0.0),
                 full_gradient=True, code_bounds=(-3.0, 3.0))  # fmt: skip
    found = model.chain([4, 5], [0, 0])
    np.testing.assert_allclose(found.log_probability[:, 0], captioner(found.image[:, 0])[:, 0], atol=1e-4)
    assert np.all(found.log_probability[:, -1] > found.log_probability[:, 0])


# ---- completions


@pytest.mark.parametrize("mask", [MASK, np.zeros_like(MASK), np.ones_like(MASK)], ids=["part", "nothing", "all"])
def test_a_completion_against_numpy(model, mask):
    """Known pixels give the class no gradient; E and the condition see them, and the context is that of G's own image."""
    found = model.chain([4, 5], [1, 3], known=IMAGES[:2], mask=np.stack([mask] * 2))
    start = np.maximum(0, (IMAGES[:2] * mask[..., None]).reshape(2, 16) @ A)
    start = start + 0.1 * model.latents(tf.constant([4, 5])).numpy()
    path = walk(start, 3, 0.5, [1, 3], mask=mask, known=IMAGES[:2])
    np.testing.assert_allclose(found.codes, path, atol=5e-4)
    made = sigmoid(path @ W + B).reshape(2, 4, *SHAPE)
    np.testing.assert_allclose(found.image, np.where(mask[..., None], IMAGES[:2, None], made), atol=5e-4)


def test_the_weight_of_the_context(model):
    near = model.with_settings(context_weight=100.0, start_noise=0.0)
    found = near.chain([0, 0], [1, 3], known=IMAGES[:2], mask=np.stack([MASK] * 2))
    start = np.maximum(0, (IMAGES[:2] * MASK[..., None]).reshape(2, 16) @ A)
    np.testing.assert_allclose(
        found.codes, walk(start, 3, 0.5, [1, 3], mask=MASK, known=IMAGES[:2], context_weight=100.0), atol=5e-4
    )


def test_complete_repeats_images_and_masks(model):
    made = model.complete(IMAGES[:2], MASK, num=2, seed=3, labels=[1, 3]).numpy()
    seeds = tf.constant([3 << 32, (3 << 32) + 1], tf.int64)
    found = model.chain(seeds, [3, 3], known=IMAGES[[1, 1]], mask=np.stack([MASK] * 2))
    np.testing.assert_allclose(made[1], found.image[:, -1], atol=1e-5)
    with pytest.raises(ValueError, match="mask must have as many rows as known, 2"):
        model.complete(IMAGES[:2], np.stack([MASK] * 3), labels=[1, 3])


# ---- priors


def test_the_linear_prior_is_that_of_closed_form():
    matrix, offset = linear_denoiser([1.0, -1.0], [[2.0, 0.5], [0.5, 1.0]], 0.5)
    np.testing.assert_allclose(matrix, [[0.8780487805, 0.0487804878], [0.0487804878, 0.7804878049]], atol=1e-9)
    np.testing.assert_allclose(matrix @ [2.0, 1.0] + offset, [1.9756097561, 0.6097560976], atol=1e-9)
    matrix, offset = linear_denoiser([0.0], [[4.0]], 0.5)
    np.testing.assert_allclose(matrix @ [[1.0, -3.0]] + offset, [[0.9411764706, -2.8235294118]], atol=1e-9)
    assert linear_error([[4.0]], 0.5) == pytest.approx(0.9411764706)
    upright = linear_denoiser([0.0, 0.0], [[3.0, 1.0], [1.0, 2.0]], 1.0)[0]
    np.testing.assert_allclose(upright, np.array([[3, 1], [1, 2]]) @ np.linalg.inv([[4, 1], [1, 3]]), atol=1e-9)


# Codes of N(mean, S) of images of two pixels near 1/2.
MEAN, S = np.array([1.0, -1.0]), np.array([[2.0, 0.5], [0.5, 1.0]])
SPREAD = np.sqrt(1.5)


def gaussian(prior, **settings):
    encoder = fixed((1, 2, 1), layers.Flatten(), layers.Dense(2, name="a"), a=[20 * np.eye(2), MEAN - 10.0])
    generator = fixed((2,), layers.Dense(2, name="w"), layers.Reshape((1, 2, 1)), w=[np.eye(2) / 20, (10.0 - MEAN) / 20])
    keras.utils.set_random_seed(0)
    made = PPGN(image_shape=(1, 2, 1), prior=prior, generator=generator, encoder=encoder, prior_noise=0.5 / SPREAD,
                epsilons=(1.0, 0.0, 0.0), **settings)  # fmt: skip
    codes = np.random.default_rng(0).normal(size=(4000, 2)) @ np.linalg.cholesky(S).T + MEAN
    images = np.float32(codes / 20 + (10.0 - MEAN) / 20).reshape(-1, 1, 2, 1)
    made.initialize({"image": images})
    return made, images, codes


def test_initialize_sets_the_linear_prior_and_the_bounds():
    model, images, codes = gaussian("linear")
    np.testing.assert_allclose(model.denoise(tf.constant([[2.0, 1.0]])), [[1.9756, 0.6098]], atol=0.03)
    np.testing.assert_allclose(model.code_bounds, [codes.min(), codes.max()], rtol=1e-4)
    loss = model.evaluate(images, verbose=0, return_dict=True) if model.compile() is None else {}
    assert loss["loss"] == pytest.approx(linear_error(S, 0.5), rel=0.04)
    assert not model.conditions() and not model.num_units  # eps2 is 0
    codes = model.chain([0], steps=30).codes[0, :, :].numpy()
    assert np.abs(codes[-1] - MEAN).max() < np.abs(codes[0] - MEAN).max()


@pytest.mark.parametrize("prior", ["linear", "codes"])
def test_given_bounds_stay_whatever_the_prior(prior):
    widths = {"prior_widths": (3,)} if prior == "codes" else {}
    model, _, codes = gaussian(prior, code_bounds=(-2.0, 7.0), **widths)
    np.testing.assert_array_equal(model.code_bounds, [-2.0, 7.0])
    assert float(model.sigma) == pytest.approx(0.5 * codes.var(axis=0).mean() ** 0.5 / SPREAD, rel=1e-3)  # measured
    with pytest.raises(ValueError, match="prior_noise has no effect on a prior=.* that exists"):
        model.with_settings(prior_noise=2.0)


def test_a_dead_unit_of_the_code_is_scaled_by_no_zero():
    dead = fixed(SHAPE, layers.Flatten(), layers.Dense(Z, "relu", use_bias=False, name="a"), a=[A * [1.0, 0.0, 1.0]])
    model = PPGN(**{**NETWORKS, "encoder": dead}, prior="codes", prior_widths=(3,))
    model.initialize({"image": IMAGES})
    assert np.isfinite(model.denoise(tf.ones([1, Z]))).all() and float(model.code_moments[1, 1]) > 0


def test_a_warning_before_codes_are_measured(caplog):
    """Bounds [0, 30] and a linear prior R(h) = h are no measured ones."""
    linear = PPGN(**NETWORKS, prior="linear", chain_steps=1)
    calls = {"chain": lambda: linear.chain([0], [1]), "maximize": lambda: linear.maximize([1], [0]),
             "sample": lambda: linear.sample(1, labels=[1]),
             "complete": lambda: linear.complete(IMAGES[:1], MASK, labels=[1])}  # fmt: skip

    class Begun(Exception):
        """Raised where the chains would be computed, which takes seconds to trace."""

    def begin(*args, **kwargs):
        raise Begun

    for name, call in calls.items():
        caplog.clear()
        with caplog.at_level("WARNING"), pytest.MonkeyPatch.context() as patch, pytest.raises(Begun):
            patch.setattr(chains, "mala_approx", begin)
            call()
        assert "the linear prior has no effect, and the bounds of codes are [0.0, 30.0]" in caplog.text, name
    linear = PPGN(**NETWORKS, prior="linear", chain_steps=1)
    caplog.clear()
    linear.initialize({"image": IMAGES})
    with caplog.at_level("WARNING"):
        linear.chain([0], [1])
        PPGN(**NETWORKS, chain_steps=1, code_bounds=(0.0, 30.0)).chain([0], [1])
    assert "not measured" not in caplog.text


def test_a_trained_denoiser_of_normal_codes_is_the_best_one():
    model, images, _ = gaussian("codes", prior_widths=(32, 32))
    model.compile(keras.optimizers.Adam(3e-3))
    before = model.evaluate(images, verbose=0, return_dict=True)["loss"]
    model.fit(images, batch_size=200, epochs=15, verbose=0)
    after = model.evaluate(images, verbose=0, return_dict=True)["loss"]
    assert after == pytest.approx(linear_error(S, 0.5), rel=0.06) and after < 0.5 * before
    points = np.array([[2.0, 1.0], [1.0, -1.0], [-0.5, 0.0]])
    matrix, offset = linear_denoiser(MEAN, S, 0.5)
    np.testing.assert_allclose(model.denoise(tf.constant(points, tf.float32)), points @ matrix.T + offset, atol=0.12)


def test_a_prior_of_pixels_needs_no_generator():
    model = PPGN(image_shape=(6, 5, 1), prior="pixels", chain_steps=2, prior_widths=(3, 4),
                 condition=fixed((6, 5, 1), layers.Flatten(), layers.Dense(3)))  # fmt: skip
    found = model.chain([0], [1])
    assert found.image.shape == (1, 3, 6, 5, 1) and float(tf.reduce_max(found.codes[:, 1:])) <= 1.0
    images = RNG.random((2, 6, 5, 1), dtype="float32")
    np.testing.assert_allclose(model.reconstruct(images), np.clip(model.denoiser(images), 0, 1), atol=1e-6)
    noise = RNG.normal(size=(2, 30)).astype("float32")
    missed = model.denoise(images.reshape(2, 30) + 0.25 * noise) - images.reshape(2, 30)
    found = model.denoising_error(tf.constant(images), tf.constant(noise))
    np.testing.assert_allclose(found, np.mean((missed / 0.25) ** 2, axis=1), rtol=1e-4)
    with pytest.raises(ValueError, match='generator has no effect with prior="pixels"'):
        PPGN(image_shape=SHAPE, prior="pixels", condition=CONDITION, generator=GENERATOR)


def test_without_a_prior_the_code_may_leave_the_images():
    alone = PPGN(**NETWORKS, prior="none", chain_steps=3, rate=0.5, epsilons=(0.3, 2.0, 0.0), code_bounds=(-1.0, 1.0))
    path = walk(alone.latents(tf.constant([4])).numpy(), 3, 0.5, [1], eps=(0.0, 2.0))
    np.testing.assert_allclose(alone.chain([4], [1]).codes, path, atol=2e-4)


# ---- conditions


def test_another_condition_needs_no_training(model, tmp_path):
    """Of other sides and channels: its scores are those of images that were made so before."""
    other = fixed((8, 6, 3), layers.GlobalAveragePooling2D(), layers.Dense(2))
    swapped = model.with_settings(condition=other)
    assert (model.num_units, swapped.num_units) == (CLASSES, 2) and swapped.steps == model.steps
    resized = tf.image.grayscale_to_rgb(tf.image.resize(IMAGES, (8, 6), "bicubic", antialias=True))
    np.testing.assert_allclose(swapped.scores(tf.constant(IMAGES)), other(resized), atol=1e-5)
    classifier = GlimpseClassifier(image_shape=(8, 8, 1), num_classes=3, glimpses=2, hidden=4, read_size=3)
    classifier.save(tmp_path / "classifier.keras")
    for given in (classifier, str(tmp_path / "classifier.keras")):
        swapped = model.with_settings(condition=given)
        assert swapped.num_units == 3
        larger = tf.clip_by_value(tf.image.resize(IMAGES, (8, 8), "bicubic", antialias=True), 0.0, 1.0)
        np.testing.assert_allclose(swapped.scores(tf.constant(IMAGES)), classifier.class_logits(larger), atol=1e-5)
    found = swapped.chain([0], [2])
    assert np.abs(found.codes[0, 1] - model.chain([0], [2]).codes[0, 1]).max() > 1e-3
    loaded = swapped.with_settings(generator=GENERATOR)  # the path is kept
    config = json.loads(json.dumps(loaded.get_config()))["condition"]
    assert config["path"].endswith("classifier.keras")
    assert model.with_settings(condition=config).num_units == 3


def test_a_pixel_outside_of_the_range_can_come_back():
    pixels = tf.constant([-1.0, 0.5, 2.0])
    with tf.GradientTape() as tape:
        tape.watch(pixels)
        cut = within(pixels)
    np.testing.assert_array_equal(cut, [0.0, 0.5, 1.0])
    np.testing.assert_array_equal(tape.gradient(cut, pixels, tf.constant([1.0, 2.0, 3.0])), [1.0, 2.0, 3.0])


def test_units_of_a_hidden_layer_compete_at_one_position(model):
    maps = layers.Conv2D(5, 3, name="maps", kernel_initializer=keras.initializers.GlorotUniform(seed=1))
    network = fixed(SHAPE, maps, layers.Flatten(), layers.Dense(3, name="top"))
    for position, place in ((None, (1, 1)), ((0, 1), (0, 1))):
        hidden = model.with_settings(condition=network, condition_layer="maps", position=position)
        assert hidden.with_settings(condition=CONDITION).num_units == CLASSES  # which has no such layer
        found = hidden.chain([4], [2], steps=0)
        expected = tf.nn.log_softmax(maps(found.image[:, 0])[:, place[0], place[1]])[0, 2]
        assert hidden.num_units == 5 and float(found.log_probability[0, 0]) == pytest.approx(float(expected), abs=1e-5)
    with pytest.raises(ValueError, match="position must be"):
        model.with_settings(condition=network, condition_layer="maps", position=(2, 0))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"condition": None}, "condition is needed"),
        ({"generator": None}, "generator is needed"),
        ({"condition": keras.Sequential([keras.Input((4, 4, 2)), layers.Flatten()])}, "must take images of 1 or 3"),
        ({"condition": GENERATOR}, "condition must take images"),
        ({"condition_layer": "nothing"}, "condition: feature_layers must be some of"),
        ({"generator": fixed((Z,), layers.Dense(9), layers.Reshape((3, 3, 1)))}, r"must make images \(4, 4, 1\)"),
        ({"generator": fixed((Z + 1,), layers.Dense(16), layers.Reshape(SHAPE))}, "generator: .*must take"),
        ({"prior_widths": (3,)}, 'prior_widths has no effect with prior="autoencoder"'),
        ({"prior_noise": 0.5}, 'prior_noise has no effect with prior="autoencoder"'),
        ({"epsilons": (1.0, 0.0, 0.0)}, "condition has no effect with eps2=0"),
        ({"epsilons": (1.0, 0.0, 0.0), "condition": None, "full_gradient": True}, "full_gradient has no effect with eps2=0"),
        ({"generator": "runs/none.keras"}, r"generator: .*'runs/none.keras'.*model.generator.save\(path\)"),
        ({"code_bounds": (1.0, 1.0)}, "code_bounds must be"),
        ({"chain_steps": 1001}, "chain_steps must be"),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_are_refused_in_one_line(changed, message):
    with pytest.raises(ValueError, match=message) as caught:
        PPGN(**{**NETWORKS, **changed})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"units": [CLASSES]}, r"units must lie in \[0, 4\)"),
        ({"units": None}, "units must be given"),
        ({"units": [1, 1]}, "units must have as many rows as seeds"),
        ({"units": [1.0]}, "units must be integers"),
        ({"mask": [MASK]}, "known and mask must be given together"),
        ({"known": IMAGES[:1], "mask": [MASK[1:]]}, r"mask must be bool \[4, 4\].*received bool \(1, 3, 4\)"),
        ({"known": IMAGES[:1], "mask": [MASK.astype(float)]}, "mask must be bool"),
        ({"known": IMAGES[:1, :3], "mask": [MASK]}, r"images \[batch, 4, 4, 1\].*received \(1, 3, 4, 1\)"),
        ({"known": 2 * IMAGES[:1], "mask": [MASK]}, r"must lie in \[0, 1\]"),
        ({"start": np.zeros([1, 2])}, r"latents must have the shape \[batch, 3\]"),
        ({"steps": -1}, r"steps must lie in \[0"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_in_one_line(model, given, message):
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match=message) as caught:
        model.chain(**{"seeds": [0], "units": [1], **given})
    assert "\n" not in str(getattr(caught.value, "message", caught.value))


# ---- training


SMALL = {"image_shape": (8, 8, 1), "encoder_layers": ("code", "maps"), "generator_hidden": (6,), "generator_grid": 4,
         "generator_filters": ((4,),), "discriminator_convs": ((4, 3, 2),), "discriminator_code": (3,),
         "discriminator_units": 4, "gating": "stateful", "chain_steps": 2}  # fmt: skip
DIGITS = RNG.random((6, 8, 8, 1), dtype="float32")


@pytest.fixture(scope="module")
def encoder():
    return encoder_network((8, 8, 1), 3, filters=(3, 4), units=5, seed=3)


def joint(encoder, **settings):
    keras.utils.set_random_seed(0)
    return JointPPGN(**{**SMALL, "encoder": encoder, **settings})


def test_other_settings_keep_the_averaged_weights(encoder):
    model = joint(encoder)
    model.compile(ema_decay=0.5)
    for shadow in model.ema.named().values():
        shadow.assign(shadow + 0.25)
    with model.ema.swapped():
        wanted = {name: v.numpy() for name, v in named_variables(model).items()}
    other = named_variables(model.with_settings(rate=0.5))
    for name, value in wanted.items():
        np.testing.assert_array_equal(other[name], value, err_msg=name)
    assert any(np.any(v.numpy() != wanted[name]) for name, v in named_variables(model).items())


def test_which_loss_reaches_which_network(encoder):
    model = joint(encoder, noise=(0.1, 0.2, 0.3), code_weight=2.0)
    keys = model.noise_keys(6, 0)
    with tf.GradientTape(persistent=True) as tape:
        losses = model.losses_of(tf.constant(DIGITS), True, keys)
    reached = {
        (loss, name): any(g is not None and np.any(np.abs(g) > 0) for g in tape.gradient(
            losses[loss], [v.value for v in network.trainable_variables]))
        for loss in losses for name, network in (("generator", model.generator), ("discriminator", model.discriminator))
    }  # fmt: skip
    wanted = {"image_loss": (True, False), "feature_loss": (True, False), "adversarial_loss": (True, True),
              "discriminator_loss": (True, True), "generator_loss": (True, True)}  # fmt: skip
    assert reached == {(loss, name): one for loss, both in wanted.items()
                       for name, one in zip(("generator", "discriminator"), both, strict=True)}  # fmt: skip
    # Each player minimises its own loss alone.
    before = fingerprint(model.encoder.network), fingerprint(model.condition.network)
    model.compile(keras.optimizers.SGD(1.0))
    start = [v.numpy() for v in model.trainable_variables]
    gradients = {"generator": "generator_loss", "discriminator": "discriminator_loss"}
    wanted = {id(v): v.numpy() - g.numpy() for name, loss in gradients.items() for v, g in zip(
        getattr(model, name).trainable_variables,
        tape.gradient(losses[loss], [v.value for v in getattr(model, name).trainable_variables]), strict=True)}  # fmt: skip
    model.fit(DIGITS, batch_size=6, shuffle=False, verbose=0)
    for variable, old in zip(model.trainable_variables, start, strict=True):
        np.testing.assert_allclose(variable, wanted[id(variable)], rtol=1e-4, atol=1e-5)
        assert np.any(variable.numpy() != old)
    assert (fingerprint(model.encoder.network), fingerprint(model.condition.network)) == before
    owned = {key.split("/")[0] for key in named_variables(model)}
    assert owned == {"generator", "discriminator", "gate", "code_bounds", "step", "bad_step"}


def test_the_losses_of_a_noisy_model(encoder):
    """Its targets are those of the images without noise, and the code's error is relative."""
    model = joint(encoder, noise=(0.1, 0.2, 0.3), code_weight=2.0, adversarial_weight=0.0, image_weight=3.0)
    keys = model.noise_keys(6, 0)
    found = model.losses_of(tf.constant(DIGITS), True, keys)
    made = model.generator(model.noisy_code(tf.constant(DIGITS), keys)).numpy()
    features = {name: [model.encoder(tf.constant(x))[name].numpy() for x in (DIGITS, made)] for name in ("code", "maps")}
    errors = {name: np.mean([np.mean((a - b) ** 2) / (np.mean(a**2) + 1e-6) for a, b in zip(*pair, strict=True)])
              for name, pair in features.items()}  # fmt: skip
    assert float(found["image_loss"]) == pytest.approx(np.mean((made - DIGITS) ** 2), rel=1e-4)
    assert float(found["feature_loss"]) == pytest.approx(errors["maps"] + 2.0 * errors["code"], rel=1e-4)
    assert float(found["generator_loss"]) == pytest.approx(
        3.0 * float(found["image_loss"]) + float(found["feature_loss"]), rel=1e-4
    )
    # D judges both images beside the code without noise, with dropout of their own.
    code = model.encode(DIGITS)
    logit = [model.logits(tf.constant(x), code, True, random.fold(keys, i)).numpy() for i, x in enumerate((DIGITS, made))]
    assert float(found["adversarial_loss"]) == pytest.approx(np.mean(np.log1p(np.exp(-logit[1]))), rel=1e-4)
    judged = np.mean(np.log1p(np.exp(-logit[0]))) + np.mean(np.log1p(np.exp(logit[1])))
    assert float(found["discriminator_loss"]) == pytest.approx(judged, rel=1e-4)
    quiet = model.evaluation_losses({"image": tf.constant(DIGITS)})
    clean = model.reconstruct(DIGITS).numpy()
    assert float(quiet["image_loss"]) == pytest.approx(np.mean((clean - DIGITS) ** 2), rel=1e-4)


def test_noise_of_each_level(encoder):
    images, rows = tf.constant(np.repeat(DIGITS[:1], 3000, axis=0)), 3000
    code = joint(encoder).encode(images[:1]).numpy()[0]
    for level in range(3):
        model = joint(encoder, noise=tuple(0.2 * (i == level) for i in range(3)))
        noisy = model.noisy_code(images, model.noise_keys(rows, 0)).numpy()
        assert noisy.std(axis=0).max() > 0.01
        if level == 2:
            np.testing.assert_allclose(noisy.mean(axis=0), code, atol=0.02 * np.abs(code).max() + 0.01)
            np.testing.assert_allclose(noisy.std(axis=0), 0.2 * np.sqrt(np.mean(code**2)), rtol=0.06)
    dark = joint(encoder, noise=(0.2, 0.0, 0.0))  # of the image in units of [0, 1], however dark it is
    black = tf.zeros([2, 8, 8, 1])
    assert np.abs(dark.noisy_code(black, dark.noise_keys(2, 0)) - dark.encode(black)).max() > 1e-3
    tiny = joint(encoder, noise=(0.0, 1e-7, 0.0))
    np.testing.assert_allclose(tiny.noisy_code(images[:2], tiny.noise_keys(2, 0)), [code, code], atol=1e-5)
    with pytest.raises(ValueError, match="noise needs two encoder_layers"):
        joint(encoder, encoder_layers=("code",), noise=(0.1, 0.0, 0.0))


def test_a_joint_model_is_its_own_prior(encoder):
    model = joint(encoder, epsilons=(1.0, 0.0, 0.0), normalized=False, rate=0.5, code_bounds=(-9.0, 9.0))
    found = model.chain([1, 2])
    codes = found.codes[:, 0]
    again = model.encode(model.image_of(codes))
    np.testing.assert_allclose(found.codes[:, 1], 0.5 * (codes + again), atol=1e-5)
    assert joint(encoder).num_units == 3 and joint(encoder).condition.layers == ("logits",)
    assert joint(encoder, condition=encoder_network((8, 8, 1), 4)).num_units == 4
    assert joint(encoder).with_settings(epsilons=(1.0, 0.0, 0.0)).num_units == 0


def test_noiseless_joint_training_is_that_of_deepsim(encoder):
    from tfgen.models import DeePSiM

    keras.utils.set_random_seed(0)
    plain = DeePSiM(**{**{k: v for k, v in SMALL.items() if k != "chain_steps"}, "encoder": encoder})
    model = joint(encoder)
    for one in (plain, model):
        one.compile(keras.optimizers.SGD(0.1))
        one.fit(DIGITS, batch_size=3, shuffle=False, verbose=0)
    for a, b in zip(plain.trainable_variables, model.trainable_variables, strict=True):
        np.testing.assert_array_equal(a, b)


def test_initialize_measures_bounds_unless_they_are_given(encoder):
    model, given = joint(encoder), joint(encoder, code_bounds=(0.0, 7.0))
    assert model.initialized_by_data and not given.initialized_by_data
    np.testing.assert_array_equal(model.code_bounds, [0.0, 30.0])
    for one in (model, given):
        one.initialize({"image": DIGITS})
    codes = model.encode(DIGITS).numpy()
    np.testing.assert_allclose(model.code_bounds, [codes.min(), codes.max()])
    np.testing.assert_array_equal(given.code_bounds, [0.0, 7.0])
    np.testing.assert_array_equal(model.with_settings(rate=1.0).code_bounds, model.code_bounds)
    np.testing.assert_array_equal(model.with_settings(code_bounds=(0.0, 5.0)).code_bounds, [0.0, 5.0])
    with pytest.raises(ValueError, match="would have other weights"):
        model.with_settings(generator_hidden=(7,))
