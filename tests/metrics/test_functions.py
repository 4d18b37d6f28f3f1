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
    logits = rng().normal(size=(50, 4))
    parts = [metrics.classifier_score(part).mean for part in np.array_split(logits, 4)]  # of 13, 13, 12, 12
    score = metrics.classifier_score(logits, splits=4)
    assert score == pytest.approx((np.mean(parts), np.std(parts)))


@pytest.mark.parametrize("splits", [0, 4])
def test_classifier_score_rejects_splits(splits):
    with pytest.raises(ValueError, match=f"splits.*received {splits}"):
        metrics.classifier_score(P, splits)


def test_classifier_score_rejects_rows_that_are_not_distributions():
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


def test_frechet_bias_halves_when_the_number_doubles():
    d, truth = 16, metrics.Moments().update(rng(99).normal(size=(200_000, 16)))

    def mean(n):
        return np.mean([metrics.frechet_distance(truth, rng(i).normal(size=(n, d))) for i in range(20)])

    assert mean(200) / mean(400) == pytest.approx(2, rel=0.1)


def test_frechet_infinity_removes_the_bias_of_the_fakes():
    d, n = 8, 2000
    truth = metrics.Moments().update(rng(99).normal(size=(200_000, d)))
    limits = [metrics.frechet_distance_infinity(truth, rng(i).normal(size=(n, d))) for i in range(20)]
    bias = (d * (d + 1) / 4 + d) / n  # of one side, half of that of two
    assert np.mean([limit.distances[-1] for limit in limits]) == pytest.approx(bias, rel=0.2)
    assert abs(np.mean([limit.value for limit in limits])) < 0.2 * bias
    assert np.mean([limit.slope for limit in limits]) == pytest.approx(n * bias, rel=0.2)
    limit = limits[0]
    assert limit.sizes[0] == 200 and limit.sizes[-1] == n and len(limit.sizes) == len(limit.distances) == 15
    slope, value = np.polyfit(1 / np.array(limit.sizes), limit.distances, 1)
    assert (limit.value, limit.slope) == pytest.approx((value, slope))
    assert limit.distances[-1] == pytest.approx(metrics.frechet_distance(truth, rng(0).normal(size=(n, d))))
    far = metrics.frechet_distance_infinity(truth, rng(0).normal(size=(n, d)) + 5)
    assert far.value == pytest.approx(25 * d, rel=0.02)


def test_frechet_infinity_rejects_sizes():
    real, fake = rng(0).normal(size=(100, 8)), rng(1).normal(size=(100, 8))
    with pytest.raises(ValueError, match="more examples than features.*5 examples of 8"):
        metrics.frechet_distance_infinity(real, fake, smallest=5)
    assert math.isfinite(metrics.frechet_distance_infinity(real, fake, smallest=5, force=True).value)
    for arguments in ({"smallest": 100}, {"smallest": 1}, {"points": 1, "smallest": 20}):
        with pytest.raises(ValueError, match="points must be at least 2 and smallest between 2 and the 100 fakes"):
            metrics.frechet_distance_infinity(real, fake, **arguments)


