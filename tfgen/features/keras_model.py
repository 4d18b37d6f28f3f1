"""A feature network from a user's own Keras model."""

import copy
import os
from collections.abc import Sequence

import keras

from tfgen.features.frozen import FeatureNetwork


def from_keras(
    model: keras.Model | str | dict, layers: Sequence[str] | None = None, *, preprocess: keras.layers.Layer | None = None
) -> FeatureNetwork:
    """The feature network of a copy of a Keras model of images [B, H, W, C] in [0, 1].

    Example:
        >>> model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3, name="maps")])
        >>> network = tfgen.features.from_keras(model, ["maps"])
        >>> network(keras.ops.zeros([2, 8, 8, 1]))["maps"].shape
        TensorShape([2, 6, 6, 4])

    Args:
        model: a functional or sequential `keras.Model`, the path of its .keras file, or its architecture as a dict from
            `keras.saving.serialize_keras_object`.
        layers: names of the layers to return; None: the model's outputs.
        preprocess: None, or a Keras layer from images in [0, 1] to the model's input.

    The config of the result has the path or the architecture, and no weights. Without a path, a model that was saved with
    this network gets it back only if the architecture's initialisers, with their seeds, reproduce the weights.

    Raises:
        ValueError: `model` is none of these, or a layer does not exist.
    """
    recipe = None
    if isinstance(model, dict):
        model = keras.saving.deserialize_keras_object(copy.deepcopy(model))  # Keras empties the configs that it reads
    elif isinstance(model, (str, os.PathLike)):
        if not (os.path.isfile(model) and str(model).endswith(".keras")):
            raise ValueError(f"feature_network must be the path of a .keras file that exists; received {str(model)!r}.")
        arguments = {"model": str(model), "layers": layers and list(layers)}
        recipe = {"maker": "from_keras", "arguments": arguments}
        if preprocess is not None:
            arguments["preprocess"] = keras.saving.serialize_keras_object(preprocess)
        model = keras.saving.load_model(model, compile=False)
    elif not isinstance(model, keras.Model):
        raise ValueError(f"feature_network must be a keras.Model, its architecture or the path of one; received {model!r}.")
    if isinstance(preprocess, dict):
        preprocess = keras.saving.deserialize_keras_object(copy.deepcopy(preprocess))
    return FeatureNetwork(model, layers, preprocess=preprocess, recipe=recipe)
