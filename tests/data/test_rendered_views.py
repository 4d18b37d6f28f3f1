"""Two views: visibility against closed forms, and the warp of one view into the other."""

import numpy as np
import pytest

from tfgen import data
from tfgen.data.rendered_shapes import _HALF_WIDTH, render, visibility


@pytest.fixture(scope="module")
def source():
    return data.load("rendered_views", "validation")


def test_a_sphere():
    """A point of a sphere is seen from both sides if its normal points towards both cameras."""
    radius, turn, size = 0.9, 70.0, 32
    solid, visible, flow = visibility(
        np.zeros((1, 1, 3)), np.full((1, 1, 3), radius), np.zeros(1), np.array([turn]), size=size
    )  # fmt: skip
    rays = ((np.arange(size) + 0.5) / size * 2 - 1) * _HALF_WIDTH
    x, y = np.meshgrid(rays, -rays)
    inside = x**2 + y**2 < radius**2
    z = np.sqrt(np.maximum(radius**2 - x**2 - y**2, 0))
    np.testing.assert_array_equal(solid[0], inside)
    # Turned back by 70 degrees, a point at azimuth a of the target is at azimuth a - 70.
    angle, across = np.arctan2(x, z), np.hypot(x, z)
    back = angle - np.deg2rad(turn)
    np.testing.assert_array_equal(visible[0], inside & (np.cos(back) * across > 0))
    moved = (np.sin(back) * across - x) * size / (2 * _HALF_WIDTH)
    np.testing.assert_allclose(flow[0, ..., 0][inside], moved[inside], atol=1e-9)
    np.testing.assert_allclose(flow[0, ..., 1], 0, atol=1e-9)


def test_a_part_hides_another():
    """Two flat discs behind each other: from the front the far one is hidden, from the side both are seen."""
    centres, axes = np.array([[[0, 0, 0.6], [0, 0, -0.6]]]), np.full((1, 2, 3), [0.3, 0.3, 0.05])
    solid, visible, flow = visibility(centres, axes, np.array([180.0]), np.array([0.0]))
    assert solid.any() and not visible.any()  # from behind, the other disc is in front
    solid, visible, flow = visibility(centres, axes, np.array([45.0]), np.array([0.0]))
    assert visible[solid].mean() > 0.95
    np.testing.assert_allclose(flow[0, 15, 15, 0], 0.6 * np.sin(np.pi / 4) * 32 / 2.5, atol=1.0)


def test_the_flow_of_a_view_from_above():
    """A small ball moves by as much as its pictures do, down when it turns to the front of a camera that looks down."""
    solid = np.array([[[0, 0, 0.9]]]), np.full((1, 1, 3), 0.06)
    angles, up = {"image": np.array([70.0]), "target": np.zeros(1)}, np.full(1, 30.0)
    pictures = {k: render(*solid, np.ones((1, 1)), a, up, a, size=96)[0, ..., 0] > 0 for k, a in angles.items()}
    centre = {k: np.argwhere(picture).mean(axis=0) for k, picture in pictures.items()}  # (row, column)
    assert centre["target"][0] > centre["image"][0] + 3
    where, _, flow = visibility(*solid, angles["image"], angles["target"], up, size=96)
    moved = flow[where].mean(axis=0)[::-1]
    np.testing.assert_allclose(moved, centre["image"] - centre["target"], rtol=0.1)  # its front is nearer


def test_the_visible_part_of_a_view_is_a_warp_of_the_other(source):
    image, target, flow = source.images()[..., 0], source.values("target")[..., 0], source.values("flow")
    seen, solid = source.values("mask") > 0, source.values("foreground") > 0
    assert np.all(solid[seen]) and 0.2 < seen.sum() / solid.sum() < 0.8
    turn = source.values("view").argmax(axis=1) + 1
    share = [seen[turn == k].sum() / solid[turn == k].sum() for k in range(1, 8)]
    assert share[0] > share[1] > share[2] > share[3] and share[6] > share[5] > share[4] > share[3]
    which, y, x = np.nonzero(seen)
    row, column = (np.clip(p, 0, 30.999) for p in (y + flow[which, y, x, 1], x + flow[which, y, x, 0]))
    r, c = row.astype(int), column.astype(int)
    dr, dc = row - r, column - c
    warped = (1 - dr) * ((1 - dc) * image[which, r, c] + dc * image[which, r, c + 1]) + dr * (
        (1 - dc) * image[which, r + 1, c] + dc * image[which, r + 1, c + 1]
    )
    here = target[which, y, x]
    error, copied = np.abs(warped - here), np.abs(image[which, y, x] - here)
    # Larger errors are at the borders of parts, where a pixel is a mean over several of them.
    assert np.median(error) < 0.015 < 0.05 < np.median(copied) and error.mean() < 0.5 * copied.mean()


def test_pairs(source):
    assert len(source) == 16 * 8 * 7 and source.num_classes == 128 and set(source.labels()) == set(range(96, 112))
    view = source.values("view")
    assert np.all(view.sum(axis=1) == 1) and np.all(view.sum(axis=0) == 16 * 8)
    # The target of (start, turn) is the image of start + turn: rows are solid, start, turn.
    image, target = (source.values(name).reshape(16, 8, 7, 32, 32) for name in ("image", "target"))
    for start in range(8):
        for turn in range(1, 8):
            np.testing.assert_array_equal(target[:, start, turn - 1], image[:, (start + turn) % 8, 0])
    assert len(np.unique(image[:, :, 0].reshape(128, -1), axis=0)) == 128
    with pytest.raises(ValueError, match="rendered_views has the splits .*received 'valid'"):
        data.load("rendered_views", "valid")
    with pytest.raises(ValueError, match="cannot move the field 'flow'"):
        source.batches(2, augmentation={"flip": True})
