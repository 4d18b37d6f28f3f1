"""The judges of captions: what they say of real images, and of wrong ones."""

import types

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import zoo
from benchmarks.reproduce import __main__ as reproduce
from benchmarks.reproduce import stack_gan
from benchmarks.reproduce.stack_gan import Judge, box, diversity, energy, spread
from tfgen import data


@pytest.fixture(scope="module")
def source():
    return data.load("captioned:digits", num=200)


@pytest.fixture
def judge(source, monkeypatch):
    """With a classifier that knows the labels of the source."""
    known = np.eye(10)[source.labels()]
    monkeypatch.setattr(stack_gan, "train_classifier", lambda *sources, seed: types.SimpleNamespace(logits=lambda x: known))
    return Judge(source, source)


def test_real_images_are_what_their_scenes_say(source, judge):
    assert judge.of_test["class"] == judge.of_test["colour"] == judge.of_test["both"] == judge.of_test["size"] == 1.0
    assert judge.of_test["place"] > 0.95


def test_other_images_are_not(source, judge):
    images = source.images()
    recoloured = judge(np.roll(images, 1, axis=-1), source)  # red to green, ...
    assert recoloured["colour"] == recoloured["both"] == 0.0 and recoloured["size"] == 1.0
    mirrored = judge(images[:, ::-1, ::-1], source)
    scenes, stated = source.values("scene"), source.values("stated")[:, 1] == 1
    assert mirrored["place"] == pytest.approx(np.mean(scenes[stated, 3] == 4), abs=0.05)
    assert 0.2 < judge(np.roll(images, 1, axis=0), source)["size"] < 0.8


def test_box_energy_and_spread():
    images = np.zeros([2, 8, 8, 3], "float32")
    images[0, 1:4, 2:7, 1] = 1.0
    images[1, 7, 0, 2] = 0.5
    centres, sides = box(images)
    np.testing.assert_allclose(centres, [[0.5, -1.5], [-3.5, 3.5]])
    np.testing.assert_array_equal(sides, [5, 1])
    # A box of 3 x 5 in one of three channels: 2 * 5 differences down, 2 * 3 across, of 56 * 3 each.
    assert energy(images[:1]) == pytest.approx(16 / 168)
    assert spread(np.stack([np.zeros([2, 2, 3]), np.ones([2, 2, 3]), np.ones([2, 2, 3])])) == pytest.approx(2 / 3)


class OfScenes:
    """Draws an image that real images of the scene are, at random, or always the same one."""

    ema = None

    def __init__(self, source, vary):
        self.source, self.vary = source, vary

    def sample(self, num, seed, embedding):
        row = np.flatnonzero((self.source.values("embedding") == embedding[0]).all(axis=1))[0]
        scenes = self.source.values("scene")
        same = np.flatnonzero((scenes == scenes[row]).all(axis=1))
        chosen = np.resize(same, num) if self.vary else np.repeat(same[:1], num)
        return tf.constant(self.source.images()[chosen])


def test_diversity():
    source = data.load("captioned:digits", num=600, size=8)
    assert diversity(OfScenes(source, True), source, source) == pytest.approx(1.0, abs=0.25)
    assert diversity(OfScenes(source, False), source, source) == 0.0


def test_the_rate_of_matches():
    """Of a model whose logit is that of image i for embedding i alone."""
    images = np.linspace(0.1, 0.9, 6)[:, None, None, None] * np.ones([6, 4, 4, 1])
    source = data.from_arrays(images, fields={"embedding": np.linspace(0.1, 0.9, 6)[:, None]})
    right = types.SimpleNamespace(match_logits=lambda x, e: -np.abs(np.mean(x, axis=(1, 2, 3)) - e[:, 0]))
    wrong = types.SimpleNamespace(match_logits=lambda x, e: np.abs(np.mean(x, axis=(1, 2, 3)) - e[:, 0]))
    assert zoo.match_rate(right, source, 0, {}) == 1.0 and zoo.match_rate(wrong, source, 0, {}) == 0.0
    others = np.roll(source.images(), 2, axis=0)
    assert stack_gan.match_rate(right, source.images(), others, source.values("embedding")) == 1.0


def test_examples_of_the_zoo_keep_their_embeddings(tmp_path):
    source = data.load("named:digits").take(5)
    zoo._write_examples(tmp_path / "examples.npz", source)
    read = zoo._read_examples(tmp_path / "examples.npz")
    np.testing.assert_array_equal(read.values("embedding"), source.values("embedding"))
    np.testing.assert_array_equal(read.labels(), source.labels())


def test_commands():
    assert [reproduce.COMMANDS[name] for name in stack_gan.RUNS] == [["stack_gan", name] for name in stack_gan.RUNS]
