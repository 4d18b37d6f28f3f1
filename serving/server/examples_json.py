"""JSON of the REST classify and regress APIs: bodies of tf.Examples, replies (tensorflow/serving, util/json_tensor.cc)."""

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import input_pb2

from tfgen_serving.allowance import UNLIMITED
from tfgen_serving.json_tensor import dialect, request, text

_KINDS = {"bytes_list": "bytes", "float_list": "float", "int64_list": "int64"}


def parse_examples(body, allowance=UNLIMITED):
    """(signature name, Input proto) of a body `{"signature_name": ..., "context": {...}, "examples": [{...}, ...]}`.

    Raises:
        ServingError: INVALID_ARGUMENT for any error in the body, and the errors of the request's allowance.
    """
    allowance.check_elements(dialect.count_elements(body))
    doc = dialect.parse(body, allowance)
    if type(doc) is not dialect.Object:
        raise dialect.invalid(b"JSON Value: %s Is not object" % text.quote(doc))
    name = request.read_signature_name(doc)
    made = input_pb2.Input()
    target = made.example_list
    if b"context" in doc:
        target = made.example_list_with_context
        _fill_example(doc.get(b"context"), target.context)

    def wrong(what):
        return dialect.invalid(b"JSON Value: %s %s" % (text.quote(doc), what))

    if b"examples" not in doc:
        raise wrong(b"When method is classify, key 'examples' is expected and was not found")
    examples = doc.get(b"examples")
    if type(examples) is not list:
        raise wrong(b"Expecting 'examples' value to be an list/array")
    if not examples:
        raise wrong(b"'examples' value is an empty array")
    for example in examples:
        allowance.check_time()
        _fill_example(example, target.examples.add())
    return name, made


def _fill_example(value, example):
    if type(value) is not dialect.Object:
        raise dialect.invalid(f"Example must be JSON object but got JSON {request.kind_of(value)}")
    for key, content in value:
        name = key.decode("utf-8", "replace")
        feature = tf.train.Feature()
        for item in content if type(content) is list else [content]:
            _add(item, name, feature)
        example.features.feature[name].CopyFrom(feature)


def _add(value, name, feature):
    """Appends one JSON value to a Feature; all values of a feature must be of one kind."""
    if type(value) in (bool, int):
        field, converted = "int64_list", int(value)
        if converted >= 2**63:
            raise dialect.invalid(f"Feature: {name} has uint64_t element. Only int64_t is supported.")
    elif type(value) is float:
        # Like the cast in C, values beyond float32 become infinite.
        field, converted = "float_list", value
        if abs(value) > 3.4028235677973362e38:
            converted = float("inf") if value > 0 else float("-inf")
    elif type(value) is bytes:
        field, converted = "bytes_list", value
    elif request.is_base64(value):
        field, converted = "bytes_list", request.decode_base64(value)
    else:
        raise dialect.invalid(f"Feature: {name} has element with unexpected JSON type: {request.kind_of(value)}")
    present = feature.WhichOneof("kind")
    if present not in (None, field):
        raise dialect.invalid(f"Unexpected element type in feature: {name} expecting type: {_KINDS[present]}")
    getattr(feature, field).value.append(converted)


def format_classify(result):
    """The body of a reply with a ClassificationResult: a list of [label, score] for each example."""
    rows = []
    for one in result.classifications:
        scores = text.decimal_texts(np.array([c.score for c in one.classes], np.float32))
        labels = [text.string_text(c.label.encode("utf-8", "replace")).decode() for c in one.classes]
        pairs = (f"[{label}, {score}]" for label, score in zip(labels, scores, strict=True))
        rows.append(f"[{', '.join(pairs)}]")
    return _results(rows)


def format_regress(result):
    """The body of a reply with a RegressionResult: a list of numbers."""
    return _results(text.decimal_texts(np.array([one.value for one in result.regressions], np.float32)))


def _results(items):
    return ('{\n    "results": [' + ", ".join(items) + "\n    ]\n}").encode()
