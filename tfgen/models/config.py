"""The config of a model: its constructor arguments, which may include the user's own networks."""

import collections
import contextlib
import copy
import inspect
import itertools
from collections.abc import Callable
from typing import Literal, TypeVar

import keras
import numpy as np
from keras.src.backend.common import global_state

from tfgen import settings
from tfgen.networks.given import given_network, serialized

# The policies that models compute in. Pure float16 and bfloat16 would round the weights, and float64 is no dtype of images.
DTYPES = ("float32", "mixed_bfloat16", "mixed_float16")
# The arguments of `keras.Model`. Their dtype is checked by `_check_dtype`.
_OF_KERAS = {"name": str | None, "dtype": object, "trainable": bool}

Model = TypeVar("Model", bound="ConfigMixin")


class ConfigMixin:
    """The part of `TrainableModel` that reads the config from the constructor's signature.

    The config holds the keyword-only arguments of the constructors of a class and its base classes. They are checked against
    their type hints (see `tfgen.settings`) before anything is built. `own_networks` names the arguments that take the user's
    own network.

    Attributes:
        own_networks: {(constructor arguments that take a network, ...): settings that have no effect if all of these are
            given}.
    """

    own_networks: dict[tuple[str, ...], tuple[str, ...]] = {}

    # Of the model.
    _config: collections.UserDict
    image_shape: tuple[int, int, int]
    num_classes: int

    def __new__(cls, *args, **kwargs):
        model = super().__new__(cls, *args, **kwargs)
        parameters = cls.config_parameters()
        unknown = sorted(set(kwargs) - set(parameters) - set(_OF_KERAS))
        if unknown:
            close = settings.did_you_mean(unknown[0], parameters)
            known = ", ".join(parameters)
            raise TypeError(f"{cls.__name__} has no argument {', '.join(unknown)}.{close} It has {known}, name, dtype.")
        cls.check_settings(kwargs)
        _check_dtype(cls, kwargs.get("dtype"))
        defaults = {p.name: p.default for p in parameters.values() if p.default is not p.empty}
        config = {**defaults, **kwargs}
        for networks, replaced in cls.own_networks.items():
            if all(config[name] is not None for name in networks):
                for name in replaced:
                    if _plain(config[name]) != _plain(defaults[name]):
                        raise ValueError(
                            f"{name}={config[name]!r} is a setting of the built-in networks of {cls.__name__}, which "
                            f"{' and '.join(networks)} replace: leave {name} out."
                        )
        cls._check_untied({name: config[name] for name in cls.network_arguments()})
        # object.__setattr__, because Keras allows no attributes before its own __init__ has run. A UserDict, because Keras
        # would save the networks in a dict.
        object.__setattr__(model, "_config", collections.UserDict(config))
        return model

    @classmethod
    def config_parameters(cls) -> dict[str, inspect.Parameter]:
        """{name: inspect.Parameter} of the constructor: its own arguments, then those that it passes on as **kwargs."""
        found: dict[str, inspect.Parameter] = {}
        for base in cls.__mro__:
            if not issubclass(base, ConfigMixin) or "__init__" not in base.__dict__:
                continue
            parameters = inspect.signature(base.__init__).parameters.values()
            for parameter in parameters:
                if parameter.kind is parameter.KEYWORD_ONLY:
                    found.setdefault(parameter.name, parameter)
            if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters):
                break
        return found

    @classmethod
    def setting_types(cls) -> dict[str, object]:
        """{name: type hint} of the constructor's arguments, see `tfgen.settings`."""
        return {**settings.hints_of(cls), **_OF_KERAS}  # type: ignore[arg-type]  # a class is hashable

    @classmethod
    def check_settings(cls, given: dict) -> None:
        """Raises ValueError if a constructor argument {name: value} is not of its declared type and range."""
        settings.check_values(cls.setting_types(), given)

    def check_without_effect(self, reason: str, *names: str) -> None:
        """Raises ValueError if one of these constructor arguments, which have no effect, is not its default.

        Args:
            reason: the settings because of which they have none, for the message.
        """
        for name, parameter in self.config_parameters().items():
            if name in names and _plain(self._config[name]) != _plain(parameter.default):
                raise ValueError(
                    f"{name} has no effect with {reason} and must be left at {parameter.default!r}; received "
                    f"{self._config[name]!r}."
                )

    def get_config(self) -> dict:
        """The constructor arguments as JSON-able values; Keras serialises objects (layers, an `Objective`, ...)."""
        return {k: _plain(v) for k, v in self._config.items()}

    @classmethod
    def from_config(cls: type[Model], config: dict) -> Model:
        networks = cls.network_arguments()
        for name in networks:
            if isinstance(config.get(name), str):  # a file must not call functions
                raise ValueError(f"In a config {name} is a network's Keras config or None; received {config[name]!r}.")
        with _unshared():
            return cls(**{name: value if name in networks else _restored(value) for name, value in config.items()})

    @classmethod
    def network_arguments(cls) -> tuple[str, ...]:
        """The names of the constructor arguments that take the user's own network, see `own_networks`."""
        return tuple(dict.fromkeys(name for names in cls.own_networks for name in names))

    @staticmethod
    def _check_untied(networks):
        """Raises ValueError if two of the user's networks share weights: each network is copied, so the copies would not."""
        parts = {}
        for name, network in networks.items():
            if isinstance(network, keras.Model):
                # Layers that are not built may still get weights.
                unbuilt = {id(layer): layer.name for layer in network._flatten_layers() if not layer.built}
                parts[name] = {id(v): v.path for v in network.trainable_variables} | unbuilt
        for one, other in itertools.combinations(parts, 2):
            shared = [path for key, path in parts[one].items() if key in parts[other]]
            if shared:
                raise ValueError(
                    f"{one} and {other} share {', '.join(shared)}; each network is copied, so the copies would not share "
                    "them. Give each network its own layers."
                )

    def own_network(
        self, name: str, given: keras.Model | dict | str | None, inputs: list[tuple], outputs: tuple | dict,
        needed: tuple[str, ...] | None = None,
    ) -> keras.Model | None:  # fmt: skip
        """The copy of a network that was given as constructor argument `name`, see `tfgen.networks.given_network`.

        A maker is called with those of `image_shape`, `latent_dim`, `num_classes` and `output_shape` (of the first output,
        without the batch) that it has as arguments.

        Args:
            name: the constructor argument.
            given: its value.
            inputs: shapes of the inputs, without the batch.
            outputs: shape of the output, or {name: shape}, without the batch.
            needed: names of the outputs that the network must have; None: all.

        Returns:
            The network, or None if `given` is None.

        Raises:
            ValueError: the model takes no network of this name, or the shapes do not fit.
        """
        if given is None:
            return None
        if name not in self.network_arguments():
            takes = ", ".join(self.network_arguments()) or "none"
            raise ValueError(f"{type(self).__name__} takes no {name} of your own. It takes: {takes}.")
        known = {"image_shape": self.image_shape, "latent_dim": getattr(self, "latent_dim", None),
                 "num_classes": self.num_classes,
                 "output_shape": next(iter(outputs.values())) if isinstance(outputs, dict) else outputs}  # fmt: skip
        network = given_network(given, name, inputs, outputs, needed=needed, **known)
        self._config[name] = serialized(network, name)
        return network

    def choose_networks(self, make: Callable, **wanted: tuple) -> None:
        """Sets networks as attributes and builds them: the user's own networks if given, else the built-in ones.

        Args:
            make: function () -> the built-in networks in the order of `wanted`; not called if all networks are given.
            **wanted: {name of attribute and argument: (given network or None, input shape, output shape)}, without the
                batch.
        """
        own = {name: self.own_network(name, given, [inputs], outputs) for name, (given, inputs, outputs) in wanted.items()}
        made = [None] * len(own) if None not in own.values() else make()
        for (name, network), built_in in zip(own.items(), made, strict=True):
            if network is None:
                network = built_in
                network.build((None, *wanted[name][1]))
            setattr(self, name, network)


