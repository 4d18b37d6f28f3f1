"""Declarations as JSON, and which source has the fields that a model needs."""

import json

import numpy as np
import pytest

import tfgen
from tfgen import fields

DECLARED = [
    fields.image((None, 8, 3), "target"), fields.label(10), fields.vector("embedding", 4), fields.mask(4, 5),
    fields.frames((3, 4, 4, 1)), fields.attributes(2, names=("Bald", "Young")),
]  # fmt: skip


@pytest.mark.parametrize("field", DECLARED, ids=lambda field: field.name)
def test_a_declaration_survives_json(field):
    assert fields.Field(**json.loads(json.dumps(field.config()))) == field


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
