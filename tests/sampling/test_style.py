"""Pictures of styles and noise: what stands where, exactly."""

import numpy as np
import pytest

from tests.seeds import set_seed
from tfgen import sampling
from tfgen.models import StyleGAN

ROWS, COLUMNS = [1, 2, 3], [4, 5]


@pytest.fixture(scope="module")
def model():
    set_seed(0)
    model = StyleGAN(image_shape=(16, 16, 3), latent_dim=4, w_size=4, mapping_depth=2, max_filters=4)
    rng = np.random.default_rng(0)
    for layer in model.generator.styled:
        layer.noise_weight.assign(rng.normal(size=layer.noise_weight.shape))
    model.mean_w.value.assign(rng.normal(size=4))
    return model


def images(model, seeds):
    return model.generate(np.array(seeds)).numpy()


def test_first_row_and_column_are_the_sources(model):
    found = sampling.mixing_matrix(model, ROWS, COLUMNS, range(2))
    assert found.shape == (4, 3, 16, 16, 3) and found.dtype == np.float32
    np.testing.assert_allclose(found[1:, 0], images(model, ROWS), atol=1e-5)
    np.testing.assert_allclose(found[0, 1:], images(model, COLUMNS), atol=1e-5)
    assert (found[0, 0] == 1.0).all()
    a, b = (sampling.style.styles_of(model, seeds) for seeds in (ROWS, COLUMNS))
    by_hand = np.concatenate([b[1, :2], a[2, 2:]])[None]
    np.testing.assert_allclose(found[3, 2], model.synthesize(by_hand)[0], atol=1e-5)
    none = sampling.mixing_matrix(model, ROWS, COLUMNS, [])
    np.testing.assert_allclose(none[1:, 1:], np.repeat(none[1:, :1], 2, axis=1), atol=1e-5)
    every = sampling.mixing_matrix(model, ROWS, COLUMNS, range(6))
    np.testing.assert_allclose(every[1:, 1:], np.repeat(every[:1, 1:], 3, axis=0), atol=1e-5)


def test_truncation_strip(model):
    found = sampling.truncation_strip(model, ROWS)
    assert found.shape == (3, 6, 16, 16, 3)
    np.testing.assert_allclose(found[:, 0], images(model, ROWS), atol=1e-5)  # psi = 1
    np.testing.assert_allclose(found[:, 3], np.repeat(found[:1, 3], 3, axis=0), atol=1e-6)  # psi = 0
    assert np.abs(found[0, 4] - found[1, 4]).max() > 1e-4  # psi = -.5
    part = sampling.truncation_strip(model, ROWS, [0.0], cutoff=2)
    assert np.abs(part[0] - part[1]).max() > 1e-4


def test_noise_variants(model):
    found = sampling.noise_variants(model, ROWS)
    assert found.shape == (3, 4, 16, 16, 3)
    np.testing.assert_allclose(found[:, 0], images(model, ROWS), atol=1e-5)
    w, noise = sampling.style.styles_of(model, ROWS), model.noise_inputs()
    for place, layers in ((1, ()), (2, (3, 4, 5)), (3, (0, 1, 2))):
        kept = [one if i in layers else 0.0 * one for i, one in enumerate(noise)]
        np.testing.assert_allclose(found[:, place], model.synthesize(w, kept), atol=1e-5)
    ends = sampling.noise_variants(model, ROWS, first_fine=6)
    np.testing.assert_allclose(ends[:, 2], ends[:, 1], atol=1e-6)
    np.testing.assert_allclose(ends[:, 3], ends[:, 0], atol=1e-6)


def test_noise_deviation(model):
    found = sampling.noise_deviation(model, ROWS, draws=3, noise_seed=7)
    assert found.shape == (3, 16, 16, 1) and found.min() >= 0.0 and found.max() > 0.0
    w = sampling.style.styles_of(model, ROWS)
    grey = [model.synthesize(w, model.noise_inputs([seed])).numpy().mean(axis=-1) for seed in (7, 8, 9)]
    np.testing.assert_allclose(found[..., 0], np.std(grey, axis=0), atol=1e-5)
    plain = StyleGAN(image_shape=(8, 8, 1), latent_dim=4, w_size=4, mapping_depth=1, max_filters=4)
    assert sampling.noise_deviation(plain, ROWS, draws=2).max() < 1e-6, "without weights there is no noise"


def test_labels():
    model = StyleGAN(image_shape=(8, 8, 1), latent_dim=4, w_size=4, mapping_depth=1, max_filters=4, num_classes=3)
    found = sampling.mixing_matrix(model, [1], [2], [0], row_labels=[2], column_labels=[1])
    np.testing.assert_allclose(found[1, 0], model.generate(np.array([1]), labels=[2])[0], atol=1e-5)
    assert sampling.truncation_strip(model, [1, 2], [1.0], labels=[0, 1]).shape == (2, 1, 8, 8, 1)


def test_wrong_inputs(model):
    for call, what in (
        (lambda: sampling.mixing_matrix(model, ROWS, COLUMNS, [6]), r"layers must be whole numbers in \[0, 6\)"),
        (lambda: sampling.mixing_matrix(model, [0.5], COLUMNS, [1]), "seeds"),
        (lambda: sampling.mixing_matrix(model, ROWS, COLUMNS, [1], truncation=np.nan), "truncation must be a finite"),
        (lambda: sampling.truncation_strip(model, ROWS, []), "psis must be at least one number"),
        (lambda: sampling.truncation_strip(model, ROWS, ["1"]), "truncation must be a finite"),
        (lambda: sampling.noise_variants(model, ROWS, first_fine=7), r"first_fine must be None or .* \[0, 6\]; received 7"),
        (lambda: sampling.noise_deviation(model, ROWS, draws=1), "draws must be a whole number >= 2; received 1"),
        (lambda: sampling.noise_deviation(model, ROWS, draws=True), "draws"),
    ):
        with pytest.raises(ValueError, match=what):
            call()
