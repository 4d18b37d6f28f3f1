import numpy as np
import pytest
import tensorflow as tf

from tfgen import metrics
from tfgen.metrics import similarity


def images(count, height, width, channels, seed=0):
    """Smooth random images, so that no scale is without structure."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(size=(count, height // 8 + 1, width // 8 + 1, channels))
    fine = np.kron(coarse, np.ones((1, 8, 8, 1)))[:, :height, :width]
    return (0.8 * fine + 0.2 * rng.uniform(size=fine.shape)).astype(np.float32)


@pytest.mark.parametrize(("size", "channels"), [((176, 180), 3), ((161, 177), 1)])
def test_against_tensorflow(size, channels):
    a = images(3, *size, channels)
    b = np.clip(0.7 * a + 0.3 * images(3, *size, channels, seed=1), 0, 1)
    expected = tf.image.ssim_multiscale(a, b, max_val=1.0)
    np.testing.assert_allclose(metrics.ms_ssim(a, b), expected, atol=2e-5)


def test_fewer_scales_against_tensorflow():
    a, b = images(2, 28, 28, 1), images(2, 28, 28, 1, seed=1)
    weights = np.array([0.0448, 0.2856])
    expected = tf.image.ssim_multiscale(a, b, max_val=1.0, power_factors=weights / weights.sum())
    np.testing.assert_allclose(metrics.ms_ssim(a, b, scales=2), expected, atol=2e-5)
    single = np.maximum(tf.image.ssim(a, b, max_val=1.0), 0)
    np.testing.assert_allclose(metrics.ms_ssim(a, b, scales=1), single, atol=2e-5)


def test_halving_counts_an_odd_border_twice():
    image = np.array([[0, 0, 1], [0, 0, 3], [2, 4, 8]], float)[None, :, :, None]
    np.testing.assert_array_equal(similarity._halve(image)[0, :, :, 0], [[0, 2], [3, 8]])


def test_closed_forms():
    a = images(2, 32, 32, 3)
    np.testing.assert_allclose(metrics.ms_ssim(a, a, scales=2), 1, rtol=1e-9)
    # constant images: only the luminance of the last scale is left
    light, dark = np.full((1, 24, 24, 1), 0.8, np.float32), np.full((1, 24, 24, 1), 0.2, np.float32)
    luminance = (2 * 0.8 * 0.2 + 1e-4) / (0.64 + 0.04 + 1e-4)
    assert metrics.ms_ssim(light, dark, scales=1)[0] == pytest.approx(luminance, rel=1e-6)
    assert metrics.ms_ssim(a, 1 - a, scales=1).max() == 0  # negative structure counts as none


def test_diversity():
    rng = np.random.default_rng(0)
    varied = images(40, 24, 24, 1)
    collapsed = np.clip(varied[:1] + 0.01 * rng.normal(size=varied.shape), 0, 1).astype(np.float32)
    settings = dict(pairs=20, scales=1)
    assert (
        metrics.ms_ssim_diversity(collapsed, **settings).mean
        > 0.9
        > 0.5
        > metrics.ms_ssim_diversity(varied, **settings).mean
    )
    assert metrics.ms_ssim_diversity(varied, **settings) == metrics.ms_ssim_diversity(varied, **settings)
    assert metrics.ms_ssim_diversity(varied, **settings, seed=1) != metrics.ms_ssim_diversity(varied, **settings)


def test_pairs_are_of_different_images():
    """Copies of one image in pairs give 1; each image comes in one pair only, so 2 * pairs of as many use all."""
    constant = np.linspace(0.1, 1, 10, dtype=np.float32)[:, None, None, None] * np.ones((1, 11, 11, 1), np.float32)
    values = metrics.ms_ssim_diversity(constant, pairs=5, scales=1)
    assert values.mean < 1 - 1e-4


def test_rejects():
    a = images(4, 28, 28, 1)
    with pytest.raises(ValueError, match="scales=5 for images 28x28, in which 2 fit"):
        metrics.ms_ssim(a, a)
    with pytest.raises(ValueError, match="scales=5 for images 160x176, in which 4 fit"):
        metrics.ms_ssim(*[images(1, 160, 176, 1)] * 2)
    with pytest.raises(ValueError, match="received 4 and 3"):
        metrics.ms_ssim(a, a[:3], scales=1)
    with pytest.raises(ValueError, match="3 pairs need 6 images; received 4"):
        metrics.ms_ssim_diversity(a, pairs=3, scales=1)
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        metrics.ms_ssim_diversity(255 * a, pairs=1, scales=1)
    with pytest.raises(ValueError, match="pairs must be at least 1; received 0"):
        metrics.MultiScaleSimilarity(pairs=0)


def test_sharpness_of_known_images():
    ramp = np.broadcast_to(np.linspace(0, 1, 8)[None, None, :, None], (2, 6, 8, 1))
    assert metrics.sharpness(ramp) == pytest.approx(0.0, abs=1e-12)
    board = (np.indices((6, 8)).sum(axis=0) % 2)[None, ..., None].astype("float32")
    assert metrics.sharpness(board) == pytest.approx(16.0)  # the Laplacian is 4 and -4 in turn
    noise = np.random.default_rng(0).random((4, 200, 200, 1))
    assert metrics.sharpness(noise) == pytest.approx(20 / 12, rel=0.02)  # (4^2 + 4) times the variance of a pixel
    blurred = (noise[:, 1:] + noise[:, :-1]) / 2
    assert metrics.sharpness(blurred) < 0.5 * metrics.sharpness(noise)
    with pytest.raises(ValueError, match="at least 3x3"):
        metrics.sharpness(noise[:, :2])
