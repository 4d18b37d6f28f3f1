"""What every `Likelihood` promises."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tests.conformance.harness import for_cases
from tfgen.models.capabilities import Likelihood

pytestmark = for_cases(Likelihood)


def test_log_prob_is_nats_of_each_image_and_bits_per_dim_the_same_in_bits(run):
    images, conditions = run.case.batch(6)["image"], run.case.conditions(6)
    nats = run.model.log_prob(images, **conditions)
    assert nats.shape == (6,) and nats.dtype == tf.float32 and np.isfinite(nats).all()
    np.testing.assert_array_equal(run.model.log_prob(images, **conditions), nats)
    bits = run.model.bits_per_dim(images, **conditions)
    np.testing.assert_allclose(bits, -nats.numpy() / math.log(2.0) / math.prod(run.model.image_shape), rtol=1e-5)


def test_images_of_training_are_more_probable_than_noise(run):
    case, rng = run.case, np.random.default_rng(0)
    images, levels = case.batch()["image"], 2 if case.binary else case.args.get("levels", 256)
    noise = rng.integers(0, levels, images.shape).astype("float32") / np.float32(levels - 1)
    seen, unseen = (np.mean(run.model.log_prob(x, **case.conditions(len(x)))) for x in (images, noise))
    assert seen > unseen


def test_an_exact_likelihood_depends_on_its_image_alone(run):
    if run.model.exact_likelihood:
        images, conditions = run.case.batch(6)["image"], run.case.conditions(6)
        part = run.model.log_prob(images[2:4], **{name: value[2:4] for name, value in conditions.items()})
        np.testing.assert_allclose(part, run.model.log_prob(images, **conditions)[2:4], rtol=1e-5)


def test_wrong_images_are_refused(run):
    images, conditions = run.case.batch()["image"], run.case.conditions(8)
    spoiled = images.copy()
    spoiled[0, 0, 0, 0] = np.nan
    for wrong in (images * 255, spoiled):
        with pytest.raises(tf.errors.InvalidArgumentError, match="must lie in"):
            run.model.log_prob(wrong, **conditions)
    with pytest.raises(ValueError, match="must be float"):
        run.model.log_prob((images * 255).astype("uint8"), **conditions)
    with pytest.raises(ValueError, match="made for images"):
        run.model.log_prob(np.repeat(images, 3, axis=-1), **conditions)
