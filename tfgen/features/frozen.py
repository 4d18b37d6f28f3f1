"""A trained network that stays as it is, called for the outputs of some of its layers."""

import hashlib
import json

import keras
import numpy as np
import tensorflow as tf


class FrozenFeatures:
    """The outputs of some layers of a network that does not learn: images -> {layer name: tensor}.

    The network is copied: what becomes of the given one later changes nothing here. Gradients pass through it to the images.
    It is no Keras layer, so that the model that holds it has none of its variables: they are in no checkpoint, no weight
    file and no average of that model. What stands for them there is `get_config`, which ends with the fingerprint.

    Args:
        network: functional or sequential `keras.Model` with one input [B, H, W, C].
        layers: names of its layers whose outputs are wanted, or None: its own outputs. What lies behind them is left out.
        preprocess: None or a Keras layer that turns images [B, H, W, C] in [0, 1] into the network's input.
        image_shape: (H, W, C) of the images that it takes, None for a free side; None: the network's input shape.
        recipe: how to make it again, for `get_config`: {"maker": name, "arguments": {...}}, as `tfgen.features.deserialize`
            takes it; None: from the architecture alone.

    Attributes:
        network: the `keras.Model` of images in [0, 1], frozen, with its preprocessing.
        layers: tuple of names, in the order of the outputs.
        image_shape: see above.
        fingerprint: sha256, hexadecimal, of the architecture up to the layers, of which layers they are, and of all weights:
            what this is called in protocols, run records and checkpoints. Names of layers do not enter.

    Raises:
        ValueError: a network without a known input, or without such layers.
    """

    def __init__(self, network, layers=None, *, preprocess=None, image_shape=None, recipe=None):
        if not getattr(network, "inputs", None) or len(network.inputs) != 1:
            raise ValueError(
                f"features must be a functional or sequential model with known inputs, one of them; received {network!r}."
            )
        outputs = network.outputs
        if layers is not None:
            known = [layer.name for layer in network.layers]
            if isinstance(layers, str) or not layers or not set(layers) <= set(known):
                raise ValueError(f"feature_layers must be some of {known}; received {layers!r}.")
            outputs = [network.get_layer(name).output for name in layers]
        self.layers = tuple(layers or (output._keras_history.operation.name for output in outputs))
        if len(set(self.layers)) < len(self.layers):
            raise ValueError(f"Each layer can be asked for once, and have one output; received {self.layers}.")
        part = keras.Model(network.inputs[0], outputs, name="features")
        # A part on its own: nothing behind the layers, and no variable of the given network.
        copied = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(part))
        copied.set_weights(part.get_weights())
        self.image_shape = tuple(image_shape or copied.inputs[0].shape[1:])
        self.recipe, self._part, self._preprocess = recipe, copied, preprocess
        if preprocess is not None:
            images = keras.Input(self.image_shape, dtype="float32", name="images")
            copied = keras.Model(images, copied(preprocess(images)), name="features")
        copied.trainable = False
        self.network, self.fingerprint = copied, fingerprint(copied)

    def __call__(self, images):
        """{layer name: float32 [B, ...]} of images float [B, H, W, C] in [0, 1]; batch norm uses its moving statistics."""
        outputs = tf.nest.flatten(self.network(tf.cast(images, tf.float32), training=False))
        return {name: tf.cast(values, tf.float32) for name, values in zip(self.layers, outputs, strict=True)}

    def check_takes(self, image_shape):
        """ValueError where images of `image_shape`, (H, W, C), do not fit."""
        if not tf.TensorShape(self.image_shape).is_compatible_with(image_shape):
            raise ValueError(
                f"features must take images {tuple(image_shape)}; received a network whose input is {self.image_shape}."
            )

    def get_config(self):
        """JSON-able: the recipe and the fingerprint, without weights; see `tfgen.features.deserialize`."""
        recipe = self.recipe
        if recipe is None:
            model, preprocess = map(keras.saving.serialize_keras_object, (self._part, self._preprocess))
            arguments = {"model": model, "layers": self.layers, "preprocess": preprocess}
            recipe = {"maker": "from_keras", "arguments": arguments}
        # Keras has tuples in its configs, which JSON does not give back.
        return {**json.loads(json.dumps(recipe)), "fingerprint": self.fingerprint}


class MissingFeatures:
    """What stands for features that could not be made again: a model that was saved with them works but for its loss.

    Args:
        config: what `FrozenFeatures.get_config` gave.
        reason: why there are none, a sentence for the error of a call.
    """

    network = None

    def __init__(self, config, reason):
        self.config, self.reason, self.fingerprint = config, reason, config.get("fingerprint")

    def __call__(self, images):
        raise ValueError(f"The features of fingerprint {self.fingerprint} are not here: {self.reason}")

    def get_config(self):
        return self.config


def weights_hash(network):
    """sha256, hexadecimal, over dtypes, shapes and bytes of all weights of a `keras.Model`, in layer order."""
    digest = hashlib.sha256()
    for weight in network.get_weights():
        digest.update(f"{weight.dtype}{weight.shape}".encode())
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


def fingerprint(network):
    """sha256, hexadecimal, of the architecture and the weights of a `keras.Model`, whatever its layers are called."""
    architecture = json.dumps(_architecture(keras.saving.serialize_keras_object(network)), sort_keys=True)
    return hashlib.sha256(f"{architecture}\n{weights_hash(network)}".encode()).hexdigest()


# Of a layer's config, what says nothing of the function that it computes with the weights that it has.
_WITHOUT_EFFECT = (
    "name", "module", "registered_name", "build_config", "compile_config", "trainable", "seed", "batch_shape", "momentum",
    "renorm_momentum",
)  # fmt: skip
_HOW_WEIGHTS_COME = ("_initializer", "_regularizer", "_constraint")


def _architecture(value, names=None):
    """A Keras config without what has no effect; layers are numbers. None and False, which versions of Keras add, go too."""
    if isinstance(value, (list, tuple)):
        return [_architecture(item, names) for item in value]
    if isinstance(value, dict):
        if "layers" in value:
            names = {layer["config"]["name"]: i for i, layer in enumerate(value["layers"])}
        kept = {}
        for key, item in value.items():
            if key == "dtype" and isinstance(item, dict):
                kept[key] = item["config"]["name"]
            elif key in ("inbound_nodes", "input_layers", "output_layers"):
                item = _nodes(item, names)
                # One input or output stands alone or in a list, as the version of Keras has it.
                kept[key] = [item] if item and isinstance(item[0], int) else item
            elif key not in _WITHOUT_EFFECT and not key.endswith(_HOW_WEIGHTS_COME):
                kept[key] = _architecture(item, names)
        return _without_nothing(kept)
    return value


def _nodes(value, names):
    """Which outputs a layer is called on."""
    if isinstance(value, (list, tuple)):
        return [_nodes(item, names) for item in value]
    if isinstance(value, dict):
        return _without_nothing({key: _nodes(item, names) for key, item in value.items() if key not in ("dtype", "shape")})
    return names.get(value, value) if isinstance(value, str) else value


def _without_nothing(config):
    return {key: item for key, item in config.items() if item is not None and item is not False}
