"""The residual translator: counts of its paper, where its convolutions look, its shortcuts and its paddings."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen.networks import ResidualTranslator


def built(side=8, channels=1, **settings):
    network = ResidualTranslator(image_shape=(side, side, channels), **settings)
    network.build((None, side, side, channels))
    return network


def images(side=8, channels=1):
    return np.random.default_rng(0).random((2, side, side, channels), dtype="float32")


@pytest.mark.parametrize(
    ("settings", "count"),
    [({"channels": 3, "blocks": 9}, 11_378_179), ({"channels": 3, "blocks": 6}, 7_837_699),
     ({"width": 16, "blocks": 3}, 269_377), ({"channels": 3, "width": 16, "blocks": 3}, 272_515),
     ({"width": 8, "blocks": 3}, 67_873)],
)  # fmt: skip
def test_parameter_counts(settings, count):
    assert built(**settings).count_params() == count


def delta(size):
    kernel = np.zeros((size, size, 1, 1), "float32")
    kernel[size // 2, size // 2] = 1.0
    return kernel


def line(**settings):
    """No norm, no block, and no activation that matters to positive images; first and last convolution do nothing."""
    network = built(width=1, blocks=0, halvings=1, norm=None, output="linear", **settings)
    network.first.kernel.assign(delta(7))
    network.last.kernel.assign(delta(7))
    network.downs[0].kernel.assign(delta(3)[..., :1].repeat(2, axis=3))
    network.ups[0].kernel.assign(delta(3)[..., :1].repeat(2, axis=3) / 2.0)
    return network


def test_convolutions_of_stride_2_look_around_every_second_pixel_and_back():
    rng = np.random.default_rng(1)
    down, up = rng.random((3, 3)), rng.random((3, 3))
    network, x = line(), images()
    network.downs[0].kernel.assign(np.repeat(down[:, :, None, None], 2, axis=3))
    network.ups[0].kernel.assign(np.repeat(up[:, :, None, None], 2, axis=3) / 2.0)
    padded = np.pad(x[..., 0], [(0, 0), (1, 1), (1, 1)])
    half = np.zeros((2, 4, 4))
    whole = np.zeros((2, 10, 10))  # with the border of one pixel
    for u in range(3):
        for v in range(3):
            half += down[u, v] * padded[:, u : u + 8 : 2, v : v + 8 : 2]
    for u in range(3):
        for v in range(3):
            whole[:, u : u + 8 : 2, v : v + 8 : 2] += up[u, v] * half
    np.testing.assert_allclose(network(x)[..., 0], whole[:, 1:9, 1:9], rtol=1e-5)


@pytest.mark.parametrize(("padding", "mode"), [("reflect", "reflect"), ("zero", "constant")])
def test_paddings(padding, mode):
    """The first 7 x 7 convolution takes the pixel at its upper left corner, the last one that at its lower right."""
    network, x = line(padding=padding), images()
    kernel = np.zeros((7, 7, 1, 1), "float32")
    kernel[0, 0] = 1.0
    network.first.kernel.assign(kernel)
    moved = np.pad(x[..., 0], [(0, 0), (3, 3), (3, 3)], mode)[:, :8, :8]
    np.testing.assert_allclose(network(x)[:, ::2, ::2, 0], moved[:, ::2, ::2], rtol=1e-6)
    network.first.kernel.assign(delta(7))
    network.last.kernel.assign(kernel[::-1, ::-1])
    kept = np.where((np.indices((8, 8)) % 2 == 0).all(axis=0), x[..., 0], 0.0)
    moved = np.pad(kept, [(0, 0), (3, 3), (3, 3)], mode)[:, 6:, 6:]
    np.testing.assert_allclose(network(x)[..., 0], moved, rtol=1e-6)


@pytest.mark.parametrize(("padding", "mode"), [("reflect", "reflect"), ("zero", "constant")])
def test_residual_blocks(padding, mode):
    block = built(width=1, blocks=1, halvings=1, norm=None, padding=padding).blocks[0]
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 2)).astype("float32")
    first, second = block.convs
    second.kernel.assign(tf.zeros_like(second.kernel))
    np.testing.assert_array_equal(block(x), x)  # also where it is negative
    kernel = np.zeros((3, 3, 2, 2), "float32")
    kernel[0, 0] = np.eye(2)
    first.kernel.assign(kernel)
    second.kernel.assign(kernel)

    def moved(h):
        return np.pad(h, [(0, 0), (1, 1), (1, 1), (0, 0)], mode)[:, :4, :4]

    np.testing.assert_allclose(block(x), x + moved(np.maximum(moved(x), 0.0)), rtol=1e-6)


def test_instance_norm_comes_after_each_convolution_but_the_last():
    """So neither scale nor bias of a convolution before a norm matters, and those of the last one do."""
    network, x = built(width=4, blocks=1), images()
    kernels = [*network.downs, *network.ups, *network.blocks[0].convs, network.first]
    start = network(x).numpy()
    for conv in kernels:
        conv.kernel.assign(300.0 * conv.kernel)
        conv.bias.assign(conv.bias + 5.0)
    scaled = network(x).numpy()
    assert np.std(start) > 1e-3
    np.testing.assert_allclose(scaled, start, atol=0.05 * np.std(start) + 1e-3)
    network.last.bias.assign([0.5])
    assert np.all(np.abs(np.arctanh(network(x)) - np.arctanh(scaled) - 0.5) < 1e-4)


@pytest.mark.parametrize(
    ("sides", "halvings", "fitting"),
    [((30, 28), 2, "heights of 28 or 32 and widths of 28 fit"), ((4, 8), 2, "heights of 8 and widths of 8 fit"),
     ((28, 28), 3, "heights of 24 or 32 and widths of 24 or 32 fit"), ((1, 7), 1, "heights of 4 and widths of 6 or 8 fit")],
)  # fmt: skip
def test_sides_that_cannot_be_halved(sides, halvings, fitting):
    with pytest.raises(ValueError, match=f"multiples of {2**halvings}, .*received {sides[0]} x {sides[1]}, .*{fitting}"):
        ResidualTranslator(image_shape=(*sides, 1), halvings=halvings)
