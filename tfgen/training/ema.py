"""Exponential moving average of weights."""

import contextlib
from collections.abc import Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf

from tfgen import settings
from tfgen.settings import NaturalInt


class EMA:
    """Keeps a slowly moving copy ("shadow") of variables: shadow <- d * shadow + (1 - d) * variable.

    d = min(decay, (1 + t) / (10 + t)), where t is the number of earlier updates of the variables, so that the first weights
    do not dominate in a short run. The variables come in groups, one for each player of a model (see
    `tfgen.training.Player`), each with its own count of updates. With `start` the shadows are copies of the variables for
    that many updates, and then d = decay.

    Example:
        >>> weight = keras.Variable(0.0)
        >>> ema = tfgen.training.EMA({"model": {"weight": weight}}, decay=0.9, start=1)
        >>> for value in (1.0, 2.0):  # the first update copies
        ...     _ = weight.assign(value)
        ...     ema.update("model")
        >>> round(float(ema.named()["weight"]), 4)  # 0.9 * 1 + 0.1 * 2
        1.1

    Args:
        groups: {player: {path: float `keras.Variable`}}.
        decay: in [0, 1), or None: the shadows are kept but not updated, as in a model that was loaded and not compiled.
            ProGAN states a half-life in images instead: decay = 0.5 ** (batch_size / half-life).
        start: None, or the number of updates before the averaging.
        deriving: layers with variables that follow from their weights: `derived_variables`, and `derive()`, which computes
            them. An average of them would have no meaning; with the averaged weights in the model they are computed anew.

    Attributes:
        shadows: list of `keras.Variable`, in the order of `variables`.

    Raises:
        ValueError: `decay` is not in [0, 1), or `start` no integer >= 0.
    """

    def __init__(
        self, groups: dict[str, dict[str, keras.Variable]], decay: float | None, start: NaturalInt | None = None,
        deriving: Sequence[keras.layers.Layer] = (),
    ):  # fmt: skip
        if decay is not None and not 0.0 <= decay < 1.0:
            raise ValueError(f"ema_decay must be in [0, 1); received {decay!r}.")
        settings.check_values({"ema_start": NaturalInt | None}, {"ema_start": start})
        self.start = start
        self.decay = None if decay is None else float(decay)
        self.groups, self._deriving = groups, deriving
        self._derived: list = []
        self.paths = [path for group in groups.values() for path in group]
        self.variables = [v for group in groups.values() for v in group.values()]
        self._shadows = [
            keras.Variable(
                keras.ops.convert_to_numpy(v), dtype=v.dtype, trainable=False, name=f"ema_{i}",
                aggregation="only_first_replica",
            )
            for i, v in enumerate(self.variables)
        ]  # fmt: skip
        self.counts = {
            player: keras.Variable(0, dtype="int64", trainable=False, name=f"updates_{i}", aggregation="only_first_replica")
            for i, (player, group) in enumerate(groups.items()) if group
        }  # fmt: skip
        self.is_swapped, self._restart = False, False

    @property
    def shadows(self) -> list[keras.Variable]:
        self.settle()
        return self._shadows

    def restart(self) -> None:
        """Sets the shadows to the weights that the variables have when the shadows are next read, or at the next step."""
        self._restart = True

    def settle(self) -> None:
        """Does the work that `restart` deferred. Does nothing inside a graph, where weights have no values."""
        if self._restart and not tf.inside_function():
            self._restart = False
            for shadow, variable in zip(self._shadows, self.variables, strict=True):
                shadow.assign(keras.ops.convert_to_numpy(variable))
            for count in self.counts.values():
                count.assign(0)

    def update(self, player: str, moved: tf.Tensor | None = None) -> None:
        """Updates the shadows of one player's variables. Runs inside the training graph.

        Args:
            player: a key of `groups`; nothing is done for a player without averaged variables.
            moved: None, or a bool scalar: whether the variables were updated. If not, the shadows stay the same.
        """
        if player not in self.counts:
            return
        count = self.counts[player]
        t = tf.convert_to_tensor(count)
        if self.start is None:
            t = tf.cast(t, tf.float32)
            share = 1.0 - tf.minimum(self.decay, (1.0 + t) / (10.0 + t))
        else:
            assert self.decay is not None
            share = tf.where(t < self.start, 1.0, 1.0 - self.decay)
        if moved is not None:
            share = tf.where(moved, share, 0.0)
        first = 0
        for name, group in self.groups.items():
            if name == player:
                for shadow, variable in zip(self.shadows[first:], group.values(), strict=False):
                    shadow.assign_add(share * (tf.convert_to_tensor(variable) - tf.convert_to_tensor(shadow)))
            first += len(group)
        count.assign_add(1 if moved is None else tf.cast(moved, tf.int64))

    def named(self) -> dict[str, keras.Variable]:
        """{path: shadow}, and {"updates/<player>": its count}."""
        counts = {f"updates/{player}": count for player, count in self.counts.items()}
        return {**dict(zip(self.paths, self.shadows, strict=True)), **counts}

    def load(self, values: dict[str, np.ndarray]) -> None:
        """Sets the shadows to `values`, {path: array}.

        Raises:
            ValueError: wrong paths or shapes.
        """
        shadows = self.named()
        if values.keys() != shadows.keys():
            raise ValueError(
                f"The averaged weights are of another model: missing {sorted(shadows.keys() - values.keys())}, "
                f"unknown {sorted(values.keys() - shadows.keys())}."
            )
        for path, value in values.items():
            if tuple(value.shape) != tuple(shadows[path].shape):
                raise ValueError(f"The average of {path} has shape {value.shape}; {tuple(shadows[path].shape)} is needed.")
            shadows[path].assign(value)

    def swap(self) -> None:
        """Exchanges shadows and variables; a second call exchanges them back."""
        for shadow, variable in zip(self.shadows, self.variables, strict=True):
            live = keras.ops.convert_to_numpy(variable)
            variable.assign(keras.ops.convert_to_numpy(shadow))
            shadow.assign(live)
        self.is_swapped = not self.is_swapped
        variables = [v for layer in self._deriving for v in layer.derived_variables]
        if self.is_swapped:
            self._derived = [keras.ops.convert_to_numpy(v) for v in variables]
            for layer in self._deriving:
                layer.derive()
        else:
            for variable, value in zip(variables, self._derived, strict=True):
                variable.assign(value)

    def check_not_swapped(self, what: str) -> None:
        """Raises RuntimeError, which begins with `what`, while the averaged weights are in the model."""
        if self.is_swapped:
            raise RuntimeError(
                f"{what} needs the trained weights, but the averaged weights are in the model: leave `model.ema.swapped()` "
                "first, or call `model.ema.swap()` once more."
            )

    @contextlib.contextmanager
    def swapped(self) -> Iterator[None]:
        """A context in which the model has the averaged weights; its own weights return at the end, also after an error."""
        if self.is_swapped:
            raise RuntimeError("The averaged weights are already in the model: swapped() must not be nested.")
        try:
            self.swap()
            yield
        finally:
            if self.is_swapped:
                self.swap()
