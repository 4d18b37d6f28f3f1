"""What every `Encoder` promises."""

import numpy as np
import pytest
import tensorflow as tf

from tests.conformance.harness import compiled, for_cases
from tfgen.models.capabilities import Encoder

pytestmark = for_cases(Encoder)


def test_codes_are_numbers_and_a_code_depends_on_its_image_alone(run, served):
    images = run.case.batch()["image"]
    codes = run.model.codes(images)
    assert codes.dtype == tf.float32 and codes.shape[0] == len(images) and codes.shape.rank == 2
    assert np.isfinite(codes).all() and np.ptp(codes.numpy(), axis=0).max() > 0
    np.testing.assert_allclose(run.model.codes(images[2:4]), codes[2:4], atol=1e-5)
    assert "image" in served["encode"].structured_input_signature[1]
    assert "latent" in served["encode"].structured_outputs, "what Client.encode asks for"


def test_reconstructions_are_images(run):
    images = run.case.batch()["image"]
    made = run.model.reconstruct(images)
    assert made.shape == images.shape and made.dtype == tf.float32
    assert float(tf.reduce_min(made)) >= 0.0 and float(tf.reduce_max(made)) <= 1.0


def test_wrong_images_are_refused(run):
    images = run.case.batch()["image"]
    spoiled = images.copy()
    spoiled[0, 0, 0, 0] = np.nan
    for verb in (run.model.encode, run.model.reconstruct):
        for wrong in (images * 255, spoiled):
            with pytest.raises(tf.errors.InvalidArgumentError, match="must lie in"):
                verb(wrong)
        with pytest.raises(ValueError, match="must be float"):
            verb((images * 255).astype("uint8"))
        with pytest.raises(ValueError, match="made for images"):
            verb(np.repeat(images, 3, axis=-1))


def test_keras_call_computes_in_bfloat16_what_reconstruct_does(case):
    """Keras casts what `__call__` uses."""
    if not case.bfloat16:
        pytest.skip("this model is refused in bfloat16")
    model, images = compiled(case, dtype="mixed_bfloat16"), case.batch()["image"]
    called = tf.cast(model(images), tf.float32)
    if called.shape == images.shape:  # else the call is another verb
        np.testing.assert_allclose(called, model.reconstruct(images), atol=0.02)
