"""Maps of random convolutions, which need no data and no download.

Random filters tell textures apart nearly as well as trained ones do: Ustyuzhaninov, Brendel, Gatys, Bethge, "What does it
take to generate natural textures?", ICLR 2017.
"""

from collections.abc import Sequence

import keras
import numpy as np

from tfgen import settings
from tfgen.features.frozen import FeatureNetwork
from tfgen.settings import Channels, Seed, Widths

layers = keras.layers


def random_conv(
    filters: Widths = (16, 32, 64), *, channels: Channels = 1, seed: Seed = 0,
    layers: Sequence[str] | None = None,
) -> FeatureNetwork:  # fmt: skip
    """The feature network of random 3 x 3 convolutions with ReLU, between which the sides are halved by means.

    Example:
        >>> network = tfgen.features.random_conv((8, 16))
        >>> {name: maps.shape.as_list() for name, maps in network(np.zeros([2, 8, 8, 1])).items()}
        {'relu_0': [2, 8, 8, 8], 'relu_1': [2, 4, 4, 16]}

    Args:
        filters: of the convolutions, one for each size of maps.
        channels: of the images, whose sides are free.
        seed: of the weights, N(0, 2 / inputs of a filter).
        layers: some of "relu_0", "relu_1", ...; None: all.

    Raises:
        ValueError: an argument is not of its type, or a layer does not exist.
    """
    settings.check(random_conv, filters=filters, channels=channels, seed=seed, layers=layers)
    network = _network(filters, channels, np.random.default_rng(seed))
    names = [f"relu_{i}" for i in range(len(filters))] if layers is None else list(layers)
    arguments = {"filters": list(filters), "channels": channels, "seed": seed, "layers": names}
    return FeatureNetwork(network, names, recipe={"maker": "random_conv", "arguments": arguments})


def _network(filters, channels, rng):
    images = x = keras.Input((None, None, channels), dtype="float32", name="image")
    for i, width in enumerate(filters):
        x = layers.AveragePooling2D(2, dtype="float32", name=f"pool_{i}")(x) if i else x
        conv = layers.Conv2D(width, 3, padding="same", use_bias=False, dtype="float32", name=f"conv_{i}")
        x = layers.ReLU(dtype="float32", name=f"relu_{i}")(conv(x))
        shape = tuple(conv.kernel.shape)
        conv.kernel.assign(rng.normal(0.0, np.sqrt(2.0 / np.prod(shape[:3])), shape))
    return keras.Model(images, x, name="random_conv")
