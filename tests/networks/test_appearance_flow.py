"""Appearance flow: coordinates of the head, and the order of pixels in the network."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen.layers import sample_bilinear
from tfgen.networks import AppearanceFlow
from tfgen.networks.appearance_flow import points_of

RNG = np.random.default_rng(0)
MATRIX = tf.reshape(tf.constant([[1.0, 0, 2], [0, 4, 0], [3, 0, 8]]), [1, 3, 3, 1])


def built(**settings):
    network = AppearanceFlow(**{"size": (4, 3), "filters": (2,), "dense_width": 5, "view_widths": (3,), **settings})
    network.build([(None, 8, 6, 2), (None, 3)])
    return network


def only_the_centre(layer):
    """Makes a convolution copy the pixels that its windows are centred at."""
    kernel = np.zeros(layer.kernel.shape, "float32")
    kernel[kernel.shape[0] // 2, kernel.shape[1] // 2] = np.eye(*kernel.shape[2:])
    layer.kernel.assign(kernel)


def test_coordinates_of_the_head():
    """Channel order (y, x), tanh, and -1 and 1 at the centres of the outermost pixels."""
    raw = np.zeros((1, 3, 3, 2), "float32")
    raw[0, 0] = [(0.5, -0.5), (1, 0), (-2, 0.3)]
    points = points_of(tf.constant(raw))
    wanted = [(0.4621171573, -0.4621171573), (0.761594156, 0), (-0.9640275801, 0.2913126125)]
    np.testing.assert_allclose(points[0, 0] - 1.0, wanted, atol=1e-6)
    values = sample_bilinear(MATRIX, points)[0, ..., 0]
    np.testing.assert_allclose(values[0], [1.7979286112, 0.9536233762, 0.6636395869], atol=1e-6)
    np.testing.assert_allclose(values[1:], 4.0, atol=1e-6)  # 0 is the centre


@pytest.mark.parametrize("sides", [(3, 3), (5, 9), (8, 6)])
def test_the_identity_grid_returns_the_image_and_its_opposite_turns_it(sides):
    image = tf.constant(RNG.random((1, *sides, 2), "float32"))
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in sides), indexing="ij"), axis=-1)[None]
    with np.errstate(divide="ignore"):
        raw = tf.constant(np.arctanh(grid), tf.float32)
    np.testing.assert_allclose(sample_bilinear(image, points_of(raw)), image, atol=1e-5)
    np.testing.assert_allclose(sample_bilinear(image, points_of(-raw)), image[:, ::-1, ::-1], atol=1e-5)


def test_a_network_may_begin_with_the_image():
    """tanh(arctanh(.97 x)) = .97 x: a ramp about the centre becomes .97 of itself."""
    ramp = np.linspace(-1, 1, 8)[:, None] + 10 * np.linspace(-1, 1, 6)
    image = tf.constant(ramp[None, ..., None], tf.float32)
    found = sample_bilinear(image, points_of(tf.zeros([1, 8, 6, 2]), near_identity=True))
    np.testing.assert_allclose(found[0, ..., 0], 0.97 * ramp, atol=1e-5)


def test_the_encoder_reads_around_every_second_pixel():
    """As with two pixels of padding on each side: Keras' own padding would begin at the second pixel."""
    network, images = built(), RNG.normal(size=(2, 8, 6, 2)).astype("float32")
    only_the_centre(network.downs[0])
    np.testing.assert_array_equal(network([images, np.ones((2, 3))])["code"], np.maximum(images[:, ::2, ::2], 0))


def test_the_decoder_doubles_pixels():
    """A map that the last dense layer makes, [h, w, F], is enlarged by the nearest pixel before the heads."""
    network, values = built(), RNG.random((4, 3, 2)).astype("float32")
    last = network.joint[-1]
    last.kernel.assign(tf.zeros_like(last.kernel.value))
    last.bias.assign(values.ravel())
    for head in (network.points, network.mask):
        only_the_centre(head)
    found = network([np.zeros((1, 8, 6, 2)), np.ones((1, 3))])
    large = values.repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_allclose(found["points"][0], large, atol=1e-6)
    np.testing.assert_allclose(found["mask"][0], large[..., 0], atol=1e-6)


def test_the_mask_is_left_out():
    assert set(built(visibility=False)([np.zeros((1, 8, 6, 2)), np.ones((1, 3))])) == {"points", "code"}


def test_kernels():
    """5x5 in the outer half of the levels, and the decoder mirrors the encoder."""
    for filters, downs, ups in (((2, 3, 4), (5, 5, 3), (3, 5)), ((2, 3, 4, 5, 6, 7), (5, 5, 5, 3, 3, 3), (3, 3, 3, 5, 5))):
        network = AppearanceFlow(size=(1, 1), filters=filters, dense_width=2, view_widths=(2,))
        network.build([(None, 2 ** len(filters), 2 ** len(filters), 1), (None, 3)])
        assert [layer.kernel.shape[0] for layer in network.downs] == list(downs)
        assert [layer.kernel.shape[0] for layer in network.ups] == list(ups)
        assert [layer.kernel.shape[-1] for layer in network.ups] == list(filters[-2::-1])
        assert network.points.kernel.shape == (5, 5, filters[0], 2) and network.mask.kernel.shape == (5, 5, filters[0], 1)
