"""Golden values, oracles and closed forms of the metrics that are functions of activations."""

import math

import numpy as np
import pytest

from tfgen import metrics
from tfgen.metrics import _checks

F = np.array([[0, 1], [2, 3], [4, 8], [1, 1]])
G = np.array([[1, 1], [0, 2], [3, 3], [2, 6]])
P = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]])


def rng(seed=0):
    return np.random.default_rng(seed)


# ---- classifier score


def test_classifier_score_golden():
    expected = pytest.approx(1.3339551094, abs=1e-9)
    assert metrics.classifier_score(P, from_logits=False).mean == expected
    assert metrics.classifier_score(np.log(P) + [[5.0], [-700.0], [3.0]]).mean == expected  # shifts cancel


def test_classifier_score_closed_forms():
    one_hot = np.eye(10)[np.arange(50) % 10]
    assert metrics.classifier_score(one_hot, from_logits=False).mean == pytest.approx(10, abs=1e-9)
    assert metrics.classifier_score(1e5 * one_hot).mean == pytest.approx(10, abs=1e-9)
    assert metrics.classifier_score(np.tile(P[:1], (7, 1)), from_logits=False).mean == pytest.approx(1)


def test_classifier_score_splits_are_consecutive_parts():
    logits = rng().normal(size=(90, 4))
    parts = [metrics.classifier_score(logits[i : i + 30]).mean for i in (0, 30, 60)]
    score = metrics.classifier_score(logits, splits=3)
    assert score == pytest.approx((np.mean(parts), np.std(parts)))


@pytest.mark.parametrize("splits", [0, 4])
def test_classifier_score_rejects_splits(splits):
    with pytest.raises(ValueError, match=f"splits.*received {splits}"):
        metrics.classifier_score(P, splits)


def test_classifier_score_rejects_what_is_no_distribution():
    with pytest.raises(ValueError, match="rows that sum to 1"):
        metrics.classifier_score(2 * P, from_logits=False)


def test_class_shares_and_count():
    logits = np.eye(4)[[0, 0, 1, 3]]
    shares = metrics.class_shares(logits)
    np.testing.assert_array_equal(shares, [0.5, 0.25, 0, 0.25])
    assert metrics.count_classes(shares) == 3
    assert metrics.count_classes(shares, 0.3) == 1
    assert metrics.presence_threshold(10) == pytest.approx(0.02)
    assert metrics.count_classes(np.full(100, 0.01)) == 100  # 2 % could never be reached by all of 100 classes


# ---- Fréchet distance


def test_frechet_golden():
    assert metrics.frechet_distance(F, G) == pytest.approx(2.6286016221, abs=1e-9)


def test_frechet_agrees_with_scipy():
    from scipy import linalg as scipy_linalg  # scikit-learn brings it
    a = rng(1).normal(size=(200, 12)) @ rng(2).normal(size=(12, 12))
    b = rng(3).normal(size=(150, 12)) @ rng(4).normal(size=(12, 12)) + 1
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy_linalg.sqrtm(cov_a @ cov_b).real
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a + cov_b - 2 * root)
    assert metrics.frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)
    assert metrics.frechet_distance(b, a) == pytest.approx(expected, rel=1e-9)


def test_frechet_closed_forms():
    a = rng().normal(size=(300, 5))
    shift = np.arange(5.0)
    assert metrics.frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert metrics.frechet_distance(a, a + shift) == pytest.approx((shift**2).sum(), rel=1e-9)  # equal covariance
    # diagonal Gaussians: sum of (standard deviation differences)^2
    s, t = np.array([1.0, 2.0, 3.0]), np.array([2.0, 0.5, 3.0])
    value = metrics.frechet_distance_from_moments(np.zeros(3), np.diag(s**2), np.zeros(3), np.diag(t**2))
    assert value == pytest.approx(((s - t) ** 2).sum())


def test_frechet_of_singular_covariances():
    a = np.concatenate([rng().normal(size=(50, 3)), np.full((50, 4), 2.5)], axis=1)  # constant features
    assert metrics.frechet_distance(a, a + 1) == pytest.approx(7)


def test_frechet_needs_more_examples_than_features():
    a, b = rng(0).normal(size=(8, 8)), rng(1).normal(size=(20, 8))
    for pair in ((a, b), (b, a)):
        with pytest.raises(ValueError, match="more examples than features.*examples of 8 features"):
            metrics.frechet_distance(*pair)
        assert math.isfinite(metrics.frechet_distance(*pair, force=True))


def test_frechet_bias_follows_the_known_formula():
    d, n = 16, 500  # equal distributions N(0, I): about (d (d + 1) / 2 + 2 d) / n
    values = [metrics.frechet_distance(rng(i).normal(size=(n, d)), rng(100 + i).normal(size=(n, d))) for i in range(10)]
    assert np.mean(values) == pytest.approx((d * (d + 1) / 2 + 2 * d) / n, rel=0.1)


