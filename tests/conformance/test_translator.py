"""What every `Translator` promises."""

import numpy as np
import tensorflow as tf

from tests.conformance.harness import for_cases
from tfgen.models.capabilities import Translator

pytestmark = for_cases(Translator)


def test_translations_are_images(run, served):
    fields = run.model.translated_fields()
    inputs = run.case.inputs({field.argument: field.spec for field in fields}, 4)
    with run.model.ema.swapped():
        made = run.model.translate(**inputs)
    pictures = [made[name] for name in ("image", "frames") if name in made]
    assert len(pictures) == 1
    for picture in pictures:
        assert picture.dtype == tf.float32 and picture.shape[0] == 4
        assert float(tf.reduce_min(picture)) >= 0.0 and float(tf.reduce_max(picture)) <= 1.0
    found = served["translate"](**inputs)
    assert found.keys() == made.keys()
    for name, value in found.items():
        np.testing.assert_allclose(value, made[name], atol=2e-5)


def test_a_translation_depends_on_its_example_alone(run):
    fields = run.model.translated_fields()
    inputs = run.case.inputs({field.argument: field.spec for field in fields}, 4)
    alone = run.model.translate(**{name: value[2:] for name, value in inputs.items()})
    for name, value in run.model.translate(**inputs).items():
        np.testing.assert_allclose(alone[name], value[2:], atol=1e-5)
