"""DGN-AM: the rule of a step by hand, the bounds after every step, units, starts, and a small case where it works."""

import logging

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tests.seeds import set_seed
from tfgen.features import encoder_network
from tfgen.models import DGNAM
from tfgen_trainers.train import TrainConfig, train

layers = keras.layers
DIRECTION = [3.0, -1.0, 0.0, 4.0]
WEIGHTS = [[one] for one in DIRECTION]  # of one unit


def reshaping():
    """G and, the other way, E: a code of 4 numbers is the image."""
    return (
        keras.Sequential([keras.Input((4,)), layers.Reshape((2, 2, 1))]),
        keras.Sequential([keras.Input((2, 2, 1)), layers.Reshape((4,), name="code")]),
    )  # fmt: skip


def linear(weights):
    """A classifier whose units have these weights, [pixels, units]."""
    start = keras.initializers.Constant(np.array(weights, "float32"))
    dense = layers.Dense(np.shape(weights)[1], use_bias=False, kernel_initializer=start, name="units")
    return keras.Sequential([keras.Input((2, 2, 1)), layers.Flatten(), dense])


def simple(weights=WEIGHTS, bound=(1.0, 1.0, 4.0, 20.0), **settings):
    generator, encoder = reshaping()
    model = DGNAM(image_shape=(2, 2, 1), classifier=linear(weights), generator=generator, encoder=encoder, **settings)
    if bound is not None:  # as if all codes were `bound`
        model.statistics.observe(tf.constant([bound]))
    return model


def curved():
    """Networks of 8 x 8 that are not linear, on digits, and some codes."""
    set_seed(0)
    network = encoder_network((8, 8, 1), 10, filters=(4, 6), units=5)
    dense = layers.Dense(64, "sigmoid", kernel_initializer=keras.initializers.RandomNormal(stddev=0.7, seed=1))
    generator = keras.Sequential([keras.Input((5,)), dense, layers.Reshape((8, 8, 1))])
    return network, generator


def made(**settings):
    network, generator = curved()
    given = {"classifier": network, "generator": generator, "encoder": network, "encoder_layer": "code", "first_rate": 1.0}
    return DGNAM(image_shape=(8, 8, 1), **{**given, **settings})


def after_one(model, codes, rate):
    return model.climb(tf.constant(codes), tf.zeros([len(codes)], tf.int32), tf.ones([len(codes)], tf.int32), rate).codes


# ---- the rule of a step


def test_one_step_by_hand():
    start = [[0.2, 0.1, 5.0, 29.5]]
    np.testing.assert_allclose(after_one(simple(), start, 0.5), [[0.9405, 0.0, 3.96, 19.8]], rtol=1e-5)
    free = after_one(simple(bounds=None, decay=1.0), start, 0.5)  # the step itself is [.75, -.25, 0, 1]
    np.testing.assert_allclose(free, [[0.95, -0.15, 5.0, 30.5]], rtol=1e-5)
    symmetric = simple(bounds="symmetric", bound=None, decay=1.0)
    symmetric.statistics.observe(tf.constant([[-1.0, -1.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0]]))
    np.testing.assert_allclose(after_one(symmetric, [[2.9, -3.1, 1.0, 0.0]], 0.5), [[3.0, -3.0, 0.0, 0.0]], rtol=1e-5)


def test_the_step_of_the_image_in_the_papers_code_has_no_effect():
    """x = G(h) + s g / mean|g|; x - G(h) is pulled back through G; the result over its mean is the step."""
    model, rate = made(bounds=None, decay=1.0), 0.8
    codes = tf.constant(np.random.default_rng(0).normal(size=(3, 5)).astype("float32"))
    with tf.GradientTape() as tape:
        tape.watch(codes)
        images = model.decode_raw(codes)
    with tf.GradientTape() as inner:
        inner.watch(images)
        logit = model.classifier(images)["logits"][:, 0]
    g = inner.gradient(logit, images)
    step = rate * g / tf.reduce_mean(tf.abs(g), axis=[1, 2, 3], keepdims=True)
    back = tape.gradient(images, codes, output_gradients=step)
    wanted = codes + rate * back / tf.reduce_mean(tf.abs(back), axis=1, keepdims=True)
    np.testing.assert_allclose(after_one(model, codes.numpy(), rate), wanted, atol=1e-5)


