"""Networks of whole numbers, which give the same bits everywhere."""

import numpy as np
import pytest
import tensorflow as tf

from tests.models.compression.helpers import made
from tfgen.models.compression.integer import IntegerNetwork, transposed_convolution

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("size", "stride"), [(5, 2), (3, 1), (9, 4), (4, 2)])
def test_transposed_convolution_is_tensorflows(size, stride):
    x, kernel = RNG.normal(size=(4, 3, 2)), RNG.normal(size=(size, size, 5, 2))
    expected = tf.nn.conv2d_transpose(x[None], kernel, [1, 4 * stride, 3 * stride, 5], stride, "SAME")[0]
    np.testing.assert_allclose(transposed_convolution(x, kernel, stride), expected, atol=1e-12)


def test_integer_network_is_near_and_exact():
    model = made("hyperprior", width=8)
    network = IntegerNetwork.of(model.hyper_synthesis.layers)
    z = RNG.integers(-200, 201, (3, 2, 8))
    places = model.hyper_synthesis(z[None].astype("float32"))[0].numpy()
    found = network(z)
    assert found.shape == (12, 8, 8) and found.dtype == np.int64 and np.ptp(found) > 5
    np.testing.assert_allclose(found, places, atol=0.5 + 0.02 * np.abs(places).max())
    # Sums in any order give the same bits: the same network with its channels in another order.
    order = RNG.permutation(8)
    shuffled = IntegerNetwork(
        [network.kernels[0][:, :, order][..., order], network.kernels[1][:, :, order][..., order],
         network.kernels[2][..., order]],
        [network.biases[0][order], network.biases[1][order], network.biases[2]], network.strides,
    )  # fmt: skip
    np.testing.assert_array_equal(shuffled(z[..., order]), found)


def test_integer_network_against_python_integers():
    """One layer at the largest inputs, against sums of unbounded whole numbers."""
    kernel = RNG.integers(-(2**16), 2**16, (1, 1, 2, 3))
    network = IntegerNetwork([kernel], [np.array([5, -7])], [1])
    x = RNG.integers(-(2**29), 2**29, (2, 2, 3))
    exact = np.einsum("hwi,oi->hwo", x.astype(object), kernel[0, 0].astype(object)) + np.array([5, -7], object)
    np.testing.assert_array_equal(network(x), np.vectorize(lambda v: (v + 2**15) >> 16)(exact))


def test_integer_network_with_hostile_inputs_stays_exact():
    network = IntegerNetwork.of(made("hyperprior").hyper_synthesis.layers)
    assert np.isfinite(network(np.full((2, 2, 4), 2**40))).all()
