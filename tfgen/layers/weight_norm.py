"""Weight normalisation, with data-dependent initialisation.

Salimans, Kingma, "Weight Normalization: A Simple Reparameterization to Accelerate Training of Deep Neural Networks",
NeurIPS 2016, arXiv:1602.07868.

    w = g v / sqrt(1e-6 + |v|^2)        per output unit (eq. 2; the 1e-6 from the code of arXiv:1606.03498)
    at the start: g <- g s / std(t), b <- (b - mean(t)) s / std(t)     for pre-activations t of one batch (eq. 5, 6)

so that each unit's pre-activations have mean 0 and standard deviation s = `init_stdv` on that batch.
"""

import functools
from typing import Any

import keras
import tensorflow as tf

from tfgen.layers._reparameterized import Reparameterized


class WeightNorm(Reparameterized):
    """Mixin: the kernel of each output unit is a learned length times a learned direction.

    Args:
        train_scale: whether the lengths g are trained; else they stay as initialised.
        init_stdv: the standard deviation of pre-activations after `data_dependent_init`. The networks of arXiv:1606.03498
            have .1 at their output layers.

    Attributes:
        scale: g, float32 [out].
    """

    activation: Any  # of the layer

    def __init__(self, *args, train_scale=True, init_stdv=1.0, **kwargs):
        super().__init__(*args, **kwargs)
        if init_stdv <= 0:
            raise ValueError(f"init_stdv must be positive; received {init_stdv}.")
        self.train_scale, self.init_stdv = bool(train_scale), float(init_stdv)

    def get_config(self):
        return {**super().get_config(), "train_scale": self.train_scale, "init_stdv": self.init_stdv}

    def build_weights(self):
        self.scale = self.add_weight(
            name="scale", shape=(self.raw_weight.shape[self.output_axis],), initializer="ones", dtype="float32",
            trainable=self.train_scale, autocast=False,
        )  # fmt: skip

    def reparameterize(self, weight):
        scale = tf.convert_to_tensor(self.scale)
        rank = weight.shape.rank
        output = rank + self.output_axis
        scale = tf.reshape(scale, [-1 if i == output else 1 for i in range(rank)])
        return scale * weight_norm(weight, [i for i in range(rank) if i != output])

    def initialize_from(self, inputs):
        """Sets `scale` and `bias` from the pre-activations of this batch, see `data_dependent_init`."""
        activation, self.activation = self.activation, None
        try:
            outputs = tf.cast(type(self).call(self, inputs), tf.float32)
        finally:
            self.activation = activation
        mean, variance = tf.nn.moments(outputs, axes=list(range(outputs.shape.rank - 1)))
        # The scale of a unit that is constant on the batch, e.g. after dead units, is kept.
        gain = tf.where(variance > 1e-12, self.init_stdv * tf.math.rsqrt(tf.maximum(variance, 1e-12)), 1.0)
        self.scale.assign(gain * tf.convert_to_tensor(self.scale))
        if self.use_bias:
            self.bias.assign(gain * (tf.cast(tf.convert_to_tensor(self.bias), tf.float32) - mean))


@keras.saving.register_keras_serializable("tfgen")
class WeightNormDense(WeightNorm, keras.layers.Dense):
    """`keras.layers.Dense` with weight norm: same inputs and outputs; further arguments as in `WeightNorm`.

    Example:
        >>> layer = tfgen.layers.WeightNormDense(3)
        >>> outputs = tfgen.layers.data_dependent_init(layer, tf.random.stateless_normal([500, 5], [0, 0]) + 7.0)
        >>> tf.abs(tf.reduce_mean(outputs, axis=0)).numpy().round(3).tolist()
        [0.0, 0.0, 0.0]
        >>> tf.math.reduce_std(outputs, axis=0).numpy().round(3).tolist()
        [1.0, 1.0, 1.0]
    """


@keras.saving.register_keras_serializable("tfgen")
class WeightNormConv2D(WeightNorm, keras.layers.Conv2D):
    """`keras.layers.Conv2D` with weight norm: same inputs and outputs; further arguments as in `WeightNorm`.

    Example:
        >>> layer = tfgen.layers.WeightNormConv2D(8, 3, padding="same")
        >>> layer(tf.zeros([2, 8, 8, 1])).shape
        TensorShape([2, 8, 8, 8])
    """


@keras.saving.register_keras_serializable("tfgen")
class WeightNormConv2DTranspose(WeightNorm, keras.layers.Conv2DTranspose):
    """`keras.layers.Conv2DTranspose` with weight norm: same inputs and outputs; further arguments as in `WeightNorm`.

    Example:
        >>> layer = tfgen.layers.WeightNormConv2DTranspose(3, 4, strides=2, padding="same")
        >>> layer(tf.zeros([2, 4, 4, 8])).shape
        TensorShape([2, 8, 8, 3])
    """

    output_axis = -2  # the kernel is [kh, kw, out, in]


def weight_norm(weight, axes):
    """v / sqrt(1e-6 + |v|^2), the norm taken over `axes`."""
    return weight * tf.math.rsqrt(1e-6 + tf.reduce_sum(tf.square(weight), axis=axes, keepdims=True))


def data_dependent_init(network: keras.layers.Layer, inputs: tf.Tensor, **kwargs) -> object:
    """Initialises the layers of a built network from one batch, each layer after the layers before it.

    It initialises all layers with `initialize_from(inputs)`: those with weight norm, and `MinibatchDiscrimination`. A layer
    is initialised at its first call in the pass; a layer that is not called stays as it is. Call it once, before training.

    Example:
        >>> network = keras.Sequential([tfgen.layers.WeightNormDense(4, activation="relu"), tfgen.layers.WeightNormDense(2)])
        >>> network.build([None, 3])
        >>> outputs = tfgen.layers.data_dependent_init(network, tf.random.stateless_normal([100, 3], [0, 0]))
        >>> tf.math.reduce_std(outputs, axis=0).numpy().round(3).tolist()
        [1.0, 1.0]

    Args:
        network: a layer or model.
        inputs: its inputs, e.g. float32 [B, H, W, C].
        **kwargs: further arguments of the call, e.g. `training=True` for dropout and noise.

    Returns:
        The outputs of the initialised network.

    Raises:
        RuntimeError: inside a tf.function, where weights would change at every call.
        ValueError: the network has no layer with `initialize_from`.
    """
    if not tf.executing_eagerly():
        raise RuntimeError("data_dependent_init changes weights once, so it must be called outside a tf.function.")
    layers = [layer for layer in network._flatten_layers() if hasattr(layer, "initialize_from")]
    if not layers:
        raise ValueError(f"{network.name!r} has no layer with initialize_from; received {type(network).__name__}.")
    try:
        for layer in layers:
            # Only the `call` of this instance is replaced: that of the class must not change weights.
            vars(layer)["call"] = functools.partial(_initialize_and_call, layer)
        return network(inputs, **kwargs)
    finally:
        for layer in layers:
            vars(layer).pop("call", None)


def _initialize_and_call(layer, inputs, *args, **kwargs):
    vars(layer).pop("call")  # a layer that is used twice is initialised by its first use
    layer.initialize_from(inputs)
    return layer.call(inputs, *args, **kwargs)
