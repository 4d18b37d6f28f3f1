"""Feature networks as constructor arguments of models that cannot do without them."""

import os
from collections.abc import Sequence
from typing import TypeAlias

import keras

from tfgen import features

Given: TypeAlias = features.FeatureNetwork | keras.Model | dict | str


def fixed_features(
    name: str, given: Given, layers: Sequence[str] | None, image_shape: Sequence[int] | None
) -> features.FeatureNetwork:  # fmt: skip
    """The feature network of a constructor argument.

    Args:
        name: of the argument, for messages.
        given: its value, see `tfgen.features.get`.
        layers: names of its layers, or None.
        image_shape: (H, W, C) of the images that it must take.

    Raises:
        ValueError: as `tfgen.features.get`, or it is missing; the message begins with the name.
    """
    try:
        found = features.get(given, layers, image_shape)
    except (ValueError, OSError) as error:
        missing = isinstance(given, str) and given.endswith(".keras") and not os.path.isfile(given)
        hint = "tfgen.features.train_encoder makes one of a labelled data set."
        if name == "generator":
            hint = "That of a trained DeePSiM is saved by model.generator.save(path)."
        raise ValueError(f"{name}: {error}{f' {hint}' if missing else ''}") from error
    if isinstance(found, features.MissingFeatureNetwork):
        raise ValueError(f"{name} is needed and missing: {found.reason}")
    return found
