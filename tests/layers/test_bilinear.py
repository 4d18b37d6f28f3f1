import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from tfgen.layers import sample_bilinear, warp_by_flow

IMAGE = tf.reshape(tf.constant([[1.0, 0, 2], [0, 4, 0], [3, 0, 8]], tf.float64), [1, 3, 3, 1])
SQUARES = tf.cast(tf.reshape(tf.range(16) ** 2, [1, 4, 4, 1]), tf.float64)


def at(points):
    """Points of [-1, 1]^2 as pixels of IMAGE."""
    return tf.constant(points, tf.float64)[None] + 1.0


def test_values_at_points():
    points = at([(0, 0), (0.5, -0.5), (-0.5, 0.5), (0.25, -0.75), (-1, 1), (1, 1)])
    found = sample_bilinear(IMAGE, points)[0, :, 0]
    np.testing.assert_allclose(found, [4, 1.75, 1.5, 1.3125, 2, 8])


def test_gradients_for_points_and_image():
    points = at([(0.5, -0.5), (0.25, -0.75)])
    with tf.GradientTape() as tape:
        tape.watch([points, IMAGE])
        total = tf.reduce_sum(sample_bilinear(IMAGE, points))
    of_points, of_image = tape.gradient(total, [points, IMAGE])
    np.testing.assert_allclose(of_points[0], [(-0.5, 0.5), (1.25, 2.25)])
    np.testing.assert_allclose(tf.reduce_sum(of_image), 2.0)  # the weights of a point have the sum 1


@pytest.mark.parametrize(("outside", "mode"), [("border", "nearest"), ("zero", "grid-constant"), ("reflect", "mirror")])
def test_points_outside_as_scipy(outside, mode):
    rng = np.random.default_rng(0)
    images, points = rng.normal(size=[2, 4, 5, 2]), rng.uniform(-7.0, 9.0, [2, 6, 7, 2])
    found = sample_bilinear(tf.constant(images), tf.constant(points), outside)
    assert found.shape == (2, 6, 7, 2)
    for b in range(2):
        for c in range(2):
            there = points[b].transpose(2, 0, 1)
            wanted = ndimage.map_coordinates(images[b, :, :, c], there, order=1, mode=mode, cval=0.0)
            np.testing.assert_allclose(found[b, :, :, c], wanted, atol=1e-12)


@pytest.mark.parametrize(
    ("flow", "outside", "wanted"),
    [
        ((1, 0), "border", [[1, 4, 9, 9], [25, 36, 49, 49], [81, 100, 121, 121], [169, 196, 225, 225]]),
        ((1, 0), "zero", [[1, 4, 9, 0], [25, 36, 49, 0], [81, 100, 121, 0], [169, 196, 225, 0]]),
        ((0, -1), "border", [[0, 1, 4, 9], [0, 1, 4, 9], [16, 25, 36, 49], [64, 81, 100, 121]]),
        ((-0.5, 0.5), "border", [[8, 10.5, 16.5, 24.5], [40, 46.5, 60.5, 76.5], [104, 114.5, 136.5, 160.5],
                                 [144, 156.5, 182.5, 210.5]]),
    ],
)  # fmt: skip
def test_flow(flow, outside, wanted):
    flow = tf.broadcast_to(tf.constant(flow, tf.float64), [1, 4, 4, 2])
    np.testing.assert_allclose(warp_by_flow(SQUARES, flow, outside)[0, :, :, 0], wanted)


def test_no_flow_gives_the_image_to_the_bit():
    images = tf.random.stateless_uniform([2, 5, 7, 3], [1, 2])
    np.testing.assert_array_equal(warp_by_flow(images, tf.zeros([2, 5, 7, 2])), images)


def test_wrong_input():
    with pytest.raises(ValueError, match="outside must be .* received 'zeros'"):
        sample_bilinear(IMAGE, at([(0, 0)]), "zeros")
    with pytest.raises(ValueError, match=r"flow must have the shape \[B, 4, 4, 2\]; received \(1, 3, 4, 2\)"):
        warp_by_flow(SQUARES, tf.zeros([1, 3, 4, 2], tf.float64))