def test_the_settings_of_the_authors_code():
    names = ("bounds", "deviations", "decay", "penalty", "first_rate", "last_rate", "ascent_steps")
    defaults = [DGNAM.config_parameters()[name].default for name in names]
    assert defaults == ["relu", 3.0, 0.99, 0.0, 8.0, 1e-10, 200]
    model = simple(bounds=None, decay=1.0, first_rate=1.0)
    path = model.climb(tf.zeros([1, 4]), tf.constant([0]), tf.constant([4]), record=True).path.numpy()
    np.testing.assert_allclose(np.abs(np.diff(path, axis=1)).mean(axis=2), [[1.0, 0.75, 0.5, 0.25]], rtol=1e-4)


def test_the_penalty_pulls_towards_zero():
    start = [[0.6, 0.8, 0.0, 0.0]]  # of norm 1
    found = after_one(simple(bounds=None, decay=1.0, penalty=2.0), start, 0.5)
    direction = np.array(DIRECTION) - 2.0 * np.array(start[0])
    np.testing.assert_allclose(found, start + 0.5 * direction / np.abs(direction).mean(), rtol=1e-5)
    assert np.all(np.isfinite(after_one(simple(penalty=2.0), np.zeros([1, 4], "float32"), 0.5)))


def test_codes_are_within_the_bounds_after_every_step():
    model, images = made(), tfgen.data.load("digits").images(100)
    model.compile()
    model.fit(images, batch_size=30, verbose=0)
    codes = model.encoder(images)["code"].numpy()
    high = codes.mean(axis=0) + 3 * codes.std(axis=0)
    np.testing.assert_allclose(model.statistics.bounds(3.0)[1], high, rtol=1e-4)
    path = model.climb(model.start(tf.range(6, dtype=tf.int64)), tf.range(6), tf.fill([6], 15), record=True).path.numpy()
    assert path.shape == (6, 16, 5) and path[:, 0].min() < 0, "starts are not clipped"
    assert path[:, 1:].min() >= 0.0 and np.all(path[:, 1:] <= 0.99 * high + 1e-5)
    assert np.any(path[:, 1:] == 0.0) and path[:, 1:].max() > 0.1 * high.max(), "some are clipped, and some move"


def test_no_step_is_the_start():
    model = made()
    found = model.maximize([0, 3], [5, 6], steps=0)
    codes = model.start(tf.constant([5, 6], tf.int64))
    np.testing.assert_allclose(found["image"], model.decode_raw(codes), atol=1e-6)
    logits = model.classifier(model.decode_raw(codes))["logits"]
    np.testing.assert_allclose(found["activation"], [logits[0, 0], logits[1, 3]], atol=1e-5)
    many = model.start(tf.range(2000, dtype=tf.int64))
    assert abs(np.mean(many)) < 0.05 and np.std(many) == pytest.approx(1.0, abs=0.05)


# ---- units, starts, networks


def test_a_unit_at_a_position():
    model, images = made(layer="maps", position=(1, 0)), tfgen.data.load("digits").images(3)
    maps = model.classifier(images)["maps"]
    np.testing.assert_allclose(model.activation(images, tf.constant([2, 2, 5])), [maps[0, 1, 0, 2], maps[1, 1, 0, 2],
                               maps[2, 1, 0, 5]], atol=1e-6)  # fmt: skip


def test_images_are_cut_to_their_range():
    found = simple(bounds=None).maximize([0], [0], steps=3)
    assert np.min(found["image"]) == 0.0 and np.max(found["image"]) == 1.0 and float(found["activation"][0]) > 4.0


def test_groups_of_units_are_sums():
    weights = [[1.0, 0, 0], [0, 2.0, 0], [0, 0, 3.0], [0, 0, 0]]
    model = simple(weights, units=((1,), (0, 2)), bounds=None, decay=1.0)
    assert model.num_units == 2
    images = tf.constant([[[[0.1], [0.2]], [[0.3], [0.4]]]] * 2)
    np.testing.assert_allclose(model.activation(images, tf.constant([0, 1])), [0.4, 1.0], rtol=1e-5)
    found = model.climb(tf.zeros([1, 4]), tf.constant([1]), tf.constant([1]), 0.5).codes
    np.testing.assert_allclose(found, [[0.5, 0.0, 1.5, 0.0]], rtol=1e-5)  # [1, 0, 3, 0] over its mean, times .5


