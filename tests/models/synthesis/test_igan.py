"""iGAN: codes of photos, edits, and what is refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfgen
from tfgen.models import DCGAN, IGAN, PPGN, InfoGAN, PixelCNN, StyleGAN
from tfgen.models.synthesis.parts.photo_editing import shown

SHAPE = (8, 8, 1)
SMALL = {"image_shape": SHAPE, "width": 4, "projection_steps": 40, "candidates": 4, "edit_steps": 30, "flow_steps": 10,
         "frames": 3, "smoothness_weight": 0.2}  # fmt: skip
RNG = np.random.default_rng(0)


def make_generator(seed=0):
    """Codes [B, 3] -> smooth images: a sigmoid of random waves."""
    keras.utils.set_random_seed(seed)
    rows, columns = np.indices(SHAPE[:2]) / 8
    waves = np.stack([np.sin(5 * rows + i) * np.cos(4 * columns * (i + 1)) for i in range(3)]).reshape(3, 64)
    network = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(64, "sigmoid", name="waves"), keras.layers.Reshape(SHAPE)]
    )
    network.layers[0].set_weights([2.0 * waves, np.zeros(64)])
    return network


@pytest.fixture(scope="module")
def model():
    """Codes are uniform; P has seen some samples."""
    keras.utils.set_random_seed(0)
    made = IGAN(generator=make_generator(), latent_distribution="uniform", sample_steps=60, starts=2, **SMALL)
    made.compile(keras.optimizers.Adam(3e-3))
    images = np.tile(RNG.random((1, *SHAPE), "float32"), (16, 1, 1, 1))
    made.history_of_samples = made.fit(images, epochs=60, batch_size=16, verbose=0).history
    return made


@pytest.fixture(scope="module")
def samples(model):
    return model.decode_images(tf.constant(RNG.uniform(-0.9, 0.9, (4, 3)), tf.float32)).numpy()


@pytest.fixture(scope="module")
def photos(samples):
    """What the generator cannot show: its images with noise."""
    return np.clip(samples + 0.1 * RNG.normal(size=samples.shape), 0, 1).astype("float32")


def errors(model, images, method):
    return model.projection_cost(images, model.invert(tf.constant(images), method)).numpy()


# ---- codes


def test_own_samples_are_found(model, samples):
    found = model.project(samples)
    assert (np.mean((found["image"] - samples) ** 2, axis=(1, 2, 3)) <= 1e-3).all()
    assert np.abs(found["latent"]).max() < 1.0


def test_optimisation_never_ends_above_the_prediction(model, photos):
    predicted, hybrid = errors(model, photos, "predictor"), errors(model, photos, "hybrid")
    assert (hybrid <= predicted).all() and hybrid.mean() < 0.9 * predicted.mean()
    np.testing.assert_array_equal(model.invert(tf.constant(photos), "predictor"), model.encode(photos))


def test_a_prediction_at_the_bound_is_kept_where_it_is_best():
    """Optimisation starts at most at .99 of the bound."""
    model = IGAN(generator=make_generator(), latent_distribution="uniform", **{**SMALL, "projection_steps": 0})
    codes = tf.constant([[1.0, 1.0, -1.0]])
    image = model.decode_images(codes)
    found = model._optimized(image, codes)
    assert float(model.projection_cost(image, found)[0]) == 0.0


def test_rows_do_not_depend_on_each_other(model, photos):
    alone = model.project(photos[2:3])
    np.testing.assert_allclose(alone["image"][0], model.project(photos)["image"][2], atol=1e-4)


def test_training_goes_from_samples_to_images(model):
    assert [model.step_kind(step) for step in (0, 59, 60)] == ["samples", "samples", "images"]
    losses = model.history_of_samples["loss"]
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])
    codes = tf.constant(RNG.uniform(-0.9, 0.9, (200, 3)), tf.float32)
    assert float(tf.reduce_mean((model.encode(model.decode_images(codes)) - codes) ** 2)) < 0.15  # guessing 0 has .27


def test_training_on_images_learns_their_projection():
    keras.utils.set_random_seed(0)
    made = IGAN(generator=make_generator(), **SMALL)
    made.compile(keras.optimizers.Adam(1e-2))
    images = np.tile(made.decode_images(tf.constant([[0.5, -1.0, 1.0]])), (8, 1, 1, 1))
    history = made.fit(images, epochs=30, batch_size=8, verbose=0).history
    assert history["pixel_error"][-1] < 0.2 * history["pixel_error"][0]
    np.testing.assert_allclose(history["loss"], history["pixel_error"], rtol=1e-5)  # there are no features
    assert made.evaluate(images, verbose=0, return_dict=True).keys() >= {"loss", "reconstruction_error"}


def test_a_step_on_samples_learns_their_codes():
    """The loss of P is eq. 4 for G's own samples, and the error of their known codes."""
    keras.utils.set_random_seed(0)
    made = IGAN(generator=make_generator(), latent_distribution="unit_uniform", sample_steps=1, **SMALL)
    made.compile(keras.optimizers.SGD(0.0))
    codes = made.latent_generator.draw(made.noise_keys(8, 0))
    images = made.decode_images(codes)
    found = made.predictor([images], training=True)  # moves statistics alone
    loss = made.fit(RNG.random((8, *SHAPE), "float32"), batch_size=8, verbose=0).history["loss"][0]
    expected = np.mean((made.decode_images(found) - images) ** 2) + np.mean((found - codes) ** 2)
    assert loss == pytest.approx(expected, rel=1e-4)
    np.testing.assert_allclose(made.encode(images + 0.0), made.predictor([images]), atol=1e-6)


