"""A frozen trained network that returns the outputs of some of its layers."""

import hashlib
import json
from collections.abc import Sequence
from typing import NoReturn

import keras
import numpy as np
import tensorflow as tf


class FeatureNetwork:
    """A network that is not trained and returns the outputs of some of its layers: images -> {layer name: tensor}.

    The network is copied: later changes of the given network have no effect. Gradients flow through it to the images. It is
    not a Keras layer, so a model that uses it does not own its variables: they are not in the model's checkpoints, weight
    files and averages. The model's config has the recipe and the fingerprint from `get_config` instead.

    Example:
        >>> model = keras.Sequential([keras.Input([8, 8, 1]), keras.layers.Conv2D(4, 3, name="maps")])
        >>> tfgen.features.FeatureNetwork(model, ["maps"])(np.zeros([2, 8, 8, 1]))["maps"].shape
        TensorShape([2, 6, 6, 4])

    Args:
        network: functional or sequential `keras.Model` with one input [B, H, W, C].
        layers: names of the layers to return, or None: the network's outputs. Later layers are dropped.
        preprocess: None or a Keras layer that turns images [B, H, W, C] in [0, 1] into the network's input.
        image_shape: (H, W, C) of the images that it takes; H and W may be None, free. None: the network's input shape.
        recipe: {"maker": name, "arguments": {...}}, from which `tfgen.features.deserialize` makes an equal network; None:
            the architecture without weights.

    Attributes:
        network: the `keras.Model` of images in [0, 1], frozen, with the preprocessing.
        layers: tuple of names, in the order of the outputs.
        image_shape: as the argument.
        fingerprint: sha256 (hex) of the architecture up to the layers, the choice of layers and all weights. It identifies
            the network in protocols, run records and checkpoints. It does not depend on the names of layers.

    Raises:
        ValueError: the network has no known input, or a layer does not exist, is repeated or has several outputs.
    """

    def __init__(
        self, network: keras.Model, layers: Sequence[str] | None = None, *, preprocess: keras.layers.Layer | None = None,
        image_shape: Sequence[int | None] | None = None, recipe: dict | None = None,
    ):  # fmt: skip
        if not getattr(network, "inputs", None) or len(network.inputs) != 1:
            raise ValueError(
                f"feature_network must be a functional or sequential model with one known input; received {network!r}."
            )
        outputs = network.outputs
        if layers is not None:
            known = [layer.name for layer in network.layers]
            if isinstance(layers, str) or not layers or not set(layers) <= set(known):
                raise ValueError(f"feature_layers must be some of {known}; received {layers!r}.")
            tensors = _tensors_of(network)
            outputs = [tensors[name] for name in layers]
        self.layers = tuple(layers or (output._keras_history.operation.name for output in outputs))
        if len(set(self.layers)) < len(self.layers):
            raise ValueError(f"feature_layers must be different layers with one output each; received {self.layers}.")
        part = keras.Model(network.inputs[0], outputs, name="features")
        # A new model that ends at the layers and shares no variable with the given network.
        copied = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(part))
        copied.set_weights(part.get_weights())
        self.image_shape = tuple(image_shape or copied.inputs[0].shape[1:])
        self.recipe, self._part, self._preprocess = recipe, copied, preprocess
        if preprocess is not None:
            images = keras.Input(self.image_shape, dtype="float32", name="images")
            copied = keras.Model(images, copied(preprocess(images)), name="features")
        copied.trainable = False
        self.network, self.fingerprint = copied, fingerprint(copied)

    def __call__(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """{layer name: float32 [B, ...]} of float images [B, H, W, C] in [0, 1]; batch norm uses its moving statistics."""
        outputs = tf.nest.flatten(self.network(tf.cast(images, tf.float32), training=False))
        return {name: tf.cast(values, tf.float32) for name, values in zip(self.layers, outputs, strict=True)}

    def check_takes(self, image_shape: Sequence[int | None]) -> None:
        """Raises ValueError if the network does not take images of `image_shape`, (H, W, C)."""
        if not tf.TensorShape(self.image_shape).is_compatible_with(image_shape):
            raise ValueError(
                f"feature_network must take images {tuple(image_shape)}; received one whose input is {self.image_shape}."
            )

    def get_config(self) -> dict:
        """The recipe and the fingerprint as a JSON-able dict, without weights; see `tfgen.features.deserialize`."""
        recipe = self.recipe
        if recipe is None:
            model, preprocess = map(keras.saving.serialize_keras_object, (self._part, self._preprocess))
            arguments = {"model": model, "layers": self.layers, "preprocess": preprocess}
            recipe = {"maker": "from_keras", "arguments": arguments}
        # Keras has tuples in its configs, which JSON turns into lists.
        return {**json.loads(json.dumps(recipe)), "fingerprint": self.fingerprint}


class MissingFeatureNetwork:
    """Placeholder for a feature network that could not be made from its config. A call raises ValueError.

    A model that was saved with the network can do everything except compute its loss.

    Example:
        >>> network = tfgen.features.MissingFeatureNetwork({"maker": "vgg19", "arguments": {}}, "Its file is missing.")
        >>> try:
        ...     network(np.zeros([1, 32, 32, 3]))
        ... except ValueError as error:
        ...     print("Its file is missing." in str(error))
        True

    Args:
        config: a dict from `FeatureNetwork.get_config`.
        reason: the cause, a sentence for the error.
    """

    network = None

    def __init__(self, config: dict, reason: str):
        self.config, self.reason, self.fingerprint = config, reason, config.get("fingerprint")

    def __call__(self, images: tf.Tensor) -> NoReturn:
        raise ValueError(f"The feature network with the fingerprint {self.fingerprint} is missing: {self.reason}")

    def get_config(self) -> dict:
        return self.config


def _tensors_of(network):
    """{layer name: output of its first call} in the graph of a functional or sequential network.

    `layer.output` may belong to another graph: a Sequential calls its layers again whenever it is built, and for a model
    that is used as a layer it is the output of that model's own graph.
    """
    calls: dict[str, dict] = {}
    pending = list(network.outputs)
    while pending:
        layer, call, _ = pending.pop()._keras_history
        of_layer = calls.setdefault(layer.name, {})
        if call not in of_layer:
            node = layer._inbound_nodes[call]
            of_layer[call] = node.output_tensors
            pending += node.input_tensors
    first = {name: of_layer[min(of_layer)] for name, of_layer in calls.items()}
    return {name: tensors[0] if len(tensors) == 1 else tensors for name, tensors in first.items()}


def weights_hash(network):
    """sha256 (hex) of dtypes, shapes and bytes of all weights of a `keras.Model`, in layer order."""
    digest = hashlib.sha256()
    for weight in network.get_weights():
        digest.update(f"{weight.dtype}{weight.shape}".encode())
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


def fingerprint(network):
    """sha256 (hex) of the architecture and the weights of a `keras.Model`, without the names of layers."""
    architecture = json.dumps(_architecture(keras.saving.serialize_keras_object(network)), sort_keys=True)
    return hashlib.sha256(f"{architecture}\n{weights_hash(network)}".encode()).hexdigest()


# Entries of a layer's config that do not change the function that the layer computes.
_WITHOUT_EFFECT = (
    "name", "module", "registered_name", "build_config", "build_input_shape", "compile_config", "trainable", "seed",
    "batch_shape", "momentum", "renorm_momentum", "shared_object_id",
)  # fmt: skip
_OF_TRAINING = ("_initializer", "_regularizer", "_constraint")


def _architecture(value, names=None):
    """A Keras config without entries that have no effect, and with numbers instead of the names of layers.

    Entries that are None or False are dropped, because new versions of Keras add such entries.
    """
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
                # One input or output is a single value or a list of one, depending on the version of Keras.
                kept[key] = [item] if isinstance(item, list) and item and isinstance(item[0], int) else item
            elif key not in _WITHOUT_EFFECT and not key.endswith(_OF_TRAINING):
                kept[key] = _architecture(item, names)
        return _without_empty(kept)
    return value


def _nodes(value, names):
    """The outputs that a layer is called on."""
    if isinstance(value, (list, tuple)):
        return [_nodes(item, names) for item in value]
    if isinstance(value, dict):
        return _without_empty({key: _nodes(item, names) for key, item in value.items() if key not in ("dtype", "shape")})
    return names.get(value, value) if isinstance(value, str) else value


def _without_empty(config):
    return {key: item for key, item in config.items() if item is not None and item is not False}
