"""Self-modulated batch norm, and the generators that have it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.seeds import set_seed
from tfgen.layers import SpectralDense
from tfgen.networks import ConvDiscriminator, ConvGenerator, MLPGenerator, ResNetGenerator
from tfgen.networks.self_modulation import SelfModulatedBatchNorm

RNG = np.random.default_rng(0)
GENERATORS = {
    "conv": (ConvGenerator, {"image_shape": (14, 14, 1), "width": 3, "stages": 2, "dense_width": 5}, 3),
    "mlp": (MLPGenerator, {"image_shape": (4, 4, 1), "width": 5}, 2),
    "resnet": (ResNetGenerator, {"image_shape": (8, 8, 1), "width": 3, "stages": 1}, 3),
}


def norms(network):
    return [layer for layer in network._flatten_layers() if isinstance(layer, SelfModulatedBatchNorm)]


@pytest.mark.parametrize("shape", [(5, 3, 2, 4), (5, 4)])
def test_closed_form(shape):
    set_seed(0)
    norm = SelfModulatedBatchNorm(keras.layers.Dense, hidden=6)
    x, z = RNG.normal(2, 3, shape).astype("float32"), RNG.normal(size=(5, 3)).astype("float32")
    norm([x, z])
    for variable in norm.trainable_variables:
        variable.assign(RNG.normal(size=variable.shape))
    U, a, V, b, W, c = (np.array(v) for one in (norm.hidden, norm.gain, norm.shift) for v in one.trainable_variables)
    h = np.maximum(z @ U + a, 0)
    axes, spread = tuple(range(len(shape) - 1)), (5, *[1] * (len(shape) - 2), 4)
    plain = (x - x.mean(axes)) / np.sqrt(x.var(axes) + 1e-5)
    expected = (h @ V + b).reshape(spread) * plain + (h @ W + c).reshape(spread)
    np.testing.assert_allclose(norm([x, z], training=True), expected, atol=1e-3)


def test_it_begins_as_batch_norm_for_latents_of_zero_and_has_the_papers_parameters():
    norm = SelfModulatedBatchNorm(keras.layers.Dense)
    x = RNG.normal(size=(4, 2, 2, 256)).astype("float32")
    found = norm([x, np.zeros((4, 128), "float32")], training=True)
    np.testing.assert_allclose(found, (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + 1e-5), atol=1e-4)
    assert sum(int(np.prod(v.shape)) for v in norm.trainable_variables) == 21_024


@pytest.mark.parametrize("name", GENERATORS)
def test_every_norm_of_a_generator_gets_the_latents(name):
    cls, arguments, count = GENERATORS[name]
    set_seed(0)
    network = cls(**arguments, norm="self_modulated")
    network.build([(None, 3), (None, 2)])
    assert len(norms(network)) == count
    for norm in norms(network):
        assert norm.hidden.kernel.shape == (3 + 2, 32)  # the latents, joined with the labels
    z = tf.constant(RNG.normal(size=(4, 3)), tf.float32)
    labels = tf.one_hot([0, 1, 0, 1], 2)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(network([z, labels], training=True) ** 2)
    kernels = [norm.shift.kernel.value for norm in norms(network)]
    assert all(np.any(gradient != 0) for gradient in tape.gradient(loss, kernels))


def test_its_layers_have_spectral_norm_in_a_spectral_generator():
    network = ResNetGenerator(image_shape=(8, 8, 1), width=3, norm="self_modulated", convolution="spectral")
    network.build([(None, 3)])
    assert all(isinstance(one, SpectralDense) for norm in norms(network) for one in (norm.hidden, norm.gain, norm.shift))


def test_discriminators_have_no_latents():
    with pytest.raises(ValueError, match="received 'self_modulated'"):
        ConvDiscriminator(image_shape=(8, 8, 1), stages=2, norm="self_modulated")
