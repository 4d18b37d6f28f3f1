"""The metric accumulators in Beam's direct runner: bundles and merges as a real pipeline has them."""

import functools

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.testing.util import assert_that

from tfgen import metrics
from tfgen_pipelines.combine import Combine

REAL, FAKE = (np.random.default_rng(seed).normal(size=(90, 5)).astype(np.float32) for seed in (0, 1))


def batches():
    for side, rows in (("real", REAL), ("fake", FAKE)):
        for ids in np.array_split(np.random.default_rng(2).permutation(90), 11):
            yield {"side": side, "rows": rows[ids], "ids": ids}


def values(result):
    return np.asarray(list(result.values()) if isinstance(result, dict) else result, np.float64)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (metrics.FrechetDistance, lambda: metrics.frechet_distance(REAL, FAKE)),
        (functools.partial(metrics.PRDC, k=3), lambda: metrics.prdc(REAL, FAKE, k=3)),
        (
            functools.partial(metrics.KernelDistance, subsets=4, subset_size=20),
            lambda: metrics.kernel_distance(REAL, FAKE, subsets=4, subset_size=20),
        ),
    ],
)
def test_pipeline_gives_the_function(make, expected):
    def check(results):
        (result,) = results
        np.testing.assert_allclose(values(result), values(expected()), rtol=1e-9)

    with beam.Pipeline() as pipeline:
        elements = pipeline | beam.Create(list(batches())) | beam.Reshuffle()
        assert_that(elements | beam.CombineGlobally(Combine(make)).without_defaults(), check)


def test_per_key():
    """One distance for each class, by CombinePerKey."""

    def check(results):
        assert dict(results) == pytest.approx({0: metrics.frechet_distance(REAL[::2], FAKE[::2]),
                                               1: metrics.frechet_distance(REAL[1::2], FAKE[1::2])})  # fmt: skip

    keyed = [
        (label, {"side": side, "rows": rows[label::2]})
        for label in (0, 1)
        for side, rows in (("real", REAL), ("fake", FAKE))
    ]
    with beam.Pipeline() as pipeline:
        assert_that(pipeline | beam.Create(keyed) | beam.CombinePerKey(Combine(metrics.FrechetDistance)), check)


def test_merging_does_not_change_what_is_merged():
    combine = Combine(metrics.FrechetDistance)
    parts = [combine.add_input(combine.create_accumulator(), batch) for batch in batches()]
    first = combine.extract_output(combine.merge_accumulators(parts))
    assert combine.extract_output(combine.merge_accumulators(iter(parts[::-1]))) == pytest.approx(first, rel=1e-9)


def test_rejects_what_makes_nothing():
    with pytest.raises(ValueError, match="make must be a function .*received FrechetDistance"):
        Combine(metrics.FrechetDistance())