def test_hidden_units_rise():
    model, units = made(layer="maps", first_rate=0.3, units=((0, 1), (2, 3), (4, 5))), np.repeat(np.arange(3), 8)
    start, end = (model.maximize(units, np.arange(24), steps=steps)["activation"].numpy() for steps in (0, 40))
    assert np.mean(end) > 1.2 * np.mean(start) and np.mean(end > start) > 0.6  # ReLU: some are 0 and have no gradient


def test_a_start_from_images():
    model, images = made(bounds=None, decay=1.0), tfgen.data.load("digits").images(3)
    codes = model.encoder(images)["code"]
    near = model.maximize_images(images, [1, 1, 1], steps=1, first_rate=1e-6)
    np.testing.assert_allclose(near["image"], model.decode_raw(codes), atol=1e-4)
    calls, climb = [], model.climb
    object.__setattr__(model, "climb", lambda *args: calls.append(1) or climb(*args))
    far = model.maximize_images(images, [1, 1, 1])
    assert np.all(far["activation"] > near["activation"])
    assert not calls, "traced again for another number of steps, another rate"
    with pytest.raises(ValueError, match="steps must be an integer >= 1"):
        model.maximize_images(images, [1, 1, 1], steps=0)
    with pytest.raises(ValueError, match="unit must have as many rows as images, 3"):
        model.maximize_images(images, [1])
    with pytest.raises(ValueError, match="Starts from images need the encoder"):
        made(encoder=None, encoder_layer=None).maximize_images(images, [1, 1, 1])


def test_pixels():
    network, _ = curved()
    model = DGNAM(image_shape=(8, 8, 1), classifier=network, first_rate=0.05)
    start, end = (model.maximize([2, 2], [0, 1], steps=steps) for steps in (0, 50))
    assert 0.2 < np.mean(start["image"]) < 0.8 and np.all(end["activation"] > start["activation"])
    assert np.min(end["image"]) >= 0.0 and np.max(end["image"]) <= 1.0 and np.std(end["image"]) > np.std(start["image"])
    many = model.start(tf.range(200, dtype=tf.int64)).numpy()
    assert np.std(many) == pytest.approx(0.1, rel=0.05) and np.mean(many) == pytest.approx(0.5, abs=0.01)
    # Pixels do not shrink, and starts from images are the images.
    grey = tf.fill([1, 2, 2, 1], 0.5)
    plain = DGNAM(image_shape=(2, 2, 1), classifier=linear([[1.0], [0.0], [0.0], [-1.0]]))
    found = plain.maximize_images(grey, [0], steps=1, first_rate=0.1)["image"]
    np.testing.assert_allclose(np.ravel(found), [0.7, 0.5, 0.5, 0.3], atol=1e-6)
    larger = encoder_network((12, 12, 1), 10)
    other = DGNAM(image_shape=(8, 8, 1), classifier=larger, resize="bilinear", first_rate=0.05)
    assert other.maximize([2], [0], steps=5)["image"].shape == (1, 8, 8, 1)


def test_a_warning_before_codes_are_measured(caplog):
    model = made()
    with caplog.at_level(logging.WARNING):
        model.maximize([0], [0], steps=1)
        assert "were not measured" in caplog.text
        caplog.clear()
        model.compile()
        model.fit(tfgen.data.load("digits").images(20), verbose=0)
        model.maximize([0], [0], steps=1)
    assert "were not measured" not in caplog.text


