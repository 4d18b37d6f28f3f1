"""The discriminator of image and vector: sizes of the papers, and what reaches its outputs."""

import numpy as np
import pytest
import tensorflow as tf

from tests.seeds import set_seed
from tfgen.networks import FusionDiscriminator

V1 = {"text_width": 128}
V2 = {"kernel_size": 3, "residual": False, "logit_bias": True, "unconditional": True}
RNG = np.random.default_rng(0)


def parameters(network):
    return sum(int(np.prod(v.shape)) for v in network.trainable_variables)


def built(side, vector, channels=3, **settings):
    network = FusionDiscriminator(image_shape=(side, side, channels), **settings)
    network.build([(None, side, side, channels), (None, vector)])
    return network


@pytest.mark.parametrize(
    "side, settings, count",
    [
        (64, V1, 4_029_824), (256, V1, 48_603_520),
        (64, V2, 5_723_906), (128, V2, 18_834_178), (256, V2, 71_269_122),
    ],
)  # fmt: skip
def test_sizes_of_the_papers(side, settings, count):
    network = built(side, 1024 if settings is V1 else 128, **settings, kernel_initializer="zeros")
    assert parameters(network) == count
    assert network.logit.kernel.shape[:3] == (4, 4, 512)
    assert len({conv.name for conv in network.convs}) == len(network.convs)  # names are keys in checkpoints


def test_small_sizes():
    """Convolutions, text, joint and head, 11,664 and 48,720; with the residual unit a quarter as wide."""
    small = {"width": 16, "text_width": 16}
    assert parameters(built(16, 32, **small, residual=False)) == 11_664
    assert parameters(built(32, 32, **small, residual=False)) == 48_720
    assert parameters(built(16, 32, **small)) == 11_664 + 256 + 16 + 576 + 16 + 2304 + 64
    assert built(28, 32, **small).logit.kernel.shape[:2] == built(14, 32, **small).logit.kernel.shape[:2] == (4, 4)
    assert built(4, 3, width=2).logit.kernel.shape[:2] == (2, 2)


def outputs(network, image, vector):
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([image, vector])
        found = network([image, vector], training=False)
    return {name: (value, *tape.gradient(value, [image, vector])) for name, value in found.items()}


def test_the_vector_reaches_one_output_and_the_image_both():
    set_seed(0)
    network = built(8, 3, 1, width=2, **V2)
    image, vector = (tf.constant(RNG.normal(size=shape), tf.float32) for shape in ((5, 8, 8, 1), (5, 3)))
    found = outputs(network, image, vector)
    assert found.keys() == {"logit", "unconditional"}
    for name, (value, of_image, of_vector) in found.items():
        assert value.shape == (5,) and np.any(of_image != 0), name
        assert (of_vector is not None and np.any(of_vector != 0)) == (name == "logit")


def test_activations_of_the_first_paper():
    """Without an activation before the residual unit, whose sum has one; so the unit sees negative numbers of any size."""
    set_seed(0)
    network = built(16, 3, 1, width=2, text_width=4)
    seen = {}

    def watched(layer, name):
        call = layer.call
        object.__setattr__(layer, "call", lambda x, *a, **k: seen.setdefault(name, (x, call(x, *a, **k)))[1])

    watched(network.residual, "residual"), watched(network.norms[-1], "norm"), watched(network.text, "text")
    watched(network.joint, "joint")
    image, vector = (tf.constant(RNG.normal(size=shape), tf.float32) for shape in ((3, 16, 16, 1), (3, 3)))
    network([image, vector], training=True)
    np.testing.assert_array_equal(seen["residual"][0], seen["norm"][1])
    joined = seen["joint"][0].numpy()
    np.testing.assert_array_equal(joined[..., :4], seen["residual"][1])
    text = seen["text"][1].numpy()
    wanted = np.where(text > 0, text, 0.2 * text)
    np.testing.assert_allclose(joined[..., 4:], np.broadcast_to(wanted[:, None, None], joined[..., 4:].shape), rtol=1e-6)
    unit = network.residual
    plain = seen["residual"][0]
    h = plain
    for i, (conv, norm) in enumerate(zip(unit.convs, unit.norms, strict=True)):
        h = norm(conv(tf.nn.leaky_relu(h, 0.2) if i else h), training=True)
    np.testing.assert_allclose(tf.nn.leaky_relu(plain + h, 0.2), seen["residual"][1], atol=1e-5)
