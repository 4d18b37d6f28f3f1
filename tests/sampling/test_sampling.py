import os

import numpy as np
import pytest

from tfgen import sampling


def z(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


class Model:
    """Latents of width 4 that are a function of the seed; an image shows its latent."""

    def latents(self, seeds):
        return np.stack([z(seed, 4) for seed in seeds]).astype(np.float32)

    def decode_images(self, latents):
        assert latents.dtype == np.float32
        return (1 / (1 + np.exp(-latents))).reshape(-1, 2, 2, 1)


# ---- interpolation


def test_slerp_golden():
    b = np.array([1, 1, 0]) / np.sqrt(2)
    np.testing.assert_allclose(sampling.slerp([1.0, 0, 0], b, 0.25), [0.980785, 0.195090, 0], atol=1e-6)
    np.testing.assert_allclose(
        sampling.slerp([3.0, 0, 0], [2, 2, 0], 0.25, normalize=True),
        [np.cos(np.pi / 16), np.sin(np.pi / 16), 0],
        atol=1e-12,
    )


@pytest.mark.parametrize("rule", [sampling.lerp, sampling.slerp])
def test_end_points(rule):
    a, b = z(0, 5, 8), z(1, 5, 8)
    np.testing.assert_array_equal(rule(a, b, 0.0), a)
    np.testing.assert_array_equal(rule(a, b, 1.0), b)
    np.testing.assert_allclose(rule(a, a, 0.3), a)


def test_lerp_middle_and_slerp_norm():
    a, b = z(0, 5, 8), z(1, 5, 8)
    np.testing.assert_allclose(sampling.lerp(a, b, 0.5), (a + b) / 2)
    a, b = (3 * v / np.linalg.norm(v, axis=-1, keepdims=True) for v in (a, b))
    for t in (0.1, 0.5, 0.9):
        np.testing.assert_allclose(np.linalg.norm(sampling.slerp(a, b, t), axis=-1), 3)
    t = np.linspace(0, 1, 5)[:, None]  # one t per row
    np.testing.assert_allclose(sampling.slerp(a, b, t)[2], sampling.slerp(a[2], b[2], 0.5))


def test_slerp_of_nearly_equal_directions_is_lerp():
    a = z(0, 8)
    for gap in (0, 1e-12, 1e-9, 1e-6, 1e-4):
        b = a + gap * z(1, 8)
        np.testing.assert_allclose(sampling.slerp(a, b, 0.3), sampling.lerp(a, b, 0.3), atol=1e-8)


def test_interpolation_rejects():
    with pytest.raises(ValueError, match=r"\(3,\) and \(4,\)"):
        sampling.lerp(np.ones(3), np.ones(4), 0.5)
    with pytest.raises(ValueError, match="finite"):
        sampling.slerp(np.ones(3), [np.nan, 1, 1], 0.5)
    with pytest.raises(ValueError, match="zeros"):
        sampling.slerp(np.ones(3), np.zeros(3), 0.5)
    with pytest.raises(ValueError, match="opposite"):
        sampling.slerp(np.ones(3), -np.ones(3), 0.5)
    with pytest.raises(ValueError, match="steps.*received 1"):
        sampling.latent_path(np.ones(3), np.ones(3), 1)
    with pytest.raises(ValueError, match="lerp, slerp; received 'cubic'"):
        sampling.latent_path(np.ones(3), np.ones(3), rule="cubic")


@pytest.mark.parametrize("rule", ["lerp", "slerp"])
def test_interpolate_gives_nine_images_from_one_seed_to_the_other(rule):
    model = Model()
    images = sampling.interpolate(model, [1, 2, 3], [4, 5, 6], rule=rule)
    assert images.shape == (3, 9, 2, 2, 1) and images.dtype == np.float32
    np.testing.assert_allclose(images[:, 0], model.decode_images(model.latents([1, 2, 3])), rtol=1e-6)
    np.testing.assert_allclose(images[:, -1], model.decode_images(model.latents([4, 5, 6])), rtol=1e-6)
    # a pair does not depend on the others
    np.testing.assert_array_equal(images[1:2], sampling.interpolate(model, [2], [5], rule=rule))
    with pytest.raises(ValueError, match="received 2 and 1"):
        sampling.interpolate(model, [1, 2], [3])


# ---- arithmetic


def test_arithmetic_identities():
    a, b = z(0, 3, 6), z(1, 3, 6)
    np.testing.assert_allclose(sampling.combine(a, b, b), a.mean(axis=0))
    np.testing.assert_array_equal(sampling.concept(np.tile(a[:1], (4, 1))), a[0])
    np.testing.assert_allclose(sampling.combine(a, a, b), b.mean(axis=0))


def test_attribute_vector():
    rng = np.random.default_rng(0)
    direction, without = np.array([0.0, 3.0, 0.0, -1.0]), rng.normal(size=(50, 4))
    np.testing.assert_allclose(sampling.attribute_vector(without + direction, without), direction, atol=1e-12)
    few, many = without[:20], without[20:]
    np.testing.assert_allclose(sampling.attribute_vector(few, many), -sampling.attribute_vector(many, few))
    with pytest.raises(ValueError, match="equal widths; received 4, 3"):
        sampling.attribute_vector(without, without[:, :3])
    with pytest.raises(ValueError, match="latents"):
        sampling.attribute_vector(without, without[:0])


def test_neighbourhood():
    centre = z(0, 6)
    around = sampling.neighbourhood(centre, seed=3)
    assert around.shape == (9, 6) and around.dtype == np.float32
    np.testing.assert_array_equal(around[0], centre.astype(np.float32))
    offsets = around[1:] - around[0]
    assert 0.1 < np.abs(offsets).max() <= 0.25 + 1e-6 and (offsets < 0).any() and (offsets > 0).any()
    np.testing.assert_array_equal(around, sampling.neighbourhood(centre, seed=3))
    assert not np.array_equal(around, sampling.neighbourhood(centre, seed=4))


def test_vector_arithmetic_decodes_the_combination_first():
    a, b, c = z(0, 3, 4), z(1, 3, 4), z(2, 3, 4)
    model = Model()
    images = sampling.vector_arithmetic(a, b, c, model.decode_images, copies=5)
    assert images.shape == (6, 2, 2, 1) and images.dtype == np.float32
    expected = model.decode_images(sampling.combine(a, b, c)[None].astype(np.float32))
    np.testing.assert_allclose(images[:1], expected, rtol=1e-6)


def test_arithmetic_rejects():
    for bad in (np.zeros((0, 4)), np.zeros(4), np.full((3, 4), np.nan)):
        with pytest.raises(ValueError, match="must be"):
            sampling.concept(bad)
    with pytest.raises(ValueError, match="equal widths; received 4, 5, 4"):
        sampling.combine(np.ones((3, 4)), np.ones((3, 5)), np.ones((3, 4)))
    with pytest.raises(ValueError, match="received -1"):
        sampling.neighbourhood(np.ones(4), copies=-1)


# ---- grids


def test_image_grid_layout():
    images = np.arange(5)[:, None, None, None] / 10 * np.ones((5, 2, 3, 1))
    grid = sampling.image_grid(images, columns=3, padding=1, background=1.0)
    assert grid.shape == (2 * 3 + 1, 3 * 4 + 1, 1) and grid.dtype == np.float32
    np.testing.assert_allclose(grid[1:3, 5:8], 0.1)
    np.testing.assert_allclose(grid[4:6, 1:4], 0.3)
    np.testing.assert_allclose(grid[4:6, 9:12], 1.0)  # the empty place
    for border in (grid[0], grid[3], grid[-1], grid[:, 0], grid[:, 4], grid[:, -1]):
        assert (border == 1).all()
    tight = sampling.image_grid(images[:4], padding=0)
    assert tight.shape == (4, 6, 1)
    np.testing.assert_allclose(tight[2:, :3], 0.2)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 4, 4)), "rank 4"),
        (np.zeros((0, 4, 4, 1)), "at least 1"),
        (np.zeros((2, 4, 4, 1), np.uint8), "uint8"),
        (np.full((2, 4, 4, 1), 255.0), "from 255 to 255"),
        (np.full((2, 4, 4, 1), -0.5), "from -0.5"),
        (np.full((2, 4, 4, 1), np.nan), "NaN"),
    ],
)
def test_image_grid_rejects(images, message):
    with pytest.raises(ValueError, match=message):
        sampling.image_grid(images)


