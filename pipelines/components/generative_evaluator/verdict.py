"""Thresholds: when is a model good enough to be pushed?

Thresholds are a JSON-able dict {metric: rules}, with the rules
    upper, lower: bounds of the value itself;
    relative_to_untrained: bound of the ratio of the value to that of the untrained model: the largest ratio, or the smallest
        for metrics where higher is better. The ratio is 1 + (value - anchor) / |anchor|, also for negative values;
    relative_to_real: the same with the value of real images;
    relative_to_trivial: the same with the value of a baseline without training, see `tfgen.metrics.measures.trivial`;
    max_worsening: how much worse than the last blessed model, as a share of that model's value (0.1: 10 %).

A model is BLESSED if it passed all checks, NOT BLESSED if it failed one, and UNJUDGED if the measurements do not suffice for
a decision. Every metric that is not finite, with or without a threshold, is a failed check. So is a threshold of a metric
that should have been measured and was not.
"""

import dataclasses
import math

RULES = ("upper", "lower", "relative_to_untrained", "relative_to_real", "relative_to_trivial", "max_worsening")
BLESSED, NOT_BLESSED, UNJUDGED = "BLESSED", "NOT BLESSED", "UNJUDGED"

# The minimum for a judgement: images of each set, and the errors of the classifier whose features are used, over those of
# always predicting the most frequent class.
MIN_IMAGES = 100
MAX_ERROR_OVER_CHANCE = 0.5

# Metrics where higher is better; for all others lower is better.
HIGHER_IS_BETTER = frozenset(
    ("classifier_score", "num_classes", "precision", "recall", "density", "coverage", "accuracy", "psnr", "net_psnr",
     "k_means_accuracy", "few_label_accuracy")
)  # fmt: skip

_ANCHORS = {
    "relative_to_untrained": ("untrained", "the untrained model"),
    "relative_to_real": ("real", "real images"),
    "relative_to_trivial": ("trivial", "what needs no training"),
}

# Metrics that cannot have a lower bound. Others may have both: a small distance to training images may mean copies.
LOWER_IS_BETTER = frozenset(
    ("frechet_classifier_distance", "kernel_distance_mean", "negative_log_likelihood", "negative_elbo", "bits_per_dim",
     "reconstruction_error", "cross_entropy", "error_over_chance", "bits_per_pixel", "bits_over_raw", "target_l1",
     "temporal_l1")
)  # fmt: skip
SHARES = frozenset(("accuracy", "precision", "recall", "coverage"))


@dataclasses.dataclass(frozen=True)
class Check:
    """One applied rule: `value` was compared with `bound`, and is None if the rule could not be applied.

    `passed` is None if the check is undecided.
    """

    metric: str
    rule: str
    bound: float | None
    value: float | None
    passed: bool | None
    reason: str


