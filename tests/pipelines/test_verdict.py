import math

import pytest

from tfgen.metrics.measures import THRESHOLDS
from tfgen.models.capabilities import Codec, Sampler
from tfgen_pipelines.components.generative_evaluator import verdict


def passed(checks):
    return [check.passed for check in checks]


def test_bounds_of_the_value():
    values = {"frechet_classifier_distance": 3.0, "classifier_score": 8.0}
    thresholds = {"frechet_classifier_distance": {"upper": 3.0}, "classifier_score": {"lower": 8.5}}
    checks = verdict.judge(values, thresholds)
    assert passed(checks) == [True, False]
    assert checks[1].reason == "classifier_score 8, at least 8.5"


def test_relative_to_untrained():
    thresholds = {"d": {"relative_to_untrained": 0.2}}
    assert passed(verdict.judge({"d": 19.0}, thresholds, untrained={"d": 100.0})) == [True]
    assert passed(verdict.judge({"d": 21.0}, thresholds, untrained={"d": 100.0})) == [False]
    # Without the anchor nothing is proven: not blessed.
    assert passed(verdict.judge({"d": 1.0}, thresholds, untrained={})) == [False]
    assert passed(verdict.judge({"d": 0.0}, thresholds, untrained={"d": 0.0})) == [False]
    # Bits of a density may be negative: -2 is better than -1, which is better than 1.
    same = {"d": {"relative_to_untrained": 1.0}}
    for value, untrained in ((-2.0, -1.0), (-1.0, 1.0)):
        assert passed(verdict.judge({"d": value}, same, untrained={"d": untrained})) == [True]
        assert passed(verdict.judge({"d": untrained}, same, untrained={"d": value})) == [False]


def test_relative_to_untrained_knows_which_way_is_worse():
    thresholds = {"accuracy": {"relative_to_untrained": 2.0}}
    assert passed(verdict.judge({"accuracy": 0.21}, thresholds, untrained={"accuracy": 0.1})) == [True]
    (check,) = verdict.judge({"accuracy": 0.19}, thresholds, untrained={"accuracy": 0.1})
    assert not check.passed and "at least 2" in check.reason


def test_worsening_knows_which_way_is_worse():
    lower = {"d": {"max_worsening": 0.1}}
    assert passed(verdict.judge({"d": 10.9}, lower, baseline={"d": 10.0})) == [True]
    assert passed(verdict.judge({"d": 11.2}, lower, baseline={"d": 10.0})) == [False]
    higher = {"classifier_score": {"max_worsening": 0.1}}
    assert passed(verdict.judge({"classifier_score": 20.0}, higher, baseline={"classifier_score": 10.0})) == [True]
    assert passed(verdict.judge({"classifier_score": 8.0}, higher, baseline={"classifier_score": 10.0})) == [False]


def test_the_first_model_has_nothing_to_be_compared_with():
    check, bound = verdict.judge({"d": 1.0}, {"d": {"max_worsening": 0.1}}, baseline_note="there is none")
    assert bound.passed is None and "no threshold was set that bounds the model" in bound.reason
    assert check.passed and check.value is None and "there is none" in check.reason


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_not_finite_is_not_blessed_even_without_a_threshold(value):
    check = verdict.judge({"d": value}, {})[0]
    assert not check.passed and str(value) in check.reason
    for rule in verdict.RULES:
        checks = verdict.judge({"d": math.nan}, {"d": {rule: 1.0}}, untrained={"d": 1.0}, baseline={"d": 1.0})
        assert passed(checks) == [False, False]


def test_a_metric_that_was_not_measured_is_not_blessed():
    (check,) = verdict.judge({"d": 1.0}, {"negative_log_likelihood": {"upper": 3}})
    assert not check.passed and "was not measured; there are d" in check.reason


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [
        ({"d": {"maximum": 1}}, "Unknown rule 'maximum' for 'd'"),
        ({"d": {"upper": math.nan}}, "must be a finite number; received nan"),
        ({"d": {"upper": "3"}}, "received '3'"),
        ({"d": {"upper": True}}, "received True"),
        ({"d": 3}, "must be a dict of rules"),
        ({"d": {}}, "must be a dict of rules"),
        ({"frechet_classifier_distance": {"lower": 3}}, "'lower' of 'frechet_classifier_distance' would refuse the better"),
        ({"bits_per_dim": {"upper": 3, "lower": 1.5}}, "received 1.5. Its bound is 'upper'"),
        ({"accuracy": {"upper": 0.9}}, "'upper' of 'accuracy' would refuse the better models; received 0.9"),
        ({"accuracy": {"lower": 90}}, r"'accuracy' is a share in \[0, 1\]; received the bound 'lower' 90"),
    ],
)
def test_malformed_thresholds(thresholds, message):
    with pytest.raises(ValueError, match=message):
        verdict.check_thresholds(thresholds)


def test_distances_to_training_images_have_bounds_on_both_sides():
    verdict.check_thresholds({"nn_pixel_ratio": {"lower": 0.8, "upper": 1.5}})


def test_without_a_bound_nothing_is_judged():
    for thresholds in ({}, {"d": {"max_worsening": 0.1}}):
        for by_default in (False, True):
            checks = verdict.judge({"d": 1.0}, thresholds, by_default=by_default)
            assert passed(checks) == [True] * len(thresholds) + [None] and verdict.outcome(checks) == "UNJUDGED"
    # A comparison with the last blessed model bounds it, if somebody wants it so.
    checks = verdict.judge({"d": 1.0}, {"d": {"max_worsening": 0.1}}, baseline={"d": 1.0})
    assert verdict.outcome(checks) == "BLESSED"
    assert verdict.outcome(verdict.judge({"d": 1.0}, {"d": {"max_worsening": 0.1, "upper": 2.0}})) == "BLESSED"
    assert verdict.outcome(verdict.judge({}, {})) == "UNJUDGED"