@pytest.mark.parametrize("channels", [1, 3])
def test_save_png(tmp_path, channels):
    from PIL import Image

    images = np.random.default_rng(0).uniform(size=(6, 4, 5, channels)).astype(np.float32)
    path = sampling.save_png(tmp_path / "new" / "grid.png", images, columns=3, scale=2)
    pixels = np.asarray(Image.open(path)).reshape(2 * 11, 2 * 19, channels)
    expected = np.rint(sampling.image_grid(images, 3) * 255)
    np.testing.assert_array_equal(pixels[::2, ::2], expected)
    np.testing.assert_array_equal(pixels[1::2, 1::2], expected)
    assert os.listdir(path.parent) == ["grid.png"]


def test_save_png_keeps_the_old_file_when_writing_fails(tmp_path, monkeypatch):
    images = np.zeros((1, 4, 4, 1))
    path = sampling.save_png(tmp_path / "grid.png", images)
    before = path.read_bytes()

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        sampling.save_png(path, images + 1)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["grid.png"]


def test_save_png_rejects(tmp_path):
    with pytest.raises(ValueError, match="1, 3 or 4 channels; received 2"):
        sampling.save_png(tmp_path / "a.png", np.zeros((1, 4, 4, 2)))
    with pytest.raises(ValueError, match="scale.*received 0"):
        sampling.save_png(tmp_path / "a.png", np.zeros((1, 4, 4, 1)), scale=0)
