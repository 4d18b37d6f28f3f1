"""What a network may do with its scope: each method step by step, against all positions at once and against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen.layers.causal import RowConv2D
from tfgen.sampling.cached import Whole, scan, shift_down

HEIGHT, WIDTH = 4, 6
OWNERS = ["kernel", "bias"]


def image(channels=2, batch=3):
    return np.random.default_rng(0).normal(size=(batch, HEIGHT, WIDTH, channels)).astype("float32")


def stepwise(network, x, passes=1, prepare=tf.identity, **kwargs):
    """The network's outputs [B, H, W, P] along the image x, pixel by pixel, in a graph."""
    x = tf.constant(x)

    def choose(parameters, pixel, channel, row, column):
        known = x[:, row, column]
        return known if passes == 1 else tf.where(tf.range(x.shape[-1]) <= channel, known, pixel)

    @tf.function(autograph=False)
    def run():
        batch, *shape = x.shape
        return scan(
            network, choose, batch=batch, shape=shape, passes=passes, prepare=prepare, keep_parameters=True, **kwargs
        )

    drawn, parameters = run()
    np.testing.assert_array_equal(drawn, x)
    return parameters.numpy()


def up(x, rows=1):
    """x seen from `rows` rows below, zeros above the image."""
    return np.pad(x, [[0, 0], [rows, 0], [0, 0], [0, 0]])[:, :-rows]


def left(x, columns=1):
    return np.pad(x, [[0, 0], [0, 0], [columns, 0], [0, 0]])[:, :, :-columns]


def test_shift_down():
    np.testing.assert_array_equal(shift_down(image()), up(image()))


# ---- what Whole has too


def rows_above(x, scope):
    window = scope.rows_before(scope.below(x, 2), 2, 2)
    both = scope.rows(lambda: tf.concat([window[:, :-2], window[:, 2:]], axis=-1))
    return scope.across(both, 4)


def test_rows_before():
    x = image()
    expected = np.concatenate([up(x, 3), up(x, 1)], axis=-1)
    np.testing.assert_array_equal(rows_above(tf.constant(x), Whole()), expected)
    np.testing.assert_array_equal(stepwise(rows_above, x), expected)


def pixels_to_the_left(x, scope):
    window = scope.pixels_before(x, 2, 2)
    return scope.pixels(lambda: tf.concat([window[:, :, :-2], window[:, :, 1:-1]], axis=-1))


def test_pixels_before_are_zero_at_the_start_of_each_row():
    x = image()
    expected = np.concatenate([left(x, 2), left(x, 1)], axis=-1)
    np.testing.assert_array_equal(pixels_to_the_left(tf.constant(x), Whole()), expected)
    np.testing.assert_array_equal(stepwise(pixels_to_the_left, x), expected)


def test_windows_of_size_0_are_the_value_itself():
    def network(x, scope):
        assert scope.pixels_before(x, 0, 2) is x
        above = scope.below(x, 2)
        assert scope.rows_before(above, 0, 2) is above
        return scope.across(above, 2)

    np.testing.assert_array_equal(stepwise(network, image()), up(image()))


def test_place_is_the_row_of_a_map():
    known = tf.constant(image(3))

    def network(x, scope):
        return scope.across(scope.place(known), 3)

    np.testing.assert_array_equal(network(None, Whole()), known)
    np.testing.assert_array_equal(stepwise(network, image()), known)


def test_constants_are_made_once_for_each_owner():
    made = []

    def network(x, scope):
        one, two = (scope.constant(owner, lambda owner=owner: made.append(owner) or tf.constant(2.0)) for owner in OWNERS)
        return scope.across(scope.rows(lambda: one * two * tf.ones([3, 1, WIDTH, 1])), 1)

    np.testing.assert_array_equal(stepwise(network, image()), np.full([3, HEIGHT, WIDTH, 1], 4.0))
    assert made == OWNERS


# ---- what step by step has alone, for recurrent networks


def test_buffer_gives_the_row_above_and_the_pixel_to_the_left_until_it_is_written():
    """y = x_left + 2 y_left + 3 y_above, with initial values."""
    x = image(1)

    def network(inputs, scope):
        before = scope.pixels_before(inputs, 1, 1)
        buffer = scope.buffer(1, tf.constant([0.5]))
        above, beside = scope.across(buffer.above(), 1), buffer.left(7.0)
        y = scope.pixels(lambda: before[:, :, :1] + 2.0 * beside + 3.0 * above)
        buffer.write(y)
        return y

    expected = np.zeros_like(x)
    for i in range(HEIGHT):
        for j in range(WIDTH):
            above = expected[:, i - 1, j] if i else 0.5
            beside = expected[:, i, j - 1] if j else 7.0
            expected[:, i, j] = (x[:, i, j - 1] if j else 0.0) + 2.0 * beside + 3.0 * above
    np.testing.assert_allclose(stepwise(network, x), expected, rtol=1e-5)


def test_memory_gives_the_row_before_until_it_is_written():
    """m = m of the row before + x of the row above."""
    x = image()

    def network(inputs, scope):
        above, memory = scope.below(inputs, 2), scope.memory(2, tf.constant([1.0, -1.0]))
        before = memory.read()
        total = scope.rows(lambda: above + before)
        memory.write(total)
        return scope.across(total, 2)

    np.testing.assert_allclose(stepwise(network, x), np.cumsum(up(x), axis=1) + [1.0, -1.0], rtol=1e-5, atol=1e-5)