def test_frechet_rejects_moments_of_wrong_shape_and_nan():
    with pytest.raises(ValueError, match=r"\(2,\).*\(3, 3\)"):
        metrics.frechet_distance_from_moments(np.zeros(2), np.eye(3), np.zeros(2), np.eye(2))
    with pytest.raises(ValueError, match="finite"):
        metrics.frechet_distance_from_moments(np.zeros(2), np.full((2, 2), np.nan), np.zeros(2), np.eye(2))


# ---- kernel distance


def test_kernel_distance_golden():
    assert metrics.kernel_distance(F, G, subsets=1).mean == pytest.approx(-3009.1458333, abs=1e-6)
    assert metrics.kernel_distance(F, G, subsets=3).std == pytest.approx(0, abs=1e-6)  # each subset is all


def test_kernel_distance_against_double_loop():
    a, b = rng(0).normal(size=(6, 3)), rng(1).normal(size=(5, 3))
    a5 = a[:5]

    def k(x, y):
        return (x @ y / 3 + 1) ** 3

    within = sum(k(x[i], x[j]) for x in (a5, b) for i in range(5) for j in range(5) if i != j) / 20
    cross = sum(k(x, y) for x in a5 for y in b) / 25
    assert metrics.kernel_distance(a5, b, subsets=1).mean == pytest.approx(within - 2 * cross)


def test_kernel_distance_same_and_different_distributions():
    a, b = rng(0).normal(size=(1500, 8)), rng(1).normal(size=(1500, 8))
    same = metrics.kernel_distance(a, b, subsets=20, subset_size=500)
    other = metrics.kernel_distance(a, b + 1, subsets=20, subset_size=500)
    assert abs(same.mean) < 0.02 < 1 < other.mean
    assert same == metrics.kernel_distance(a, b, subsets=20, subset_size=500)
    assert same != metrics.kernel_distance(a, b, subsets=20, subset_size=500, seed=1)


def test_kernel_distance_rejects_sizes():
    with pytest.raises(ValueError, match="subset_size.*smaller set, 4.*received 5"):
        metrics.kernel_distance(F, G, subset_size=5)
    with pytest.raises(ValueError, match="subsets.*received 0"):
        metrics.kernel_distance(F, G, subsets=0)


# ---- precision, recall, density, coverage


@pytest.mark.parametrize(("k", "expected"), [(1, (0.75, 1, 1, 0.75)), (2, (1, 1, 1.25, 1))])
def test_prdc_golden(k, expected):
    values = metrics.prdc(F, G, k)
    assert tuple(values[name] for name in ("precision", "recall", "density", "coverage")) == expected


def reference_prdc(real, fake, k):
    """The released algorithm, from whole distance matrices."""

    def distances(a, b):
        return np.linalg.norm(a[:, None] - b[None], axis=-1)

    radius_real, radius_fake = (np.sort(distances(x, x), axis=1)[:, k] for x in (real, fake))
    between = distances(real, fake)
    return {
        "precision": (between < radius_real[:, None]).any(axis=0).mean(),
        "recall": (between < radius_fake[None]).any(axis=1).mean(),
        "density": (between < radius_real[:, None]).sum(axis=0).mean() / k,
        "coverage": (between.min(axis=1) < radius_real).mean(),
    }


@pytest.mark.parametrize("chunk_bytes", [1, 5000, 2**25])
def test_prdc_does_not_depend_on_chunks(monkeypatch, chunk_bytes):
    monkeypatch.setattr(_checks, "CHUNK_BYTES", chunk_bytes)
    real, fake = rng(0).normal(size=(120, 6)), rng(1).normal(size=(90, 6)) * 0.8
    assert metrics.prdc(real, fake, k=5) == pytest.approx(reference_prdc(real, fake, 5), abs=1e-12)


def test_prdc_expectations_and_extremes():
    real, fake = rng(0).normal(size=(800, 4)), rng(1).normal(size=(800, 4))
    values = metrics.prdc(real, fake, k=5)
    assert values["density"] == pytest.approx(1, abs=0.05)
    assert values["coverage"] == pytest.approx(1 - 2**-5, abs=0.02)
    assert set(metrics.prdc(real, fake + 1000).values()) == {0.0}
    collapsed = metrics.prdc(real, np.tile(real[:1], (800, 1)) + 1e-6 * fake)
    assert collapsed["precision"] == 1 and collapsed["recall"] < 0.01 and collapsed["coverage"] < 0.05