def test_wrong_settings():
    network, generator = curved()
    with pytest.raises(ValueError, match=r"classifier: feature_layers must be some of .*'logits'\]; received \('fc8',\)"):
        made(layer="fc8")
    with pytest.raises(ValueError, match=r"units must be in \[0, 10\), those of the layer; received \[10, 12\]"):
        made(units=((0, 12), (10,)))
    with pytest.raises(ValueError, match=r"generator must make images \(8, 8, 1\), image_shape; received one of \(2"):
        made(generator=reshaping()[0])
    with pytest.raises(ValueError, match=r"'maps' of encoder must have the shape of the generator's codes, \(5,\)"):
        made(encoder_layer="maps")
    with pytest.raises(ValueError, match="leave encoder out to optimise pixels"):
        made(generator=None)
    with pytest.raises(ValueError, match="resize= enlarges or reduces"):
        made(classifier=encoder_network((12, 12, 1), 10))
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"unit must lie in \[0, 10\)"):
        made().maximize([10], [0])
    pixels = {"generator": None, "encoder": None, "encoder_layer": None}
    for settings, message in (
        ({**pixels, "decay": 0.9}, "decay has no effect with generator=None"),
        ({"encoder": None}, "encoder_layer has no effect with encoder=None"),
        ({**pixels, "deviations": 2.0}, "deviations has no effect with encoder=None"),
        ({**pixels, "bounds": "symmetric"}, "bounds has no effect with encoder=None"),
        ({"bounds": None, "deviations": 2.0}, "deviations has no effect with bounds=None"),
    ):
        with pytest.raises(ValueError, match=message):
            made(**settings)


def test_a_saved_model_makes_the_same_images(tmp_path):
    network, generator = curved()
    generator.save(tmp_path / "generator.keras")
    network.save(tmp_path / "network.keras")
    files = {"generator": str(tmp_path / "generator.keras"), "classifier": str(tmp_path / "network.keras"),
             "layer": "logits", "encoder": str(tmp_path / "network.keras")}  # fmt: skip
    model = made(**files)
    model.compile()
    model.fit(tfgen.data.load("digits").images(50), verbose=0)
    assert not model.trainable_variables and not [key for key in model.state() if "kernel" in key]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    wanted, found = (one.maximize([0, 4], [1, 2], steps=10) for one in (model, loaded))
    for name in ("image", "activation"):
        np.testing.assert_allclose(found[name], wanted[name], atol=1e-6)
    assert np.any(made(**files).maximize([0, 4], [1, 2], steps=10)["image"] != wanted["image"]), "the bounds have no effect"


def test_the_trainer_measures_codes(tmp_path):
    """In a strategy's scope, with a grid of maximised images, as `tfgen train` does it."""
    network, generator = curved()
    generator.save(tmp_path / "generator.keras")
    network.save(tmp_path / "network.keras")
    given = {"classifier": str(tmp_path / "network.keras"), "encoder": str(tmp_path / "network.keras"),
             "generator": str(tmp_path / "generator.keras"), "batch_size": 20, "ascent_steps": 3}  # fmt: skip
    source = tfgen.data.load("digits").take(40)
    model = train(TrainConfig("dgn-am/digits", given, 2), source, tmp_path / "run", report=None).model
    codes = model.encoder(source.images())["code"].numpy()
    np.testing.assert_allclose(model.statistics.bounds(3.0)[1], codes.mean(axis=0) + 3 * codes.std(axis=0), rtol=1e-4)
    assert list((tmp_path / "run/samples").glob("*.png"))


def test_units_of_a_trained_classifier_are_reached():
    """Codes of the classifier's own dense layer, a generator that inverts them roughly: ten of ten digits."""
    source = tfgen.data.load("digits")
    network = tfgen.features.train_encoder(source, steps=150, units=32)
    set_seed(0)
    inverse = tfgen.models.DeePSiM(image_shape=(8, 8, 1), encoder=network, encoder_layers=("code", "maps"), gating=None)
    inverse.compile({"generator": keras.optimizers.Adam(2e-3), "discriminator": keras.optimizers.Adam(2e-4)})
    inverse.fit(source.batches(64, shuffle=True, repeat=True), steps_per_epoch=100, verbose=0)
    model = DGNAM(image_shape=(8, 8, 1), classifier=network, layer="logits", generator=inverse.generator, encoder=network,
                  encoder_layer="code", first_rate=1.0, ascent_steps=60)  # fmt: skip
    model.compile()
    model.fit(source.batches(100), verbose=0)
    images = model.maximize(np.arange(10), np.arange(10))["image"]
    chances = tf.nn.softmax(network(images)).numpy()
    assert np.mean(chances[np.arange(10), np.arange(10)] > 0.9) >= 0.9
    before = tf.nn.softmax(network(model.maximize(np.arange(10), np.arange(10), steps=0)["image"])).numpy()
    assert np.mean(before[np.arange(10), np.arange(10)] > 0.9) <= 0.3
