"""What every `Sampler` promises: an image is a function of its seed, its conditions and the weights."""

import numpy as np
import pytest
import tensorflow as tf

from tests.conformance.harness import for_cases
from tests.conformance.registry import example
from tfgen.models.capabilities import Sampler

pytestmark = for_cases(Sampler)


def test_sample_shape_range_dtype_and_seed(run):
    model, case = run.model, run.case
    few, many = model.sample(3, seed=5, **case.conditions(3)), model.sample(6, seed=5, **case.conditions(6))
    assert many.shape == (6, *case.args["image_shape"]) and many.dtype == tf.float32
    assert float(tf.reduce_min(many)) >= 0.0 and float(tf.reduce_max(many)) <= 1.0
    np.testing.assert_allclose(few, many[:3], atol=1e-5)
    assert np.any(model.sample(3, seed=6, **case.conditions(3)).numpy() != few.numpy())
    np.testing.assert_allclose(model.sample(6, seed=5, batch_size=2, **case.conditions(6)), many, atol=1e-5)


def test_sample_draws_serving_seeds(run, served):
    seeds, conditions = tf.constant([0, 1, 2], tf.int64) + (5 << 32), run.case.conditions(3)
    with run.model.ema.swapped():
        drawn = run.model.sample(3, seed=5, **conditions)
        latents = run.model.latents(seeds)
        decoded = run.model.decode_images(latents, **conditions)
    inputs = {name: tf.constant(value) for name, value in conditions.items()}
    np.testing.assert_allclose(served["sample"](seeds=seeds, **inputs)["image"], drawn, atol=2e-5)
    assert latents.shape == (3, run.model.latent_dim) and latents.dtype == tf.float32
    np.testing.assert_allclose(decoded, drawn, atol=2e-5)


def test_conditions_are_named(run):
    assert sorted(run.case.conditions(1)) == sorted(field.argument for field in run.model.conditions())
    specs = run.model.signatures()["sample"][1]
    assert sorted(specs) == sorted(["seeds", *run.case.conditions(1)])


def test_bad_sample_arguments(run):
    model, case = run.model, run.case
    for bad in ({"num": 0}, {"num": 1, "seed": -1}, {"num": 1, "seed": 2**31}, {"num": 1, "batch_size": 0}):
        with pytest.raises(ValueError, match="received"):
            model.sample(**bad, **case.conditions(1))
    for num in (1, 3):
        if case.conditions(2):
            with pytest.raises(ValueError, match=f"one row for each of the {num} images"):
                model.sample(num, **case.conditions(2))


def test_bad_latents(run):
    conditions = run.case.conditions(2)
    good = run.model.latents(tf.range(2)).numpy()
    for latents, message in (
        (good[:, 1:], r"latents must have the shape \[batch, \d+\]; received \(2, \d+\)"),
        (good[0], "latents must have the shape"),
        (good > 0.0, "latents must be float .*received dtype bool"),
        (good.astype(np.int32), "latents must be float .*received dtype int32"),
        (good * np.nan, r"latents must (be finite|lie in \[0, 1\]); received a range of"),
    ):
        with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match=message):
            run.model.decode_images(latents, **conditions)


def test_serialized_examples_name_seeds_and_labels(run, served):
    conditions = run.case.conditions(3)
    features = [{"seed": 7}, {}, {"seed": 2**40}]
    for argument, values in {"labels": [0, 0, 0], **conditions}.items():
        for row, value in zip(features, values, strict=True):
            row["label" if argument == "labels" else argument] = value
    got = served["serve_examples"](examples=tf.constant([example(**f) for f in features]))["image"]
    inputs = {"seeds": tf.constant([7, 0, 2**40], tf.int64), **{k: tf.constant(v) for k, v in conditions.items()}}
    np.testing.assert_array_equal(got, served["sample"](**inputs)["image"])
    unlike = example(image=[3, 4])  # a training example: other features are passed over, seed and label are 0
    assert served["serve_examples"](examples=tf.constant([unlike]))["image"].shape == (1, *run.model.image_shape)
