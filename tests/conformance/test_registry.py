"""Every public model stands in the registry, and has presets."""

import json

import tfgen
from tests.conformance.registry import CASES, STAND_INS
from tfgen.models import MODELS, TrainableModel
from tfgen.models.capabilities import CAPABILITIES


def test_every_public_model_is_registered():
    public = {
        cls for name in tfgen.models.__all__
        if isinstance(cls := getattr(tfgen.models, name), type) and issubclass(cls, TrainableModel)
    } - {TrainableModel}  # fmt: skip
    assert public == set(MODELS.values())
    missing = {cls.__name__ for cls in public} - {case.model.__name__ for case in CASES.values()}
    assert not missing, f"Add a line to tests/conformance/registry.py for {sorted(missing)}."


def test_every_model_has_presets():
    presets = tfgen.presets.all_presets().values()
    assert {p.model for p in presets} == set(MODELS.values())
    for preset in presets:
        json.dumps(preset.config())


def test_every_capability_is_tested():
    assert {c for case in {**CASES, **STAND_INS}.values() for c in case.capabilities} == set(CAPABILITIES)
