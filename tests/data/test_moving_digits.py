"""Moving digits: the flow against the pictures, by pixels and not by the rule that made it."""

import numpy as np
import pytest

from tfgen import data
from tfgen.data.moving_digits import confidence


@pytest.fixture(scope="module")
def source():
    return data.load("moving:digits", num=32, seed=1)


def uint8(source, name):
    return np.round(source.values(name) * 255).astype(int)


def test_the_flow_explains_the_next_frame(source):
    clips, flow, sure = uint8(source, "target"), source.values("flow"), source.values("confidence") > 0
    assert not flow[:, 0].any() and not sure[:, 0].any()
    assert sure[:, 1:].mean() > 0.9
    wrong = confidence(clips.astype(np.uint8), -flow)[:, 1:].mean()
    assert wrong < 0.6 < sure[:, 1:].mean()
    moved = np.any(flow != 0, axis=-1)
    exact = 0
    for i, t, y, x in np.argwhere(sure & moved)[::997]:
        dx, dy = flow[i, t, y, x].astype(int)
        row, column = np.clip([y + dy, x + dx], 0, 31)
        difference = (clips[i, t, y, x] - clips[i, t - 1, row, column]) / 127.5
        assert np.sum(difference**2) < 0.02
        exact += not difference.any()
    assert exact > 50


def test_digits_are_exact_where_they_were_seen_before(source):
    """A pixel of a digit has the colour of the place that its flow names, if that place was in front."""
    clips, flow, classes = uint8(source, "target"), source.values("flow"), source.values("label_map").argmax(axis=-1)
    digit = np.argwhere(classes[:, 1:] > 0)[::53] + [0, 1, 0, 0]
    same = seen = 0
    for i, t, y, x in digit:
        dx, dy = flow[i, t, y, x].astype(int)
        if classes[i, t - 1, y + dy, x + dx] == classes[i, t, y, x]:
            seen += 1
            same += np.array_equal(clips[i, t, y, x], clips[i, t - 1, y + dy, x + dx])
    assert seen > 0.9 * len(digit) and same > 0.99 * seen  # not all: two digits may have one class
    steps = np.abs(flow[classes > 0])
    assert steps.max() == 2 and np.abs(flow[classes == 0]).max() == 1 and np.all(flow == np.rint(flow))


def test_fields(source):
    classes = source.values("label_map").argmax(axis=-1)
    assert source.fields["label_map"].classes == 11 and classes.max() == 10
    np.testing.assert_array_equal(source.images(), source.values("target")[:, 0])
    np.testing.assert_array_equal(uint8(source, "frames"), data.label_pictures(classes, 11))
    edges = source.values("edges") > 0
    assert np.all(edges[data.instance_edges(classes)]) and edges.mean() < 0.5
    colours = uint8(source, "target")[classes > 0]
    assert np.all(colours.max(axis=-1) == 255) and np.all(colours.min(axis=-1) == 0)  # saturated
    for field in ("target", "flow"):  # clip i does not depend on the number of clips
        np.testing.assert_array_equal(data.load("moving:digits", num=3, seed=1).values(field), source.values(field, 3))
    assert data.load("moving:digits", num=3, seed=2).fingerprint != source.take(3).fingerprint


def test_through_records(tmp_path, source):
    part = source.take(3)
    (path,) = part.write_tfrecords(tmp_path / "x.tfrecord")
    read = data.described([path], part.description())
    assert read.fields == part.fields and read.fingerprint == part.fingerprint


def test_flow_is_not_moved_in_silence(source):
    with pytest.raises(ValueError, match="cannot move the field 'flow' of moving:digits.*received \\['flip'\\]"):
        source.batches(2, augmentation={"flip": True})
    batch = next(iter(source.batches(2, augmentation={"colour": 0.1})))
    assert batch["label_map"].shape == (2, 6, 32, 32, 11) and batch["edges"].shape == (2, 6, 32, 32)


def test_clips_with_the_same_digit_are_held_out_together():
    many = data.load("moving:digits", "test", num=60, num_frames=2, size=24, seed=0)
    digits = [set(np.random.default_rng((0, i)).integers(397, size=2)) for i in range(60)]
    shared = [(i, j) for i in range(60) for j in range(i) if digits[i] & digits[j]]
    assert shared and all(many.origins[i] == many.origins[j] for i, j in shared)
    assert 1 < len(set(many.origins)) < 60


def test_bad_arguments():
    with pytest.raises(ValueError, match="size must be at least 14"):
        data.load("moving:digits", size=13, num=1)
    with pytest.raises(ValueError, match="grey images with labels"):
        data.moving_digits(data.from_arrays(np.zeros((2, 8, 8, 1), np.uint8)))
    small = data.load("moving:digits", size=14, num=2)
    assert not small.values("flow")[small.values("label_map").argmax(axis=-1) > 0].any()  # no room to move
