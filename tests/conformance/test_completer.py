"""What every `Completer` promises."""

import numpy as np
import pytest
import tensorflow as tf

from tests.conformance.harness import for_cases
from tfgen.models.capabilities import Completer

pytestmark = for_cases(Completer)


def test_known_pixels_stay_and_unknown_ones_are_drawn(run):
    images, conditions = run.case.batch(2)["image"], run.case.conditions(2)
    height, width, _ = run.model.image_shape
    mask = np.arange(height)[:, None].repeat(width, axis=1) < height // 2
    made = run.model.complete(images, mask, num=3, seed=1, **conditions).numpy()
    assert made.shape == (2, 3, *run.model.image_shape) and made.dtype == np.float32
    assert made.min() >= 0.0 and made.max() <= 1.0
    for k in range(3):
        np.testing.assert_array_equal(made[:, k][:, mask], images[:, mask])
    assert np.any(made[:, 0] != made[:, 1])
    hidden = np.where(mask[..., None], images, 0.0).astype("float32")
    np.testing.assert_array_equal(run.model.complete(hidden, mask, num=3, seed=1, **conditions), made)
    assert np.any(run.model.complete(images, mask, num=3, seed=2, **conditions).numpy() != made)
    whole = run.model.complete(images, np.ones_like(mask), **conditions)
    np.testing.assert_array_equal(whole[:, 0], images)


def test_wrong_arguments_are_refused(run):
    images, conditions = run.case.batch(2)["image"], run.case.conditions(2)
    height, width, _ = run.model.image_shape
    mask = np.ones((height, width), bool)
    for wrong in (mask[1:], mask.astype("float32")):
        with pytest.raises(ValueError, match="mask must be bool"):
            run.model.complete(images, wrong, **conditions)
    with pytest.raises(ValueError, match="num must be"):
        run.model.complete(images, mask, num=0, **conditions)
    with pytest.raises(tf.errors.InvalidArgumentError, match="must lie in"):
        run.model.complete(images * 255, mask, **conditions)