def _check_dtype(cls, dtype):
    """Raises ValueError for a dtype, or a global policy of Keras, that models do not support."""
    try:
        name = keras.dtype_policies.get(dtype).name  # of None the global policy
    except (ValueError, TypeError):
        name = None
    if name not in DTYPES:
        setting = "dtype" if dtype is not None else "keras.config.dtype_policy()"
        raise ValueError(
            f"{setting} must be {settings.wanted(Literal[DTYPES])} for {cls.__name__}, whose weights, losses and images are "
            f"float32; received {settings.shown(name if dtype is None else dtype)}."
        )


def _plain(value):
    """A constructor argument as JSON holds it."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if settings.is_sequence(value):
        return [_plain(item) for item in value]
    if hasattr(value, "get_config") or callable(value) or isinstance(value, np.generic):
        return keras.saving.serialize_keras_object(value)
    return value


@contextlib.contextmanager
def _unshared():
    """Keeps Keras from taking one object of a file for another.

    While it loads a file, Keras knows objects by their addresses, and Python gives the address of a freed object to a new
    one. A network that is copied meanwhile could get a layer of another one.
    """
    names = ("shared_objects/id_to_obj_map", "shared_objects/id_to_config_map")
    kept = {name: global_state.get_global_attribute(name) for name in names}
    for name in names:
        global_state.set_global_attribute(name, None)
    try:
        yield
    finally:
        for name, value in kept.items():
            global_state.set_global_attribute(name, value)


def _restored(value):
    if isinstance(value, dict) and {"class_name", "config"} <= value.keys():
        return keras.saving.deserialize_keras_object(copy.deepcopy(value))  # Keras changes the configs that it reads
    return value
