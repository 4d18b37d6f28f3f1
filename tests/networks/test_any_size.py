import numpy as np
import pytest
import tensorflow as tf

from tfgen.networks.any_size import check_least, mirrored


def test_mirrored_up_to_multiples():
    images = np.random.default_rng(0).random((2, 5, 8, 3)).astype("float32")
    found = mirrored(images, 4).numpy()
    assert found.shape == (2, 8, 8, 3)
    np.testing.assert_array_equal(found[:, :5], images)
    np.testing.assert_array_equal(found[:, 5:], images[:, 3:0:-1])  # the border is not repeated
    np.testing.assert_array_equal(mirrored(images[:, :4], 4), images[:, :4])
    np.testing.assert_array_equal(mirrored(images.transpose(0, 2, 1, 3), 4), found.transpose(0, 2, 1, 3))


def test_small_images_are_refused():
    assert check_least(tf.zeros([1, 8, 9, 1]), 8).shape == (1, 8, 9, 1)
    for shape in ([1, 7, 9, 1], [1, 9, 7, 1]):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"sides of style must be at least 8 pixels; received"):
            check_least(tf.zeros(shape), 8, "style")
