"""Checks that weights and outputs are finite, and finds the player of a variable that is not."""

import keras
import numpy as np
import tensorflow as tf

_NUM = 4  # number of images in a check of the outputs


class TrainingDiverged(FloatingPointError):
    """A loss, a weight or a sample became NaN or infinite.

    Example:
        try:
            model.fit(images, callbacks=[tfgen.training.StopOnNonFinite(checkpoints)])
        except tfgen.training.TrainingDiverged as error:
            print(error)  # the step, the largest weights, and the last good checkpoint
    """


def not_finite(model: keras.Model, state: dict[str, keras.Variable], player: str | None = None) -> str | None:
    """A text that names a variable that is not finite, and its player; None if all are finite.

    Args:
        state: a part of `TrainableModel.state`.
        player: name of the player whose variables are checked first, or None.
    """
    owners = {key: _player_in(key, model) or player_of(model, variable) for key, variable in state.items()}
    for key in sorted(state, key=lambda key: player is not None and owners[key] != player):  # stable
        value = tf.convert_to_tensor(state[key].value)
        if value.dtype.is_floating and not bool(tf.reduce_all(tf.math.is_finite(value))):
            owner = f" of the player {owners[key]!r}" if owners[key] else ""
            return f"{key.removeprefix('weights/')}{owner} is not finite"
    return None


def player_of(model: keras.Model, variable: keras.Variable) -> str | None:
    """The name of the player whose networks hold the variable, or None."""
    for name, player in model.players().items():
        if any(variable is v for network in player.networks for v in network.variables):
            return name
    return None


def _player_in(key, model):
    """The player of a key optimizers/<player>/... or averages/<path of a weight>."""
    kind, _, rest = key.partition("/")
    if kind == "optimizers":
        return rest.partition("/")[0]
    groups = model.ema.groups if kind == "averages" else {}
    return next((name for name, group in groups.items() if rest in group), None)


def outputs_finite(model: keras.Model, examples: dict | None) -> bool:
    """Whether a few outputs of the model are finite: its evaluation losses of some of `examples`, and some samples.

    Models with `Sampler.sequential` make no samples: sampling them is slow, and their pixels are finite with any parameters.

    Args:
        examples: a batch of checked fields; None: only samples are made, if the model needs no conditions.
    """
    from tfgen.models.capabilities import Sampler  # not at the top: models import this package

    values = []
    if examples is not None:
        some = {name: value[:_NUM] for name, value in examples.items()}
        values += model.evaluation_losses(some).values()
    if Sampler in model.capabilities() and not model.sequential:
        conditions = model.conditions_to_show(_NUM, examples)
        if conditions is not None:
            conditions = {name: tf.convert_to_tensor(value) for name, value in conditions.items()}
            values.append(model.generate(tf.range(_NUM, dtype=tf.int64), **conditions))
    return all(np.isfinite(value).all() for value in values)
