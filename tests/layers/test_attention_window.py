"""The Gaussian filter grid against the paper's equations written out, and its invariances."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen.layers.attention_window import AttentionWindow, from_rows, read, to_rows, window, write

# Parameters (gx, gy, ln sigma^2, ln d, ln gamma) of a grid that lies on the pixels.
SHARP = [0.0, 0.0, -30.0, 0.0, 0.0]


def images(*shape, seed=0):
    return np.random.default_rng(seed).uniform(size=shape).astype("float32")


def glimpse(x, parameters, size):
    """float32 [B, N, N, C] of images and of one window for all of them."""
    grid = window(tf.constant([parameters] * len(x), tf.float32), size, x.shape[1:3])
    return from_rows(read(grid, to_rows(tf.constant(x))), x.shape[-1]).numpy()


def by_the_paper(x, parameters, size):
    """Equations 19 to 27, term by term, for one image [B, A, C]."""
    rows, columns, _ = x.shape
    gx, gy, log_variance, log_stride, log_gain = parameters
    centres = (rows + 1) / 2 * (gy + 1), (columns + 1) / 2 * (gx + 1)
    stride = (max(rows, columns) - 1) / (size - 1) * np.exp(log_stride)
    filters = []
    for centre, length in zip(centres, (rows, columns), strict=True):
        bank = np.zeros((size, length))
        for i in range(1, size + 1):
            mean = centre + (i - size / 2 - 0.5) * stride
            for a in range(1, length + 1):
                bank[i - 1, a - 1] = np.exp(-((a - mean) ** 2) / (2 * np.exp(log_variance)))
        filters.append(bank / bank.sum(axis=1, keepdims=True))
    return np.exp(log_gain) * np.einsum("ib,bac,ja->ijc", filters[0], x, filters[1])


@pytest.mark.parametrize("shape", [(7, 7, 1), (9, 6, 3), (5, 8, 2)])
def test_read_is_that_of_the_paper(shape):
    x, parameters = images(2, *shape), [0.2, -0.3, 0.4, -0.9, 0.3]
    expected = [by_the_paper(image, parameters, 3) for image in x]
    np.testing.assert_allclose(glimpse(x, parameters, 3), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(6, 6), (5, 9)])
def test_filters_sum_to_one_wherever_the_window_is(shape):
    parameters = np.random.default_rng(0).normal(size=(50, 5)).astype("float32") * [2, 2, 8, 2, 1]
    grid = window(tf.constant(parameters, tf.float32), 4, shape)
    for bank, length in ((grid.row_filters, shape[0]), (grid.column_filters, shape[1])):
        assert bank.shape == (50, 4, length)
        np.testing.assert_allclose(tf.reduce_sum(bank, axis=-1), 1.0, rtol=1e-5)


def test_sharp_grid_on_every_pixel_is_the_identity():
    x = images(2, 6, 6, 3)
    grid = window(tf.constant([SHARP] * 2), 6, (6, 6))
    np.testing.assert_allclose(grid.row_filters, np.stack([np.eye(6)] * 2), atol=1e-6)
    rows = to_rows(tf.constant(x))
    np.testing.assert_allclose(read(grid, rows), rows, atol=1e-6)
    np.testing.assert_allclose(write(grid, read(grid, rows)), rows, atol=1e-6)


def test_gain_multiplies_reads_and_divides_writes():
    rows, patch = to_rows(tf.constant(images(1, 6, 6, 2))), tf.constant(images(1, 3, 6, seed=1))
    plain, strong = (window(tf.constant([[0.1, 0.2, 0.5, -0.5, gain]]), 3, (6, 6)) for gain in (0.0, np.log(3.0)))
    np.testing.assert_allclose(read(strong, rows), 3.0 * read(plain, rows), rtol=1e-5)
    np.testing.assert_allclose(write(strong, patch), write(plain, patch) / 3.0, rtol=1e-5)


@pytest.mark.parametrize("shift", [1, 3])
def test_window_that_moves_with_the_image_sees_the_same(shift):
    x = np.zeros((1, 21, 21, 1), "float32")
    x[:, 6:12, 7:13] = images(1, 6, 6, 1)
    moved = np.roll(x, (shift, -shift), axis=(1, 2))
    parameters = np.float32([-0.1, -0.15, -1.5, -1.2, 0.0])
    step = np.float32([-shift / 11, shift / 11, 0, 0, 0])  # in units of (A + 1) / 2
    np.testing.assert_allclose(glimpse(moved, parameters + step, 3), glimpse(x, parameters, 3), atol=1e-5)
    assert np.abs(glimpse(moved, parameters, 3) - glimpse(x, parameters, 3)).max() > 0.01


@pytest.mark.parametrize("size", [4, 5])
def test_grid_is_symmetric_about_its_centre(size):
    grid = window(tf.constant([[0.1, -0.2, 0.0, -1.5, 0.0]]), size, (30, 30))
    centre_x, centre_y, stride, sigma, gain = grid.box[0].numpy()
    assert (centre_x, centre_y) == pytest.approx((15.5 * 1.1, 15.5 * 0.8))
    assert (stride, sigma, gain) == pytest.approx((29 / (size - 1) * np.exp(-1.5), 1.0, 1.0), rel=1e-4)
    for bank, centre in ((grid.column_filters, centre_x), (grid.row_filters, centre_y)):
        means = bank[0].numpy() @ np.arange(1, 31)
        np.testing.assert_allclose(means.mean(), centre, atol=1e-3)
        np.testing.assert_allclose(np.diff(means), stride, atol=1e-3)


def test_write_is_the_transpose_of_read():
    grid = window(tf.constant([[0.3, 0.1, 0.4, -0.6, 0.0]]), 3, (7, 5))
    rows, patch = to_rows(tf.constant(images(1, 7, 5, 2))), tf.constant(images(1, 3, 6, seed=1))
    # <read(x), w> = <x, write(w)>, with gain 1
    assert float(tf.reduce_sum(read(grid, rows) * patch)) == pytest.approx(
        float(tf.reduce_sum(rows * write(grid, patch))), 1e-5
    )


def test_channels_share_the_filters():
    x, parameters = images(1, 8, 8, 3), [0.2, 0.0, 0.1, -0.4, 0.2]
    np.testing.assert_allclose(glimpse(x[..., ::-1], parameters, 4), glimpse(x, parameters, 4)[..., ::-1], rtol=1e-5)


def test_rows_and_back():
    x = images(2, 4, 5, 3)
    rows = to_rows(tf.constant(x))
    np.testing.assert_array_equal(rows[1, 2, 5:10], x[1, 2, :, 1])
    np.testing.assert_array_equal(from_rows(rows, 3), x)
    np.testing.assert_array_equal(from_rows(tf.stack([rows, rows]), 3), np.stack([x, x]))


def test_layer_begins_with_an_even_grid_and_learns_where_to_look():
    layer = AttentionWindow(4, (10, 10))
    state = tf.constant(images(3, 6))
    layer.build(state.shape)
    layer.parameters.kernel.assign(tf.zeros([6, 5]))
    np.testing.assert_allclose(layer(state).box[:, :4], [[5.5, 5.5, 3.0, 1.0]] * 3, rtol=1e-5)
    rows = to_rows(tf.constant(images(3, 10, 10, 1)))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(read(layer(state), rows) ** 2)
    gradient = tape.gradient(loss, layer.parameters.bias.value).numpy()
    assert np.isfinite(gradient).all() and (np.abs(gradient) > 1e-3).all()
    twin = AttentionWindow.from_config(layer.get_config())
    assert (twin.size, twin.image_size) == (4, (10, 10))


def test_gradients_are_finite_at_extreme_windows():
    parameters = tf.constant([[0.0, 0.0, -200.0, 0.0, 0.0], [40.0, -40.0, 3.0, 3.0, -3.0], [0.37, 0.0, -60.0, -9.0, 0.0]])
    rows = to_rows(tf.constant(images(3, 9, 9, 1)))
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        seen = read(window(parameters, 3, (9, 9)), rows)
        loss = tf.reduce_sum(seen**2)
    assert np.isfinite(seen).all() and np.isfinite(tape.gradient(loss, parameters)).all()


@pytest.mark.parametrize(("size", "image_size"), [(1, (4, 4)), (3, (4,)), (3, (0, 4))])
def test_bad_arguments(size, image_size):
    with pytest.raises(ValueError, match="at least 2"):
        AttentionWindow(size, image_size)
