"""How the transforms and the entropy models begin."""

import numpy as np
import pytest
import tensorflow as tf

from tests.models.compression.helpers import MODELS, without_normalisation
from tfgen.models import FactorizedPrior, ScaleHyperprior
from tfgen.models.compression import start

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("model_class", MODELS.values())
def test_synthesis_begins_as_the_adjoint_of_the_analysis(model_class):
    """<analysis(x), y> = <x, synthesis(y)> of the convolutions."""
    model = without_normalisation(model_class(image_shape=(32, 32, 3), width=4, latent_channels=5))
    image = RNG.normal(size=(1, 32, 32, 3)).astype("float32")
    latents = RNG.normal(size=(1, 2, 2, 5)).astype("float32")
    ours = np.vdot(model.analysis(image), latents)
    assert abs(ours) > 1e-3
    np.testing.assert_allclose(ours, np.vdot(image, model.synthesis(latents)), rtol=1e-3)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("model_class", MODELS.values())
def test_start_is_an_orthonormal_block_code(model_class, channels):
    """With a latent for each number of a block nothing is lost; the first is nearly its mean; further ones say nothing."""
    numbers, shape = 256 * channels, (1, 32, 48, channels)
    sizes = {"width": 64 * channels, "latent_channels": numbers + 5}
    model = without_normalisation(model_class(image_shape=shape[1:], **sizes))
    image = RNG.random(shape).astype("float32")
    latents = model.analyze(image).numpy()
    np.testing.assert_allclose(model.synthesize(latents, 32, 48), image, atol=1e-5)
    energy = np.sum((latents[..., :numbers] / model.latent_scale) ** 2)
    np.testing.assert_allclose(energy, np.sum((image - 0.5) ** 2), rtol=1e-4)
    flat = np.square(model.analyze(np.ones((1, 16, 16, channels), "float32"))[0, 0, 0, :numbers])
    assert flat[0] > 0.95 * np.sum(flat)
    latents[..., numbers:] += 9.0
    np.testing.assert_allclose(model.synthesize(latents, 32, 48), image, atol=1e-5)


@pytest.mark.parametrize("model_class", MODELS.values())
def test_flat_patches_begin_as_they_are(model_class):
    """Of the whole model, with its divisive normalisation: lighter patches come back lighter, if not quite as much."""
    model = model_class(image_shape=(32, 32, 3), width=64, latent_channels=128, distortion_weight=0.05)
    for level, error in ((0.45, 0.01), (0.6, 0.02), (0.75, 0.06)):
        image = np.full((1, 32, 32, 3), level, "float32")
        assert np.max(np.abs(model.reconstruct(image) - image)) < error


def test_start_knows_how_latents_vary():
    """Of autoregressive images, drawn by the square roots of their covariance."""
    model = without_normalisation(FactorizedPrior(image_shape=(16, 16, 1), width=64, latent_channels=256))
    stddev = start.begin_as_block_code(model.analysis, model.synthesis, 1, 16)
    distance = np.abs(np.arange(16)[:, None] - np.arange(16))
    rows, columns, _ = (np.linalg.cholesky(rho**distance) for rho in start.CORRELATIONS)
    images = rows @ RNG.normal(size=(4_000, 16, 16)) @ columns.T
    found = np.std(model.analysis(images[..., None].astype("float32")), axis=(0, 1, 2))
    np.testing.assert_allclose(found, stddev, rtol=0.1)
    assert np.sum(stddev**2) == pytest.approx(256)


def test_entropy_models_begin_as_wide_as_latents():
    sizes = {"image_shape": (32, 32, 3), "width": 16, "latent_channels": 20, "distortion_weight": 0.05}
    factorized, hyperprior = FactorizedPrior(**sizes), ScaleHyperprior(**sizes)
    # 1/4: the deviation of photos.
    stddev, again = (
        0.25 * model.latent_scale * start.begin_as_block_code(model.analysis, model.synthesis, channels=3, side=16)
        for model in (factorized, hyperprior)
    )
    assert stddev[0] > 10 * stddev[-1] > 0
    np.testing.assert_allclose(factorized.prior.init_scale, np.maximum(stddev, 0.5))
    last = hyperprior.hyper_synthesis.layers[-1]
    last.kernel.assign(tf.zeros_like(last.kernel))
    scales = hyperprior.scales(tf.zeros([1, 1, 1, 16]), 2, 2)[0, 0, 0]
    np.testing.assert_allclose(scales, np.maximum(again, 1.0), rtol=1e-3)


def test_the_start_lets_grey_through():
    for name, model_class in MODELS.items():
        model = model_class(image_shape=(32, 32, 3), width=4)
        grey = np.full((1, 32, 32, 3), 0.5, "float32")
        assert not np.any(model.encode(grey)), name
        np.testing.assert_array_equal(model.reconstruct(grey), grey)
