"""The layers that a network takes as settings: convolutions, normalisation and attention.

Settings named `convolution`, `norm` and `attention` mean the same in all networks of this package.
"""

import dataclasses

import keras

from tfgen.layers import (
    BatchNormalization,
    ConditionalBatchNorm,
    InstanceNormalization,
    SpectralConv2D,
    SpectralConv2DTranspose,
    SpectralDense,
    SpectralEmbedding,
)
from tfgen.layers.initializers import normal

layers = keras.layers


@dataclasses.dataclass(frozen=True)
class Convolution:
    """The classes of layers with a kernel or an embedding table; each takes the arguments of Keras' layer of the same
    name.

    Example:
        >>> weight_norm = tfgen.networks.Convolution(tfgen.layers.WeightNormDense, tfgen.layers.WeightNormConv2D)
        >>> network = tfgen.networks.ConvDiscriminator(image_shape=(8, 8, 1), width=4, convolution=weight_norm)
        >>> type(network.make_conv(8, 3)).__name__
        'WeightNormConv2D'
    """

    dense: type = layers.Dense
    conv: type = layers.Conv2D
    conv_transpose: type = layers.Conv2DTranspose
    embedding: type = layers.Embedding


CONVOLUTIONS = {
    "plain": Convolution(),
    "spectral": Convolution(SpectralDense, SpectralConv2D, SpectralConv2DTranspose, SpectralEmbedding),
}


def convolution_of(setting):
    """The `Convolution` of a setting: a name in `CONVOLUTIONS`, or a `Convolution`.

    Raises:
        ValueError: anything else.
    """
    if isinstance(setting, Convolution):
        return setting
    if setting not in CONVOLUTIONS:
        raise ValueError(f"convolution must be one of {', '.join(CONVOLUTIONS)} or a Convolution; received {setting!r}.")
    return CONVOLUTIONS[setting]


def batch_norm(dtype, name, **kwargs):
    # momentum .9: with Keras' .99 the moving statistics lag behind in short runs. synchronized: the statistics are those of
    # the global batch, with any number of replicas.
    settings = {"momentum": 0.9, "epsilon": 1e-5, "gamma_initializer": normal(0.02, mean=1.0)}
    return BatchNormalization(**{**settings, **kwargs}, synchronized=True, dtype=dtype, name=name)


def make_norm(norm, dtype, name, *, num_classes=0, **batch_settings):
    """The layer of a setting `norm`, for `normalize`; None if `norm` is None.

    Args:
        norm: "batch", "instance" (with a learnt gain and shift), None, or a function of `dtype` and `name` that returns a
            layer.
        num_classes: if positive, the layer gets [x, one-hot labels], and "batch" means conditional batch norm.
        **batch_settings: arguments of `batch_norm`.

    Raises:
        ValueError: the norm is unknown or takes no labels.
    """
    if callable(norm):
        return norm(dtype=dtype, name=name)
    if norm not in ("batch", "instance", None):
        raise ValueError(f"norm must be 'batch', 'instance', None or a function of dtype and name; received {norm!r}.")
    if num_classes and norm != "batch":
        raise ValueError(f"Labels ({num_classes} classes) go into batch norm, so norm must be 'batch'; received {norm!r}.")
    if norm is None:
        return None
    if norm == "instance":
        return InstanceNormalization(affine=True, dtype=dtype, name=name)
    if num_classes:
        return ConditionalBatchNorm(num_classes, dtype=dtype, name=name)
    return batch_norm(dtype, name, **batch_settings)


def normalize(norm, x, training, one_hot=None, own_statistics=False):
    """Applies a layer of `make_norm` to x, with `one_hot` if the layer has `num_classes`.

    Args:
        own_statistics: whether, outside of training, batch norm uses the statistics of each image alone.
    """
    if norm is None:
        return x
    if own_statistics and not training and isinstance(norm, BatchNormalization):
        return norm.of_each_image(x)
    return norm(x if one_hot is None else [x, one_hot], training=training)


def make_attentions(attention, sizes, dtype):
    """One attention layer or None for maps of each of `sizes`, (height, width): [layer or None, ...].

    Args:
        attention: None, or a function of `size`, `dtype` and `name` that returns a layer, [B, h, w, F] -> [B, h, w, F], or
            None for no attention at this size.
    """
    if attention is None:
        return [None] * len(sizes)
    return [attention(size=tuple(size), dtype=dtype, name=f"attention_{i}") for i, size in enumerate(sizes)]


def attend(layer, x):
    """Applies a layer of `make_attentions` to x."""
    return x if layer is None else layer(x)
