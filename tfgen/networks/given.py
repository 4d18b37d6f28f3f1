"""Networks of the user in a model: making, copying, checking and calling them."""

import copy
import importlib
import inspect
import json
from collections.abc import Sequence

import keras
import tensorflow as tf


class GivenNetwork(keras.layers.Layer):
    """Wraps the user's network so that it can be called like a `tfgen.networks.Network`: with a list of inputs.

    Example:
        >>> dense = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        >>> network = tfgen.networks.GivenNetwork(dense, ["logits"])
        >>> network([tf.zeros([5, 3])])["logits"].shape
        TensorShape([5, 2])

    Args:
        network: the `keras.Model`; it takes one tensor, or a list if there are several inputs.
        outputs: None, or names of the outputs, which are then returned as a dict.
    """

    def __init__(self, network: keras.Model, outputs: Sequence[str] | None = None, **kwargs):
        # With the dtype of the network and no autocast, only the network casts the inputs.
        super().__init__(dtype=network.dtype_policy, autocast=False, **kwargs)
        self.network, self.outputs = network, outputs

    def build(self, input_shape):
        self.built = True

    def call(self, inputs, training=False):
        found = self.network(inputs[0] if len(inputs) == 1 else list(inputs), training=training)
        return found if self.outputs is None else named(found, self.outputs)


def given_network(
    given: keras.Model | dict | str, name: str, inputs: list[tuple], outputs: tuple | dict, *,
    needed: tuple[str, ...] | None = None, **settings,
) -> keras.Model:  # fmt: skip
    """Makes a copy of a given network with its weights, builds it and checks its shapes.

    So two models that get the same network train separate weights, and the given network does not change. The model's
    config holds the Keras config of the copy.

    Example:
        >>> encoder = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(4)])
        >>> copy = tfgen.networks.given_network(encoder, "encoder", [(8, 8, 1)], (4,))
        >>> copy is encoder, bool(tf.reduce_all(copy.weights[0] == encoder.weights[0]))
        (False, True)

    Args:
        given: a `keras.Model` (functional, sequential, or a subclass that Keras can make again from its config); the Keras
            config of one, see `serialized`; or the dotted name of a function that returns one, such as
            "my_package.my_module.make_encoder". The function is called with the `settings` that are among its arguments.
        name: the model's argument, for messages.
        inputs: the shapes of the inputs, without the batch.
        outputs: the shape of the output, without the batch; or {output: shape} for a network that returns a dict, a list in
            this order, or only the first output. None in a shape is any length; None as a shape is any shape.
        needed: names of the outputs that the network must return; None: all.
        **settings: see `given`.

    Raises:
        ValueError: `given` is none of these, the shapes do not fit, or the network itself has losses (regularizers,
            `add_loss`), which the model would not minimise.
    """
    if isinstance(given, str):
        given = _made(given, name, settings)
    if isinstance(given, dict) and "class_name" in given:
        network, weights = _from_config(given, name), None
    elif isinstance(given, keras.Model):
        network, weights = _from_config(serialized(given, name), name), given.get_weights()
    else:
        raise ValueError(
            f"{name} must be a keras.Model, its Keras config, or the dotted name of a function that makes one, such as "
            f"'my_package.my_module.make_{name}'; received {given!r}."
        )
    check_network(network, name, inputs, outputs, needed)
    if weights:  # none: the given network has never been called
        network.set_weights(weights)
    return network


