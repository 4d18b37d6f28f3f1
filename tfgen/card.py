"""Cards: the description of an exported model for its clients, as JSON that the model itself returns.

Every export has the signature `card`: input `unused` int32 [B], output `card` string [B], the same JSON object in each row.
docs/serving.md describes the object.
"""

import json
from collections.abc import Sequence

import keras
import tensorflow as tf

FORMAT = 1  # version of the object; increased by changes that break readers
SIGNATURE = "card"


def card(model: keras.Model, class_names: Sequence[str] | None = None) -> dict:
    """The card of a `TrainableModel` without its signatures, a JSON-able dict.

    Args:
        class_names: names of the classes, in the order of their numbers; left out of a model that has no classes.

    Raises:
        ValueError: there are more names than classes.
    """
    return {
        "format": FORMAT,
        "model": type(model).__name__,
        "capabilities": [capability.NAME for capability in model.capabilities()],
        "image_shape": list(model.image_shape),
        "classes": _classes(model, class_names),
        "codes": [field.config() for field in model.code_fields()],
        "fields": [field.config() for field in model.batch_fields()],
        "conditions": [field.config() for field in model.conditions()],
    }


def signatures_of(model: keras.Model, signatures: dict, classes: dict | None = None) -> dict:
    """The entry "signatures" of a card: {signature: {"inputs": {name: ...}, "outputs": {name: ...}}}.

    Each input and output is {"dtype", "shape"}; a free size is null. Inputs that a field describes also have "low", "high"
    and "names".

    Args:
        signatures: {signature: ({input name: tf.TensorSpec}, {output name: tensor})}.
        classes: the entry "classes" of the card.
    """
    fields = {field.argument: field for field in model.input_fields()}
    found = {}
    for signature, (specs, results) in signatures.items():
        inputs = {name: _tensor(spec) for name, spec in specs.items()}
        for name in inputs.keys() & fields.keys():
            field = fields[name]
            inputs[name] |= {"low": field.low, "high": field.high, "names": _listed(field.names)}
            if field.name == "label" and classes:
                inputs[name]["names"] = classes["names"]
        found[signature] = {"inputs": inputs, "outputs": {name: _tensor(result) for name, result in results.items()}}
    return found


def signature_of(content: dict) -> tuple:
    """(function, {input name: tf.TensorSpec}) of the signature that returns a card."""
    text = json.dumps(content, allow_nan=False)  # ASCII, which any transport carries unchanged
    return lambda unused: {"card": tf.fill(tf.shape(unused)[:1], text)}, {"unused": tf.TensorSpec([None], tf.int32)}


def _classes(model, names):
    """{"count", "names"} of the classes that a model takes or finds, None if it has none."""
    label = next((field for field in model.batch_fields() if field.name == "label"), None)
    if label is None:
        # Classes that a model found without labels have an arbitrary order, so no names can be assigned.
        count = getattr(model, "num_labels", 0)
        return {"count": count, "names": None} if count else None
    count = label.high + 1
    if names is not None and len(names) > count:
        raise ValueError(f"class_names must have at most {count} names, one for each class; received {len(names)}: {names}.")
    return {"count": count, "names": _listed(names)}


def _tensor(spec):
    return {"dtype": spec.dtype.name, "shape": spec.shape.as_list()}


def _listed(names):
    return None if names is None else [str(name) for name in names]
