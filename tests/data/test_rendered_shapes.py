"""The renderer against closed forms and symmetries, and its data set."""

import numpy as np
import pytest

from tfgen import data
from tfgen.data import rendered_shapes
from tfgen.data.rendered_shapes import GRID, SPLITS, render, rendered_shapes_arrays, shapes

ZERO = np.zeros(1)


def one(centre, axes, albedo=1.0):
    return np.array([[centre]], float), np.array([[axes]], float), np.full((1, 1), albedo)


@pytest.fixture(scope="module")
def test_split():
    return data.load("rendered_shapes", "test")


def test_a_sphere_is_lamberts_law():
    radius, size, light = 0.8, 16, 40.0
    images = render(*one((0, 0, 0), [radius] * 3, 0.9), ZERO, ZERO, np.array([light]), size=size)
    rays = ((np.arange(2 * size) + 0.5) / (2 * size) * 2 - 1) * rendered_shapes._HALF_WIDTH
    x, y = np.meshgrid(rays, -rays)
    inside = x**2 + y**2 < radius**2
    normal = np.stack([x, y, np.sqrt(np.maximum(radius**2 - x**2 - y**2, 0))]) / radius
    height, turn = np.deg2rad(25), np.deg2rad(light)
    lamp = np.array([np.sin(turn) * np.cos(height), np.sin(height), np.cos(turn) * np.cos(height)])
    grey = np.where(inside, 0.9 * (0.3 + 0.7 * np.maximum(np.tensordot(lamp, normal, 1), 0)), 0)
    expected = 255 * grey.reshape(size, 2, size, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(images[0, ..., 0], expected, atol=0.51)
    turned = render(*one((0, 0, 0), [radius] * 3, 0.9), ZERO + 50, ZERO - 20, np.array([light]), size=size)
    np.testing.assert_allclose(turned.astype(int), images, atol=1)  # a sphere looks the same from everywhere


def middle(image):
    """(row, column) of the centre of mass, from -1 (top, left) to 1."""
    image, places = image[..., 0] / image.sum(), np.linspace(-1, 1, image.shape[0])
    return image.sum(axis=1) @ places, image.sum(axis=0) @ places


def test_directions_of_the_factors():
    nose = one((0, 0, 1), (0.2, 0.2, 0.2))
    at = {az: middle(render(*nose, ZERO + az, ZERO, ZERO)[0]) for az in (-50, 0, 50)}
    assert at[-50][1] < -0.4 and abs(at[0][1]) < 0.02 and at[50][1] > 0.4
    assert at[50][1] == pytest.approx(np.sin(np.deg2rad(50)) / rendered_shapes._HALF_WIDTH, abs=0.05)
    high = middle(render(*nose, ZERO, ZERO + 30, ZERO)[0])
    assert high[0] == pytest.approx(np.sin(np.deg2rad(30)) / rendered_shapes._HALF_WIDTH, abs=0.05)  # seen from above: lower
    ball = one((0, 0, 0), (0.9, 0.9, 0.9))
    for side in (-1, 1):
        assert side * middle(render(*ball, ZERO, ZERO, ZERO + side * 75)[0])[1] > 0.05


def test_the_nearer_part_hides_the_farther_one():
    far, near = one((0, 0, -0.5), (0.5, 0.5, 0.1), 1.0), one((0, 0, 0.5), (0.3, 0.3, 0.1), 0.5)
    both = [[np.concatenate(parts, axis=1) for parts in zip(*order, strict=True)] for order in ((far, near), (near, far))]
    front, back = (render(*solid, ZERO, ZERO, ZERO) for solid in both)
    np.testing.assert_array_equal(front, back)  # the order of parts does not matter
    assert front[0, 16, 16, 0] == render(*near, ZERO, ZERO, ZERO)[0, 16, 16, 0]
    behind = render(*both[0], ZERO + 180, ZERO, ZERO)
    assert behind[0, 16, 16, 0] == render(*far, ZERO + 180, ZERO, ZERO)[0, 16, 16, 0]


def test_mirrored_pose_and_light_give_the_mirrored_image():
    """The solids are symmetrical, so the sign of azimuth is a matter of what is drawn, not of the shape."""
    solid = shapes([3])
    left = render(*solid, ZERO - 40, ZERO + 10, ZERO - 25).astype(int)
    right = render(*solid, ZERO + 40, ZERO + 10, ZERO + 25).astype(int)
    np.testing.assert_allclose(left[:, :, ::-1], right, atol=1)
    assert np.abs(left - right).mean() > 5


def test_splits_are_full_grids_of_different_shapes(test_split):
    assert sum(len(r) for r in SPLITS.values()) == len({i for r in SPLITS.values() for i in r}) == 128
    assert isinstance(test_split, data.FactorSource) and len(test_split) == 16 * 144
    assert test_split.image_shape == (32, 32, 1) and test_split.groups == ("azimuth", "elevation", "light")
    assert set(test_split.labels()) == set(SPLITS["test"]) and test_split.num_classes == 128
    assert [len(set(test_split.factor(name))) for name in GRID] == [9, 4, 4]
    images, _ = rendered_shapes_arrays("test")
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == len(images)  # no two factors look alike
    border = np.concatenate([images[:, [0, -1]].ravel(), images[:, :, [0, -1]].ravel()])
    assert border.max() == 0  # every solid fits
    # The index says what was drawn.
    row = np.flatnonzero((test_split.indices == [115, 7, 1, 2]).all(axis=1))
    drawn = render(*shapes([115]), *(GRID[name][[k]] for name, k in zip(GRID, (7, 1, 2), strict=True)))
    np.testing.assert_array_equal(images[row], drawn)


def test_golden_images(test_split):
    images = test_split.images()[::288]
    assert images.mean() * 255 == pytest.approx(26.2238, abs=0.01)
    assert np.round(images[3, 8:28:4, 16, 0] * 255).tolist() == pytest.approx([109, 97, 82, 65, 65], abs=1)


def test_through_tfds(tmp_path, test_split, monkeypatch):
    monkeypatch.setattr(rendered_shapes, "SPLITS", {"train": range(1), "test": range(112, 114)})
    prepared = data.load("rendered_shapes", "test", data_dir=str(tmp_path))
    np.testing.assert_array_equal(prepared.images(), test_split.images(288))
    np.testing.assert_array_equal(prepared.labels(), test_split.labels(288))
    import tensorflow_datasets as tfds

    record = next(iter(tfds.builder("rendered_shapes", data_dir=tmp_path).as_dataset(split="test").skip(150).take(1)))
    place = test_split.indices[150]
    assert record["factors"].numpy().tolist() == place[1:].tolist()
    for name, k in zip(GRID, place[1:], strict=True):
        assert float(record[name]) == pytest.approx(GRID[name][k])


def test_bad_arguments():
    with pytest.raises(ValueError, match="splits .*'validation'.*; received 'valid'"):
        data.load("rendered_shapes", "valid")
    with pytest.raises(ValueError, match=r"numbers in \[0, 128\); received \[128\]"):
        shapes([128])
    with pytest.raises(ValueError, match="received .*'sise'"):
        data.load("rendered_shapes", sise=3)