def check_network(network, name, inputs, outputs, needed=None):
    """Builds the network by calling it on zeros, and checks its outputs. For the arguments see `given_network`.

    Raises:
        ValueError: it has other shapes, or losses, in training or not.
    """
    zeros = [tf.zeros([2, *shape]) for shape in inputs]

    def call(training):
        return network(zeros[0] if len(zeros) == 1 else zeros, training=training)

    wanted = outputs if isinstance(outputs, dict) else {"": outputs}
    wanted = {key: shape for key, shape in wanted.items() if needed is None or key in needed}
    takes = f"{name} must take {_and(_text(shape) for shape in inputs)} and return {_texts(wanted)}"
    try:
        found = call(training=False)
        losses = network.losses
        # Traced and not run: no moving statistic and no seed changes.
        tf.function(call, autograph=False).get_concrete_function(training=True)
    except Exception as error:  # whatever the user's code raises
        raise ValueError(f"{takes}; calling the given network failed: {error}") from error
    found = named(found, outputs) if isinstance(outputs, dict) else {"": found}
    # Further outputs are ignored.
    shapes = {key: tuple(value.shape) if hasattr(value, "shape") else None for key, value in found.items()}
    expected = outputs if isinstance(outputs, dict) else wanted
    fits = all(key in shapes for key in wanted) and all(_fits(shapes[k], expected[k]) for k in shapes if k in expected)
    if not fits:
        received = {key: shape if shape is None else shape[1:] for key, shape in shapes.items()}
        raise ValueError(f"{takes}; the given network returns {_texts(received)}.")
    if losses or network.losses:
        raise ValueError(
            f"{name} has its own losses (weight or activity regularizers, or add_loss), which the model would not "
            "minimize. Remove them."
        )


def named(found, names):
    """The outputs of a network as {name: tensor}, from a dict, a list in the order of `names`, or one tensor, the first."""
    if isinstance(found, dict):
        return dict(found)
    return dict(zip(names, found if isinstance(found, (list, tuple)) else [found], strict=False))


def serialized(network, name):
    """The Keras config of a network as JSON-compatible data, without its compile settings."""
    try:
        config = keras.saving.serialize_keras_object(network)
        config.pop("compile_config", None)
        return json.loads(json.dumps(config))
    except Exception as error:  # of any get_config
        raise ValueError(f"{name}: Keras cannot serialize {network!r}, which saving needs: {error}") from error


def _from_config(config, name):
    try:
        network = keras.saving.deserialize_keras_object(copy.deepcopy(config))  # Keras empties the configs that it reads
    except Exception as error:  # of any from_config
        raise ValueError(
            f"{name}: Keras cannot make the network from its config, which loading needs. Register its classes with "
            f"keras.saving.register_keras_serializable, and give them get_config and from_config. {error}"
        ) from error
    if not isinstance(network, keras.Model):
        raise ValueError(f"{name} must be the config of a keras.Model; received that of {network!r}.")
    return network


def _made(path, name, settings):
    module, _, function = path.rpartition(".")
    try:
        maker = getattr(importlib.import_module(module), function)
        parameters = inspect.signature(maker).parameters.values()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            f"{name} as text is the dotted name of a function that makes the network, such as 'my_package.my_module."
            f"make_{name}'; received {path!r}, which was not found: {error}"
        ) from error
    required = {p.name for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    if required - set(settings):
        raise ValueError(
            f"{name}: {path} needs the arguments {sorted(required - set(settings))}; only {', '.join(settings)} can be "
            "passed to it."
        )
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters)
    names = {p.name for p in parameters}
    network = maker(**{key: value for key, value in settings.items() if takes_all or key in names})
    if not isinstance(network, keras.Model):
        raise ValueError(f"{name}: {path} must return a keras.Model; it returned {network!r}.")
    return network


def _fits(found, wanted):
    """Whether `found`, a shape with the batch, fits `wanted`, a shape without it."""
    if found is None or len(found) < 1 or found[0] != 2:  # the batch of `check_network`
        return False
    if wanted is None:
        return True
    return len(found) == len(wanted) + 1 and all(n in (None, m) for m, n in zip(found[1:], wanted, strict=True))


def _text(shape):
    sides = ["..."] if shape is None else ["any" if n is None else str(n) for n in shape]
    return f"[{', '.join(['B', *sides])}]"


def _texts(shapes):
    return _and(f"{key} {_text(shape)}".strip() for key, shape in shapes.items()) or "nothing"


def _and(texts):
    return " and ".join(texts)
