import json
import os

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import data, metrics, progress
from tfgen.features.classifier import classifier_network


def tiny(shape=(8, 8, 1), n=40, classes=2, seed=0):
    """Bright images are class 1, dark ones class 0 (further classes: the same by brightness)."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    images = np.clip((labels[:, None, None, None] + rng.uniform(0.2, 0.8, (n, *shape))) / classes, 0, 1)
    return data.from_arrays((images * 255).astype(np.uint8), labels, name="tiny")


def test_digits_accuracy_and_outputs(sources, classifier):
    train, test = sources
    assert classifier.accuracy >= 0.97
    images = test.images()
    features, logits = classifier.outputs(images)
    assert features.shape == (397, 32) and logits.shape == (397, 10) and features.dtype == np.float32
    assert (features >= 0).all()
    assert (logits.argmax(1) == test.labels()).mean() == classifier.accuracy == classifier.evaluate(test)
    np.testing.assert_array_equal(classifier.features(images), features)
    np.testing.assert_array_equal(classifier.logits(images), logits)
    assert classifier.features(train.images()).var(axis=0).mean() == pytest.approx(1, rel=0.1)
    assert metrics.classifier_score(logits).mean > 8.5


def test_outputs_do_not_depend_on_the_batch(sources, classifier):
    images = sources[1].images(50)
    for whole, parts in zip(classifier.outputs(images), classifier.outputs(images, batch_size=7), strict=True):
        np.testing.assert_allclose(whole, parts, rtol=1e-4, atol=1e-4)
    assert classifier._function.experimental_get_tracing_count() == 1


def test_save_and_load(sources, classifier):
    again = metrics.Classifier.load(classifier.folder)
    assert again.weights_hash == classifier.weights_hash and again.record == classifier.record
    images = sources[1].images(20)
    np.testing.assert_array_equal(again.features(images), classifier.features(images))
    assert sorted(os.listdir(classifier.folder)) == ["classifier.npz"]


def test_load_names_what_is_wrong(classifier, tmp_path):
    with pytest.raises(FileNotFoundError):
        metrics.Classifier.load(tmp_path)
    path = classifier.save(tmp_path)
    whole = path.read_bytes()
    for content in (b"", whole[:1000], whole[:-100], b"text"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="damaged or not a classifier"):
            metrics.Classifier.load(tmp_path)
    path.write_bytes(whole)
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **{**arrays, "w000": arrays["w000"] + 1})
    with pytest.raises(ValueError, match="weights have the sha256"):
        metrics.Classifier.load(tmp_path)
    np.savez(path, **{**arrays, "json": np.array(json.dumps({"format": 99}))})
    with pytest.raises(ValueError, match="format 99, expected 1"):
        metrics.Classifier.load(tmp_path)


def test_interrupted_save_leaves_the_old_file(classifier, tmp_path, monkeypatch):
    classifier.save(tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        classifier.save(tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == before


@pytest.mark.long
def test_training_is_a_function_of_train_and_seed_alone():
    train = tiny()
    keras.utils.set_random_seed(1)
    first = metrics.train_classifier(train, tiny(seed=1), epochs=2)
    keras.utils.set_random_seed(2)
    expected = tf.random.uniform([]).numpy(), np.random.uniform()
    keras.utils.set_random_seed(2)
    second = metrics.train_classifier(train, tiny(seed=2), epochs=2)  # the test set plays no part
    assert (
        tf.random.uniform([]).numpy(),
        np.random.uniform(),
    ) == expected  # global random state is left alone
    assert first.weights_hash == second.weights_hash
    one, other = (classifier_network({**first.config, "seed": seed}).get_weights()[0] for seed in (0, 1))
    assert not np.array_equal(one, other)


def test_training_says_how_far_it_is(monkeypatch):
    lines = []
    monkeypatch.setattr(progress, "EVERY", 0.0)
    with progress.shown(lines.append):
        metrics.train_classifier(tiny(), tiny(), epochs=2, batch_size=12)
    assert lines[0] == "classifier, steps: 1 of 6" and len(lines) == 6
    assert lines[1].startswith("classifier, steps: 2 of 6, about ")
    assert lines[5].startswith("classifier, steps: 6 of 6, validation accuracy ")


def test_workdir_reuses_only_the_same_training(tmp_path):
    train, test = tiny(), tiny(seed=1)
    first = metrics.train_classifier(train, test, epochs=1, workdir=tmp_path)
    again = metrics.train_classifier(train, test, epochs=1, workdir=tmp_path)
    assert again.record["seconds"] == first.record["seconds"]  # loaded
    other = metrics.train_classifier(tiny(seed=2), test, epochs=1, workdir=tmp_path)
    assert other.record["train_fingerprint"] != first.record["train_fingerprint"]
    assert metrics.Classifier.load(tmp_path).weights_hash == other.weights_hash


def test_global_dtype_policy_is_ignored(sources, classifier):
    images = sources[1].images(20)
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        features = metrics.Classifier.load(classifier.folder).features(images)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    np.testing.assert_array_equal(features, classifier.features(images))


@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 30, 3), (28, 28, 1), (300, 200, 3)])
def test_any_image_size_builds_small(shape):
    sizes = {"image_shape": list(shape), "num_classes": 5, "feature_width": 16}
    network = classifier_network({**sizes, "dropout": 0.1, "seed": 0})
    assert [tuple(o.shape) for o in network.outputs] == [(None, 16), (None, 5)]
    assert network.count_params() < 300_000


def test_rejects():
    train = tiny()
    unlabelled = data.from_arrays(np.zeros((4, 8, 8, 1), np.uint8), name="plain")
    for pair in ((unlabelled, train), (train, unlabelled)):
        with pytest.raises(ValueError, match="needs labels; the .* set 'plain' has none"):
            metrics.train_classifier(*pair)
    with pytest.raises(ValueError, match=r"\(8, 8, 1\) with 2 and \(9, 8, 1\) with 2"):
        metrics.train_classifier(train, tiny((9, 8, 1)))
    with pytest.raises(ValueError, match="with 2 and .* with 3"):
        metrics.train_classifier(train, tiny(classes=3))
    with pytest.raises(ValueError, match="feature_width.*received 65"):
        metrics.train_classifier(train, train, feature_width=65)
    with pytest.raises(ValueError, match="validation_share.*received 0"):
        metrics.train_classifier(train, train, validation_share=0)
    with pytest.raises(ValueError, match="NaN or infinite"):
        metrics.train_classifier(train, train, epochs=3, learning_rate=float("inf"))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 8, 8)), "rank 4"),
        (np.zeros((2, 8, 9, 1)), r"received \(2, 8, 9, 1\)"),
        (np.zeros((2, 8, 8, 1), np.uint8), "uint8"),
        (np.full((2, 8, 8, 1), 200.0), "from 200 to 200"),
        (np.zeros((0, 8, 8, 1)), "at least 1 image"),
        (np.full((2, 8, 8, 1), np.nan), "2 of 2 images hold NaN"),
    ],
)
def test_outputs_reject(classifier, images, message):
    with pytest.raises(ValueError, match=message):
        classifier.features(images)
