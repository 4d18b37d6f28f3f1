"""Declarations as JSON, and which source has the fields that a model needs."""

import json

import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tfgen import fields

DECLARED = [
    fields.image((None, 8, 3), "target"), fields.label(10), fields.vector("embedding", 4), fields.mask(4, 5),
    fields.frames((3, 4, 4, 1)), fields.attributes(2, names=("Bald", "Young")), fields.Field("view", (3,), directional=True),
]  # fmt: skip


@pytest.mark.parametrize("field", DECLARED, ids=lambda field: field.name)
def test_a_declaration_survives_json(field):
    assert fields.Field(**json.loads(json.dumps(field.config()))) == field


def test_directional_is_in_the_config_only_if_true_and_not_in_fingerprints():
    assert [field.name for field in DECLARED if "directional" in field.config()] == ["view"]
    marks = [
        tfgen.data.from_arrays(
            np.zeros((2, 4, 4, 1), np.uint8), fields={"view": (np.eye(2), fields.Field("view", (2,), directional=mark))}
        )
        for mark in (False, True)
    ]
    assert marks[0].fields != marks[1].fields and marks[0].fingerprint == marks[1].fingerprint


def test_which_fields_have_pixels():
    assert [field.name for field in DECLARED if field.pixels] == ["target", "mask", "frames"]
    assert [field.name for field in DECLARED if field.encoded] == ["target", "frames"]


def test_names_are_one_for_each_component():
    with pytest.raises(ValueError, match=r"names of field 'attributes' must be one .*\(3,\); received 2"):
        fields.attributes(3, names=("a", "b"))


def test_a_source_is_checked_for_the_fields_of_a_model():
    source = tfgen.data.from_arrays(np.zeros((2, 4, 4, 1), np.uint8), [0, 2], fields={"embedding": np.zeros((2, 5))})
    needed = fields.image((4, 4, 1)), fields.label(3), fields.vector("embedding", 5)
    fields.check_fields(needed, source.fields, "The model", source.name)
    for wrong, message in (
        (fields.vector("embedding", 6), r"The model needs .*'embedding' as float32 \[batch, 6\]; arrays .*\[batch, 5\]"),
        (fields.label(2), r"'label' as int32 \[batch\] up to 1; arrays has it as int32 \[batch\] up to 2"),
        (fields.image((4, 4, 3), "target"), r"needs the field 'target', .*has the fields \['embedding', 'image', 'label'"),
    ):
        with pytest.raises(ValueError, match=message):
            fields.check_fields([wrong], source.fields, "The model", source.name)


# ---- the checks of values


def test_images():
    values = np.linspace(0.0, 1.0, 8, dtype="float16").reshape(2, 2, 2, 1)
    image = fields.image((2, None, 1))
    found = image.check(values, "Model")
    assert found.dtype == tf.float32
    np.testing.assert_array_equal(found, values)
    for value in (-0.01, 1.01, np.nan, np.inf):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"Images must lie in \[0, 1\]; received a range of"):
            image.check(np.full([1, 2, 2, 1], value, "float32"), "Model")
    with pytest.raises(ValueError, match=r"Images must be float in \[0, 1\]; received dtype uint8 \(divide by 255\?\)"):
        image.check(np.ones([1, 2, 2, 1], "uint8"), "Model")
    for shape in ([1, 2, 2, 3], [2, 2, 1], [1, 3, 2, 1]):
        with pytest.raises(ValueError, match=r"Model was made for images \[batch, 2, any, 1\].*; received"):
            image.check(np.ones(shape, "float32"), "Model")


def test_labels():
    label, kinds = fields.label(3), fields.label(3, "kinds")
    for values in ([0, 2], [[0], [2]], np.array([0, 2], "uint8"), np.array([0, 2], "int64")):
        found = label.check(values)
        np.testing.assert_array_equal(found, [0, 2])
        assert found.dtype == tf.int32
    for wrong in ([0, 3], [-1, 0]):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"kinds must lie in \[0, 3\); received a range of"):
            kinds.check(wrong)
    with pytest.raises(ValueError, match=r"labels must be integers \[batch\]; received dtype float32"):
        label.check([0.0, 1.0])
    for wrong in (0, [[0, 1]], [[[0]]]):
        with pytest.raises(ValueError, match=r"labels must have the shape \[batch\]; received"):
            label.check(wrong)


def test_vectors():
    embedding = fields.vector("embedding", 2)
    found = embedding.check(np.array([[-5.0, 1e6]]))
    assert found.dtype == tf.float32 and found.shape == (1, 2)
    with pytest.raises(tf.errors.InvalidArgumentError, match="embedding must be finite; received a range of"):
        embedding.check([[np.nan, 0.0]])
    with pytest.raises(ValueError, match=r"embedding must have the shape \[batch, 2\]; received \(1, 3\)"):
        embedding.check([[1.0, 2.0, 3.0]])
    with pytest.raises(ValueError, match=r"embedding must be float \[batch, 2\]; received dtype int32"):
        embedding.check([[1, 2]])
    with pytest.raises(ValueError, match="dtype of field 'x' must be 'float32', 'int32' or 'int64'; received 'int8'"):
        fields.Field("x", (), "int8")
