"""Projection into a StyleGAN: the schedules and the regulariser in closed form, and its own images."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tfgen.models import StyleGAN
from tfgen.models.synthesis.parts.style_projection import noise_at, noise_regularizer, project_styles, rate_at, spread


def test_rate_and_noise():
    steps = np.array([0, 1, 25, 50, 750, 800, 900, 999])
    expected = [0, 0.002, 0.05, 0.1, 0.1, 0.0904508497, 0.0345491503, 3.95e-6]
    np.testing.assert_allclose(rate_at(steps / 1000), expected, rtol=2e-3, atol=1e-9)
    expected = [0.05, 0.0467222, 0.0222222, 0.0055556, 0, 0]
    np.testing.assert_allclose(noise_at(np.array([0, 25, 250, 500, 750, 900]) / 1000), expected, atol=1e-6)


def test_the_spread_is_the_length_of_a_vector():
    assert float(spread(tf.constant([[1.0, 2], [3, 2], [2, 5]]))) == pytest.approx(1.6329931619, rel=1e-6)


def grid(function, side):
    rows, columns = np.indices((side, side))
    return tf.constant(function(rows, columns)[None, ..., None] + 0.0, tf.float32)


def test_the_regulariser_of_noise():
    assert noise_regularizer([grid(lambda y, x: (-1.0) ** (x + y), 16)]).numpy() == pytest.approx([2.0])
    ones = grid(lambda y, x: 0.0 * x + 1.0, 16)
    assert noise_regularizer([ones]).numpy() == pytest.approx([4.0])  # two levels
    assert noise_regularizer([ones[:, :8, :8]]).numpy() == pytest.approx([2.0])
    assert noise_regularizer([grid(lambda y, x: (-1.0) ** (x // 2), 16)]).numpy() == pytest.approx([3.0])
    assert noise_regularizer([ones, ones[:, :8, :8]]).numpy() == pytest.approx([6.0])


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    made = StyleGAN(image_shape=(8, 8, 1), latent_dim=4, w_size=4, mapping_depth=1, max_filters=8)
    for layer in made.generator.styled:  # so that noise has an effect
        layer.noise_weight.assign(np.full(layer.noise_weight.shape, 0.1, np.float32))
    return made


@pytest.fixture(scope="module")
def images(model):
    """Two images whose styles are not far from their mean, where the search starts."""
    styles = model.map(model.latents(np.arange(200)))
    mean = tf.reduce_mean(styles, axis=0)
    near = mean + 0.4 * (styles[:2] - mean)
    return model.synthesize(near), model.synthesize(mean[None])


def mse(a, b):
    return np.mean((np.asarray(a) - b) ** 2, axis=(1, 2, 3))


def test_own_images_are_found(model, images):
    images, start = images
    found = project_styles(
        model, images, steps=120, pixel_weight=1.0, mean_samples=200, first_noise=model.num_layers
    )  # fmt: skip
    assert (mse(found.image, images) < 0.05 * mse(start, images)).all()
    np.testing.assert_allclose(found.distance, mse(found.image, images), rtol=1e-4, atol=1e-8)
    np.testing.assert_allclose(found.image, model.synthesize(found.w, found.noise), atol=1e-5)
    assert np.ptp(found.w, axis=1).max() == 0.0  # one w for all layers
    for one, shared in zip(found.noise, model.noise_inputs(), strict=True):
        np.testing.assert_array_equal(one, np.repeat(shared, 2, axis=0))


def test_noise_maps_and_styles_of_each_layer(model, images):
    images, start = images
    found = project_styles(model, images, steps=60, pixel_weight=1.0, mean_samples=200, each_layer=True, noise_weight=0.0)
    assert (mse(found.image, images) < 0.5 * mse(start, images)).all()
    assert np.ptp(found.w, axis=1).max() > 1e-3
    for one, shared in zip(found.noise, model.noise_inputs(), strict=True):  # moved, and normalised after each step
        assert np.abs(one - shared).max() > 1e-2
        np.testing.assert_allclose(np.mean(one, axis=(1, 2, 3)), 0.0, atol=1e-5)
        np.testing.assert_allclose(np.std(one, axis=(1, 2, 3)), 1.0, atol=1e-4)


def test_features_and_seeds_count(model, images):
    network = tfgen.features.encoder_network((8, 8, 1), 3, filters=(2, 3), units=4)
    features, (wanted, _) = tfgen.features.FeatureNetwork(network, ["maps", "logits"]), images
    settings = {"steps": 3, "pixel_weight": 0.5, "mean_samples": 20, "first_noise": model.num_layers}
    first, other = (project_styles(model, wanted, features, seed=seed, **settings) for seed in (0, 1))
    expected = 0.5 * mse(first.image, wanted)
    for name in ("maps", "logits"):
        made, real = (features(x)[name].numpy().reshape(2, -1) for x in (first.image, wanted))
        expected += np.mean((made - real) ** 2, axis=1)
    np.testing.assert_allclose(first.distance, expected, rtol=1e-4)
    assert np.abs(first.w - other.w).max() > 1e-4, "noise is added to w while it is looked for"


def test_the_regulariser_has_its_weight(model, images):
    """Alone, it makes the maps less like their shifted selves."""
    found = project_styles(model, images[0], steps=40, pixel_weight=0.0, noise_weight=10.0, mean_samples=20)
    before = noise_regularizer([tf.convert_to_tensor(one) for one in model.noise_inputs()])
    assert np.all(noise_regularizer(found.noise) < 0.5 * before)
