"""PatchGAN: sizes, patches, parameters."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.seeds import set_seed
from tfgen.networks import PatchGAN
from tfgen.networks.patch_gan import RECEPTIVE_FIELDS

ONES = {"class_name": "Ones", "config": {}}


def built(*shapes, **settings):
    network = PatchGAN(**settings)
    network.build([(None, *shape) for shape in shapes])
    return network


def parameters(network):
    return sum(int(np.prod(v.shape)) for v in network.trainable_variables)


@pytest.mark.parametrize("patch", [1, 16, 34, 70, 142, 286])
def test_a_logit_sees_a_square_of_the_receptive_field(patch):
    """By its gradient: with kernels of ones no pixel cancels another."""
    side = patch + 40
    network = built((side, side, 1), width=1, halvings=RECEPTIVE_FIELDS[patch], norm=None, kernel_initializer=ONES)
    x = tf.ones([1, side, side, 1])
    with tf.GradientTape() as tape:
        tape.watch(x)
        logits = network([x])["logit"]
        middle = logits[0, logits.shape[1] // 2, logits.shape[2] // 2, 0]
    seen = tape.gradient(middle, x)[0, ..., 0].numpy() != 0
    for axis in (0, 1):
        places = np.flatnonzero(seen.any(axis))
        assert places[-1] - places[0] + 1 == len(places) == patch == network.patch
    assert seen.sum() == patch**2


# Of each convolution, for images of 28, 32, 64 and 256 pixels.
SIZES = {
    (1, 1): [(14, 13, 12), (16, 15, 14), (32, 31, 30), (128, 127, 126)],
    (2, 1): [(14, 7, 6, 5), (16, 8, 7, 6), (32, 16, 15, 14), (128, 64, 63, 62)],
    (3, 1): [(14, 7, 3, 2, 1), (16, 8, 4, 3, 2), (32, 16, 8, 7, 6), (128, 64, 32, 31, 30)],
    (1, 2): [(15, 16, 17), (17, 18, 19), (33, 34, 35), (129, 130, 131)],
    (2, 2): [(15, 8, 9, 10), (17, 9, 10, 11), (33, 17, 18, 19), (129, 65, 66, 67)],
    (3, 2): [(15, 8, 5, 6, 7), (17, 9, 5, 6, 7), (33, 17, 9, 10, 11), (129, 65, 33, 34, 35)],
}


@pytest.mark.parametrize("halvings, padding", list(SIZES))
def test_sizes_of_maps(halvings, padding):
    network = built((32, 32, 1), width=1, halvings=halvings, padding=padding, norm=None)
    for side, wanted in zip((28, 32, 64, 256), SIZES[halvings, padding], strict=True):
        found = network([tf.zeros([1, side, 32, 1])])
        maps = [*found["maps"], found["logit"]]
        assert tuple(m.shape[1] for m in maps) == wanted and network.size_of_maps(side) == wanted[-1]
        assert maps[0].shape[2] == SIZES[halvings, padding][1][0]  # 32 pixels wide


def test_parameters_of_the_papers():
    """Of pix2pix (6 channels, batch norm), CycleGAN (3 channels, instance norm with gain and shift), and small ones."""
    assert parameters(built((256, 256, 3), (256, 256, 3))) == 2_769_601
    assert parameters(built((256, 256, 3), norm="instance")) == 2_766_529
    assert parameters(built((256, 256, 6), norm=None)) == 2_767_809
    assert parameters(built((32, 32, 1), (32, 32, 1), width=16, halvings=2)) == 42_801
    assert parameters(built((32, 32, 1), width=16, halvings=2, norm=None)) == 42_353
    assert parameters(built((32, 32, 3), width=16, halvings=2, norm=None)) == 42_865
    # PixelGAN: 6 -> 64 -> 128 -> 1 by 1x1.
    assert parameters(built((8, 8, 6), halvings=0)) == 6 * 64 + 64 + 64 * 128 + 128 + 256 + 128 + 1


def test_filters_of_the_largest_patches_stop_at_eight_times_the_first():
    network = built((96, 96, 1), width=2, halvings=5)
    assert [conv.filters for conv in network.convs] == [2, 4, 8, 16, 16, 16, 1]
    assert [conv.strides[0] for conv in network.convs] == [2, 2, 2, 2, 2, 1, 1]
    assert [norm is not None for norm in network.norms] == [False, True, True, True, True, True]


def test_equals_keras_layers():
    set_seed(0)
    network = built((16, 16, 1), (16, 16, 2), width=3, halvings=2, padding=2)
    first, second = np.random.default_rng(0).normal(size=(2, 4, 16, 16, 2)).astype("float32")
    x = y = np.concatenate([first[..., :1], second], axis=-1)
    for i, conv in enumerate(network.convs):
        stride = (2, 2, 1, 1)[i]
        y = keras.layers.ZeroPadding2D(2)(y)
        y = tf.nn.conv2d(y, conv.kernel.value, stride, "VALID") + conv.bias.value
        if i in (1, 2):
            mean, variance = tf.nn.moments(y, [0, 1, 2])
            y = (y - mean) / tf.sqrt(variance + 1e-5) * network.norms[i].gamma.value
        if i < 3:
            y = tf.where(y > 0, y, 0.2 * y)
            np.testing.assert_allclose(network([x], training=True)["maps"][i], y, atol=1e-5)
    np.testing.assert_allclose(network([first[..., :1], second], training=True)["logit"], y, atol=1e-5)


def test_images_that_are_too_small():
    built((24, 24, 1), width=1)
    with pytest.raises(ValueError, match=r"3 halvings .patches of 70 pixels, padding 1.*at least 24 x 24.*received 24 x 23"):
        built((24, 23, 1), width=1)
