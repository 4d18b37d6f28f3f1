"""What every `Projector` promises: the projection of an image is a function of the image and the weights."""

import numpy as np
import pytest
import tensorflow as tf

from tests.conformance.harness import assert_equal, for_cases, weights
from tfgen.models.capabilities import Projector

pytestmark = for_cases(Projector)


def test_projections_are_the_images_of_their_codes_and_no_weight_changes(run, served):
    model, before, images = run.model, weights(run.model), run.case.batch(4)["image"]
    with model.ema.swapped():
        found = model.project(images)
        decoded = model.decode_images(found["latent"])
    assert_equal(before, weights(model))
    latent, image = found["latent"].numpy(), found["image"].numpy()
    assert latent.shape == (4, model.latent_dim) and latent.dtype == image.dtype == np.float32
    assert image.shape == images.shape and image.min() >= 0.0 and image.max() <= 1.0
    np.testing.assert_allclose(decoded, image, atol=1e-5)
    got = served["project"](image=tf.constant(images))
    assert got.keys() == found.keys()
    np.testing.assert_allclose(got["image"], image, atol=2e-4)  # after many steps that add up rounding


def test_a_projection_depends_on_its_image_alone(run):
    images = run.case.batch(4)["image"]
    whole, part = run.model.project(images), run.model.project(images[[3, 1]])
    np.testing.assert_allclose(part["image"], tf.gather(whole["image"], [3, 1]), atol=2e-4)
    assert np.any(whole["latent"][0] != whole["latent"][1])


def test_an_edit_by_nothing_is_the_projection(run, served):
    model, images = run.model, run.case.batch(2)["image"]
    given = run.case.inputs({field.argument: field.spec for field in model.edit_fields()}, 2)
    found = model.edit(images, **given)
    assert found["image"].shape == images.shape and found["latent"].shape == (2, model.latent_dim)
    assert float(tf.reduce_min(found["image"])) >= 0.0 and float(tf.reduce_max(found["image"])) <= 1.0
    with model.ema.swapped():
        np.testing.assert_allclose(
            served["edit"](image=tf.constant(images), **given)["image"], model.edit(images, **given)["image"], atol=2e-4
        )
    if {field.name for field in model.edit_fields()} == {"direction", "amount"}:
        projected = model.project(images)
        still = model.edit(images, **{**given, "amount": [0.0, 0.0]})
        np.testing.assert_allclose(still["image"], projected["image"], atol=2e-4)
        moved = projected["latent"] + 2.0 * given["direction"]
        edited = model.edit(images, **{**given, "amount": [2.0, 2.0]})
        np.testing.assert_allclose(edited["image"], model.decode_images(moved), atol=2e-3)


def test_wrong_arguments_are_refused(run):
    model, images = run.model, run.case.batch(2)["image"]
    with pytest.raises(ValueError, match="Images must be float|was made for images"):
        model.project(images[:, 1:])
    with pytest.raises(tf.errors.InvalidArgumentError, match="must lie in"):
        model.project(255.0 * images)
    names = ", ".join(field.argument for field in model.edit_fields())
    with pytest.raises(ValueError, match=f"edit takes images, {names}; received images"):
        model.edit(images)


def test_zeros_are_answered(run, served):
    """As warm-up requests are."""
    for name in ("project", "edit"):
        specs = served[name].structured_input_signature[1]
        zeros = {key: tf.zeros([2, *spec.shape[1:]], spec.dtype) for key, spec in specs.items()}
        assert np.all(np.isfinite(served[name](**zeros)["image"]))


def test_prediction_and_grid(run):
    model, images = run.model, run.case.batch(4)["image"]
    shown = Projector.grid_of(model, 8, {"image": tf.constant(images)})
    assert shown.shape == (2, 4, *model.image_shape) and Projector.grid_of(model, 8, None) is None
    np.testing.assert_array_equal(shown[0], images)
    np.testing.assert_allclose(shown[1], model.project(images)["image"], atol=2e-4)
    np.testing.assert_allclose(Projector.prediction_of(model, {"image": images}), shown[1], atol=2e-4)