def test_the_predictor_sees_images_around_zero_and_reaches_all_codes():
    made = IGAN(generator=make_generator(), latent_distribution="unit_uniform", **SMALL)
    assert float(tf.reduce_max(tf.abs(made.predictor([tf.fill([1, *SHAPE], 0.5)])))) == 0.0  # nothing has a bias
    dense = made.predictor.code.kernel
    dense.assign(1e3 * dense)
    assert float(tf.reduce_max(tf.abs(made.encode(RNG.random((4, *SHAPE), "float32"))))) == pytest.approx(3**0.5, abs=1e-3)


def test_optimisation_begins_at_the_prediction_or_the_mean():
    """The first start; others are drawn, the same for all images."""
    made = IGAN(generator=make_generator(), **{**SMALL, "projection_steps": 0, "starts": 3})
    codes = tf.constant([[0.5, -0.2, 0.1], [0.0, 0.0, 0.0]])
    images = made.decode_images(codes)
    np.testing.assert_allclose(made._optimized(images, codes), codes, atol=1e-6)
    np.testing.assert_allclose(made._optimized(images, None)[1], codes[1], atol=1e-6)


def test_the_settings_of_the_authors_code():
    names = ("edge_weight", "smoothness_weight", "feature_weight", "candidates", "edit_steps", "edit_rate")
    assert [IGAN.config_parameters()[name].default for name in names] == [0.2, 5.0, 0.002, 32, 40, 0.1]
    optimizer = IGAN(generator=make_generator(), **SMALL).default_optimizer()
    assert (float(optimizer.learning_rate), optimizer.beta_1) == (pytest.approx(2e-4), 0.5)


def test_features_count():
    conv = keras.layers.Conv2D(2, 3, name="maps")
    features = keras.Sequential([keras.Input(SHAPE), conv])
    made = IGAN(generator=make_generator(), feature_network=features, feature_weight=0.5, **SMALL)
    images, codes = RNG.random((2, *SHAPE), "float32"), np.zeros((2, 3), "float32")
    shown_image = made.decode_images(codes)
    expected = np.mean((shown_image - images) ** 2, axis=(1, 2, 3))
    expected += 0.5 * np.mean((features(shown_image) - features(images)) ** 2, axis=(1, 2, 3))
    np.testing.assert_allclose(made.projection_cost(images, codes), expected, rtol=1e-5)


def test_number_of_weights_of_the_predictor():
    """As computed from the layers of the paper's 64 px network."""
    network = keras.Sequential(
        [keras.Input((100,)), keras.layers.Dense(48, use_bias=False), keras.layers.Reshape((4, 4, 3)),
         keras.layers.UpSampling2D(16)]
    )  # fmt: skip
    made = IGAN(image_shape=(64, 64, 3), generator=network, width=128)
    assert sum(np.prod(v.shape) for v in made.trainable_variables) == 18_854_784


# ---- edits


@pytest.fixture(scope="module")
def edit(photos):
    """Strokes of .9 in a square."""
    mask = np.zeros(photos.shape[:3], np.float32)
    mask[:, 2:5, 3:6] = 1.0
    return {"strokes": np.full_like(photos, 0.9), "mask": mask}


