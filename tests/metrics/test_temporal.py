"""Temporal L1: what no motion explains."""

import numpy as np
import pytest

import tfgen
from tfgen.metrics import temporal_l1

RNG = np.random.default_rng(0)


def test_against_whole_steps():
    """Each pixel of a frame is compared with the one that the flow points to; confidence weighs the pixels."""
    frames, flow = RNG.random((2, 3, 5, 6, 3)), RNG.integers(-2, 3, (2, 3, 5, 6, 2))
    confidence = RNG.random((2, 3, 5, 6))
    total = np.zeros((2, 2))  # with and without confidence
    weights = np.zeros((2, 2))
    for n, t, y, x in np.ndindex(2, 3, 5, 6):
        if t == 0:
            continue
        dx, dy = flow[n, t, y, x]
        before = frames[n, t - 1, np.clip(y + dy, 0, 4), np.clip(x + dx, 0, 5)]
        difference = np.abs(frames[n, t, y, x] - before).mean()
        weight = np.array([1.0, confidence[n, t, y, x]])
        total[n] += weight * difference
        weights[n] += weight
    np.testing.assert_allclose(temporal_l1(frames, flow), (total / weights)[:, 0])
    np.testing.assert_allclose(temporal_l1(frames, flow, confidence), (total / weights)[:, 1])


def test_real_clips_do_not_flicker():
    batch = next(iter(tfgen.data.load("moving:digits", num=3).batches(3)))
    real = temporal_l1(batch["target"], batch["flow"], batch["confidence"])
    noisy = np.clip(batch["target"] + 0.2 * RNG.normal(size=batch["target"].shape), 0, 1)
    assert np.all(real < 0.01) and np.all(temporal_l1(noisy, batch["flow"], batch["confidence"]) > 10 * real)
    assert np.all(temporal_l1(batch["target"], -batch["flow"], batch["confidence"]) > 2 * real)


def test_nothing_confident():
    assert temporal_l1(RNG.random((1, 2, 4, 4, 1)), np.zeros((1, 2, 4, 4, 2)), np.zeros((1, 2, 4, 4))) == [0.0]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"frames": np.zeros((1, 1, 4, 4, 3))}, "at least two frames"),
        ({"flow": np.zeros((1, 2, 4, 4, 3))}, r"flow must have the shape \(1, 2, 4, 4, 2\)"),
        ({"confidence": np.zeros((1, 2, 4, 3))}, r"confidence must have the shape \(1, 2, 4, 4\)"),
    ],
)
def test_wrong_shapes(change, message):
    given = {"frames": np.zeros((1, 2, 4, 4, 3)), "flow": np.zeros((1, 2, 4, 4, 2))}
    with pytest.raises(ValueError, match=message):
        temporal_l1(**{**given, **change})
