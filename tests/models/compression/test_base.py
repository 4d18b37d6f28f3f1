"""What both models of learned compression promise: sizes, rate and distortion, noise, presets."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.models.compression.helpers import MODELS, made
from tfgen import presets
from tfgen.models import FactorizedPrior, ScaleHyperprior

RNG = np.random.default_rng(0)


def test_strides_and_any_size():
    for name in MODELS:
        model = made(name, width=3)
        assert model.encode(tf.zeros([1, 256, 256, 3])).shape == (1, 16, 16, 3)
        assert model.latent_shape == (2, 2, 3) and model.latent_dim == 12
        for size in ((1, 1), (17, 40), (64, 16)):
            image = RNG.random((2, *size, 3)).astype("float32")
            latents, out = model.encode(image), model.reconstruct(image)
            assert out.shape == image.shape and latents.shape == (2, -(-size[0] // 16), -(-size[1] // 16), 3)
            np.testing.assert_array_equal(latents, np.round(latents))
            assert model.bits(image).shape == (2,)


def test_padding_repeats_the_edge():
    model = made("factorized")
    image = RNG.random((1, 20, 30, 3)).astype("float32")
    padded = np.pad(image, ((0, 0), (0, 12), (0, 2), (0, 0)), "edge")
    np.testing.assert_allclose(model.analyze(image), model.analyze(padded), atol=1e-5)


@pytest.mark.parametrize("channels, weight", [(1, 0.01), (3, 0.05)])
def test_step_of_latents_balances_rate_and_distortion(channels, weight):
    """Finer or coarser steps d of an orthonormal code of 255 levels cost more: bits -log2 d, squared error d^2 / 12."""
    model = FactorizedPrior(image_shape=(16, 16, channels), width=2, distortion_weight=weight)
    steps = 255.0 / model.latent_scale * np.array([0.9, 1.0, 1.1])
    loss = -channels * np.log2(steps) + weight * steps**2 / 12.0
    assert loss[1] < min(loss[0], loss[2])


def test_loss_is_rate_plus_weighted_distortion():
    image = RNG.random((2, 32, 32, 3)).astype("float32")
    for name in MODELS:
        model = made(name, distortion_weight=0.5)
        losses = model.losses_of(tf.constant(image), lambda values, stream: tf.round(values))
        decoded = model.synthesize(model.encode(image), 32, 32)
        mse = np.mean((255 * (image - decoded)) ** 2, axis=(1, 2, 3))
        np.testing.assert_allclose(losses["mse"], mse, rtol=1e-4)
        np.testing.assert_allclose(losses["bits_per_pixel"], model.bits(image) / 1024, rtol=1e-5)
        np.testing.assert_allclose(losses["loss"], losses["bits_per_pixel"] + 0.5 * mse, rtol=1e-5)


def quantised(model, run):
    """{stream: [(latents before, latents after) of each call of `quantize`]} of all that run() does."""
    rate, seen = model.rate, {}

    def watched(latents, quantize):
        def watch(values, stream):
            found = quantize(values, stream)
            seen.setdefault(stream, []).append((values.numpy(), found.numpy()))
            return found

        return rate(latents, watch)

    model.rate = watched
    run()
    return {stream: np.array(pairs) for stream, pairs in seen.items()}


@pytest.mark.parametrize("name", MODELS)
def test_training_has_noise_and_evaluation_rounds(name):
    model, images = made(name), RNG.random((20, 32, 32, 3)).astype("float32")
    model.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    trained = quantised(model, lambda: model.fit(images, batch_size=20, epochs=4, verbose=0))
    assert sorted(trained) == {"factorized": [0], "hyperprior": [0, 1]}[name]
    noises = [pairs[:, 1] - pairs[:, 0] for pairs in trained.values()]  # [steps, rows, h, w, channels]
    for noise in noises:
        assert noise.shape[:2] == (4, 20)
        assert -0.5001 < noise.min() and noise.max() < 0.5001
        np.testing.assert_allclose(noise.var(), 1 / 12, rtol=0.1)
        np.testing.assert_allclose(noise.mean(), 0.0, atol=4 / np.sqrt(12 * noise.size))
        for other in (noise[1:] - noise[:-1], noise[:, 1:] - noise[:, :-1], noise[..., 1:] - noise[..., :-1]):
            np.testing.assert_allclose(other.var(), 2 / 12, rtol=0.2)  # its own at each step, row and place
    model = made(name)
    model.compile(run_eagerly=True)
    evaluated = quantised(model, lambda: model.evaluate(images, verbose=0))
    assert evaluated.keys() == trained.keys()
    for pairs in evaluated.values():
        np.testing.assert_array_equal(pairs[:, 1], np.round(pairs[:, 0]))


@pytest.mark.parametrize("name", MODELS)
def test_what_is_quantised_is_what_is_coded_and_decoded(name):
    """Rate and distortion are those of the quantised latents, and z counts as y does."""
    model = made(name)
    image = tf.constant(RNG.random((1, 32, 32, 3)), tf.float32)
    latents, bits = model.rate(model.analyze(image), lambda values, stream: values + 0.25)
    np.testing.assert_allclose(latents, model.analyze(image) + 0.25, atol=1e-5)
    assert bits != model.rate(model.analyze(image), lambda values, stream: values)[1]
    losses = model.losses_of(image, lambda values, stream: values + 0.25)
    mse = np.mean((255 * (image - model.synthesize(latents, 32, 32))) ** 2)
    np.testing.assert_allclose([losses["mse"][0], losses["bits_per_pixel"][0]], [mse, bits[0] / 1024], rtol=1e-4)


@pytest.mark.long
def test_rate_falls_and_error_rises_with_lambda():
    """Two lambdas far apart, on one batch of crops: the ends of a rate-distortion curve."""
    rows, columns = np.mgrid[:16, :16]
    waves = np.sin(rows[None] * RNG.uniform(0, 1, (8, 1, 1)) + columns[None] * RNG.uniform(0, 1, (8, 1, 1)))
    image = (0.5 + 0.4 * waves[..., None]).astype("float32")
    found = {}
    for weight in (1e-6, 1e-1):
        keras.utils.set_random_seed(0)
        model = FactorizedPrior(image_shape=(16, 16, 1), width=8, distortion_weight=weight)
        model.compile(keras.optimizers.Adam(1e-2), steps_per_execution=50)
        model.fit(tf.data.Dataset.from_tensors(image).repeat(), steps_per_epoch=250, verbose=0)
        found[weight] = model.evaluate(tf.data.Dataset.from_tensors(image), verbose=0, return_dict=True)
    assert found[1e-6]["bits_per_pixel"] < 0.05 < found[1e-1]["bits_per_pixel"]
    assert found[1e-1]["mse"] < 0.5 * found[1e-6]["mse"]


@pytest.mark.parametrize(
    "bad", [np.zeros((2, 8, 8, 3), "uint8"), np.zeros((8, 8, 3), "float32"), np.zeros((2, 8, 8, 1), "float32")]
)
def test_wrong_images(bad):
    with pytest.raises(ValueError, match=r"for images \[batch, any, any, 3\]|must be float"):
        made("factorized").encode(bad)


@pytest.mark.parametrize("arguments", [{"width": 0}, {"distortion_weight": 0.0}, {"latent_channels": -1}])
def test_wrong_arguments(arguments):
    with pytest.raises(ValueError, match="received"):
        ScaleHyperprior(image_shape=(16, 16, 3), **arguments)


@pytest.mark.parametrize("name", ["factorized-prior/kodak", "scale-hyperprior/kodak"])
def test_crops_are_large_enough_for_every_weight(name):
    """In crops of 64x64 z is one pixel: most places of the kernels around it would see padding alone, and learn nothing."""
    model = presets.get(name).override({"width": 4}).build()
    images = np.random.default_rng(0).uniform(size=(2, *model.image_shape)).astype("float32")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model.losses_of(images, lambda values, _: values)["loss"])
    kernels = [v for v in model.trainable_variables if v.name == "kernel"]
    for kernel, gradient in zip(kernels, tape.gradient(loss, [v.value for v in kernels]), strict=True):
        assert np.all(np.any(gradient.numpy() != 0, axis=(2, 3))), kernel.path


def test_presets_can_be_built_and_say_where_they_come_from():
    ours = {
        name: preset for name, preset in presets.all_presets().items() if issubclass(preset.model, tuple(MODELS.values()))
    }
    paper = [preset for name, preset in ours.items() if "/paper-" in name]
    assert len(paper) == 16 and all(preset.source and "Kodak" in preset.paper for preset in paper)
    json.dumps([preset.config() for preset in ours.values()])
    assert presets.get("scale-hyperprior/kodak").override({"distortion_weight": 0.05}).build().distortion_weight == 0.05
