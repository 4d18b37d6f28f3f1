"""Thresholds: when is a model good enough to be pushed?

Thresholds are a JSON-able dict {metric: rules}, with the rules
    upper, lower: bounds of the value itself;
    relative_to_untrained: the value over that of the untrained model, at most this; at least, where more is better. Where
        the latter is negative, 1 plus the change as a share of its size;
    max_worsening: how much worse than the last blessed model, as a share of that model's value (0.1: 10 %).
Every metric that is not finite, whether it has a threshold or not, is a reason not to bless. So is a threshold of a metric
that was not measured.
"""

import dataclasses
import math

RULES = ("upper", "lower", "relative_to_untrained", "max_worsening")

# Metrics where more is better; of all others less is better.
HIGHER_IS_BETTER = frozenset(
    ("classifier_score", "num_classes", "precision", "recall", "density", "coverage", "accuracy", "psnr")
)

# Metrics without a lower bound. Others may have both: too small a distance to training images is one of copies.
LOWER_IS_BETTER = frozenset(
    ("frechet_classifier_distance", "kernel_distance_mean", "negative_log_likelihood", "negative_elbo", "bits_per_dim",
     "reconstruction_error", "cross_entropy", "error_over_chance", "bits_per_pixel", "bits_over_raw", "target_l1")
)  # fmt: skip
SHARES = frozenset(("accuracy", "precision", "recall", "coverage"))


@dataclasses.dataclass(frozen=True)
class Check:
    """One rule applied: `value` is what was compared with `bound`; None where the rule could not be applied."""

    metric: str
    rule: str
    bound: float | None
    value: float | None
    passed: bool
    reason: str


def check_thresholds(thresholds):
    """Raises ValueError for an unknown rule, a bound that is no finite number or beyond what the metric can be, and a bound
    that would refuse the better models.
    """
    for metric, rules in thresholds.items():
        if not isinstance(rules, dict) or not rules:
            raise ValueError(f"The threshold of {metric!r} must be a dict of rules {RULES}; received {rules!r}.")
        for rule, bound in rules.items():
            if rule not in RULES:
                raise ValueError(f"Unknown rule {rule!r} for {metric!r}; the rules are {RULES}.")
            if isinstance(bound, bool) or not isinstance(bound, int | float) or not math.isfinite(bound):
                raise ValueError(f"The bound {rule!r} of {metric!r} must be a finite number; received {bound!r}.")
            for better, against, right in ((HIGHER_IS_BETTER, "upper", "lower"), (LOWER_IS_BETTER, "lower", "upper")):
                if rule == against and metric in better:
                    raise ValueError(
                        f"A bound {against!r} of {metric!r} would refuse the better models; received {bound!r}. Its bound "
                        f"is {right!r}."
                    )
            if rule in ("upper", "lower") and metric in SHARES and not 0.0 <= bound <= 1.0:
                raise ValueError(f"{metric!r} is a share in [0, 1]; received the bound {rule!r} {bound!r}.")


def judge(values, thresholds, *, untrained=None, baseline=None, baseline_note="", bound=False):
    """Applies `thresholds` to `values`.

    Args:
        values: {metric: float}.
        untrained, baseline: the same metrics of the untrained model and of the last blessed model, measured under
            the same protocol; None where there is none.
        baseline_note: why there is no baseline, for the reasons.
        bound: whether thresholds that only compare with the last blessed model, or none at all, are a reason not to bless.

    Returns: list of Check. The model is blessed if all have passed.
    """
    check_thresholds(thresholds)
    checks = []
    for metric, value in values.items():
        if not math.isfinite(value):
            checks.append(Check(metric, "finite", None, value, False, f"{metric} is {value}"))
    for metric, rules in thresholds.items():
        if metric not in values:
            reason = f"{metric} was not measured; there are {', '.join(sorted(values))}"
            checks.append(Check(metric, "measured", None, None, False, reason))
            continue
        value = values[metric]
        for rule, limit in rules.items():
            checks.append(_apply(metric, rule, limit, value, untrained or {}, baseline or {}, baseline_note))
    if bound and all(rule == "max_worsening" for rules in thresholds.values() for rule in rules):
        reason = f"no metric that bounds the model was measured; there are {', '.join(sorted(values))}: set thresholds"
        checks.append(Check("thresholds", "bound", None, None, False, reason))
    return checks


def _apply(metric, rule, bound, value, untrained, baseline, baseline_note):
    if rule == "lower":
        return _check(metric, rule, bound, value, value >= bound, f"{metric} {value:.4g}, at least {bound:.4g}")
    if rule == "upper":
        return _check(metric, rule, bound, value, value <= bound, f"{metric} {value:.4g}, at most {bound:.4g}")
    if rule == "relative_to_untrained":
        if metric not in untrained:
            return _check(metric, rule, bound, None, False, f"{metric} was not measured for the untrained model")
        ratio = 1.0 + (value - untrained[metric]) / abs(untrained[metric]) if untrained[metric] else math.nan
        higher = metric in HIGHER_IS_BETTER
        text = f"{metric} is {ratio:.4g} of the untrained model's {untrained[metric]:.4g}, at "
        text += f"{'least' if higher else 'most'} {bound:.4g}"
        return _check(metric, rule, bound, ratio, ratio >= bound if higher else ratio <= bound, text)
    if metric not in baseline:
        why = baseline_note or "it was not measured for it"
        return _check(metric, rule, bound, None, True, f"{metric}: no comparison with the last blessed model ({why})")
    sign = -1.0 if metric in HIGHER_IS_BETTER else 1.0
    worsening = sign * (value - baseline[metric]) / max(abs(baseline[metric]), 1e-12)
    text = (
        f"{metric} {value:.4g} against {baseline[metric]:.4g} of the last blessed model: "
        f"{abs(worsening):.1%} {'worse' if worsening > 0 else 'better'}, at most {bound:.1%} worse"
    )
    return _check(metric, rule, bound, worsening, worsening <= bound, text)


def _check(metric, rule, bound, value, passed, reason):
    # Comparisons with NaN are false, so a NaN never passes.
    return Check(metric, rule, float(bound), None if value is None else float(value), bool(passed), reason)
