import numpy as np
import pytest

from tfgen import metrics
from tfgen.metrics import _checks


@pytest.mark.parametrize("chunk_bytes", [1, 2000, 2**25])
def test_closest_pairs_against_all_pairs(monkeypatch, chunk_bytes):
    monkeypatch.setattr(_checks, "CHUNK_BYTES", chunk_bytes)
    features = np.random.default_rng(0).normal(size=(40, 5))
    whole = np.linalg.norm(features[:, None] - features[None], axis=-1)
    first, second = np.triu_indices(40, 1)
    order = np.argsort(whole[first, second])
    for count in (1, 20, 780):
        pairs, distances = metrics.closest_pairs(features, count)
        np.testing.assert_allclose(distances, whole[first, second][order][:count], rtol=1e-12)
        np.testing.assert_array_equal(pairs, np.stack([first, second], axis=1)[order][:count])


def test_copies_are_exactly_zero_away():
    features = np.random.default_rng(0).normal(size=(30, 4)) + 1e4
    features[17] = features[5]
    pairs, distances = metrics.closest_pairs(features, 2)
    assert pairs[0].tolist() == [5, 17] and distances[0] == 0 < distances[1]


def test_support_size():
    for support, batch in ((1e3, 37), (1e4, 118), (1e5, 372)):
        assert metrics.support_size(batch) == pytest.approx(support, rel=0.02)
    with pytest.raises(ValueError, match="received 1"):
        metrics.support_size(1)


def test_a_known_support_is_found():
    """A generator of 200 images: a batch of sqrt(2 ln 2 * 200) = 17 holds two equal ones about half of the time."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(200, 3))[rng.integers(0, 200, 5000)]
    half = metrics.duplicate_rate(features, batch_size=17, threshold=0.0, batches=600)
    exact = 1 - np.prod(1 - np.arange(17) / 200)
    assert half == pytest.approx(exact, abs=0.09) and exact == pytest.approx(0.5, abs=0.02)
    assert metrics.support_size(17) == pytest.approx(200, rel=0.05)
    assert metrics.duplicate_rate(features, batch_size=100, threshold=0.0, batches=50) == 1
    assert metrics.duplicate_rate(rng.normal(size=(500, 3)), batch_size=50, threshold=0.0, batches=50) == 0
    assert metrics.duplicate_rate(features, batch_size=17, threshold=0.0, batches=600) == half


def test_rejects():
    features = np.zeros((4, 2))
    for count in (0, 7):
        with pytest.raises(ValueError, match=f"between 1 and the 6 pairs; received {count}"):
            metrics.closest_pairs(features, count)
    for batch_size in (1, 5):
        with pytest.raises(ValueError, match=f"between 2 and the 4 rows; received {batch_size}"):
            metrics.duplicate_rate(features, batch_size=batch_size, threshold=0.0)
    with pytest.raises(ValueError, match="received 100 and -1"):
        metrics.duplicate_rate(features, batch_size=2, threshold=-1)
