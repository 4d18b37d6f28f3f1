"""Features of a user's own Keras model."""

import copy
import os

import keras

from tfgen.features.frozen import FrozenFeatures


def from_keras(model, layers=None, *, preprocess=None):
    """The features of a Keras model of images [B, H, W, C] in [0, 1], copied.

    Args:
        model: a functional or sequential `keras.Model`, the path of a .keras file of one, or a dict: the architecture, as
            `keras.saving.serialize_keras_object` gives it.
        layers: names of its layers whose outputs are wanted; None: its own outputs.
        preprocess: None, or a Keras layer from images in [0, 1] to the model's input.

    A configuration holds the path, or the architecture. The weights of a model that came without a path are in no file but
    the user's own: what was saved with such features has them again only where the initialisers have seeds.

    Raises:
        ValueError: none of these, or no such layers.
    """
    recipe = None
    if isinstance(model, dict):
        model = keras.saving.deserialize_keras_object(copy.deepcopy(model))  # Keras empties the configs that it reads
    elif isinstance(model, (str, os.PathLike)):
        if not (os.path.isfile(model) and str(model).endswith(".keras")):
            raise ValueError(f"features by path must be the path of a .keras file that exists; received {str(model)!r}.")
        recipe = {"maker": "from_keras", "arguments": {"model": str(model), "layers": layers and list(layers)}}
        if preprocess is not None:
            recipe["arguments"]["preprocess"] = keras.saving.serialize_keras_object(preprocess)
        model = keras.saving.load_model(model, compile=False)
    elif not isinstance(model, keras.Model):
        raise ValueError(f"features must be a keras.Model, its architecture or the path of one; received {model!r}.")
    if isinstance(preprocess, dict):
        preprocess = keras.saving.deserialize_keras_object(copy.deepcopy(preprocess))
    return FrozenFeatures(model, layers, preprocess=preprocess, recipe=recipe)
