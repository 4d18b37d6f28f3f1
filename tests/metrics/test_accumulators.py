"""Every accumulator gives what its function gives, whatever the batches, the shards and their order."""

import functools
import pickle

import numpy as np
import pytest

from tfgen import metrics
from tfgen.metrics.accumulators import Rows

N = 60


def rng(seed=0):
    return np.random.default_rng(seed)


REAL, FAKE = rng(1).normal(size=(N, 4)), rng(2).normal(size=(N, 4)) * 1.3 + 0.2
LOGITS, LABELS = rng(3).normal(size=(N, 5)), rng(4).integers(0, 5, N)
IMAGES, OTHERS = (rng(seed).uniform(size=(N, 16, 16, 2)).astype(np.float32) for seed in (5, 6))
DISTANCES, NATS = rng(7).exponential(size=N), rng(8).normal(size=N) + 90
WEIGHTS = rng(9).normal(size=(7, N)) - 90
IDS = np.arange(N)

# name: (function that makes an empty one, {side or None: the arguments of update before the ids}, expected result)
CASES = {
    "score": (metrics.ClassifierScore, {None: (LOGITS,)}, lambda: metrics.classifier_score(LOGITS)),
    "score of splits": (
        functools.partial(metrics.ClassifierScore, 7, N), {None: (LOGITS,)}, lambda: metrics.classifier_score(LOGITS, 7),
    ),
    "shares": (metrics.ClassShares, {None: (LOGITS,)}, lambda: metrics.class_shares(LOGITS)),
    "accuracy": (
        metrics.ConditionalAccuracy, {None: (LOGITS, LABELS)}, lambda: metrics.conditional_accuracy(LOGITS, LABELS),
    ),
    "frechet": (
        metrics.FrechetDistance, {"real": (REAL,), "fake": (FAKE,)}, lambda: metrics.frechet_distance(REAL, FAKE),
    ),
    "frechet infinity": (
        functools.partial(metrics.FrechetDistanceInfinity, smallest=20, points=4), {"real": (REAL,), "fake": (FAKE,)},
        lambda: metrics.frechet_distance_infinity(REAL, FAKE, smallest=20, points=4),
    ),
    "kernel": (
        functools.partial(metrics.KernelDistance, subsets=3, subset_size=20), {"real": (REAL,), "fake": (FAKE,)},
        lambda: metrics.kernel_distance(REAL, FAKE, subsets=3, subset_size=20),
    ),
    "prdc": (
        functools.partial(metrics.PRDC, k=3), {"real": (REAL,), "fake": (FAKE,)}, lambda: metrics.prdc(REAL, FAKE, k=3),
    ),
    "neighbours": (
        metrics.NearestNeighbours, {"real": (REAL,), "fake": (FAKE,)}, lambda: metrics.nearest_neighbours(FAKE, REAL),
    ),
    "pairs": (functools.partial(metrics.ClosestPairs, count=4), {None: (FAKE,)}, lambda: metrics.closest_pairs(FAKE, 4)),
    "similarity": (
        functools.partial(metrics.MultiScaleSimilarity, pairs=5, scales=1), {None: (IMAGES,)},
        lambda: metrics.ms_ssim_diversity(IMAGES, pairs=5, scales=1),
    ),
    "sliced Wasserstein": (
        functools.partial(metrics.SlicedWasserstein, smallest=8, patches=4, directions=9),
        {"real": (IMAGES,), "fake": (OTHERS,)},
        lambda: metrics.sliced_wasserstein(IMAGES, OTHERS, smallest=8, patches=4, directions=9),
    ),
    "path length": (
        functools.partial(metrics.PathLength, trim=5.0), {None: (DISTANCES,)},
        lambda: metrics.trimmed_mean(DISTANCES, trim=5.0),
    ),
    "separability": (
        metrics.LinearSeparability, {None: (FAKE, LOGITS[:, :2])}, lambda: metrics.linear_separability(FAKE, LOGITS[:, :2]),
    ),
    "likelihood": (
        functools.partial(metrics.Likelihood, 4), {None: (-NATS,)},
        lambda: (NATS.mean(), NATS.std(ddof=1) / np.sqrt(N), metrics.bits_per_dim(NATS.mean(), 4)),
    ),
}  # fmt: skip


def flat(result):
    """All numbers of a result in one vector."""
    if isinstance(result, dict):
        return np.concatenate([flat(value) for _, value in sorted(result.items())])
    if isinstance(result, tuple | list):
        return np.concatenate([flat(value) for value in result])
    return np.ravel(np.asarray(result, np.float64))


def update(accumulator, sides, places):
    for side, arguments in sides.items():
        rows = [argument[places] for argument in arguments]
        accumulator.update(*([] if side is None else [side]), *rows, ids=IDS[places])
    return accumulator


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("case", CASES)
def test_shards_batches_and_order_do_not_matter(case, seed):
    make, sides, expected = CASES[case]
    random = rng(seed)
    order = random.permutation(N)
    shards = []
    for places in np.split(order, np.sort(random.integers(0, N + 1, 4))):  # five shards, some may be empty
        shard = make()
        for batch in np.array_split(places, random.integers(1, 6)):
            update(shard, sides, batch)
        shards.append(pickle.loads(pickle.dumps(shard)))
    while len(shards) > 1:  # merged in a random tree
        a, b = (shards.pop(random.integers(len(shards))) for _ in range(2))
        shards.append(a.merge(b))
    np.testing.assert_allclose(flat(shards[0].result()), flat(expected()), rtol=1e-9, atol=1e-12, err_msg=case)


