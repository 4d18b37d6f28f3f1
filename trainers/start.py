"""What a training starts from in place of random weights (`init_from`), and which weights it does not train (`freeze`)."""

from __future__ import annotations

import fnmatch
import hashlib
import pathlib
import typing
from collections.abc import Sequence

import keras
import numpy as np

from tfgen import pretrained, settings
from tfgen.training.callbacks import averaged_weights
from tfgen.training.state import named_variables


class Start(typing.NamedTuple):
    """Weights to start from.

    Attributes:
        values: {name of a weight: array}.
        origin: {"from", "step", "weights": sha256 (hex)}, for the record of the run.
    """

    values: dict[str, np.ndarray]
    origin: dict


def canonical(name: str) -> str:
    """The name of `initial_weights` that means the same in every working folder: the path of a folder becomes absolute."""
    path = pathlib.Path(name).expanduser()
    return str(path.absolute()) if name not in pretrained.names() and path.is_dir() else name


def initial_weights(name: str, model: keras.Model) -> Start:
    """The trained weights of that name, which must fit the model; the averaged ones, if there are averages.

    Args:
        name: a run folder, or what `tfgen.from_preset` takes: a folder of `save_to_preset`, a preset whose weights come with
            tfgen, hf://USER/REPO.
        model: the model that will get them.

    Raises:
        ValueError: there are no such weights; or they have others than the model, or of other shapes.
    """
    from tfgen_trainers.train import load_run

    if (pathlib.Path(name) / "checkpoints").is_dir():
        found, _ = load_run(name)
    else:
        try:
            found = pretrained.from_preset(name, allow_download=True)
        except ValueError as error:
            raise ValueError(f"init_from must be a run folder with a checkpoint, or trained weights: {error}") from error
    with averaged_weights(found):
        values = {key: keras.ops.convert_to_numpy(v) for key, v in weights_of(found).items()}
    wanted = {key: tuple(v.shape) for key, v in weights_of(model).items()}
    for key in (*wanted, *values):
        expected, received = wanted.get(key), values[key].shape if key in values else None
        if expected != received:
            shown = ["no such weight" if shape is None else f"the shape {shape}" for shape in (expected, received)]
            raise ValueError(
                f"init_from={name!r}, a {type(found).__name__}, does not fit this {type(model).__name__}: for the weight "
                f"{key} expected {shown[0]}, found {shown[1]}."
            )
    digest = hashlib.sha256()
    for key, value in sorted(values.items()):
        digest.update(f"{key} {value.dtype} {value.shape} ".encode() + np.ascontiguousarray(value).tobytes())
    return Start(values, {"from": name, "step": int(found.step.value.numpy()), "weights": digest.hexdigest()})


def begin_with(model: keras.Model, start: Start) -> None:
    """Gives a model that has not been trained these weights; its averages, if any, begin there too."""
    for key, variable in weights_of(model).items():
        variable.assign(start.values[key])
    if model.ema is not None:
        model.ema.restart()


def weights_of(model: keras.Model) -> dict[str, keras.Variable]:
    """{name: variable} of the weights and moving statistics of a model: its variables of floats, see `named_variables`."""
    return {name: v for name, v in named_variables(model).items() if keras.backend.is_float_dtype(v.dtype)}


def freeze(model: keras.Model, patterns: Sequence[str]) -> None:
    """Leaves the weights whose names match a pattern as they are in training. A layer of which all match, such as a batch
    norm, also keeps its moving statistics, and uses them.

    Args:
        model: compiled; call it before the first step.
        patterns: such as "encoder/*", as of `fnmatch`, of the names in `weights_of`.

    Raises:
        ValueError: a pattern matches no weight, or all weights of a player are frozen.
    """
    if not patterns:
        return
    weights = weights_of(model)
    for pattern in patterns:
        if not fnmatch.filter(weights, pattern):
            hint = settings.did_you_mean(pattern, weights)
            raise ValueError(
                f"freeze={pattern!r} must match weights of the {type(model).__name__}; it matches none of "
                f"{', '.join(weights)}.{hint}"
            )
    frozen = {id(v) for name, v in weights.items() if any(fnmatch.fnmatchcase(name, one) for one in patterns)}
    for variable in weights.values():
        if id(variable) in frozen:
            variable.trainable = False
    for layer in model._flatten_layers():
        if layer.variables and not layer._layers and all(id(v) in frozen for v in layer.variables):
            layer.trainable = False
    for name, player in model.players().items():
        if not player.variables:
            raise ValueError(f"freeze={', '.join(patterns)} leaves the player {name!r} no weight to train.")
