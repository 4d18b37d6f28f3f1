"""Discriminators at several scales, and the halving of images between them."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen.networks import MultiScalePatchGAN, PatchGAN, halved


def test_halving_does_not_count_zeros_around_the_image():
    image = np.arange(16, dtype="float32").reshape(1, 4, 4, 1)
    np.testing.assert_allclose(np.ravel(halved(image)), [2.5, 4, 8.5, 10], rtol=1e-6)
    assert [halved(tf.ones([2, side, side, 1])).shape[1] for side in (28, 14, 256)] == [14, 7, 128]
    np.testing.assert_allclose(halved(tf.ones([2, 5, 6, 3])), 1.0, rtol=1e-6)
    # A one-hot map becomes a soft one.
    ids = np.random.default_rng(0).integers(0, 5, (2, 8, 8))
    np.testing.assert_allclose(tf.reduce_sum(halved(tf.one_hot(ids, 5)), -1), 1.0, rtol=1e-6)


def test_the_finest_scale_is_first_and_each_has_its_own_weights():
    network = MultiScalePatchGAN(scales=3, width=2, halvings=1, norm=None, padding=2)
    network.build([(None, 16, 24, 1), (None, 16, 24, 2)])
    x = np.random.default_rng(0).normal(size=(2, 16, 24, 3)).astype("float32")
    found = network([x[..., :1], x[..., 1:]])
    for one, discriminator, image in zip(found, network.discriminators, (x, halved(x), halved(halved(x))), strict=True):
        assert isinstance(discriminator, PatchGAN)
        np.testing.assert_allclose(one["logit"], discriminator([image])["logit"], atol=1e-6)
    assert [one["logit"].shape[1:3] for one in found] == [(11, 15), (7, 9), (5, 6)]
    assert len({v.path for v in network.trainable_variables}) == len(network.trainable_variables) == 3 * 6
    kernels = [d.convs[0].kernel.numpy() for d in network.discriminators]
    assert np.any(kernels[0] != kernels[1]) and np.any(kernels[1] != kernels[2])


def test_sizes_of_32_pixels():
    network = MultiScalePatchGAN(scales=2, width=16, halvings=2, norm=None, padding=2)
    network.build([(None, 32, 32, 12), (None, 32, 32, 3)])
    assert [d.count_params() for d in network.discriminators] == [45_937] * 2
    found = network([tf.zeros([1, 32, 32, 12]), tf.zeros([1, 32, 32, 3])])
    assert [one["logit"].shape[1:3] for one in found] == [(11, 11), (7, 7)]


def test_images_that_are_too_small_for_a_scale():
    with pytest.raises(ValueError, match="needs images of at least 24 x 24 pixels; received 16 x 16"):
        MultiScalePatchGAN(scales=2, width=2, halvings=3).build([(None, 32, 32, 1)])
