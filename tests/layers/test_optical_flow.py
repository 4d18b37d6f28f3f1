"""Optical flow: found by blocks, chained, and its confidence."""

import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tfgen.layers import chained_flow, flow_confidence, matched_flow, warp_by_flow

RNG = np.random.default_rng(0)


def test_a_warp_by_half_a_pixel():
    squares = tf.cast(tf.reshape(tf.range(16) ** 2, [1, 4, 4, 1]), tf.float64)
    flow = tf.broadcast_to(tf.constant([0.5, 0.0], tf.float64), [1, 4, 4, 2])
    wanted = [[0.5, 2.5, 6.5, 9], [20.5, 30.5, 42.5, 49], [72.5, 90.5, 110.5, 121], [156.5, 182.5, 210.5, 225]]
    np.testing.assert_allclose(warp_by_flow(squares, flow)[0, :, :, 0], wanted)


@pytest.mark.parametrize("step", [(0, 0), (2, -1), (-3, 3)])
def test_blocks_find_a_step(step):
    """Content that moves by a step has minus the step as its flow to the frame before; (dx, dy)."""
    previous = RNG.random((1, 16, 16, 3), dtype="float32")
    image = np.roll(previous, step[::-1], axis=(1, 2))
    found = matched_flow(tf.constant(image), tf.constant(previous)).numpy()
    inner = found[0, 6:10, 6:10].reshape(-1, 2)
    np.testing.assert_array_equal(inner, np.broadcast_to(np.array(step) * -1.0, inner.shape))
    assert np.abs(found).max() <= 3


def test_equal_blocks_do_not_move():
    flat = tf.ones([1, 6, 6, 3])
    np.testing.assert_array_equal(matched_flow(flat, flat), np.zeros([1, 6, 6, 2]))


def test_confidence_of_the_code():
    """The squared difference summed over the channels is below .02: of (.1, .1, 0) it is not."""
    differences = tf.constant([[0.08, 0.08, 0.08], [0.1, 0.1, 0], [0.05, 0.05, 0.05], [0.14, 0, 0]], tf.float64)
    found = flow_confidence(tf.reshape(differences, [1, 2, 2, 3]), tf.zeros([1, 2, 2, 3], tf.float64),
                            tf.zeros([1, 2, 2, 2], tf.float64))  # fmt: skip
    assert found.dtype == tf.float32
    np.testing.assert_array_equal(tf.reshape(found, [4]), [1, 0, 1, 1])


def test_on_moving_digits():
    """The exact flow explains the frames, the reversed one does not; blocks find most of it."""
    batch = next(iter(tfgen.data.load("moving:digits", num=4, num_frames=3).batches(4)))
    image, previous, flow = batch["target"][:, 2], batch["target"][:, 1], batch["flow"][:, 2]
    exact = flow_confidence(2 * image - 1, 2 * previous - 1, flow)
    np.testing.assert_array_equal(exact[..., 0], batch["confidence"][:, 2])
    reverse = flow_confidence(2 * image - 1, 2 * previous - 1, -flow)
    assert np.mean(exact) >= 0.9 and np.mean(reverse) < 0.6
    right = np.all(matched_flow(image, previous) == flow, axis=-1)
    assert right[exact[..., 0] > 0].mean() > 0.7


def test_a_chain_of_flows_leads_to_the_earliest_frame():
    """A point goes one pixel to the right, then as many pixels down as its column then says."""
    height = width = 8
    columns = np.broadcast_to(np.arange(width, dtype="float32"), [1, height, width])
    latest = np.stack([np.full_like(columns, -1.0), np.zeros_like(columns)], axis=-1)
    earlier = np.stack([np.zeros_like(columns), -(columns % 2)], axis=-1)
    total = chained_flow([tf.constant(latest), tf.constant(earlier)])
    wanted = np.stack([np.full_like(columns, -1.0), -(np.maximum(columns - 1, 0) % 2)], axis=-1)
    np.testing.assert_allclose(total, wanted, atol=1e-6)
    np.testing.assert_array_equal(chained_flow([tf.constant(latest)]), latest)