def test_an_empty_edit_returns_the_photo(model, photos, edit):
    nothing = {"strokes": edit["strokes"], "mask": 0.0 * edit["mask"]}
    found = model.edit(photos, **nothing)
    assert np.mean((found["transferred"] - photos) ** 2) < 1e-5
    np.testing.assert_allclose(found["image"], model.project(photos)["image"], atol=1e-4)


def test_strokes_are_followed(model, photos, edit):
    found, before = model.edit(photos, **edit), model.project(photos)["image"]
    error = lambda images: np.mean((images - 0.9) ** 2, axis=(1, 2, 3), where=edit["mask"][..., None] > 0)  # noqa: E731
    assert (error(found["image"].numpy()) < error(before.numpy())).all()
    assert np.mean(error(found["image"].numpy())) < 0.5 * np.mean(error(before.numpy()))
    assert np.mean(error(found["transferred"].numpy())) < np.mean(error(photos))
    np.testing.assert_allclose(found["image"], model.decode_images(found["latent"]), atol=1e-5)
    others = found["candidates"].numpy()
    assert others.shape == (len(photos), min(16, model.candidates), *model.image_shape)
    np.testing.assert_array_equal(others[:, 0], found["image"])
    assert np.ptp(others, axis=1).max() > 1e-4


def test_an_edit_depends_on_its_row_and_the_seed_alone(model, photos, edit):
    whole = model.edit(photos, **edit)
    part = model.edit(photos[1:2], **{name: value[1:2] for name, value in edit.items()})
    np.testing.assert_allclose(part["image"][0], whole["image"][1], atol=2e-3)
    np.testing.assert_array_equal(model.edit(photos, **edit)["image"], whole["image"])


def test_candidates(model, photos, edit):
    """The costs are those of the paper, in rising order, and none is above that of the start."""
    found = model.candidate_rows(tf.constant(photos), **edit)
    costs = found.costs.numpy()
    assert costs.shape == (4, 4) and (np.diff(costs, axis=1) >= 0).all()
    np.testing.assert_array_equal(found.shown, shown(found.costs))
    assert np.abs(found.codes[:, 0] - found.codes[:, -1]).max() > 1e-3  # they differ

    def cost(codes):
        made, mask = model.decode_images(codes).numpy(), edit["mask"]
        colours = np.mean(4 * (made - 0.9)[..., 0] ** 2 * mask, axis=(1, 2)) / (np.mean(mask, axis=(1, 2)) + 1e-5)
        return colours + 0.2 * np.mean((codes - found.start) ** 2, axis=1)

    for i in range(4):
        np.testing.assert_allclose(costs[:, i], cost(found.codes[:, i]), rtol=1e-4)
    assert (costs[:, 0] < cost(found.start)).all()


def test_edges_and_realism_have_their_weights(photos):
    """With edges alone; the discriminator of an untrained GAN has logits that differ from 0."""
    keras.utils.set_random_seed(0)
    gan = DCGAN(image_shape=SHAPE, latent_dim=3, width=4)
    small = {**SMALL, "projection_steps": 0, "edit_steps": 2, "candidates": 2, "smoothness_weight": 5.0, "generator": gan}
    given = {"strokes": photos, "mask": np.zeros(photos.shape[:3], "float32"), "edges": photos,
             "edge_mask": np.ones(photos.shape[:3], "float32")}  # fmt: skip
    made = IGAN(edge_weight=0.4, realism_weight=0.5, edge_cell=2, **small)
    found = made.candidate_rows(tf.constant(photos), **{name: tf.constant(value) for name, value in given.items()})
    codes = found.codes[:, 0]
    images = made.decode_images(codes)
    gradients = [tfgen.models.synthesis.parts.constraints.oriented_gradients(x, 2) for x in (images, tf.constant(photos))]
    expected = 0.4 * np.mean((gradients[0] - gradients[1]) ** 2, axis=(1, 2, 3)) / 1.00001
    expected += 5.0 * np.mean((codes - found.start) ** 2, axis=1)
    expected += 0.5 * np.log1p(np.exp(-gan.logits(2 * images - 1).numpy()))
    np.testing.assert_allclose(found.costs[:, 0], expected, rtol=1e-4)


