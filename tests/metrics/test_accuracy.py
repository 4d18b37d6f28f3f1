import keras
import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, recall_score

from tfgen import metrics


def test_against_scikit_learn():
    rng = np.random.default_rng(0)
    labels, logits = rng.integers(0, 6, 200), rng.normal(size=(200, 6))
    logits[np.arange(200), labels] += 1.5
    result = metrics.conditional_accuracy(logits, labels)
    found = logits.argmax(axis=1)
    assert result.accuracy == pytest.approx(accuracy_score(labels, found))
    np.testing.assert_array_equal(result.confusion, confusion_matrix(labels, found))
    np.testing.assert_allclose(result.per_class, recall_score(labels, found, average=None))


def test_a_class_without_samples():
    result = metrics.conditional_accuracy(np.eye(3)[[0, 2, 2]], [0, 0, 2])
    assert result.accuracy == pytest.approx(2 / 3)
    np.testing.assert_array_equal(result.per_class, [0.5, np.nan, 1.0])


@pytest.mark.parametrize("labels", [[0, 1], [0, 1, 3], [0, 1, -1], [0.0, 1.0, 2.0]])
def test_rejects_labels(labels):
    with pytest.raises(ValueError, match=r"labels must be 3 integers in \[0, 3\); received"):
        metrics.conditional_accuracy(np.eye(3), labels)


def test_keras_metric_agrees_and_resets():
    rng = np.random.default_rng(0)
    images, labels = rng.uniform(size=(30, 2, 2, 1)).astype(np.float32), rng.integers(0, 4, 30)
    classify = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(4)])
    metric = metrics.KerasConditionalAccuracy(classify)
    for part in (slice(0, 11), slice(11, 30)):
        metric.update_state(labels[part], images[part])
    expected = metrics.conditional_accuracy(np.asarray(classify(images)), labels).accuracy
    assert metric.name == "conditional_accuracy"
    assert float(metric.result()) == pytest.approx(expected, rel=1e-6)
    metric.reset_state()
    metric.update_state(labels[:11], images[:11])
    assert float(metric.result()) == pytest.approx(
        np.mean(np.asarray(classify(images[:11])).argmax(1) == labels[:11]), rel=1e-6
    )
    with pytest.raises(ValueError, match="classify must be a function of images; received int"):
        metrics.KerasConditionalAccuracy(3)
