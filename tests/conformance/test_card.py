"""What an export says of itself when it is asked for its card."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tests.conformance.harness import for_cases
from tfgen.models.capabilities import Classifier, Sampler

pytestmark = for_cases()


@pytest.fixture
def card(served):
    rows = served["card"](unused=tf.constant([0, 7]))["card"].numpy().tolist()
    assert rows[0] == rows[1] and rows[0].isascii()
    return json.loads(rows[0])


def test_card_says_what_the_model_is(run, card):
    case = run.case
    assert (card["format"], card["model"]) == (1, case.model.__name__)
    assert card["capabilities"] == [capability.NAME for capability in case.capabilities]
    assert card["image_shape"] == list(case.args["image_shape"])
    batch = case.batch(2)
    for field in card["fields"]:
        assert list(batch[field["name"]].shape[1:]) == field["shape"] and str(batch[field["name"]].dtype) == field["dtype"]
    if Sampler in case.capabilities:
        assert sorted(field["argument"] for field in card["conditions"]) == sorted(case.conditions(1))


def test_card_counts_the_classes(run, served, card):
    classes = card["classes"]
    if Classifier in run.case.capabilities:
        _, probability = served["classify"].structured_outputs["probability"].shape
        assert classes["count"] == probability
    elif run.case.args.get("num_classes"):
        assert classes["count"] == run.case.args["num_classes"]
    else:
        assert classes is None
    assert classes is None or classes["names"] is None, "nobody named them"


def test_card_describes_the_other_signatures(served, card):
    assert card["signatures"].keys() == served.keys() - {"card"}
    for name, described in card["signatures"].items():
        inputs, outputs = served[name].structured_input_signature[1], served[name].structured_outputs
        for specs, found in ((inputs, described["inputs"]), (outputs, described["outputs"])):
            assert {k: (v.dtype.name, v.shape.as_list()) for k, v in specs.items()} == {
                k: (v["dtype"], v["shape"]) for k, v in found.items()
            }


def test_bounds_on_the_card_are_those_of_the_model(run, served, card):
    for name, described in card["signatures"].items():
        specs = served[name].structured_input_signature[1]
        given = run.case.inputs(specs, 2)
        for key, tensor in described["inputs"].items():
            if tensor["dtype"] not in ("float32", "int32") or tensor.get("high") is None:
                continue
            whole = tensor["dtype"] == "int32"
            for value in (tensor["low"], tensor["high"]):
                served[name](**{**given, key: tf.fill(given[key].shape, tf.cast(value, specs[key].dtype))})
            if key != "mask":  # any number above a half is a one
                beyond = tensor["high"] + (1 if whole else 0.5)
                with pytest.raises(tf.errors.InvalidArgumentError):
                    served[name](**{**given, key: tf.fill(given[key].shape, tf.cast(beyond, specs[key].dtype))})


def test_codes_on_the_card_are_those_of_the_model(served, card):
    assert bool(card["codes"]) == ("sample_codes" in served)
    if not card["codes"]:
        return
    names = card["signatures"]["sample_codes"]["inputs"]["codes"]["names"]
    assert names == [code["name"] for code in card["codes"]] and names[0] == "category_0"
    seeds = tf.constant([3], tf.int64)

    def image(codes):
        return served["sample_codes"](seeds=seeds, codes=tf.constant([codes], tf.float32))["image"].numpy()

    lowest = [code["low"] for code in card["codes"]]
    for i, code in enumerate(card["codes"]):
        other = [*lowest[:i], code["high"], *lowest[i + 1 :]]
        assert np.any(image(other) != image(lowest)), f"{code['name']} changes nothing"
        if code["dtype"] == "int32":
            with pytest.raises(tf.errors.InvalidArgumentError):
                image([*lowest[:i], code["high"] + 1, *lowest[i + 1 :]])
