"""What every `Maximizer` promises: an image is a function of its seed, its unit, its number of steps and the weights."""

import numpy as np
import pytest
import tensorflow as tf

from tests.conformance.harness import assert_equal, for_cases, weights
from tfgen.models.capabilities import Maximizer

pytestmark = for_cases(Maximizer)
SEEDS = [5, 0, -3, 2**40]


def test_images_excite_units_and_no_weight_changes(run, served):
    model, before, unit = run.model, weights(run.model), np.arange(4) % run.model.num_units
    with model.ema.swapped():
        start, found = model.maximize(unit, SEEDS, steps=0), model.maximize(unit, SEEDS)
    assert_equal(before, weights(model))
    image, activation = found["image"].numpy(), found["activation"].numpy()
    assert image.shape == (4, *model.image_shape) and image.dtype == activation.dtype == np.float32
    assert image.min() >= 0.0 and image.max() <= 1.0
    assert activation.shape == (4,) and activation.mean() > start["activation"].numpy().mean()
    assert np.any(start["image"][0] != start["image"][1]), "starts of two seeds"
    got = served["maximize"](seeds=tf.constant(SEEDS, tf.int64), unit=tf.constant(unit, tf.int32),
                             steps=tf.fill([4], model.steps))  # fmt: skip
    assert got.keys() == found.keys()
    for name, value in got.items():
        np.testing.assert_allclose(value, found[name], atol=2e-5, rtol=1e-5)


def test_a_row_depends_on_its_seed_unit_and_steps_alone(run):
    model, unit, steps = run.model, np.arange(4) % run.model.num_units, np.array([0, 1, 2, run.model.steps])
    whole, order = model.maximize(unit, SEEDS, steps), [3, 1]
    part = model.maximize(unit[order], np.take(SEEDS, order), steps[order])
    for name, value in part.items():
        np.testing.assert_allclose(value, tf.gather(whole[name], order), atol=1e-5)
    other = model.maximize((unit + 1) % model.num_units, SEEDS)["image"]
    assert model.num_units == 1 or np.any(other != model.maximize(unit, SEEDS)["image"])


def test_wrong_arguments_are_refused(run, served):
    model = run.model
    for unit in (-1, model.num_units):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"unit must lie in \[0"):
            model.maximize([unit], [1])
    for steps in (-1, model.max_steps + 1):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"steps must lie in \[0"):
            model.maximize([0], [1], steps=steps)
    with pytest.raises(ValueError, match=r"unit must have as many rows as seeds, 1; received the shape \(2,\)"):
        model.maximize([0, 0], [1])
    with pytest.raises(tf.errors.InvalidArgumentError, match="unit must lie in"):
        served["maximize"](seeds=tf.constant([1], tf.int64), unit=tf.constant([model.num_units]), steps=tf.constant([1]))


def test_zeros_are_answered(run, served):
    """As warm-up requests are."""
    none = {"unit": tf.zeros([2], tf.int32), "steps": tf.zeros([2], tf.int32)}
    assert np.all(np.isfinite(served["maximize"](seeds=tf.zeros([2], tf.int64), **none)["image"]))


def test_grid_has_one_unit_in_each_row(run):
    model = run.model
    grid = Maximizer.grid_of(model, 6, None)
    assert grid.ndim == 5 and grid.shape[2:] == model.image_shape and grid.shape[0] <= model.num_units
    rows, columns = grid.shape[:2]
    last = model.maximize([rows - 1], [columns - 1])["image"][0]
    np.testing.assert_allclose(grid[-1, -1], last, atol=1e-5)
