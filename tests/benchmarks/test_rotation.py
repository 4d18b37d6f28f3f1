"""The toy of the claim about rotations: the order of its tasks, its batches, and that it finds what it is meant to find."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from benchmarks.reproduce.claims import rotation
from tfgen import metrics


@pytest.fixture(scope="module")
def digits():
    return tfgen.data.load("digits").take(200), tfgen.data.load("digits", "test").take(100)


def test_half_of_a_batch_has_the_class():
    rows = rotation.balanced_rows(np.arange(40) < 4, 10, np.random.default_rng(0))
    assert len(rows) == 10 and np.sum(rows < 4) == 5
    assert 0 < np.sum(rows[-5:] < 4) < 5, "of the rows that are turned, too, some have it and some do not"


def test_tasks_come_in_turn(digits, monkeypatch):
    judged, judge = [], rotation._balanced_accuracy
    monkeypatch.setattr(rotation, "_balanced_accuracy", lambda *args: judged.append(args[-1]) or judge(*args))
    found = rotation.forgetting(*digits, rotations=True, steps=2, cycles=1, batch_size=8, width=2)
    assert judged == [task for task in range(10) for _ in range(2)]  # at a fifth, at least one step, and at the end
    assert [one["step"] for one in found["task"]] == list(range(1, 21))
    assert [one["step"] for one in found["probe"]] == list(range(2, 21, 2))
    numbers = [one["accuracy"] for one in found["task"]] + [one[key] for one in found["probe"] for key in ("train", "test")]
    assert all(0 <= number <= 1 for number in [*numbers, found["rotation_accuracy"]])


def test_it_learns_a_task_and_rotations(digits):
    found = rotation.forgetting(*digits, rotations=True, steps=15, cycles=1, width=8)
    assert np.mean([one["accuracy"] for one in found["task"]]) > 0.6
    assert found["rotation_accuracy"] > 0.4  # chance is .25
    assert rotation.forgetting(*digits, rotations=False, steps=1, cycles=1, width=2)["rotation_accuracy"] is None


def test_the_head_is_trained_with_its_loss(digits, monkeypatch):
    built, build = [], keras.optimizers.Adam.build
    monkeypatch.setattr(keras.optimizers.Adam, "build", lambda self, variables: built.append(len(variables)) or
                        build(self, variables))  # fmt: skip
    monkeypatch.setattr(rotation, "linear_probe", lambda *args: metrics.Probe(0.5, 0.5))
    for turned in (True, False):
        rotation.forgetting(*digits, rotations=turned, steps=1, cycles=1, width=2)
    assert built[0] == built[1] + 2  # kernel and bias


def test_balanced_accuracy():
    labels = np.array([3, 3, 1, 2, 0, 0])
    logits = {"logit": tf.constant([[1.0], [-1.0], [-1.0], [-1.0], [-1.0], [2.0]])}
    assert rotation._balanced_accuracy(lambda x: logits, np.zeros((6, 1)), labels, 3) == pytest.approx((0.5 + 0.75) / 2)
