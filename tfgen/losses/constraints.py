"""Constraints on weights, applied between steps and not through the loss."""

from collections.abc import Iterable

import keras
import tensorflow as tf


def clip_weights(variables: Iterable[keras.Variable | tf.Variable], limit: float) -> None:
    """Assigns to each variable its values clipped to [-limit, limit]: Arjovsky et al. 2017, arXiv:1701.07875, algorithm 1.

    The paper clips all parameters of the critic after its update. The released code clips before the update, so its weights
    may exceed the limit by one step.

    Example:
        >>> weights = keras.Variable([-3.0, 0.25, 1.0])
        >>> tfgen.losses.clip_weights([weights], 0.5)
        >>> weights.numpy().tolist()
        [-0.5, 0.25, 0.5]

    Args:
        variables: `keras.Variable`s or `tf.Variable`s; under a distribution strategy, each replica clips its own copy.
        limit: positive and finite, 0.01 in the paper.

    Raises:
        ValueError: `limit` is not positive and finite.
    """
    if not 0.0 < limit < float("inf"):
        raise ValueError(f"limit must be positive and finite; received {limit!r}.")
    for variable in variables:
        variable.assign(tf.clip_by_value(tf.convert_to_tensor(variable), -limit, limit))
