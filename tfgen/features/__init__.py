"""Frozen networks with the outputs of named layers, for perceptual losses, metrics and composites.

    features = tfgen.features.vgg19(layers=("block1_conv2", "block3_conv2"))
    features(images)["block3_conv2"]  # float32 [B, H / 4, W / 4, 256] of images [B, H, W, 3] in [0, 1]
    features.fingerprint  # sha256 of its architecture and weights
"""

from collections.abc import Sequence

import keras

from tfgen.features.classifier import of_classifier
from tfgen.features.efficientnet_lite import efficientnet_lite0
from tfgen.features.frozen import FrozenFeatures, MissingFeatures
from tfgen.features.inception import inception_v3
from tfgen.features.keras_model import from_keras
from tfgen.features.vgg import vgg16, vgg19

MAKERS = {
    maker.__name__: maker for maker in (efficientnet_lite0, from_keras, inception_v3, of_classifier, vgg16, vgg19)
}  # fmt: skip
BY_NAME = ("inception_v3", "vgg16", "vgg19")  # the makers whose weights Keras downloads

__all__ = ["BY_NAME", "MAKERS", "FrozenFeatures", "MissingFeatures", "deserialize", "get", *MAKERS]


def get(
    given: FrozenFeatures | MissingFeatures | keras.Model | str | dict, layers: Sequence[str] | None = None,
    image_shape: Sequence[int] | None = None,
) -> FrozenFeatures | MissingFeatures:  # fmt: skip
    """Makes features from the value of a model's argument `features`.

    Args:
        given: `FrozenFeatures`; a name in `BY_NAME`; a `keras.Model`, the path of a .keras file or the architecture of one,
            see `from_keras`; or a dict for `deserialize`, whose "arguments" then name the layers.
        layers: names of layers; None: the default of the maker.
        image_shape: None, or (H, W, C) of the images that the features must take.

    Raises:
        ValueError: `given` is none of these, a layer does not exist, or the features take images of another shape.
    """
    if isinstance(given, (FrozenFeatures, MissingFeatures)):
        features = given
    elif isinstance(given, dict) and "maker" in given:
        features = deserialize(given)
    elif isinstance(given, str) and given in BY_NAME:
        shape = {} if image_shape is None else {"image_shape": image_shape}
        features = MAKERS[given](layers=layers, **shape)
    elif isinstance(given, str) and not given.endswith(".keras"):
        raise ValueError(f"features by name are {', '.join(BY_NAME)}, or the path of a .keras file; received {given!r}.")
    else:
        features = from_keras(given, layers)
    if isinstance(features, MissingFeatures):
        return features
    if layers is not None and tuple(layers) != features.layers:
        raise ValueError(f"These features have the layers {features.layers}; received layers={layers!r}, which differ.")
    if image_shape is not None:
        features.check_takes(image_shape)
    return features


def deserialize(config: dict) -> FrozenFeatures | MissingFeatures:
    """Makes features from a dict {"maker": a name in `MAKERS`, "arguments": {...}, "fingerprint": sha256}.

    If the dict has a fingerprint (as from `FrozenFeatures.get_config`) and the features cannot be made, or have another
    fingerprint, the result is `MissingFeatures`, which raise an error when they are called. Without a fingerprint the error
    is raised here.

    Raises:
        ValueError: the maker is unknown, or fails and there is no fingerprint.
    """
    if config.get("maker") not in MAKERS:
        raise ValueError(f"The maker of features must be one of {', '.join(MAKERS)}; received {config.get('maker')!r}.")
    expected = config.get("fingerprint")
    try:
        features = MAKERS[config["maker"]](**config.get("arguments", {}))
    except (ValueError, OSError) as error:
        if expected is None:
            raise
        return MissingFeatures(config, str(error))
    if expected not in (None, features.fingerprint):
        return MissingFeatures(config, f"{config['maker']} now has the fingerprint {features.fingerprint}.")
    return features