def check_thresholds(thresholds):
    """Raises ValueError for an unknown rule, and for a bound that is not a finite number, is outside the metric's range, or
    would refuse the better models.
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
                        f"A bound {against!r} of {metric!r} would refuse the better models; received {bound!r}. Its "
                        f"bound is {right!r}."
                    )
            if rule in ("upper", "lower") and metric in SHARES and not 0.0 <= bound <= 1.0:
                raise ValueError(f"{metric!r} is a share in [0, 1]; received the bound {rule!r} {bound!r}.")


def judge_evaluation(content, thresholds=None):
    """Judges the results of `evaluate.evaluate`.

    Args:
        content: the content of metrics.json.
        thresholds: None: `tfgen.metrics.default_thresholds` of the model's capabilities, without those whose measure does
            not apply.

    Returns: {"outcome": BLESSED, NOT_BLESSED or UNJUDGED, "blessed": whether it is BLESSED, "checks": [Check as dict],
        "reasons": [why it is not BLESSED], "warnings": [what makes the numbers uncertain], "thresholds", "by_default":
        whether these are the default ones}.
    """
    from tfgen.metrics.measures import default_thresholds
    from tfgen.models.capabilities import CAPABILITIES

    by_default = thresholds is None
    if by_default:
        used = set(content["capabilities"]) - set(content["inapplicable"])
        thresholds = default_thresholds([capability for capability in CAPABILITIES if capability.NAME in used])
    columns = {
        column: {name: math.nan if metric[column] is None and column == "value" else metric[column]
                 for name, metric in content["metrics"].items() if metric[column] is not None or column == "value"}
        for column in ("value", "real", "untrained", "trivial", "baseline")
    }  # fmt: skip
    warnings = evidence(content)
    checks = judge(
        columns.pop("value"), thresholds, **columns, baseline_note=content["baseline"]["note"], by_default=by_default,
        doubts=doubts(content),
    )  # fmt: skip
    found = outcome(checks)
    return {
        "outcome": found,
        "blessed": found == BLESSED,
        "checks": [dataclasses.asdict(check) for check in checks],
        "reasons": [c.reason for c in checks if c.passed is (False if found == NOT_BLESSED else None)],
        "warnings": list(warnings.values()) + content["notes"],
        "thresholds": thresholds,
        "by_default": by_default,
    }


def evidence(content):
    """{"images" or "classifier": why the numbers of metrics.json cannot be judged}; {} if they can."""
    found, counts, classifier = {}, content["counts"], content["classifier"]
    few = {name: count for name, count in counts.items() if count is not None and count < MIN_IMAGES}
    if few:
        text = ", ".join(f"{count} {name} images" for name, count in few.items())
        found["images"] = f"too few images for a judgement: {text}; at least {MIN_IMAGES} of each are needed"
    if classifier is not None and not classifier["error_over_chance"] <= MAX_ERROR_OVER_CHANCE:
        found["classifier"] = (
            "the classifier whose features are compared is too weak for a judgement: accuracy "
            f"{classifier['accuracy']:.2f}, its errors are {classifier['error_over_chance']:.2f} of those of always saying "
            f"the most frequent class, at most {MAX_ERROR_OVER_CHANCE} are allowed"
        )
    return found


def doubts(content):
    """{metric: why its value cannot be judged}, of the metrics of a content and those of samples."""
    from tfgen.metrics.measures import SAMPLE_METRICS

    found, why = {}, evidence(content)
    if "images" in why:
        found |= dict.fromkeys((*SAMPLE_METRICS, *content["metrics"]), why["images"])
    elif "classifier" in why:
        found |= {name: why["classifier"] for name in SAMPLE_METRICS if not name.startswith("nn_pixel")}
    return found


def outcome(checks):
    """BLESSED, NOT_BLESSED or UNJUDGED."""
    passed = {check.passed for check in checks}
    return NOT_BLESSED if False in passed else UNJUDGED if None in passed else BLESSED


def judge(values, thresholds, *, untrained=None, real=None, trivial=None, baseline=None, baseline_note="", by_default=False,
          doubts=None):  # fmt: skip
    """Applies `thresholds` to `values`.

    Args:
        values: {metric: float}.
        untrained, real, trivial, baseline: the same metrics of the untrained model, of real images, of a baseline without
            training, and of the last blessed model, measured under the same protocol; None if there is none.
        baseline_note: why there is no baseline, for the reasons.
        by_default: whether these are the default thresholds. Then the untrained model must fail one of them; otherwise the
            model is UNJUDGED, because thresholds that everything passes show nothing.
        doubts: {metric: why its value cannot be judged}.

    Returns: list of Check, at least one. See `outcome`.
    """
    check_thresholds(thresholds)
    doubts, anchors = doubts or {}, {"untrained": untrained or {}, "real": real or {}, "trivial": trivial or {}}
    checks, bounds = [], False
    for metric, value in values.items():
        if not math.isfinite(value):
            checks.append(Check(metric, "finite", None, value, False, f"{metric} is {value}"))
    for metric, rules in thresholds.items():
        for rule, limit in rules.items():
            if metric not in values:
                reason = f"{metric} was not measured; there are {', '.join(sorted(values)) or 'no metrics'}"
                check = Check(metric, "measured", None, None, False, reason)
            elif rule == "max_worsening":
                check = _worsening(metric, limit, values[metric], baseline or {}, baseline_note)
            else:
                check = _bound(metric, rule, limit, values[metric], anchors)
            if metric in doubts and (metric not in values or math.isfinite(values[metric])):
                check = dataclasses.replace(check, passed=None, reason=f"{check.reason}; undecided: {doubts[metric]}")
            if check not in checks:
                checks.append(check)
            if rule == "max_worsening":
                bounds = bounds or (not by_default and check.value is not None)
            elif by_default and metric in anchors["untrained"]:
                bounds = bounds or _bound(metric, rule, limit, anchors["untrained"][metric], anchors).passed is False
            else:
                bounds = True
    if not bounds:
        if by_default and thresholds:
            reason = "the measured metrics do not tell the model from an untrained one: set thresholds"
        else:
            reason = "no threshold was set that bounds the model" if thresholds else "no threshold applies"
            reason += f"; there are {', '.join(sorted(values)) or 'no metrics'}"
        checks.append(Check("thresholds", "bound", None, None, None, reason))
    return checks


def _bound(metric, rule, bound, value, anchors):
    higher = metric in HIGHER_IS_BETTER
    if rule == "lower":
        return _check(metric, rule, bound, value, value >= bound, f"{metric} {value:.4g}, at least {bound:.4g}")
    if rule == "upper":
        return _check(metric, rule, bound, value, value <= bound, f"{metric} {value:.4g}, at most {bound:.4g}")
    column, whose = _ANCHORS[rule]
    if metric not in anchors[column]:
        return _check(metric, rule, bound, None, False, f"{metric} was not measured for {whose}")
    anchor = anchors[column][metric]
    ratio = 1.0 + (value - anchor) / abs(anchor) if anchor else math.nan
    text = f"{metric} {value:.4g} is {ratio:.4g} of the {anchor:.4g} of {whose}, at "
    text += f"{'least' if higher else 'most'} {bound:.4g}"
    return _check(metric, rule, bound, ratio, ratio >= bound if higher else ratio <= bound, text)


def _worsening(metric, bound, value, baseline, note):
    if metric not in baseline:
        why = note or "it was not measured for it"
        reason = f"{metric}: no comparison with the last blessed model ({why})"
        return _check(metric, "max_worsening", bound, None, True, reason)
    sign = -1.0 if metric in HIGHER_IS_BETTER else 1.0
    worsening = sign * (value - baseline[metric]) / max(abs(baseline[metric]), 1e-12)
    text = (
        f"{metric} {value:.4g} against {baseline[metric]:.4g} of the last blessed model: "
        f"{abs(worsening):.1%} {'worse' if worsening > 0 else 'better'}, at most {bound:.1%} worse"
    )
    return _check(metric, "max_worsening", bound, worsening, worsening <= bound, text)


def _check(metric, rule, bound, value, passed, reason):
    # Comparisons with NaN are false, so a NaN never passes.
    return Check(metric, rule, float(bound), None if value is None else float(value), bool(passed), reason)
