"""Optimisation of codes, or of pixels, over fixed networks: activation maximisation, inversion, Langevin-like chains.

All of them use one loop. At step t = 0, 1, ... a row moves along

    d = d objective / d code + drift + noise * N(0, 1)
    code <- after(code + rate * rule(d))

with `rate`, `noise` and the random numbers functions of t. To minimise, negate the objective. For L-BFGS use
`tfp.optimizer.lbfgs_minimize`, whose rows are independent as well.

References:
    [1]: Nguyen, Dosovitskiy, Yosinski, Brox, Clune, "Synthesizing the preferred inputs for neurons in neural networks via
        deep generator networks", NeurIPS 2016: a rate that falls, a code that is clipped after each step.
    [2]: Nguyen, Clune, Bengio, Dosovitskiy, Yosinski, "Plug & Play Generative Networks", CVPR 2017: in addition, the drift
        of a prior and noise; steps of a fixed mean size.
    [3]: Karras et al., "Analyzing and improving the image quality of StyleGAN", CVPR 2020, appendix D: inversion by Adam.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from tfgen import random
from tfgen.fields import checked

RULES = ("plain", "normalized", "adam")
_BETAS, _EPSILON = (0.9, 0.999), 1e-8  # of Adam


class Step(NamedTuple):
    """One step of `ascend`, an argument of the functions that it calls.

    Example:
        >>> step = tfgen.sampling.Step(index=tf.constant([0, 0]), keys=tfgen.random.keys([3, 4]))
        >>> tfgen.random.normal(step.keys, 5).shape  # noise for each row
        TensorShape([2, 5])

    Attributes:
        index: int32 [B], the number of the step, from 0. A row that has made all its steps keeps its last number.
        keys: uint64 [B], the row's key for this step, see `tfgen.random`; None without seeds.
    """

    index: tf.Tensor
    keys: tf.Tensor | None


class Ascent(NamedTuple):
    """The result of `ascend`.

    Example:
        >>> found = tfgen.sampling.ascend(lambda codes, step: -codes[:, 0] ** 2, tf.ones([2, 3]), steps=5, rate=0.1)
        >>> found.codes.shape, found.objective.shape, found.path
        (TensorShape([2, 3]), TensorShape([2, 6]), None)

    Attributes:
        codes: float32 [B, ...], after the last step.
        objective: float32 [B, steps + 1], the objective before each step, and after the last one.
        path: float32 [B, steps + 1, ...], these codes; None unless recorded.
    """

    codes: tf.Tensor
    objective: tf.Tensor
    path: tf.Tensor | None


def ascend(
    objective: Callable[[tf.Tensor, Step], tf.Tensor], start: tf.Tensor, *, steps: int | tf.Tensor,
    rate: float | Callable[[Step], tf.Tensor], rule: str = "plain",
    drift: Callable[[tf.Tensor, Step], tf.Tensor] | None = None, noise: float | Callable[[Step], tf.Tensor] | None = None,
    after: Callable[[tf.Tensor, Step], tf.Tensor] | None = None, seeds: tf.Tensor | None = None, record: bool = False,
) -> Ascent:  # fmt: skip
    """Moves codes so that an objective grows, in one traced loop.

    A row depends on its start, its seed and its number of steps, and not on the other rows: the gradient is that of the sum
    of the objectives, so the networks must treat rows independently (batch norm with moving statistics). No weight changes.
    Several variables of a row, such as a code and noise maps, must be concatenated.

    Example:
        >>> found = tfgen.sampling.ascend(lambda x, step: -(x[:, 0] - 3.0) ** 2, tf.zeros([2, 1]), steps=50, rate=0.1)
        >>> [round(x, 3) for x in found.codes.numpy()[:, 0].tolist()]
        [3.0, 3.0]

    Args:
        objective: function (codes [B, ...], `Step`) -> [B]. It must draw random numbers, such as the jitter of an image,
            from the keys of the step.
        start: float32 [B, ...].
        steps: int, or int [B].
        rate: size of the steps: a number, or a function of the `Step` -> scalar or [B].
        rule: "plain": the direction d itself. "normalized": d over the mean of |d| of its row, so that the mean size of a
            step is the rate; a direction of zeros stays 0. "adam": Adam with the decays 0.9 and 0.999.
        drift: None, or function (codes, `Step`) -> [B, ...] that is added to the gradient, such as the direction of a prior.
        noise: None, or the standard deviation of normal noise that is added to the gradient: a number, or a function of the
            `Step`.
        after: None, or function (codes, `Step`) -> codes [B, ...] after each step, such as a clip to the range of codes, or
            a decay.
        seeds: None, or int [B], the seed of the random numbers of each row.
        record: whether to keep the codes of all steps.

    Returns:
        `Ascent`.

    Raises:
        ValueError: an unknown rule; negative steps; noise without seeds; an objective of another shape, or one that does not
            depend on the codes.
        InvalidArgumentError: at run time, if an objective or a code is not finite.
    """
    if rule not in RULES:
        raise ValueError(f"rule must be one of {', '.join(RULES)}; received {rule!r}.")
    if noise is not None and seeds is None:
        raise ValueError("noise needs seeds, int [B], one for each row; received None.")
    if isinstance(steps, int) and steps < 0:
        raise ValueError(f"steps must be at least 0; received {steps}.")
    start = tf.convert_to_tensor(start, tf.float32)
    rows, rank = tf.shape(start)[0], start.shape.rank
    keys = None if seeds is None else random.keys(seeds)
    total = steps if isinstance(steps, int) else tf.maximum(tf.reduce_max(steps), 0)
    steps = tf.broadcast_to(tf.cast(steps, tf.int32), [rows])

    def step_at(index):
        index = tf.minimum(index, steps)
        return Step(index, None if keys is None else random.fold(keys, index))

    def value_of(codes, step):
        value = tf.cast(objective(codes, step), tf.float32)
        if value.shape.rank != 1:
            raise ValueError(f"objective must return one value for each row, [B]; received the shape {value.shape}.")
        return value

    def of_rows(value, step):
        """A setting, a number or a function of the step, in a shape that multiplies codes."""
        value = tf.convert_to_tensor(value(step) if callable(value) else value, tf.float32)
        return tf.reshape(value, [-1] + [1] * (rank - 1)) if value.shape.rank else value

    def direction(codes, step):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(codes)
            value = value_of(codes, step)
        gradient = tape.gradient(value, codes)  # of the sum over the rows
        if gradient is None:
            raise ValueError("The objective does not depend on the codes: it has no gradient.")
        found = tf.convert_to_tensor(gradient)
        if drift is not None:
            found += tf.cast(drift(codes, step), tf.float32)
        if noise is not None:
            size = tf.size(codes) // tf.maximum(rows, 1)
            drawn = random.normal(random.fold(step.keys, -1), size)  # -1: other numbers than those of the objective
            found += of_rows(noise, step) * tf.reshape(drawn, tf.shape(codes))
        return value, found

    def body(index, codes, slots, values, path):
        step = step_at(index)
        value, found = direction(codes, step)
        moved, slots = _RULES[rule](found, slots, tf.cast(index, tf.float32))
        moved = codes + of_rows(rate, step) * moved
        if after is not None:
            moved = after(moved, step)
        values, path = values.write(index, value), path.write(index, codes) if record else path
        moves = tf.reshape(step.index < steps, [-1] + [1] * (rank - 1))
        return index + 1, tf.ensure_shape(tf.where(moves, moved, codes), start.shape), slots, values, path

    def loop():
        slots = (tf.zeros_like(start),) * 2 if rule == "adam" else ()
        values, path = tf.TensorArray(tf.float32, total + 1), tf.TensorArray(tf.float32, total + 1 if record else 0)
        index, codes, _, values, path = tf.while_loop(
            lambda index, *_: index < total, body, (tf.constant(0), start, slots, values, path)
        )
        values = tf.transpose(values.write(index, value_of(codes, step_at(index))).stack())
        codes = _finite(codes, values, rows, index)
        if not record:
            return codes, values, None
        path = path.write(index, codes).stack()
        return codes, values, tf.transpose(path, [1, 0, *range(2, rank + 1)])

    # A graph: in eager mode Python would run every step, which is slow.
    return Ascent(*(tf.function(loop, autograph=False)() if tf.executing_eagerly() else loop()))


def _plain(direction, slots, index):
    return direction, slots


def _normalized(direction, slots, index):
    mean = tf.reduce_mean(tf.abs(direction), axis=list(range(1, direction.shape.rank)), keepdims=True)
    return tf.math.divide_no_nan(direction, mean), slots


def _adam(direction, slots, index):
    first, second = (b * m + (1.0 - b) * g for b, m, g in zip(_BETAS, slots, (direction, direction**2), strict=True))
    # Corrects the bias of averages that start at 0.
    mean, square = (m / (1.0 - b ** (index + 1.0)) for b, m in zip(_BETAS, (first, second), strict=True))
    return mean / (tf.sqrt(square) + _EPSILON), (first, second)


_RULES = dict(zip(RULES, (_plain, _normalized, _adam), strict=True))


def _finite(codes, values, rows, last):
    """`codes` after a check; its message has the first step at which an objective was not finite, or the last step."""
    good = tf.math.is_finite(values)  # [B, steps + 1]
    whole = tf.reduce_all(tf.math.is_finite(tf.reshape(codes, [rows, -1])), axis=1) & tf.reduce_all(good, axis=1)
    # The number of objectives before the first that is not finite; if all are finite, steps + 1.
    first = tf.reduce_min(tf.reduce_sum(tf.math.cumprod(tf.cast(good, tf.int32), axis=1), axis=1))
    message = "Codes or objectives are NaN or infinite (is the rate too large?); the number of rows, and the first step:"
    lost = rows - tf.reduce_sum(tf.cast(whole, tf.int32))
    return checked(codes, tf.reduce_all(whole), message, lost, tf.minimum(first, last))