@pytest.mark.parametrize(("distribution", "bound"), [("unit_uniform", 3**0.5), ("normal", None)])
def test_where_candidates_begin(distribution, bound):
    """At the photo's code, and around it within .5 of the range; without steps they stay there."""
    settings = {**SMALL, "projection_steps": 0, "edit_steps": 0, "candidates": 64, "smoothness_weight": 0.0}
    made = IGAN(generator=make_generator(), latent_distribution=distribution, method="optimization", **settings)
    photo, mask = tf.fill([1, *SHAPE], 0.5), tf.ones([1, *SHAPE[:2]])
    found = made.candidate_rows(photo, strokes=photo, mask=mask)
    np.testing.assert_allclose(found.start, np.zeros([1, 3]), atol=1e-6)
    codes = found.codes[0].numpy()
    assert np.sum(np.all(codes == found.start.numpy(), axis=1)) == 1, "one begins exactly at the photo's code"
    assert np.abs(codes).max() == pytest.approx(0.5 * (bound or 1.0), rel=0.05)


def test_an_edit_moves_at_its_rate_and_has_its_frames(photos, edit, monkeypatch):
    from tfgen.models.synthesis.parts import photo_editing

    given = {name: value[:1] for name, value in edit.items()}
    settings = {**SMALL, "projection_steps": 0, "edit_steps": 1, "candidates": 1, "frames": 5, "flow_steps": 3}
    slow = IGAN(generator=make_generator(), edit_rate=0.02, method="optimization", **settings)
    seen = []
    monkeypatch.setattr(photo_editing, "transferred", lambda *given: seen.append(given) or given[0])
    found = slow.candidate_rows(tf.constant(photos[:1]), **given)
    # The first step of Adam has the size of the rate.
    np.testing.assert_allclose(np.abs(found.codes[:, 0] - found.start), np.full([1, 3], 0.02), rtol=1e-2)
    slow.edit_rows(tf.constant(photos[:1]), **given)
    assert seen[0][1].shape == (1, 5, *SHAPE) and seen[0][2] == 3


def test_the_code_of_a_style_gan_is_w():
    keras.utils.set_random_seed(0)
    sizes = {"image_shape": SHAPE, "latent_dim": 3, "w_size": 5, "mapping_depth": 1, "max_filters": 4}
    gan = StyleGAN(**sizes)
    gan.mean_w.value.assign(RNG.normal(size=5))
    made = IGAN(generator=gan, realism_weight=0.5, method="optimization", **SMALL)
    codes = made.latent_generator
    assert made.latent_dim == 5 and codes.bound is None
    np.testing.assert_allclose(codes.center(), gan.mean_w.value)
    keys = tfgen.random.keys(tf.range(4))
    w = gan.map(gan.latents(tf.bitcast(keys, tf.int64)))
    np.testing.assert_allclose(codes.draw(keys), w[:, 0], atol=1e-6)
    images = codes.decode(w[:, 0])
    np.testing.assert_allclose(images, gan.synthesize(w), atol=1e-6)
    start, gradient = codes.center()[None], lambda w: made.projection_cost(images[:1], w)
    _, found = tfp.math.value_and_gradient(gradient, start)
    assert found.shape == (1, 5) and np.all(np.abs(found) > 0)
    with pytest.raises(ValueError, match="StyleGAN also takes labels; the generator must take a code alone"):
        IGAN(generator=StyleGAN(**sizes, num_classes=2), **SMALL)


def test_which_candidates_are_shown():
    costs = np.array([[1.0] * 8 + [1.9, 2.0] + [3.0] * 10, [1.0] * 20, [0.0] * 7 + [8.0] + [9.0] * 12])
    expected = [[True] * 9 + [False] * 11, [True] * 16 + [False] * 4, [True] * 7 + [False] * 13]
    np.testing.assert_array_equal(shown(tf.constant(costs)), expected)


