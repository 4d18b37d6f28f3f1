import numpy as np
import pytest
from scipy import ndimage, stats  # scikit-learn brings it

from tfgen import metrics
from tfgen.metrics import _checks, wasserstein


def images(count=8, height=32, width=32, channels=3, seed=0):
    return np.random.default_rng(seed).uniform(size=(count, height, width, channels)).astype(np.float32)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (29, 34)])
def test_pyramid_against_scipy(height, width):
    kernel = np.outer(np.array([1, 4, 6, 4, 1]) / 16, np.array([1, 4, 6, 4, 1]) / 16)[None, :, :, None]
    x = images(2, height, width)
    expected, level = [], x.astype(np.float64)
    for _ in range(2):
        coarse = ndimage.convolve(level, kernel, mode="mirror")[:, ::2, ::2]
        spread = np.zeros_like(level)
        spread[:, ::2, ::2] = coarse
        expected.append(level - ndimage.convolve(spread, 4 * kernel, mode="mirror"))
        level = coarse
    for ours, theirs in zip(metrics.laplacian_pyramid(x, 3), [*expected, level], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_constant_images_have_no_detail():
    pyramid = metrics.laplacian_pyramid(np.full((1, 32, 32, 1), 0.3, np.float32), 2)
    assert np.abs(pyramid[0]).max() < 1e-12
    np.testing.assert_allclose(pyramid[1], 0.3, rtol=1e-6)
    flat = np.full((8, 32, 32, 3), 0.3, np.float32)  # normalised to 0 instead of divided by 0
    assert metrics.sliced_wasserstein(flat, flat + 0.2, patches=4, directions=8) == {"swd_32": 0, "swd_16": 0, "swd": 0}


def test_one_direction_is_the_wasserstein_distance(monkeypatch):
    monkeypatch.setattr(wasserstein, "_normalisation", lambda patches: (np.zeros(3), np.ones(3)))
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(60, 7, 7, 3)), rng.normal(size=(60, 7, 7, 3)) + 0.3
    directions = np.random.default_rng(5).normal(size=(147, 6))
    directions /= np.linalg.norm(directions, axis=0)
    expected = [stats.wasserstein_distance(a.reshape(60, -1) @ v, b.reshape(60, -1) @ v) for v in directions.T]
    assert wasserstein._sliced(a, b, 6, np.random.default_rng(5)) == pytest.approx(np.mean(expected))
    assert wasserstein._sliced(a, a[::-1], 6, np.random.default_rng(5)) == pytest.approx(0, abs=1e-15)
    shift = np.mean(np.abs(directions.sum(axis=0)))  # a + 1 is away by |sum of v| in direction v
    assert wasserstein._sliced(a, a + 1, 6, np.random.default_rng(5)) == pytest.approx(shift)


@pytest.mark.parametrize("chunk_bytes", [1, 4000])
def test_results_do_not_depend_on_the_chunks(monkeypatch, chunk_bytes):
    settings = dict(patches=5, directions=7)
    whole = metrics.sliced_wasserstein(images(), images(seed=1) ** 2, **settings)
    for module in (_checks, wasserstein):
        monkeypatch.setattr(module, "CHUNK_BYTES", chunk_bytes)
    assert metrics.sliced_wasserstein(images(), images(seed=1) ** 2, **settings) == pytest.approx(whole, rel=1e-9)


def test_channels_are_normalised_over_the_set():
    """Brightness and contrast of a channel do not count, at any level; a mixing of channels does."""
    real, fake = images(40), images(40, seed=1)
    settings = dict(patches=32, directions=64)
    same = metrics.sliced_wasserstein(real, fake, **settings)
    changed = metrics.sliced_wasserstein(real, fake * np.float32([0.5, 0.25, 1]) + np.float32([0.5, 0, 0]), **settings)
    assert changed == pytest.approx(same, rel=1e-3)
    grey = np.repeat(fake[..., :1], 3, axis=-1)
    assert metrics.sliced_wasserstein(real, grey, **settings)["swd"] > 1.4 * same["swd"]


def test_levels_see_their_scale():
    """Blurred images miss what is fine: the finest level changes most, the coarsest least."""
    real, other = images(60, 64, 64, 1), images(60, 64, 64, 1, seed=1)
    blurred = ndimage.gaussian_filter(other, (0, 1, 1, 0))
    values = metrics.sliced_wasserstein(real, blurred, patches=32, directions=64)
    same = metrics.sliced_wasserstein(real, other, patches=32, directions=64)
    assert list(values) == ["swd_64", "swd_32", "swd_16", "swd"]
    ratios = [values[f"swd_{size}"] / same[f"swd_{size}"] for size in (64, 32, 16)]
    assert ratios[0] > 2 and ratios[0] > ratios[1] > ratios[2] - 0.1 and ratios[2] < 1.5
    assert values["swd"] == pytest.approx(np.mean([values[f"swd_{size}"] for size in (64, 32, 16)]))
    assert metrics.sliced_wasserstein(real, other, patches=32, directions=64) == same
    assert metrics.sliced_wasserstein(real, other, patches=32, directions=64, seed=1) != same


def test_sides_draw_their_patches_independently():
    """Equal sets are as far apart as two samples of one distribution, not at 0."""
    same = metrics.sliced_wasserstein(images(), images(), patches=16, directions=16)
    assert min(same.values()) > 10


def test_patches_reach_every_place_and_no_further():
    x = (np.arange(16 * 16, dtype=np.float32) / 256).reshape(1, 16, 16, 1)
    found = wasserstein._descriptors(x, [0], smallest=16, patches=4000, seed=0, side=0)[0, 0]  # [4000, 7, 7, 1]
    corners = np.unique(np.round(found[:, 0, 0, 0] * 256).astype(int))
    np.testing.assert_array_equal(corners, (16 * np.arange(10)[:, None] + np.arange(10)).ravel())
    np.testing.assert_allclose(found[:, 2, 3, 0] - found[:, 0, 0, 0], (2 * 16 + 3) / 256, atol=1e-6)


def test_rejects():
    with pytest.raises(ValueError, match="real and fake must hold equally many images; received 8 and 7"):
        metrics.sliced_wasserstein(images(), images(7))
    with pytest.raises(ValueError, match="at least smallest=16 pixels high and wide; received 16x12"):
        metrics.sliced_wasserstein(images(2, 16, 12), images(2, 16, 12))
    with pytest.raises(ValueError, match="at least the 7 pixels of a patch; received 6"):
        metrics.SlicedWasserstein(smallest=6)
    with pytest.raises(ValueError, match=r"must be of shape \[N, 32, 32, 3\]"):
        metrics.sliced_wasserstein(images(), images(channels=1))
    with pytest.raises(ValueError, match="patches and directions must be at least 1; received 0 and 512"):
        metrics.SlicedWasserstein(patches=0)
    with pytest.raises(ValueError, match="same shape"):
        small, large = (metrics.SlicedWasserstein().update("real", images(2, size, size)) for size in (16, 32))
        small.merge(large)
