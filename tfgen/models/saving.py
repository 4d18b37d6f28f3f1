"""The state of a model in checkpoints and in Keras' files."""

import importlib
import os
import pathlib
from collections.abc import Callable, Mapping, MutableMapping
from typing import TypeVar

import keras
from absl import logging

from tfgen.training.ema import EMA
from tfgen.training.players import Player
from tfgen.training.state import named_optimizer_variables, named_variables

_AVERAGE = "average:"  # in front of the keys of averaged weights in Keras' files

Model = TypeVar("Model", bound="SavingMixin")


class SavingMixin:
    """The part of `TrainableModel` that saves and loads: `state()` for checkpoints, and the methods that Keras calls."""

    # Of the model.
    compile: Callable
    compiled: bool
    ema: EMA | None
    jit_compile: bool
    player_optimizers: dict[str, keras.optimizers.Optimizer]
    players: Callable[[], dict[str, Player]]
    run_eagerly: bool
    steps_per_execution: int
    _new_averages: Callable[..., EMA]
    _non_trainable_variables: list[keras.Variable]
    _trainable_variables: list[keras.Variable]

    def state(self) -> dict[str, keras.Variable]:
        """{key: variable} of the complete training state: with it, a resumed run equals an uninterrupted one."""
        weights = named_variables(self)
        state = {f"weights/{path}": v for path, v in weights.items()}
        for name, optimizer in self.player_optimizers.items():
            trained = {id(v) for v in self.players()[name].variables}
            named = named_optimizer_variables(optimizer, {path: v for path, v in weights.items() if id(v) in trained})
            state |= {f"optimizers/{name}/{key}": v for key, v in named.items()}
        if self.ema is not None:
            state |= {f"averages/{path}": v for path, v in self.ema.named().items()}
        return state

    @classmethod
    def from_preset(cls: type[Model], source: str | os.PathLike, **kwargs) -> Model:
        """The trained model of a preset, of this class: `tfgen.from_preset` with its arguments."""
        return _pretrained().from_preset(source, model_class=cls, **kwargs)

    def save_to_preset(self, folder: str | os.PathLike, **kwargs) -> pathlib.Path:
        """Saves the model as a folder for `from_preset`: `tfgen.pretrained.save_to_preset` with its arguments."""
        return _pretrained().save_to_preset(self, folder, **kwargs)

    def get_compile_config(self) -> dict:
        if not self.compiled:
            return {}
        return {
            "optimizer": {n: keras.saving.serialize_keras_object(o) for n, o in self.player_optimizers.items()},
            "ema_decay": self.ema.decay if self.ema else None,
            **({} if self.ema is None or self.ema.start is None else {"ema_start": self.ema.start}),
            "jit_compile": self.jit_compile, "steps_per_execution": self.steps_per_execution,
            "run_eagerly": self.run_eagerly,
        }  # fmt: skip

    def compile_from_config(self, config: dict) -> None:
        config = dict(config)
        optimizers = {n: keras.saving.deserialize_keras_object(o) for n, o in config.pop("optimizer").items()}
        self.compile(optimizers, **config)

    def save_own_variables(self, store: MutableMapping) -> None:
        """Saves the model's own variables by name, and the averaged weights. Keras calls it in all its ways to save.

        Raises:
            RuntimeError: the averaged weights are swapped into the model, so they would be saved as the trained weights.
        """
        if self.ema is not None:
            self.ema.check_not_swapped("Saving")
        for variable in [*self._trainable_variables, *self._non_trainable_variables]:
            store[variable.name] = variable
        if self.ema is not None:
            for path, shadow in self.ema.named().items():
                store[_AVERAGE + path.replace("/", ".")] = shadow

    def load_own_variables(self, store: Mapping) -> None:
        """Loads the model's own variables and the averaged weights. Keras calls it in all its ways to load.

        Raises:
            ValueError: the file is of another model, or of a version of tfgen that numbered the variables.
        """
        own, stored = [*self._trainable_variables, *self._non_trainable_variables], set(store.keys())
        if "step" not in stored and "0" in stored:
            raise ValueError(
                "The file is of an older version of tfgen, which numbered variables where this one names them. Load it with "
                "that version, or train anew."
            )
        for variable in own:
            if variable.name not in stored:
                raise ValueError(f"The file is of another model: it has no {variable.name!r} of {type(self).__name__}.")
            value = store[variable.name]
            if tuple(value.shape) != tuple(variable.shape):
                raise ValueError(
                    f"The file is of another model: {variable.name!r} has the shape {tuple(value.shape)} there and "
                    f"{tuple(variable.shape)} in this {type(self).__name__}."
                )
        for variable in own:
            variable.assign(store[variable.name])
        self._load_averages({key: store[key] for key in stored if key.startswith(_AVERAGE)})

    def _load_averages(self, stored):
        if not stored:
            if self.ema is not None:
                self.ema.restart()  # deferred: Keras loads the layers after this
                logging.warning("The file has no averaged weights: averaging restarts from the loaded weights.")
            return
        if self.ema is None and self.compiled:
            logging.warning("The averaged weights in the file are not loaded: this model was compiled without ema_decay.")
            return
        ema = self._new_averages(self.players(), None) if self.ema is None else self.ema
        paths = {_AVERAGE + path.replace("/", "."): path for path in ema.named()}
        try:
            ema.load({paths.get(key, key): value for key, value in stored.items()})
        except ValueError:
            ema.restart()  # with skip_mismatch Keras continues, so the averages must not stay those of other weights
            raise
        self.ema = ema


def _pretrained():
    """`tfgen.pretrained`, by no import statement: it knows all models, whose code is no part of that of this one."""
    return importlib.import_module("tfgen.pretrained")