def test_prdc_rejects_k():
    for k in (0, 4):
        with pytest.raises(ValueError, match=f"received k={k}"):
            metrics.prdc(F, G, k)


# ---- nearest neighbours


@pytest.mark.parametrize("chunk_bytes", [1, 2**25])
def test_nearest_neighbours(monkeypatch, chunk_bytes):
    monkeypatch.setattr(_checks, "CHUNK_BYTES", chunk_bytes)
    query, reference = rng(0).normal(size=(30, 7)), rng(1).normal(size=(50, 7))
    indices, distances = metrics.nearest_neighbours(query, reference)
    whole = np.linalg.norm(query[:, None] - reference[None], axis=-1)
    np.testing.assert_array_equal(indices, whole.argmin(axis=1))
    np.testing.assert_allclose(distances, whole.min(axis=1), rtol=1e-12)


def test_nearest_neighbour_of_a_copy_is_exactly_zero_away():
    reference = rng().normal(size=(20, 5)) + 1e4
    indices, distances = metrics.nearest_neighbours(reference[::3], reference)
    np.testing.assert_array_equal(indices, np.arange(0, 20, 3))
    assert (distances == 0).all()


def test_nearest_images_finds_shifted_copies():
    reference = rng().uniform(size=(10, 8, 8, 1)).astype(np.float32)
    moved = reference.copy()
    moved[:, 2:, :-1] = reference[:, :-2, 1:]  # down 2, left 1
    moved[:, :2], moved[:, :, -1] = 0, 0
    plain = metrics.nearest_images(moved, reference)[1]
    indices, shifted = metrics.nearest_images(moved, reference, max_shift=2)
    assert (shifted < plain).all()
    np.testing.assert_array_equal(indices, np.arange(10))


def test_neighbour_ratio():
    assert metrics.neighbour_ratio([1, 2, 3], [4, 4]) == 0.5
    assert metrics.neighbour_ratio([0, 0], [4, 4]) == 0
    assert metrics.neighbour_ratio([1], [0, 0]) is None
    for bad in ([], [np.nan], [[1.0]], [-1.0]):
        with pytest.raises(ValueError, match="fake_to_train"):
            metrics.neighbour_ratio(bad, [1])


# ---- bits per dimension


def test_bits_per_dim():
    assert metrics.bits_per_dim(784 * math.log(2), 784) == pytest.approx(1)
    assert metrics.bits_per_dim(0.0, 10, levels=256) == 8  # uniform density on [0, 1]
    assert metrics.bits_per_dim(10 * math.log(2), 10, levels=256, width=2) == 8  # uniform density on [-1, 1]
    np.testing.assert_allclose(metrics.bits_per_dim(np.array([1.0, 2.0]), 3), np.array([1, 2]) / 3 / math.log(2))
    for nats, dims in ((1.0, 0), (np.nan, 3)):
        with pytest.raises(ValueError, match="received"):
            metrics.bits_per_dim(nats, dims)


# ---- bad activations, for every function that takes them

CALLS = {
    "classifier_score": lambda a: metrics.classifier_score(a),
    "class_shares": lambda a: metrics.class_shares(a),
    "frechet_distance": lambda a: metrics.frechet_distance(a, F),
    "frechet_distance, second": lambda a: metrics.frechet_distance(F, a),
    "kernel_distance": lambda a: metrics.kernel_distance(a, F),
    "prdc": lambda a: metrics.prdc(F, a, k=1),
    "nearest_neighbours": lambda a: metrics.nearest_neighbours(a, F),
}
BAD = {
    "nan": (np.array([[0, 1.0], [2, np.nan], [1, 1], [np.inf, 0]]), "2 of 4 rows.*first is row 1"),
    "empty": (np.zeros((0, 2)), r"received shape \(0, 2\)"),
    "no features": (np.zeros((4, 0)), r"received shape \(4, 0\)"),
    "rank 1": (np.zeros(4), r"rank 2.*received shape \(4,\)"),
    "rank 4": (np.zeros((4, 2, 2, 1)), r"rank 2.*received shape \(4, 2, 2, 1\)"),
    "text": (np.array([["a", "b"]]), "real numbers"),
    "complex": (np.zeros((4, 2), complex), "received dtype complex128"),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("bad", BAD)
def test_bad_activations(call, bad):
    values, message = BAD[bad]
    with pytest.raises(ValueError, match=message):
        CALLS[call](values)


@pytest.mark.parametrize("call", [c for c in CALLS if c not in ("classifier_score", "class_shares")])
def test_different_widths(call):
    with pytest.raises(ValueError, match="same number of features; received"):
        CALLS[call](np.zeros((5, 3)))


def test_unknown_name():
    with pytest.raises(AttributeError, match="no attribute 'fid'"):
        metrics.fid  # noqa: B018
