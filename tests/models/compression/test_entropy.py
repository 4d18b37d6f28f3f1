"""Tables of whole numbers and the segments that are written by them."""

import sys

import numpy as np
import pytest

from tfgen.models.compression import entropy
from tfgen.models.compression.scale_hyperprior import SCALES

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("size", [2, 3, 40, 900])
def test_frequencies(size):
    pmf = RNG.dirichlet(np.full(size, 0.2))
    counts = entropy.frequencies(pmf)
    assert counts.sum() == 2**16 and counts.min() >= 1 and counts.dtype == np.int32
    with np.errstate(divide="ignore", invalid="ignore"):
        best = -np.nansum(pmf * np.log2(pmf))
    cost = -np.sum(pmf * np.log2(counts / 2**16))
    assert cost <= best * 1.001 + 0.01 * (size > 100) + 1e-4


@pytest.mark.parametrize("pmf", [[1.0], [0.5, 0.4], [1.5, -0.5], [np.nan, 1.0]])
def test_frequencies_of_what_is_no_distribution(pmf):
    with pytest.raises(ValueError, match="with a sum of 1; received"):
        entropy.frequencies(pmf)


def test_normal_tables_and_their_range():
    tables = entropy.normal_tables(SCALES)
    np.testing.assert_allclose(SCALES[[0, 1, -1]], [0.11, 0.11 * (256 / 0.11) ** (1 / 63), 256.0])
    assert tables.counts.shape[0] == 64 and np.all(tables.sizes == -2 * tables.low + 2)
    escapes = np.array([row[size - 1] for row, size in zip(tables.counts, tables.sizes, strict=True)]) / 2**16
    assert np.all(escapes <= entropy.TAIL_MASS + 1e-4)


@pytest.mark.parametrize("kind", ["inside", "zeros", "outliers", "one", "all_escape"])
def test_segment_round_trip(kind):
    tables = entropy.normal_tables(SCALES)
    n = 1 if kind == "one" else 5000
    index = RNG.integers(0, 64, n)
    values = np.round(RNG.normal(size=n) * SCALES[index] + RNG.uniform(-0.5, 0.5, n)).astype(np.int32)
    if kind == "zeros":
        values[:] = 0
    elif kind == "outliers":
        values[::50] = RNG.integers(-(2**20), 2**20 + 1, 100)
        values[:4] = [2**20, -(2**20), tables.low[index[2]] - 1, -tables.low[index[3]] + 1]
    elif kind == "all_escape":
        values = np.where(RNG.random(n) < 0.5, 2000, -3000).astype(np.int32)
    data = entropy.compress(tables, values, index)
    decoded = entropy.decompress(tables, data, index)
    np.testing.assert_array_equal(decoded, values)
    ideal = tables.bits(values, index).sum()
    assert abs(8 * len(data) - ideal) < 0.005 * ideal + 64
    if kind == "inside":  # and by the distribution itself
        from scipy import stats

        exact = -np.log2(stats.norm.cdf((values + 0.5) / SCALES[index]) - stats.norm.cdf((values - 0.5) / SCALES[index]))
        assert abs(8 * len(data) - exact.sum()) < 0.01 * exact.sum() + 64


def test_streams_that_are_too_short_or_too_long():
    tables = entropy.normal_tables(np.array([4.0]))
    values, index = np.round(RNG.normal(size=800) * 4).astype(np.int32), np.zeros(800, int)
    data = entropy.compress(tables, values, index)
    with pytest.raises(ValueError, match="cannot hold 10000000 latents"):
        entropy.decompress_channels(tables, data, 10_000, 1000)
    with pytest.raises(ValueError, match="cannot hold 800"):
        entropy.decompress(tables, data[:-1], index)
    with pytest.raises(ValueError, match="left over"):
        entropy.decompress(tables, data + data, index)


def test_tables_that_are_none():
    good = entropy.normal_tables(np.array([1.0, 2.0]))
    with pytest.raises(ValueError, match="received int32 .* and int64"):
        entropy.Tables(good.low, good.counts.astype(np.int64))
    with pytest.raises(ValueError, match="sum of 65536"):
        entropy.Tables(good.low, good.counts + 1)


def test_without_the_range_coder_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "constriction", None)
    with pytest.raises(ImportError, match=r"tfgen\[compression\]"):
        entropy.compress(entropy.normal_tables(np.array([1.0])), np.zeros(1, np.int32), np.zeros(1, int))
