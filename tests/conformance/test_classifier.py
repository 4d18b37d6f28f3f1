"""What every `Classifier` promises."""

import numpy as np
import pytest
import tensorflow as tf

from tests.conformance.harness import for_cases
from tfgen.models.capabilities import Classifier

pytestmark = for_cases(Classifier)


def test_logits_classes_and_probabilities_agree(run, served):
    images = run.case.batch()["image"]
    with run.model.ema.swapped():
        logits, classes = run.model.class_logits(images), run.model.classify(images)
        alone = run.model.class_logits(images[2:4])
    assert logits.shape == (8, run.model.num_labels) and logits.dtype == tf.float32
    np.testing.assert_array_equal(classes, np.argmax(logits, axis=1))
    assert classes.dtype == tf.int32
    np.testing.assert_allclose(alone, logits[2:4], atol=1e-5)
    found = served["classify"](image=tf.constant(images))["probability"].numpy()
    odds = np.exp(logits - np.max(logits, axis=1, keepdims=True))
    np.testing.assert_allclose(found, odds / odds.sum(axis=1, keepdims=True), atol=1e-5)


def test_wrong_images_are_refused(run):
    images = run.case.batch()["image"]
    spoiled = images.copy()
    spoiled[0, 0, 0, 0] = np.nan
    for verb in (run.model.class_logits, run.model.classify):
        for wrong in (images * 255, spoiled):
            with pytest.raises(tf.errors.InvalidArgumentError, match="must lie in"):
                verb(wrong)
        with pytest.raises(ValueError, match="must be float"):
            verb((images * 255).astype("uint8"))
        with pytest.raises(ValueError, match="made for images"):
            verb(np.repeat(images, 3, axis=-1))
