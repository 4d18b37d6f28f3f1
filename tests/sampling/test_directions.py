"""Directions of latents: golden values, known subspaces, wrong inputs."""

import numpy as np
import pytest

from tfgen.sampling import feature_directions, principal_directions, sweep, weight_directions

POINTS = [[2, 0], [0, 1], [-2, 0], [0, -1], [1, 1], [-1, -1]]


def test_principal_directions():
    found = principal_directions(POINTS)
    np.testing.assert_allclose(found.vectors, [[0.95709203, 0.28978415], [-0.28978415, 0.95709203]], atol=1e-7)
    np.testing.assert_allclose(found.scales, [1.45640319, 0.82394766], atol=1e-7)
    np.testing.assert_allclose(found.mean, 0, atol=1e-12)
    assert principal_directions(POINTS, 1).vectors.shape == (1, 2)


def test_feature_directions_find_the_latents_behind_features():
    rng = np.random.default_rng(0)
    latents = rng.normal(size=(5_000, 6))
    basis, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    mixing = np.linalg.qr(rng.normal(size=(20, 6)))[0]
    features = latents @ basis @ np.diag([5, 4, 3, 0.3, 0.2, 0.1]) @ mixing.T + 7.0
    found = feature_directions(latents, features, 3)
    np.testing.assert_allclose(found.mean, latents.mean(0))
    for vector, truth in zip(found.vectors, basis.T, strict=False):
        assert abs(vector @ truth) > 0.99
    np.testing.assert_allclose(found.scales, [5, 4, 3], rtol=0.05)
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1.0)


def test_the_least_squares_have_no_intercept_and_center_no_latents():
    """Two features, of which one is constant, so the coordinate is a = [1, 2, 3, 0] - 1.5, divided by its deviation."""
    features = np.array([[1.0, 0], [2, 0], [3, 0], [0, 0]])
    latents = np.array([[1.0, 0], [0, 1], [1, 1], [2, -1]])
    coordinate = (features[:, 0] - 1.5) / np.std(features[:, 0], ddof=1)
    expected = coordinate @ latents / (coordinate @ coordinate)
    found = feature_directions(latents, features, 1).vectors[0]
    assert abs(found @ expected) == pytest.approx(np.linalg.norm(expected))


@pytest.mark.parametrize("outputs, normalize, values, first", [
    ([[3, 0], [0, 4], [1, 1]], False, [17.14005494, 9.85994506], [0.13870121, 0.99033427]),
    ([[3, 0], [0, 4], [1, 1]], True, [2, 1], [0.70710678, 0.70710678]),
    ([[2, 0, 0], [0, 1, 0], [0, 0, 3], [1, 1, 0]], False, [9, 5.30277564, 1.69722436], [0, 0, 1]),
    ([[2, 0, 0], [0, 1, 0], [0, 0, 3], [1, 1, 0]], True, [2, 1, 1], [0.70710678, 0.70710678, 0]),
])  # fmt: skip
def test_weight_directions(outputs, normalize, values, first):
    kernel = np.transpose(outputs)
    found = weight_directions(kernel, normalize=normalize)
    np.testing.assert_allclose(found.scales, values, atol=1e-7)
    np.testing.assert_allclose(found.vectors[0], first, atol=1e-7)
    split = weight_directions([kernel[:, :1], kernel[:, 1:]], normalize=normalize)
    np.testing.assert_allclose(split.scales, values, atol=1e-7)
    scaled = weight_directions(7.0 * kernel, normalize=True)  # factors of the layer have no effect once normalised
    np.testing.assert_allclose(scaled.scales, weight_directions(kernel).scales, atol=1e-9)


def test_sweep():
    found = sweep([[1.0, 2.0], [0.0, 0.0]], [0.0, 1.0], [-3, 0, 3])
    assert found.tolist() == [[[1, -1], [1, 2], [1, 5]], [[0, -3], [0, 0], [0, 3]]]


@pytest.mark.parametrize("call, what", [
    (lambda: principal_directions([[1.0, 2.0]]), "N >= 2"), (lambda: principal_directions([1.0, 2.0]), "values"),
    (lambda: principal_directions([[np.nan, 1], [0, 1]]), "finite"),
    (lambda: principal_directions(POINTS, 3), r"\[1, 2\]"), (lambda: principal_directions(POINTS, True), "num"),
    (lambda: feature_directions(POINTS, POINTS[:3]), "equally many rows"),
    (lambda: feature_directions(POINTS, [[i, i] for i in range(6)], 2), "fewer than 2 directions"),
    (lambda: weight_directions([np.ones((2, 3)), np.ones((3, 3))]), "equally many inputs"),
    (lambda: weight_directions(np.ones(3)), "kernels"), (lambda: weight_directions(np.ones((2, 3)), 0), "num"),
    (lambda: weight_directions([]), "kernels"), (lambda: weight_directions("a"), "kernels must be finite numbers"),
    (lambda: principal_directions([[1, 2], [3]]), "values must be an array of numbers; .* rows of different lengths"),
    (lambda: principal_directions(np.ones((3, 2)) * 1j), "received dtype complex128"),
    (lambda: sweep(POINTS, [np.nan, 0], [0]), "direction must be finite"), (lambda: sweep("a", [1.0], [0]), "latents must"),
    (lambda: sweep(POINTS, [1.0], [0]), "direction"), (lambda: sweep(POINTS, [1.0, 0], 3), "distances"),
])  # fmt: skip
def test_wrong_inputs(call, what):
    with pytest.raises(ValueError, match=what):
        call()
