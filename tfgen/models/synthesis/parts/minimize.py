"""Minimisation of many codes at once by L-BFGS."""

import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp


def minimize(
    cost: Callable[[tf.Tensor], tf.Tensor], start: tf.Tensor, *, steps: int, tolerance: float = 1e-6
) -> tuple[tf.Tensor, tf.Tensor]:  # fmt: skip
    """Lowers the cost of each row by at most `steps` steps of L-BFGS, in one compiled loop.

    Rows are independent: each has its own line search and stops by itself. A row whose line search ends above its start, or
    at a number that is not finite, keeps its start.

    Example:
        >>> codes, costs = minimize(lambda x: tf.reduce_sum((x - 3.0) ** 2, axis=1), tf.zeros([2, 4]), steps=5)
        >>> codes.numpy().round(3)[0].tolist()
        [3.0, 3.0, 3.0, 3.0]

    Args:
        cost: function of codes [B, Z] -> [B].
        start: float32 [B, Z].
        steps: >= 0.
        tolerance: a row ends where no part of its gradient is larger than this share of the length of its first, or
            where its cost falls by a smaller share of itself.

    Returns:
        (codes float32 [B, Z], their costs float32 [B], at most those of the starts).
    """
    start = tf.convert_to_tensor(start, tf.float32)

    # Traced once, not at each of the ten places where the line search calls it.
    @functools.partial(tf.function, autograph=False, input_signature=[tf.TensorSpec(start.shape, tf.float32)])
    def value_and_gradient(codes):
        # A row that can go no further is asked for at NaN; a cost may refuse that, and the line search takes infinity.
        finite = tf.reduce_all(tf.math.is_finite(codes), axis=1)
        codes = tf.where(finite[:, None], codes, 0.0)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(codes)
            value = cost(codes)
        return tf.where(finite, value, np.inf), tape.gradient(value, codes)

    def run():
        if not steps:
            return start, cost(start)
        before, gradient = value_and_gradient(start)
        # The first step has the length of the gradient. Costs are scaled such that this is 1: with a tiny gradient the step
        # would lower the cost by less than the tolerance, and the row would end where it began.
        length = tf.norm(gradient, axis=1)
        scale = tf.where(tf.math.is_finite(length) & (length > 0), 1 / length, 1.0)

        def scaled(codes):
            value, gradient = value_and_gradient(codes)
            return value * scale, gradient * scale[:, None]

        found = tfp.optimizer.lbfgs_minimize(
            scaled, start, max_iterations=steps, tolerance=tolerance, f_relative_tolerance=tolerance,
            max_line_search_iterations=20,
        )  # fmt: skip
        after = found.objective_value / scale
        lower = tf.math.is_finite(after) & (after < before)
        lower &= tf.reduce_all(tf.math.is_finite(found.position), axis=1)
        return tf.where(lower[:, None], found.position, start), tf.where(lower, after, before)

    # A graph: in eager mode Python would run every step, which is slow.
    return tf.function(run, autograph=False)() if tf.executing_eagerly() else run()