def test_half_a_resolution_passes_at_even_places_and_is_held_between():
    def network(x, scope):
        half = scope.half()
        assert half is scope.half()
        row = half.rows(lambda: tf.fill([3, 1, WIDTH // 2, 1], tf.cast(half.row, tf.float32)))
        place = half.pixels(lambda: tf.fill([3, 1, 1, 1], tf.cast(10 * half.row + half.column, tf.float32)))
        row, place = half.held(row, 1), half.held_pixels(place, 1)
        row = scope.across(scope.rows(lambda: tf.repeat(row, 2, axis=2)), 1)
        return scope.pixels(lambda: tf.concat([row, place], axis=-1))

    found = stepwise(network, image())
    i, j = np.mgrid[:HEIGHT, :WIDTH] // 2
    np.testing.assert_array_equal(found, np.broadcast_to(np.stack([i, 10 * i + j], axis=-1), found.shape))


# ---- the loops


def test_channels_one_after_the_other_see_those_before():
    """The parameters of a channel are those of the pass in which it is drawn: of the pixel with the channels before it."""
    x = image(3)

    def network(inputs, scope):
        return scope.pixels(lambda: tf.concat([inputs + 10.0 * c for c in range(3)], axis=-1))

    found = stepwise(network, x, passes=3).reshape(*x.shape, 3)
    for channel in range(3):
        seen = np.where(np.arange(3) < channel, x, 0.0) + 10.0 * channel
        np.testing.assert_allclose(found[..., channel, :], seen, rtol=1e-5)


def test_stored_values_are_those_of_the_complete_pixel():
    """Also with several channels: neither the empty pixel nor the half drawn one is left behind."""
    x = image(3)

    def network(inputs, scope):
        above, before = scope.across(scope.below(inputs, 3), 3), scope.pixels_before(inputs, 1, 3)
        return scope.pixels(lambda: tf.concat([above + before[:, :, :1]] * 3, axis=-1))

    np.testing.assert_allclose(stepwise(network, x, passes=3), np.tile(up(x) + left(x), 3), rtol=1e-5, atol=1e-6)


def test_choose_is_told_the_place_and_the_values_pass_through_prepare():
    """Every pixel is its place plus what the network says of the pixel before, which `prepare` has halved."""

    def network(x, scope):
        before = scope.pixels_before(x, 1, 1)
        return scope.pixels(lambda: before[:, :, :1])

    def choose(parameters, pixel, channel, row, column):
        return parameters + tf.cast(100 * row + column, tf.float32)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def draw(rows):
        return scan(network, choose, batch=tf.shape(rows)[0], shape=(2, 3, 1), passes=1, prepare=lambda x: x / 2.0)

    for batch in (1, 4):
        expected = [[0.0, 1.0, 2.5], [100.0, 151.0, 177.5]]
        np.testing.assert_array_equal(
            draw(tf.zeros([batch])), np.broadcast_to(np.array(expected)[..., None], [batch, 2, 3, 1])
        )


def test_graph_does_not_grow_with_the_image():
    convolution = RowConv2D(2, (2, 3))
    convolution.build((None, None, None, 1))

    def network(x, scope):
        above = scope.across(convolution(scope.below(x, 1), scope=scope), 2)
        before = scope.pixels_before(x, 2, 1)
        return scope.pixels(lambda: above + before[:, :, :1] + before[:, :, 1:2])

    def operations(height, width):
        def draw():
            keep = {"prepare": tf.identity, "keep_parameters": True}
            return scan(
                network, lambda parameters, *_: parameters[:, :1], batch=2, shape=(height, width, 1), passes=1, **keep
            )

        graph = tf.function(draw).get_concrete_function().graph.as_graph_def()
        return len(graph.node) + sum(len(function.node_def) for function in graph.library.function)

    assert operations(4, 6) == operations(16, 20)


def test_float16_networks_remember_float16():
    def network(x, scope):
        above = scope.across(scope.below(x, 2), 2)
        return scope.pixels(lambda: tf.ensure_shape(above, above.shape) + tf.zeros([], tf.float16))

    found = stepwise(network, image(), prepare=lambda x: tf.cast(x, tf.float16), dtype="float16")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, up(image().astype("float16")))


def test_another_order_is_an_error():
    def network(x, scope):
        if scope.pixels(lambda: True):
            return scope.pixels_before(x, 1, 2)[:, :, :1]
        return scope.across(scope.rows(lambda: tf.zeros([3, 1, WIDTH, 2])), 2)

    with pytest.raises(RuntimeError, match="same order in every pass; window follows row"):
        stepwise(network, image())


def test_sides_that_halvings_do_not_divide():
    def network(x, scope):
        quarter = scope.half().half()
        held = quarter.held_pixels(quarter.pixels(lambda: x), 1)
        held = scope.half().held_pixels(scope.half().pixels(lambda: held), 1)
        return held

    with pytest.raises(ValueError, match="halves its input 2 times; received sides 8 and 6"):
        scan(network, lambda parameters, pixel, *_: pixel, batch=1, shape=(8, 6, 1), passes=1, prepare=tf.identity)
