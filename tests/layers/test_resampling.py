import numpy as np
import pytest
import tensorflow as tf

from tfgen.layers import downscale2d, downscale_conv2d, upscale2d, upscale_conv2d

X = np.array([[1.0, 2.0], [3.0, -1.0]]).reshape(1, 2, 2, 1)
W = (np.arange(1.0, 10.0) / 10).reshape(3, 3, 1, 1)
UP = [[2.8, 5.4, 6.7, 4.8], [6.7, 6.6, 4.1, 0.9], [8.9, 6.6, 1.6, -1.8], [4.8, 2.7, -0.1, -1.2]]


@pytest.mark.parametrize("fused", [True, False])
def test_golden_values(fused):
    np.testing.assert_allclose(upscale_conv2d(X, W, fused)[0, :, :, 0], UP, atol=1e-12)
    y = np.arange(16.0).reshape(1, 4, 4, 1)
    np.testing.assert_allclose(downscale_conv2d(y, W, fused)[0, :, :, 0], [[18.075, 21.8], [31.175, 32.45]], atol=1e-12)


def test_the_kernel_must_be_flipped():
    """With the same kernel a transposed convolution gives another first row."""
    padded = np.pad(W[..., 0, 0], 1)
    kernel = padded[1:, 1:] + padded[1:, :-1] + padded[:-1, 1:] + padded[:-1, :-1]
    np.testing.assert_allclose(kernel[0], [0.1, 0.3, 0.5, 0.3])
    assert kernel.sum() == pytest.approx(18)
    same = tf.nn.conv2d_transpose(X, kernel[..., None, None], [1, 4, 4, 1], 2, "SAME")[0, :, :, 0]
    np.testing.assert_allclose(same[0], [1.2, 2.6, 3.3, 3.2], atol=1e-12)
    assert np.abs(same - UP).max() == pytest.approx(4.6)


@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("convolve", [upscale_conv2d, downscale_conv2d])
def test_fused_equals_unfused_with_gradients(convolve, size):
    rng = np.random.default_rng(size)
    x, w = tf.constant(rng.normal(size=(2, 6, 4, 3))), tf.constant(rng.normal(size=(size, size, 3, 5)))
    found = []
    for fused in (True, False):
        with tf.GradientTape() as outer:
            outer.watch((x, w))
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = convolve(x, w, fused)
                total = tf.reduce_sum(tf.sin(y))
            first = tape.gradient(total, x)
            second = tf.reduce_sum(first**2)
        found.append((y, first, *outer.gradient(second, (x, w))))
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-10)


def test_free_sizes_of_batch_and_maps():
    run = tf.function(lambda x: (upscale_conv2d(x, W), downscale_conv2d(x, W)), autograph=False,
                      input_signature=[tf.TensorSpec([None, None, None, 1], tf.float64)])  # fmt: skip
    up, down = run(X)
    np.testing.assert_allclose(up[0, :, :, 0], UP, atol=1e-12)
    assert down.shape == (1, 1, 1, 1)


def test_sizes_of_images():
    images = np.random.default_rng(0).random((2, 4, 6, 3)).astype("float32")
    for factor in (1, 2, 3):
        big = upscale2d(images, factor)
        assert big.shape == (2, 4 * factor, 6 * factor, 3)
        np.testing.assert_array_equal(big, np.kron(images, np.ones((1, factor, factor, 1), "float32")))
        np.testing.assert_allclose(downscale2d(big, factor), images, rtol=1e-6)
    np.testing.assert_allclose(downscale2d(images), images.reshape(2, 2, 2, 3, 2, 3).mean((2, 4)), rtol=1e-5)


def test_wrong_sizes():
    with pytest.raises(ValueError, match="multiples of 3"):
        downscale2d(np.ones((1, 4, 6, 1)), 3)
    with pytest.raises(ValueError, match="must be even"):
        downscale_conv2d(np.ones((1, 3, 4, 1)), W)
    for convolve in (upscale_conv2d, downscale_conv2d):
        with pytest.raises(ValueError, match="odd sides"):
            convolve(X, np.ones((2, 2, 1, 1)))
