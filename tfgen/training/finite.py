"""Whether weights and outputs are finite, and whose they are if not."""

import keras
import numpy as np
import tensorflow as tf

_SHOWN = 4  # images that are made to see whether they are finite


class TrainingDiverged(FloatingPointError):
    """A loss, a weight or a sample became NaN or infinite."""


def not_finite(model: keras.Model, state: dict[str, keras.Variable], player: str | None = None) -> str | None:
    """Says which variable is not finite, and of which player; None if all are finite.

    Args:
        state: a part of `TrainableModel.state`.
        player: the one whose variables are looked at first, or None.
    """
    owners = {key: _player_in(key, model) or player_of(model, variable) for key, variable in state.items()}
    for key in sorted(state, key=lambda key: player is not None and owners[key] != player):  # stable
        value = tf.convert_to_tensor(state[key].value)
        if value.dtype.is_floating and not bool(tf.reduce_all(tf.math.is_finite(value))):
            owner = f" of the player {owners[key]!r}" if owners[key] else ""
            return f"{key.removeprefix('weights/')}{owner} is not finite"
    return None


def player_of(model: keras.Model, variable: keras.Variable) -> str | None:
    """The name of the player whose networks hold the variable; None if no player's do."""
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
    """Whether a few outputs of the model are finite, by its averaged weights if it has them.

    These are its losses of some of `examples`, where it has such losses without training, and some samples. Of a
    `Sampler.sequential` the losses must do: sampling takes long, and draws finite pixels from any parameters.

    Args:
        examples: a batch of checked fields; None: samples alone can be made, of a model that is sampled without conditions.
    """
    from tfgen.models.capabilities import Sampler  # not at the top: models import this package

    values = []
    if examples is not None:
        some = {name: value[:_SHOWN] for name, value in examples.items()}
        values += model.evaluation_losses(some).values()
    if Sampler in model.capabilities() and not model.sequential:
        conditions = model.conditions_to_show(_SHOWN, examples)
        if conditions is not None:
            conditions = {name: tf.convert_to_tensor(value) for name, value in conditions.items()}
            values.append(model.generate(tf.range(_SHOWN, dtype=tf.int64), **conditions))
    return all(np.isfinite(value).all() for value in values)
