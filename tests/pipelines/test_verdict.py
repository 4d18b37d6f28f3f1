import math

import pytest

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
    (check,) = verdict.judge({"d": 1.0}, {"d": {"max_worsening": 0.1}}, baseline_note="there is none")
    assert check.passed and check.value is None and "there is none" in check.reason


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_not_finite_is_not_blessed_even_without_a_threshold(value):
    (check,) = verdict.judge({"d": value}, {})
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


def test_default_thresholds_need_a_bound_that_holds_without_an_earlier_model():
    only = {"d": {"max_worsening": 0.1}}
    for thresholds in ({}, only):
        assert passed(verdict.judge({"d": 1.0}, thresholds)) == [True] * len(thresholds)
        check = verdict.judge({"d": 1.0}, thresholds, bound=True)[-1]
        assert not check.passed and "no metric that bounds the model was measured; there are d" in check.reason
    assert passed(verdict.judge({"d": 1.0}, {"d": {"max_worsening": 0.1, "upper": 2.0}}, bound=True)) == [True, True]