def test_a_metric_that_the_untrained_model_passes_is_not_used_alone():
    """A constant image has a precision of 1."""
    thresholds, real = {"precision": {"relative_to_real": 0.4}}, {"precision": 0.95, "recall": 0.9}
    anchors = {"real": real, "untrained": {"precision": 1.0, "recall": 0.0}, "by_default": True}
    checks = verdict.judge({"precision": 1.0}, thresholds, **anchors)
    assert passed(checks) == [True, None] and verdict.outcome(checks) == "UNJUDGED"
    assert "do not tell the model from an untrained one" in checks[-1].reason
    thresholds["recall"] = {"relative_to_real": 0.4}
    assert verdict.outcome(verdict.judge({"precision": 1.0, "recall": 0.5}, thresholds, **anchors)) == "BLESSED"
    assert verdict.outcome(verdict.judge({"precision": 1.0, "recall": 0.1}, thresholds, **anchors)) == "NOT BLESSED"


def test_relative_to_real_images_and_to_what_needs_no_training():
    for rule, column in (("relative_to_real", "real"), ("relative_to_trivial", "trivial")):
        check = lambda metric, value, anchor: verdict.judge({metric: value}, {metric: {rule: 0.5}}, **{column: anchor})  # noqa: E731, B023
        assert passed(check("recall", 0.5, {"recall": 0.9})) == [True]
        assert passed(check("recall", 0.4, {"recall": 0.9})) == [False]
        assert passed(check("d", 0.4, {"d": 0.9})) == [True]
        assert passed(check("d", 0.5, {"d": 0.9})) == [False]
        assert passed(check("d", 0.5, {})) == [False]


def test_doubts_leave_a_check_undecided_unless_the_value_is_not_finite():
    thresholds, doubts = {"d": {"upper": 1.0}, "e": {"upper": 1.0}}, {"d": "too few images", "lost": "too few images"}
    for value in (0.5, 1.5):
        checks = verdict.judge({"d": value, "e": 0.0}, thresholds, doubts=doubts)
        assert passed(checks) == [None, True] and checks[0].reason.endswith("undecided: too few images")
    assert False in passed(verdict.judge({"d": math.nan, "e": 0.0}, thresholds, doubts=doubts))
    assert passed(verdict.judge({"e": 0.0}, {"lost": {"upper": 1.0}}, doubts=doubts)) == [None]


# Measured on scikit-learn's digits: (distance, precision, recall, classes) of the model and of the untrained one.
MEASURED = {
    "grey ghosts of a VAE after 200 steps": ((32.39, 0.217, 0.0021, 8), (83.1, 0, 0, 2), False),
    "DCGAN after 200 steps": ((38.17, 0.0, 0.0, 3), (48.6, 0, 0, 1), False),
    "InfoGAN after 200 steps": ((6.07, 0.396, 0.013, 9), (43.3, 0, 0, 1), False),
    "DCGAN of 2 classes": ((22.78, 0.932, 0.187, 2), (48.6, 0, 0, 1), False),
    "VAE of 2 classes": ((36.46, 0.967, 0.163, 4), (83.1, 0, 0, 2), False),
    "vae/digits": ((7.093, 0.889, 0.551, 10), (83.1, 0, 0, 2), True),
    "dcgan/digits": ((0.55, 0.859, 0.915, 10), (48.6, 0, 0, 1), True),
    "gated-pixel-cnn/digits": ((1.719, 0.539, 0.975, 10), (15.1, 0.219, 0.109, 8), True),
}


@pytest.mark.parametrize("name", MEASURED)
def test_default_thresholds_of_samples_on_what_real_runs_measured(name):
    metrics = ("frechet_classifier_distance", "precision", "recall", "num_classes")
    values, untrained, good = MEASURED[name]
    checks = verdict.judge(
        dict(zip(metrics, values, strict=True)), THRESHOLDS[Sampler], untrained=dict(zip(metrics, untrained, strict=True)),
        real=dict(zip(metrics, (0.3, 0.952, 0.97, 10), strict=True)), by_default=True,
    )  # fmt: skip
    assert verdict.outcome(checks) == ("BLESSED" if good else "NOT BLESSED")


# Measured on scikit-learn's digits, whose raw pixels have 4.09 bits: (bits over raw, PSNR, net PSNR) after so many steps.
CODECS = {30: ((0.2975, 12.92, 5.60), False), 2000: ((0.2654, 20.22, 13.69), True)}


@pytest.mark.parametrize("steps", CODECS)
def test_default_thresholds_of_codecs_on_what_factorized_prior_digits_measured(steps):
    """After 30 steps it is nearer to the images than the mean image, for bits that would do more without a model."""
    values, good = CODECS[steps]
    checks = verdict.judge(
        dict(zip(("bits_over_raw", "psnr", "net_psnr"), values, strict=True)), THRESHOLDS[Codec],
        untrained={"bits_over_raw": 0.3, "psnr": 11.63, "net_psnr": 4.2}, trivial={"psnr": 11.38, "net_psnr": 11.38},
        by_default=True,
    )  # fmt: skip
    assert verdict.outcome(checks) == ("BLESSED" if good else "NOT BLESSED")
