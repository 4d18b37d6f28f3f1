"""What every `Codec` promises."""

import numpy as np
import pytest
import tensorflow as tf

from tests.conformance.harness import for_cases
from tfgen.models.capabilities import Codec

pytestmark = for_cases(Codec)


def test_a_file_holds_the_image_that_the_bits_are_of(run):
    image = (255 * run.case.batch(1)["image"][0]).round().astype("uint8")
    codec = run.model.codec()
    data = codec.compress(image)
    made = codec.decompress(data)
    assert isinstance(data, bytes) and made.shape == image.shape and made.dtype == np.uint8
    expected = run.model.reconstruct(image[None] / np.float32(255))[0]
    assert np.abs(255 * expected - made.astype("float32")).max() < 0.51
    assert codec.compress(image) == data


def test_bits_are_of_each_image(run, served):
    images = run.case.batch()["image"]
    bits = run.model.bits(images)
    assert bits.shape == (8,) and bits.dtype == tf.float32 and np.all(bits > 0)
    np.testing.assert_allclose(run.model.bits(images[2:4]), bits[2:4], rtol=1e-4)
    with run.model.ema.swapped():
        np.testing.assert_allclose(served["bits"](image=tf.constant(images))["bits"], run.model.bits(images), rtol=1e-4)


def test_wrong_images_are_refused(run):
    images = run.case.batch()["image"]
    with pytest.raises(tf.errors.InvalidArgumentError, match="must lie in"):
        run.model.bits(images * 255)
    with pytest.raises(ValueError, match="must be float"):
        run.model.bits((images * 255).astype("uint8"))
