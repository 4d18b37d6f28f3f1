"""Feature networks: frozen networks that return the outputs of named layers, for perceptual losses, metrics and composites.

    network = tfgen.features.vgg19(layers=("block1_conv2", "block3_conv2"))
    network(images)["block3_conv2"]  # float32 [B, H / 4, W / 4, 256] of images [B, H, W, 3] in [0, 1]
    network.fingerprint  # sha256 of its architecture and weights
"""

from collections.abc import Callable, Sequence

import keras

from tfgen.features.classifier import of_classifier
from tfgen.features.efficientnet_lite import efficientnet_lite0
from tfgen.features.encoder import encoder_network, train_encoder
from tfgen.features.frozen import FeatureNetwork, MissingFeatureNetwork
from tfgen.features.inception import inception_v3
from tfgen.features.keras_model import from_keras
from tfgen.features.random_conv import random_conv
from tfgen.features.text import (
    BagOfWords,
    CharacterEncoder,
    character_network,
    load_text_encoder,
    to_characters,
    to_sentences,
    train_text_encoder,
)
from tfgen.features.vgg import vgg16, vgg19

MAKERS: dict[str, Callable[..., FeatureNetwork]] = {
    maker.__name__: maker
    for maker in (efficientnet_lite0, from_keras, inception_v3, of_classifier, random_conv, vgg16, vgg19)
}
BY_NAME = ("inception_v3", "vgg16", "vgg19")  # the makers whose weights Keras downloads

__all__ = [
    "BY_NAME", "MAKERS", "BagOfWords", "CharacterEncoder", "FeatureNetwork", "MissingFeatureNetwork", "character_network",
    "deserialize", "encoder_network", "get", "load_text_encoder", "to_characters", "to_sentences", "train_encoder",
    "train_text_encoder", *MAKERS,
]  # fmt: skip


def get(
    given: FeatureNetwork | MissingFeatureNetwork | keras.Model | str | dict, layers: Sequence[str] | None = None,
    image_shape: Sequence[int | None] | None = None,
) -> FeatureNetwork | MissingFeatureNetwork:  # fmt: skip
    """Makes the feature network from the value of a model's argument `feature_network`.

    Example:
        >>> maps = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3, name="maps")])
        >>> network = tfgen.features.get(maps, ["maps"], image_shape=(8, 8, 1))
        >>> network(keras.ops.zeros([2, 8, 8, 1]))["maps"].shape
        TensorShape([2, 6, 6, 4])

    Args:
        given: `FeatureNetwork`; a name in `BY_NAME`; a `keras.Model`, the path of a .keras file or the architecture of one,
            see `from_keras`; or a dict for `deserialize`, whose "arguments" then name the layers.
        layers: names of layers; None: the default of the maker.
        image_shape: None, or (H, W, C) of the images that the network must take.

    Raises:
        ValueError: `given` is none of these, a layer does not exist, or the network takes images of another shape.
    """
    if isinstance(given, (FeatureNetwork, MissingFeatureNetwork)):
        network = given
    elif isinstance(given, dict) and "maker" in given:
        network = deserialize(given)
    elif isinstance(given, str) and given in BY_NAME:
        shape = {} if image_shape is None else {"image_shape": image_shape}
        network = MAKERS[given](layers=layers, **shape)
    elif isinstance(given, str) and not given.endswith(".keras"):
        raise ValueError(f"feature_network must be {', '.join(BY_NAME)}, or the path of a .keras file; received {given!r}.")
    else:
        network = from_keras(given, layers)
    if isinstance(network, MissingFeatureNetwork):
        return network
    if layers is not None and tuple(layers) != network.layers:
        raise ValueError(f"The feature network has the layers {network.layers}; received layers={layers!r}.")
    if image_shape is not None:
        network.check_takes(image_shape)
    return network


def deserialize(config: dict) -> FeatureNetwork | MissingFeatureNetwork:
    """Makes a feature network from a dict {"maker": a name in `MAKERS`, "arguments": {...}, "fingerprint": sha256}.

    If the dict has a fingerprint (as from `FeatureNetwork.get_config`) and the network cannot be made, or has another
    fingerprint, the result is a `MissingFeatureNetwork`, which raises an error when it is called. Without a fingerprint the
    error is raised here.

    Example:
        >>> network = tfgen.features.deserialize({"maker": "random_conv", "arguments": {"filters": (8, 16)}})
        >>> network.layers
        ('relu_0', 'relu_1')

    Raises:
        ValueError: the maker is unknown, or fails and there is no fingerprint.
    """
    if config.get("maker") not in MAKERS:
        raise ValueError(f"maker must be one of {', '.join(MAKERS)}; received {config.get('maker')!r}.")
    expected = config.get("fingerprint")
    try:
        network = MAKERS[config["maker"]](**config.get("arguments", {}))
    except (ValueError, OSError) as error:
        if expected is None:
            raise
        return MissingFeatureNetwork(config, str(error))
    if expected not in (None, network.fingerprint):
        return MissingFeatureNetwork(config, f"{config['maker']} now has the fingerprint {network.fingerprint}.")
    return network