def test_morph_begins_and_ends_at_the_photos(model, photos):
    rows = tfgen.sampling.morph(model, photos[:2], photos[2:], 5)
    assert rows.shape == (2, 5, *SHAPE)
    np.testing.assert_allclose(rows[:, 0], photos[:2], atol=1e-5)
    np.testing.assert_allclose(rows[:, -1], photos[2:], atol=1e-5)
    plain = tfgen.sampling.morph(model, photos[:2], photos[2:], 3, keep_detail=False)
    first, last = (model.project(part)["latent"] for part in (photos[:2], photos[2:]))
    np.testing.assert_allclose(plain[:, 1], model.decode_images(0.5 * (first + last)), atol=1e-4)
    assert rows.min() >= 0.0 and rows.max() <= 1.0
    with pytest.raises(ValueError, match=r"must have equal shapes; received \(2, 8, 8, 1\) and \(1, 8, 8, 1\)"):
        tfgen.sampling.morph(model, photos[:2], photos[:1])


# ---- files, and what is refused


def test_the_generator_of_a_file_has_its_averaged_weights(tmp_path):
    keras.utils.set_random_seed(0)
    gan = DCGAN(image_shape=SHAPE, latent_dim=3, width=4)
    gan.compile(ema_decay=0.5)
    for variable in gan.generator.trainable_variables:  # now they differ from their averages
        variable.assign(variable + 0.5)
    codes = np.float32([[0.1, 0.5, -0.5]])
    with gan.ema.swapped():
        expected = gan.decode_images(codes)
    assert np.abs(expected - gan.decode_images(codes)).max() > 1e-3
    path = str(tmp_path / "gan.keras")
    gan.save(path)
    for generator in (gan, path):
        made = IGAN(generator=generator, **SMALL)
        np.testing.assert_allclose(made.decode_images(codes), expected, atol=1e-6)
        assert made.latent_generator.bound == 1.0
    assert np.abs(expected - gan.decode_images(codes)).max() > 1e-3  # the given one is as it was
    twin = IGAN.from_config(made.get_config())
    np.testing.assert_array_equal(twin.decode_images(codes), made.decode_images(codes))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"generator": "no.keras"}, r"there is no file no.keras; tfgen export --workdir RUN --to FILE.keras"),
        ({"generator": lambda: InfoGAN(image_shape=SHAPE, width=4)}, "choices among its latents"),
        ({"generator": lambda: PPGN(image_shape=SHAPE, prior="pixels", epsilons=(1.0, 0.0, 0.0))}, "searches for its"),
        ({"generator": lambda: PixelCNN(image_shape=SHAPE, levels=2, width=4, depth=1)}, "pixel by pixel"),
        ({"generator": lambda: DCGAN(image_shape=SHAPE, width=4, num_classes=3)}, "DCGAN also takes labels"),
        ({"generator": lambda: DCGAN(image_shape=(16, 16, 1), width=4)}, r"makes images \(16, 16, 1\); expected"),
        ({"generator": lambda: IGAN(generator=make_generator(), **SMALL)}, "IGAN does not"),
        ({"generator": lambda: keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten()])}, "have one input, codes"),
        ({"generator": lambda: DCGAN(image_shape=SHAPE, width=4), "latent_distribution": "uniform"}, "leave it"),
        ({"feature_weight": 1.0}, "feature_weight has no effect with feature_network=None"),
        ({"feature_layers": ("maps",)}, "feature_layers has no effect with feature_network=None"),
        ({"realism_weight": 1.0}, "needs a generator with its discriminator"),
        ({"edge_cell": 3}, "edge_cell must be even; received 3"),
        ({"frames": 1}, "frames must be at least 2; received 1"),
        ({"method": "adam"}, "method must be"),
    ],
)  # fmt: skip
def test_wrong_settings_are_refused(settings, message):
    generator = settings.get("generator", make_generator)
    settings = {**SMALL, **settings, "generator": generator() if callable(generator) else generator}
    with pytest.raises(ValueError, match=message):
        IGAN(**settings)


def test_wrong_edits_are_refused(model, photos, edit):
    with pytest.raises(ValueError, match="mask must have the shape"):
        model.edit(photos, strokes=edit["strokes"], mask=edit["mask"][:, 1:])
    with pytest.raises(ValueError, match="edges and edge_mask belong together"):
        model.edit(photos, **edit, edges=photos)
    with pytest.raises(ValueError, match="mask must have as many rows as images, 4"):
        model.edit(photos, strokes=edit["strokes"], mask=edit["mask"][:1])
    with pytest.raises(ValueError, match="edit takes images, strokes, mask, edges, edge_mask; received images, strokes"):
        model.edit(photos, strokes=edit["strokes"])
    with pytest.raises(ValueError, match="was made for images"):
        model.project(photos[:, :4])
