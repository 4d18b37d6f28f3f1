import numpy as np
import pytest
import tensorflow as tf

from tfgen_pipelines.preprocessing import preprocessing_fn


def encode(images):
    return tf.constant([[tf.io.encode_png(i).numpy()] for i in images])


@pytest.mark.parametrize("channels", [1, 3])
def test_png_bytes_become_floats(channels):
    images = np.random.default_rng(0).integers(0, 256, (5, 6, 4, channels), dtype=np.uint8)
    run = tf.function(lambda x, y: preprocessing_fn({"image": x, "label": y}, {"image_shape": [6, 4, channels]}))
    out = run(encode(images), tf.constant([[3], [1], [4], [1], [5]], tf.int64))
    assert out["image"].dtype == tf.float32 and out["label"].dtype == tf.int64
    np.testing.assert_allclose(out["image"], images / 255.0, rtol=0, atol=1e-7)
    assert out["label"].numpy().tolist() == [3, 1, 4, 1, 5]


def test_without_labels():
    out = preprocessing_fn({"image": encode(np.zeros((2, 4, 4, 1), np.uint8))}, {"image_shape": [4, 4, 1]})
    assert set(out) == {"image"}


def test_another_shape_says_which_was_expected():
    images = encode(np.zeros((2, 4, 5, 1), np.uint8))
    with pytest.raises(tf.errors.InvalidArgumentError, match="not 4x4x1"):
        preprocessing_fn({"image": images}, {"image_shape": [4, 4, 1]})


def test_records_that_hold_no_bytes():
    with pytest.raises(ValueError, match="encoded images .* received dtype float32"):
        preprocessing_fn({"image": tf.zeros([2, 16])}, {"image_shape": [4, 4, 1]})