@pytest.mark.parametrize("case", CASES)
def test_merge_does_not_change_the_other(case):
    make, sides, _ = CASES[case]
    first, second = update(make(), sides, slice(0, 40)), update(make(), sides, slice(40, N))
    before = pickle.dumps(second)
    empty = make().merge(first).merge(second)
    expected = flat(empty.result())
    update(empty, sides, slice(0, 0))
    first.merge(second)
    np.testing.assert_allclose(flat(first.result()), expected, rtol=1e-12)
    assert pickle.dumps(second) == before
    np.testing.assert_allclose(flat(empty.result()), expected, rtol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_no_examples_are_an_error(case):
    with pytest.raises(ValueError, match="at least 1 (example|image)|at least 2 examples|must hold .* examples; received"):
        CASES[case][0]().result()


@pytest.mark.parametrize("case", CASES)
def test_nan_is_an_error(case):
    make, sides, _ = CASES[case]
    (side, (first, *rest)), *_ = sides.items()
    bad = first.copy()
    bad[3] = np.nan
    with pytest.raises(ValueError, match="finite|NaN"):
        make().update(*([] if side is None else [side]), bad, *rest, ids=IDS)


@pytest.mark.parametrize("case", [case for case in CASES if "real" in CASES[case][1]])
def test_unknown_side(case):
    with pytest.raises(ValueError, match="side must be one of .*received 'train'"):
        CASES[case][0]().update("train", REAL)


KEEPS_ROWS = (
    "frechet infinity", "kernel", "prdc", "neighbours", "pairs", "similarity", "sliced Wasserstein", "separability",
    "path length",
)  # fmt: skip


@pytest.mark.parametrize("case", KEEPS_ROWS)
def test_an_example_that_comes_twice_is_an_error(case):
    make, sides, _ = CASES[case]
    one = update(make(), sides, slice(0, N))
    with pytest.raises(ValueError, match="each id must occur once; id [0-9]+ occurs 2 times"):
        one.merge(update(make(), sides, slice(0, N))).result()


def test_ids_count_on_by_themselves():
    one = metrics.KernelDistance(subsets=2, subset_size=9).update("real", REAL)
    for part in np.array_split(FAKE, 4):
        one.update("fake", part)
    assert one.result() == metrics.kernel_distance(REAL, FAKE, subsets=2, subset_size=9)


@pytest.mark.parametrize("ids", [[0, 1], [0, -1, 2], [0.0, 1.0, 2.0], [[0, 1, 2]]])
def test_ids_are_checked(ids):
    with pytest.raises(ValueError, match="ids must be 3 non-negative integers"):
        metrics.PRDC().update("real", REAL[:3], ids)


def test_rows_must_fit_each_other():
    for one in (metrics.PRDC(), metrics.FrechetDistance()):
        one.update("real", REAL)
        with pytest.raises(ValueError, match="same (shape|number of features); received .*4.* and .*3"):
            one.update("real", REAL[:, :3])
        with pytest.raises(ValueError, match="same (shape|number of features); received"):
            one.merge(type(one)().update("real", REAL[:, :3]))
    with pytest.raises(ValueError, match="same number of features; received 4 and 3"):
        metrics.FrechetDistance().update("real", REAL).update("fake", FAKE[:, :3]).result()
    with pytest.raises(ValueError, match="same classes"):
        metrics.ClassShares().update(LOGITS).update(LOGITS[:, :3])


def test_only_equal_accumulators_merge():
    with pytest.raises(ValueError, match=r"PRDC\(k=3\) and PRDC\(k=4\)"):
        metrics.PRDC(k=3).merge(metrics.PRDC(k=4))
    with pytest.raises(ValueError, match="FrechetDistance.*PRDC"):
        metrics.FrechetDistance().merge(metrics.PRDC())
    with pytest.raises(TypeError, match="neighbours"):
        metrics.PRDC(neighbours=3)


def test_buffers_may_be_used_again():
    buffer, rows, moments = REAL.copy(), metrics.Rows(), metrics.Moments()
    rows.update(buffer)
    moments.update(buffer)
    buffer[:] = 0
    np.testing.assert_array_equal(rows.result(), REAL)
    np.testing.assert_allclose(moments.result()[0], REAL.mean(axis=0))


def test_moments_may_be_kept_and_merged_on():
    stored = metrics.Moments().update(REAL)
    again = metrics.FrechetDistance().update("fake", FAKE)
    again.parts["real"].merge(stored)
    assert again.result() == metrics.frechet_distance(stored, FAKE)


def test_limited_rows_are_a_uniform_draw():
    """Each of 20 rows is among the 5 kept about as often, and float32 stays what it is."""
    values, kept = np.arange(20, dtype=np.float32)[:, None], np.zeros(20)
    for seed in range(400):
        rows = Rows(limit=5, seed=seed).update(values[:3], IDS[:3]).update(values[3:], IDS[3:20])
        result = rows.result()
        assert result.dtype == np.float32 and result.shape == (5, 1) and len(rows) == 20
        kept[result[:, 0].astype(int)] += 1
    assert kept.sum() == 2000 and np.abs(kept - 100).max() < 4.5 * np.sqrt(400 * 0.25 * 0.75)
    assert sum(len(ids) for ids, _, _ in rows._chunks) <= 10


def test_splits_need_to_be_known():
    with pytest.raises(ValueError, match="total must be given"):
        metrics.ClassifierScore(2)
    with pytest.raises(ValueError, match="ids must be given"):
        metrics.ClassifierScore(2, N).update(LOGITS)
    with pytest.raises(ValueError, match=r"hold \[30, 30\] examples; received \[30, 29\]"):
        metrics.ClassifierScore(2, N).update(LOGITS[:-1], IDS[:-1]).result()
    with pytest.raises(ValueError, match="ids must be below total=60; received 61"):
        metrics.ClassifierScore(2, N).update(LOGITS, IDS + 2)