def test_moments_agree_with_numpy_far_from_zero():
    values = rng().normal(size=(3000, 5)) * [1, 2, 3, 4, 5] + 1e6
    mean, covariance = metrics.moments(values)
    np.testing.assert_allclose(mean, values.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(covariance, np.cov(values, rowvar=False), atol=1e-8)


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


def test_kernel_distance_is_unbiased():
    """The mean over many subsets of a pool is the value of the whole pool, whatever their size."""
    a, b = rng(0).normal(size=(60, 3)), rng(1).normal(size=(60, 3)) + 0.7
    whole = metrics.kernel_distance(a, b, subsets=1, subset_size=60).mean
    for size in (4, 20):
        # the mean over n subsets of one pool has a standard error of std / sqrt(n)
        subsets = metrics.kernel_distance(a, b, subsets=4000, subset_size=size)
        assert abs(subsets.mean - whole) < 4 * subsets.std / np.sqrt(4000)
        assert subsets.std < 20 * whole  # and the bound says something
    none = metrics.kernel_distance(
        rng(2).normal(size=(20_000, 3)), rng(3).normal(size=(20_000, 3)), subset_size=50, subsets=400
    )
    assert abs(none.mean) < 4 * none.std / 20


@pytest.mark.parametrize("chunk_bytes", [1, 300, 2**25])
def test_kernel_distance_does_not_depend_on_chunks(monkeypatch, chunk_bytes):
    whole = metrics.kernel_distance(F, G, subsets=1).mean
    monkeypatch.setattr(_checks, "CHUNK_BYTES", chunk_bytes)
    assert metrics.kernel_distance(F, G, subsets=1).mean == pytest.approx(whole, rel=1e-12)


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


def test_prdc_does_not_depend_on_the_origin():
    real, fake = rng(0).normal(size=(120, 6)), rng(1).normal(size=(90, 6)) * 0.8
    assert metrics.prdc(real + 1e7, fake + 1e7) == metrics.prdc(real, fake)


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


def test_nearest_neighbours_do_not_depend_on_the_origin():
    query, reference = rng(0).normal(size=(30, 7)), rng(1).normal(size=(50, 7))
    far = metrics.nearest_neighbours(query + 1e7, reference + 1e7)[0]
    np.testing.assert_array_equal(far, metrics.nearest_neighbours(query, reference)[0])


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


# ---- another implementation


def test_numbers_of_torch_fidelity():
    """What the metric functions of torch-fidelity 0.4.0 gave for these features, to its last digits."""
    random = np.random.RandomState(0)  # its stream never changes
    mix = random.normal(size=(24, 24))
    real = np.maximum(random.normal(size=(600, 24)) @ mix, 0)
    fake = np.maximum(0.9 * random.normal(size=(500, 24)) @ mix + 0.5, 0)
    logits = 3 * random.normal(size=(500, 10))
    assert metrics.frechet_distance(real, fake) == pytest.approx(5.25898955488, rel=1e-9)
    # one subset of all, as the draws of subsets differ
    kid = metrics.kernel_distance(real[:500], fake, subsets=1, subset_size=500)
    assert kid.mean == pytest.approx(1.7822343322422398, rel=1e-9)
    score = metrics.classifier_score(logits, 5)
    assert score == pytest.approx((3.9045043343294736, 0.3170736616822283), rel=1e-9)
    for k, precision, recall in ((3, 0.89, 0.8233333230018616), (5, 0.9520000219345093, 0.8916666507720947)):
        values = metrics.prdc(real, fake, k)  # float32 there
        assert (values["precision"], values["recall"]) == pytest.approx((precision, recall), rel=1e-6)


# ---- bad activations, for every function that takes them

CALLS = {
    "classifier_score": lambda a: metrics.classifier_score(a),
    "class_shares": lambda a: metrics.class_shares(a),
    "frechet_distance": lambda a: metrics.frechet_distance(a, F),
    "frechet_distance, second": lambda a: metrics.frechet_distance(F, a),
    "kernel_distance": lambda a: metrics.kernel_distance(a, F),
    "prdc": lambda a: metrics.prdc(F, a, k=1),
    "nearest_neighbours": lambda a: metrics.nearest_neighbours(a, F),
    "frechet_distance_infinity": lambda a: metrics.frechet_distance_infinity(F, a, force=True),
    "closest_pairs": lambda a: metrics.closest_pairs(a, 1),
    "linear_separability": lambda a: metrics.linear_separability(a, F),
    "conditional_accuracy": lambda a: metrics.conditional_accuracy(a, [0, 1, 1, 0]),
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


@pytest.mark.parametrize("call", ["frechet_distance", "kernel_distance", "prdc", "nearest_neighbours"])
def test_different_widths(call):
    with pytest.raises(ValueError, match="same number of features; received"):
        CALLS[call](np.zeros((5, 3)))


def test_unknown_name():
    with pytest.raises(AttributeError, match="no attribute 'fid'"):
        metrics.fid  # noqa: B018
