"""The slots of the shared networks: kernels, normalisation and attention are settings, and mean the same everywhere."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import networks
from tfgen.layers import InstanceNormalization, SpectralConv2D, SpectralConv2DTranspose, SpectralDense
from tfgen.layers.spectral_norm import SpectralNorm, update_spectral_state
from tfgen.networks import (
    ConvDiscriminator,
    ConvGenerator,
    Convolution,
    DeconvGenerator,
    MLPDiscriminator,
    MLPGenerator,
    ResNetDiscriminator,
    ResNetGenerator,
)

GENERATORS = {
    "conv": (ConvGenerator, {"image_shape": (14, 14, 1), "width": 3, "stages": 2, "dense_width": 5}),
    "mlp": (MLPGenerator, {"image_shape": (4, 4, 1), "width": 5}),
    "resnet": (ResNetGenerator, {"image_shape": (8, 8, 1), "width": 3, "stages": 1}),
    "conv_maxout": (DeconvGenerator, {"image_shape": (8, 8, 1), "width": 3}),
}
DISCRIMINATORS = {
    "conv": (ConvDiscriminator, {"image_shape": (14, 14, 1), "width": 3, "stages": 2, "dense_width": 5}),
    "mlp": (MLPDiscriminator, {"image_shape": (4, 4, 1), "width": 5}),
    "resnet": (ResNetDiscriminator, {"image_shape": (8, 8, 1), "width": 3}),
}
SEEDS = np.random.default_rng(0)


def made(cls, arguments, **more):
    """The network, built, and what it makes of three inputs."""
    network = cls(**{**arguments, **more})
    inputs = (3,) if "Generator" in cls.__name__ else arguments["image_shape"]
    network.build([(None, *inputs)])
    return network, tf.constant(SEEDS.normal(size=(3, *inputs)), tf.float32)


def kernels(network):
    kinds = (keras.layers.Dense, keras.layers.Conv2D, keras.layers.Conv2DTranspose, keras.layers.Embedding)
    return [layer for layer in network._flatten_layers() if isinstance(layer, kinds)]


@pytest.mark.parametrize("cls, arguments", [*GENERATORS.values(), *DISCRIMINATORS.values()])
def test_spectral_networks_have_no_other_kernels(cls, arguments):
    network, inputs = made(cls, arguments, convolution="spectral")
    assert kernels(network) and all(isinstance(layer, SpectralNorm) for layer in kernels(network))
    before = network([inputs])
    for _ in range(100):
        update_spectral_state(network)
    for layer in kernels(network):
        matrix = np.asarray(layer.kernel)
        if isinstance(layer, SpectralConv2DTranspose):
            matrix = matrix.swapaxes(-1, -2)
        sigma = np.linalg.svd(matrix.reshape(-1, matrix.shape[-1]), compute_uv=False)[0]
        np.testing.assert_allclose(sigma, 1.0, rtol=1e-2)
    tf.nest.map_structure(lambda a, b: np.testing.assert_equal(a.shape, b.shape), before, network([inputs]))


def test_plain_networks_have_none():
    for cls, arguments in [*GENERATORS.values(), *DISCRIMINATORS.values()]:
        assert not any(isinstance(layer, SpectralNorm) for layer in kernels(made(cls, arguments)[0]))


def test_any_classes_can_be_the_convolution():
    class Twice(keras.layers.Dense):
        def call(self, inputs):
            return 2.0 * super().call(inputs)

    network, _ = made(*GENERATORS["conv"], convolution=Convolution(dense=Twice, conv_transpose=SpectralConv2DTranspose))
    assert {type(layer) for layer in kernels(network)} == {Twice, SpectralConv2DTranspose}
    assert Convolution(dense=SpectralDense).conv is keras.layers.Conv2D


@pytest.mark.parametrize("cls, arguments", [GENERATORS["resnet"], DISCRIMINATORS["conv"]])
def test_instance_norm(cls, arguments):
    """An image does not depend on the others, even in training, and there is nothing to follow."""
    if "dense_width" in arguments:
        arguments = {**arguments, "dense_width": None}
    network, inputs = made(cls, arguments, norm="instance")
    assert any(isinstance(layer, InstanceNormalization) for layer in network._flatten_layers())
    assert len(network.non_trainable_variables) == 0

    def output(x):
        return tf.nest.flatten(network([x], training=True))[0]

    np.testing.assert_allclose(output(inputs)[:1], output(inputs[:1]), rtol=1e-4, atol=1e-6)


def test_a_norm_of_ones_own():
    names = []

    def layer_norm(dtype, name):
        names.append(name)
        return keras.layers.LayerNormalization(dtype=dtype, name=name)

    network, inputs = made(*GENERATORS["conv"], norm=layer_norm)
    assert names == ["dense_norm_0", "dense_norm_1", "norm_0"] and network([inputs]).shape == (3, 14, 14, 1)
    network, inputs = made(*DISCRIMINATORS["mlp"], norm=layer_norm)
    assert names[3:] == ["norm_1"]


class Tenfold(keras.layers.Layer):
    def call(self, x):
        return 10.0 * x


@pytest.mark.parametrize(
    "cls, arguments, sizes",
    [
        (*GENERATORS["conv"], [(4, 4), (7, 7)]),
        (*GENERATORS["resnet"], [(8, 8)]),
        (*DISCRIMINATORS["conv"], [(7, 7), (4, 4)]),
        (*DISCRIMINATORS["resnet"], [(4, 4), (2, 2), (2, 2), (2, 2)]),
    ],
)
def test_attention_is_used_at_the_requested_sizes(cls, arguments, sizes):
    """Called for each size once; the layer that it gives changes the output, None does not."""
    asked, wanted = [], sizes[-1]

    class Seen(keras.layers.Layer):
        shapes = []

        def call(self, x):
            self.shapes.append(tuple(x.shape[1:3]))
            return x

    def attention(size, dtype, name):
        asked.append((size, name))
        return Seen(dtype=dtype, name=name)

    network, inputs = made(cls, arguments, attention=attention)
    network([inputs])
    assert asked == [(size, f"attention_{i}") for i, size in enumerate(sizes)]
    assert Seen.shapes[-len(sizes):] == sizes

    def some(layer):
        keras.utils.set_random_seed(0)
        chosen = cls(**arguments, attention=lambda size, dtype, name: layer(dtype=dtype) if size == wanted else None)
        return tf.nest.flatten(chosen([inputs]))[0]

    changed, same = some(Tenfold), some(keras.layers.Identity)
    assert np.abs(changed - same).max() > 0.5 * np.abs(same).max() > 0


def test_bad_slots():
    for settings, message in [
        ({"convolution": "depthwise"}, "convolution must be one of plain, spectral or a Convolution; received 'depthwise'"),
        ({"norm": "layer"}, "norm must be 'batch', 'instance', None or a function.*received 'layer'"),
    ]:
        with pytest.raises(ValueError, match=message):
            networks.make_networks("conv", image_shape=(8, 8, 1), **settings)
    for norm in ("instance", None):
        with pytest.raises(ValueError, match="Labels .3 classes. go into batch norm"):
            ResNetGenerator(image_shape=(8, 8, 1), width=3, num_classes=3, norm=norm)


def test_spectral_settings_reach_a_model():
    from tfgen.models import WGAN

    shapes = {"image_shape": (8, 8, 1), "width": 4, "latent_dim": 3}
    model = WGAN(**shapes, network_args={"stages": 1, "generator": {"convolution": "spectral"}})
    assert all(isinstance(layer, SpectralNorm) for layer in kernels(model.generator))
    assert not any(isinstance(layer, SpectralConv2D) for layer in kernels(model.discriminator))
    twin = WGAN.from_config(model.get_config())
    assert [v.shape for v in twin.variables] == [v.shape for v in model.variables]
