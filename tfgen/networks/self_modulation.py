"""Self-modulated batch norm: batch norm with a gain and a shift that depend on the generator's own latents.

Chen, Lucic, Houlsby, Gelly, "On Self Modulation for Generative Adversarial Networks", ICLR 2019, arXiv:1810.01365;
settings as in the authors' code (google/compare_gan).

    sBN(x, z) = gain(z) (x - mean) / stddev + shift(z)
    h = relu(U z + a),   gain(z) = V h + b,   shift(z) = W h + c,   at first a = c = 0, b = 1
"""

import functools
from collections.abc import Callable

import tensorflow as tf

from tfgen.networks.common import layers
from tfgen.networks.slots import batch_norm


class SelfModulatedBatchNorm(layers.Layer):
    """[x [B, ..., C], z [B, Z]] -> [B, ..., C], see the module. Under several replicas the statistics are of all.

    Args:
        make_dense: function of units and keywords -> a dense layer, such as `Network.make_dense`.
        hidden: units of h.
    """

    def __init__(self, make_dense: Callable, hidden: int = 32, **kwargs):
        super().__init__(**kwargs)
        self.norm = batch_norm(self.dtype_policy, "norm", center=False, scale=False)
        self.hidden = make_dense(hidden, activation="relu", name="hidden")
        self.make_dense = make_dense

    def build(self, input_shape):
        channels = input_shape[0][-1]
        self.gain = self.make_dense(channels, bias_initializer="ones", name="gain")
        self.shift = self.make_dense(channels, name="shift")
        self.built = True

    def call(self, inputs, training=False):
        x, z = inputs
        hidden, shape = self.hidden(z), [-1, *[1] * (x.shape.rank - 2), x.shape[-1]]
        gain, shift = (tf.reshape(layer(hidden), shape) for layer in (self.gain, self.shift))
        return gain * self.norm(x, training=training) + shift


def modulation(norm, make_dense):
    """(`norm` for `make_norm`, whether its layers get the latents) of a generator's setting `norm`."""
    modulated = isinstance(norm, str) and norm == "self_modulated"
    return functools.partial(SelfModulatedBatchNorm, make_dense) if modulated else norm, modulated
