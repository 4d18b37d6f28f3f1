"""The sampler of PPGN: a chain of codes along a prior, a condition and noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from tfgen import random
from tfgen.models.synthesis.parts.maximization import falling_rate
from tfgen.sampling.ascent import Ascent, ascend

RESET_PRIOR = (1e-6, 1e-2)  # between which a reset draws the weight of the prior (the released code)


def mala_approx(
    start: tf.Tensor, *, steps: int | tf.Tensor, epsilons: Sequence[float], rate: float, last_rate: float | None = None,
    normalized: bool = True, prior: Callable | None = None, condition: Callable | None = None,
    context: Callable | None = None, context_weight: float = 0.0, bounds: tuple | None = None, reset: int = 0,
    seeds: tf.Tensor | None = None, record: bool = False,
) -> Ascent:  # fmt: skip
    """A chain h_0, h_1, ... of MALA-approx, the Metropolis-adjusted Langevin algorithm without its rejections.

        d = eps1 (R(h) - h) + eps2 d condition / d h + context_weight d context / d h + N(0, eps3^2)
        h <- clip(h + rate d / mean |d|)        normalized, as released: only the ratios of the epsilons matter
        h <- clip(h + rate d)                   else, the equation of the paper with rate 1

    R(h) - h is used as a vector: nothing is differentiated through R. Where d is 0, h stays.

    Example:
        >>> chain = mala_approx(
        ...     tf.fill([1, 2], 8.0), steps=3, epsilons=(1.0, 0.0, 0.0), rate=1.0, normalized=False,
        ...     prior=lambda codes: 0.5 * codes)
        >>> chain.codes.numpy().tolist()
        [[1.0, 1.0]]

    Args:
        start: float32 [B, ...], h_0.
        steps: int, or int [B].
        epsilons: (eps1, eps2, eps3).
        rate: of the first step.
        last_rate: None, or the rate to which it falls in a straight line over the steps of a row.
        normalized: which of the two updates is made.
        prior: None, or R: codes [B, ...] -> [B, ...].
        condition: None, or a function of codes -> [B], the logarithm of a probability. Its value is the `objective` of the
            result; it need not be that of which the gradient is, see `log_probability`.
        context: None, or a function of codes -> [B].
        context_weight: eps4.
        bounds: None, or (lowest, highest) codes, numbers or [...], applied after each step.
        reset: None or 0; or the number of steps after which, again and again, a new chain begins at N(0, 1) with an eps1
            that is uniform in `RESET_PRIOR`. As in the released code the bounds are applied after the next step, and the
            first chain has one step more.
        seeds: None, or int [B]; needed for noise and resets.
        record: whether to keep the path.

    Raises:
        ValueError: noise or a reset without seeds.
    """
    eps1, eps2, eps3 = (float(value) for value in epsilons)
    if (eps3 or reset) and seeds is None:
        raise ValueError("eps3 and reset need seeds, int [B], one for each row; received None.")
    own = None if seeds is None else random.fold(random.keys(seeds), -2)  # the keys of steps are other ones
    steps = steps if isinstance(steps, int) else tf.cast(steps, tf.int32)

    def in_rows(values, codes):
        return tf.reshape(values, [-1] + [1] * (codes.shape.rank - 1))

    def objective(codes, step):
        value = tf.zeros(tf.shape(codes)[:1]) if condition is None else condition(codes)
        pull = eps2 * value + 0.0 * tf.reduce_sum(codes, axis=range(1, codes.shape.rank))
        if context is not None:
            pull += context_weight * context(codes)
        return tf.stop_gradient(value - pull) + pull  # this value, that gradient

    def drift(codes, step):
        assert prior is not None
        return in_rows(prior_weight(step), codes) * (prior(codes) - codes)

    def prior_weight(step):
        weight = tf.fill(tf.shape(step.index), eps1)
        if not reset:
            return weight
        chain, (low, high) = (step.index - 1) // reset, RESET_PRIOR
        drawn = low + (high - low) * random.uniform(random.fold(own, chain), 1)[:, 0]
        return tf.where(chain > 0, drawn, weight)

    def after(codes, step):
        if bounds is not None:
            codes = tf.clip_by_value(codes, *bounds)
        if not reset:
            return codes
        fresh = random.normal(random.fold(own, -step.index), tf.size(codes) // tf.shape(codes)[0])
        begins = (step.index > 0) & (step.index % reset == 0)
        return tf.where(in_rows(begins, codes), tf.reshape(fresh, tf.shape(codes)), codes)

    return ascend(
        objective, start, steps=steps, rate=rate if last_rate is None else falling_rate(rate, last_rate, steps),
        rule="normalized" if normalized else "plain", seeds=seeds,
        drift=None if prior is None or not (eps1 or reset) else drift, noise=eps3 or None, after=after, record=record,
    )  # fmt: skip


def log_probability(logits: tf.Tensor, units: tf.Tensor, full: bool = False) -> tf.Tensor:
    """The sum of log softmax(logits) over some units of each row: a product of experts, float32 [B].

    Example:
        >>> value = log_probability(tf.constant([[1.0, 2.0, 0.5]]), tf.constant([0]))
        >>> [round(x, 4) for x in tf.exp(value).numpy().tolist()]
        [0.2312]

    Args:
        logits: float32 [B, U].
        units: int [B], or [B, P] for P units.
        full: whether the gradient is that of the logarithm. Else it is, as in the released code, 1 - p at the unit's own
            logit and 0 at all others.
    """
    units = units[:, None] if units.shape.rank == 1 else units
    value = tf.gather(tf.nn.log_softmax(logits), units, batch_dims=1)
    if not full:
        pull = tf.stop_gradient(-tf.math.expm1(value)) * tf.gather(logits, units, batch_dims=1)
        value = tf.stop_gradient(value - pull) + pull
    return tf.reduce_sum(value, axis=1)
