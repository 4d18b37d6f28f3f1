"""Constraints on weights, imposed between steps rather than through the loss."""

import tensorflow as tf


def clip_weights(variables, limit):
    """Assigns to each variable its values clipped to [-limit, limit]: Arjovsky et al. 2017, arXiv:1701.07875, algorithm 1.

    The paper clips all parameters of the critic. After a clip before the update (as the released code does) the weights
    may lie outside by one step; after a clip that follows it they do not.

    Args:
        variables: `keras.Variable`s or `tf.Variable`s; under a distribution strategy, each replica clips its own copy.
        limit: positive and finite, 0.01 in the paper.
    """
    if not 0.0 < limit < float("inf"):
        raise ValueError(f"limit must be positive and finite; received {limit!r}.")
    for variable in variables:
        variable.assign(tf.clip_by_value(tf.convert_to_tensor(variable), -limit, limit))
