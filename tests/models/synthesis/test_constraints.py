"""Constraints of iGAN, against values computed by hand in float64."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen.models.synthesis.parts.constraints import (
    add_stroke,
    cells_of,
    edge_error,
    masked_error,
    moved_piece,
    oriented_gradients,
)

RNG = np.random.default_rng(0)


def test_masked_error():
    made = tf.constant([[[0.5, -0.5, 0], [1, 1, 1]], [[0, 0, 0], [-1, 0, 1]]])[None]
    wanted = tf.constant([[[1.0, 0, 0], [0, 0, 0]], [[0, 0, 0], [1, 0, -1]]])[None]
    mask = tf.constant([[[1.0, 0], [0, 1]]])
    np.testing.assert_allclose(masked_error(made, wanted, mask), [1.4166383339], rtol=1e-6)
    np.testing.assert_allclose(masked_error(made, wanted, 0.5 * mask), [1.4166100023], rtol=1e-6)  # free of scale
    assert masked_error(made, wanted, 0.0 * mask).numpy() == 0.0


def test_empty_masks_give_no_gradient():
    images, wanted, mask = RNG.random((2, 8, 8, 3)), RNG.random((2, 8, 8, 3)), np.zeros((2, 8, 8))
    images, wanted, mask = (tf.constant(x, tf.float32) for x in (images, wanted, mask))
    for error in (masked_error(images, wanted, mask), edge_error(images, wanted, mask, 4)):
        assert not np.any(error)
    with tf.GradientTape() as tape:
        tape.watch(images)
        total = masked_error(images, wanted, mask) + edge_error(images, wanted, mask, 4)
    assert not np.any(tape.gradient(total, images))


def test_oriented_gradients_of_an_edge():
    half = np.repeat([0.0, 1.0], 2)[None, None, :, None] * np.ones((1, 4, 1, 1))
    found = oriented_gradients(tf.constant(half, tf.float32), 2).numpy()
    assert found.shape == (1, 2, 2, 8)
    np.testing.assert_allclose(found[..., 0], np.full((1, 2, 2), 1.7393827164), rtol=1e-5)
    assert not found[..., 1:].any()
    turned = oriented_gradients(tf.constant(half.transpose(0, 2, 1, 3), tf.float32), 2).numpy()
    np.testing.assert_allclose(turned.sum(axis=(0, 1, 2)), [0, 0, 0, 0, 6.9575308655, 0, 0, 0], rtol=1e-5)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_flat_pictures_have_no_edges_not_even_at_their_border(level):
    assert not np.any(oriented_gradients(tf.fill([1, 4, 4, 1], level), 2))


def test_colours_are_averaged_and_cells_may_be_cut():
    grey = tf.constant(RNG.random((2, 10, 7, 1)), tf.float32)
    coloured = tf.concat([grey + 0.1, grey - 0.1, grey], axis=-1)
    found = oriented_gradients(grey, 4)
    assert found.shape == (2, 3, 2, 8)
    np.testing.assert_allclose(oriented_gradients(coloured, 4), found, atol=1e-4)


def test_edges_count_in_the_cells_of_the_mask():
    mask = np.zeros((1, 8, 8), np.float32)
    mask[0, 0, 0] = 1.0
    np.testing.assert_array_equal(cells_of(mask, 2)[0], np.pad([[1.0]], ((0, 3), (0, 3))))
    mask[0, 0, 0], mask[0, 3, 5] = 0.0, 1.0  # in the tents of two cells along each axis
    expected = np.zeros((4, 4))
    expected[1:3, 2:4] = 1.0
    np.testing.assert_array_equal(cells_of(mask, 2)[0], expected)
    first, far = (np.zeros((1, 8, 8, 1), np.float32) for _ in range(2))
    far[0, :2, :2] = 1.0  # its gradient ends where the tents begin
    assert edge_error(tf.constant(first), tf.constant(far), tf.constant(mask), 2).numpy() == 0.0
    assert edge_error(tf.constant(first), tf.constant(far), tf.ones([1, 8, 8]), 2).numpy() > 0.0


def test_strokes_cover_what_is_below():
    old, new = (np.full((1, 2, 2, 1), value, np.float32) for value in (0.2, 0.9))
    old_mask, new_mask = np.float32([[[1, 0], [1, 0]]]), np.float32([[[0, 0], [0.5, 1]]])
    strokes, mask = add_stroke(old, old_mask, new, new_mask)
    np.testing.assert_allclose(strokes[0, ..., 0], [[0.2, 0.2], [0.9, 0.9]])
    np.testing.assert_allclose(mask[0], [[1, 0], [1, 1]])
    _, mask = add_stroke(old, 0.5 * old_mask, new, new_mask)
    np.testing.assert_allclose(mask[0], [[0.5, 0], [0.5, 1]])  # the larger one, no sum


def test_a_moved_piece():
    images = np.arange(2 * 36, dtype=np.float32).reshape(2, 6, 6, 1) / 72
    strokes, mask = moved_piece(images, (2, 2), (4, 3), 2)
    np.testing.assert_array_equal(strokes[:, 3:5, 2:4], images[:, 1:3, 1:3])
    expected = np.zeros((2, 6, 6))
    expected[:, 3:5, 2:4] = 1.0
    np.testing.assert_array_equal(mask, expected)
    outside = expected == 0
    np.testing.assert_array_equal(np.asarray(strokes)[outside], images[outside])
    # The old square is cut above, the new one on the right: both are.
    strokes, mask = moved_piece(images, (0, 2), (3, 5), 4)
    np.testing.assert_array_equal(strokes[:, 3:5, 3:6], images[:, 0:2, 0:3])
    assert mask.numpy().sum() == 2 * 2 * 3
    with pytest.raises(ValueError, match=r"end must be a pixel .* of a picture of \(6, 6\); received \(3, 6\)"):
        moved_piece(images, (0, 2), (3, 6), 4)
    with pytest.raises(ValueError, match="side must be at least 1; received 0"):
        moved_piece(images, (0, 2), (3, 5), 0)
