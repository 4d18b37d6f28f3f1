"""Clusters of codes and classifiers of few labels."""

import numpy as np
import pytest

from tfgen import metrics
from tfgen.models import VAE
from tfgen.models.capabilities import Encoder


def blobs(count=300, classes=3, seed=0):
    """Codes [count, 4] of classes that lie apart in three numbers; the second is large and says nothing."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    codes = rng.normal(size=(count, 4)) * [0.05, 100.0, 0.05, 0.05]
    codes[:, [0, 2, 3]] += np.eye(3)[labels]
    return codes, labels


def test_clusters_of_separated_classes():
    codes, labels = blobs()
    found = metrics.k_means(codes, 3)
    assert metrics.hungarian_accuracy(found.assign(codes), labels, 3) == 1.0
    order = found.assign(codes)[[np.argmax(labels == c) for c in range(3)]]
    centres = [codes[labels == c].mean(axis=0) for c in range(3)]
    np.testing.assert_allclose(found.centroids[order], centres, rtol=1e-6, atol=1e-9)  # in the codes' own units


def test_whitened_clusters_are_those_of_any_linear_map_of_the_codes():
    codes, labels = blobs()
    mixed = codes @ np.random.default_rng(3).normal(size=(4, 4)) + 5.0
    a, b = metrics.k_means(codes, 3), metrics.k_means(mixed, 3)
    assert metrics.hungarian_accuracy(a.assign(codes), b.assign(mixed), 3) == 1.0
    assert metrics.hungarian_accuracy(b.assign(mixed), labels, 3) == 1.0
    np.testing.assert_allclose(np.cov((mixed @ b.basis).T, bias=True), np.eye(4), atol=1e-8)
    as_they_are = metrics.k_means(codes, 3, whiten=False)  # the largest number decides
    assert metrics.hungarian_accuracy(as_they_are.assign(codes), labels, 3) < 0.6


def test_inertia_falls_with_every_step_and_is_the_sum_of_squared_distances():
    codes = np.random.default_rng(0).normal(size=(500, 3))
    found = [metrics.k_means(codes, 7, restarts=1, iterations=i, seed=1) for i in range(1, 12)]
    inertias = [clusters.inertia for clusters in found]
    assert np.all(np.diff(inertias) <= 1e-9) and inertias[-1] < inertias[0]
    last = found[-1]
    distances = ((codes[:, None] - last.centroids[None]) @ last.basis) ** 2
    np.testing.assert_array_equal(last.assign(codes), distances.sum(axis=-1).argmin(axis=1))
    np.testing.assert_allclose(inertias[-1], distances.sum(axis=-1).min(axis=1).sum(), rtol=1e-3)


def test_more_starts_are_never_worse_and_a_constant_number_is_harmless():
    codes = np.column_stack([np.random.default_rng(0).normal(size=(200, 2)), np.ones(200)])
    one, many = (metrics.k_means(codes, 8, restarts=n, seed=3).inertia for n in (1, 20))
    assert many <= one and np.isfinite(many)


def test_few_labels_suffice_for_separated_classes():
    (train, train_labels), (test, test_labels) = blobs(), blobs(200, seed=1)
    found = metrics.few_label_accuracy(train, train_labels, test, test_labels, per_class=5, draws=12)
    assert found.accuracy > 0.95 and found.draws.shape == (12,)
    np.testing.assert_allclose([found.accuracy, found.deviation], [found.draws.mean(), found.draws.std(ddof=1)])
    again = metrics.few_label_accuracy(train, train_labels, test, test_labels, per_class=5, draws=12)
    np.testing.assert_array_equal(found.draws, again.draws)
    shuffled = np.random.default_rng(0).permutation(train_labels)
    chance = metrics.few_label_accuracy(train, shuffled, test, test_labels, per_class=5, draws=20)
    assert abs(chance.accuracy - 1 / 3) < 0.15 and chance.deviation > 0


def test_each_class_gets_as_many_labels(monkeypatch):
    from sklearn.linear_model import LogisticRegression

    seen, fit = [], LogisticRegression.fit
    monkeypatch.setattr(LogisticRegression, "fit", lambda self, x, y: seen.append((x, y)) or fit(self, x, y))
    codes, labels = blobs()
    metrics.few_label_accuracy(codes, labels, codes, labels, per_class=4, draws=3)
    for x, y in seen:
        np.testing.assert_array_equal(np.bincount(y), [4, 4, 4])
        assert len(np.unique(x, axis=0)) == 12  # without replacement
    assert any(np.any(seen[0][0] != x) for x, _ in seen[1:])
    # Standardised by all train codes, not by the labelled ones.
    scaled = (codes - codes.mean(axis=0)) / codes.std(axis=0)
    assert all(np.abs(scaled - row).max(axis=1).min() < 1e-6 for x, _ in seen for row in x)


def test_a_number_that_never_varies_is_left_alone():
    codes, labels = blobs()
    codes = np.concatenate([codes, np.ones_like(codes[:, :1])], axis=1)
    assert metrics.few_label_accuracy(codes, labels, codes, labels, per_class=5).accuracy > 0.95


def test_codes_of_an_encoder_and_of_a_posterior():
    class Half(Encoder):
        def encode(self, images):
            assert len(images) <= 4
            return images / 2

    images = np.random.default_rng(0).random((10, 2, 2, 1)).astype("float32")
    np.testing.assert_array_equal(metrics.codes_of(Half(), images, batch_size=4), images.reshape(10, 4) / 2)
    vae = VAE(image_shape=(2, 2, 1), latent_dim=3, hidden=(4,))
    np.testing.assert_allclose(metrics.codes_of(vae, images, batch_size=4), vae.encode(images).mean(), rtol=1e-5, atol=1e-6)


def test_bad_arguments():
    codes, labels = blobs(30)
    good = (codes, labels, codes, labels)
    for arguments, message in (
        ({"per_class": 0}, "per_class must be at least 1"), ({"draws": 1}, "draws at least 2"),
        ({"per_class": 25}, "per_class=25"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            metrics.few_label_accuracy(*good, **arguments)
    with pytest.raises(ValueError, match="train_labels must be 30 integers"):
        metrics.few_label_accuracy(codes, labels[:3], codes, labels)
    with pytest.raises(ValueError, match="at least 2 classes"):
        metrics.few_label_accuracy(codes, np.zeros(30, int), codes, labels)
    with pytest.raises(ValueError, match="same number of features"):
        metrics.few_label_accuracy(codes, labels, codes[:, :2], labels)
    with pytest.raises(ValueError, match="at least 31 row"):
        metrics.k_means(codes, 31)
    with pytest.raises(ValueError, match="received 0, 10, 300"):
        metrics.k_means(codes, 0)
    with pytest.raises(ValueError, match="same number of features"):
        metrics.k_means(codes, 2).assign(codes[:, :3])
