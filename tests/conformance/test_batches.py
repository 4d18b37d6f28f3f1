"""What every model promises about the batches that it is given: wrong ones are refused, with words, and change nothing."""

import numpy as np
import pytest
import tensorflow as tf

from tests.conformance.harness import assert_equal, for_cases, weights
from tfgen.models.autoregressive.base import AutoregressiveModel

pytestmark = for_cases()


def wrong_batches(case):
    """{what is wrong: (batch, the message)}."""
    good = case.batch()
    key = next(field.name for field in case.fields if field.encoded)  # `image`; of models of label maps `target`
    images = good[key]
    spoiled, outside = images.copy(), images.copy()
    spoiled[-1, 0, 0, 0], outside[-1] = np.nan, outside[-1] * 255 + 2
    name = f"^.*{case.model.__name__}"
    found = {
        "other channels": ({**good, key: np.repeat(images, 3, axis=-1)}, f"{name} was made for images"),
        "other size": ({**good, key: images[:, :-1]}, f"{name} was made for images"),
        "integers": ({**good, key: (images * 255).astype("uint8")}, "Images must be float.*received dtype uint8"),
        "0 to 255": ({**good, key: images * 255}, r"Images must lie in \[0, 1\]; received a range of"),
        "0 to 255 in one row": ({**good, key: outside}, r"Images must lie in \[0, 1\]; received a range of"),
        "NaN": ({**good, key: spoiled}, r"Images must lie in \[0, 1\]; received a range of"),
    }
    if case.binary or issubclass(case.model, AutoregressiveModel):
        between = images.copy()
        between[5] = 0.9 * between[5] + 0.03
        found["between levels"] = ({**good, key: between}, "must have the values|must be 0 or 1")
    for field in case.fields:
        left = {key: value for key, value in good.items() if key != field.name}
        found[f"no {field.name}"] = (left, f"{name} needs the field {field.name!r} in its batches.*; received the fields")
        if field.dtype == "int32":
            # As the Python argument is called: `labels`.
            message = rf"(?i){field.argument} must lie in \[0, {int(field.high) + 1}\); received a range of"
            for value in (-1, int(field.high) + 1):
                other = good[field.name].copy()
                other[(-1, *[0] * len(field.shape))] = value
                found[f"{field.name} {value}"] = ({**good, field.name: other}, message)
            axes = ", ".join(map(str, ("batch", *field.shape)))
            text = rf"(?i){field.argument} must be integers \[{axes}\]; received dtype float32"
            found[f"{field.name} as float"] = ({**good, field.name: good[field.name].astype("float32")}, text)
    return found


def test_a_refused_batch_changes_nothing(run):
    """No weight, no state of an optimiser, no average, no counter: fit goes on with the next batch as if it had not been."""
    before = weights(run.model)
    for what, (batch, message) in wrong_batches(run.case).items():
        data = tf.data.Dataset.from_tensors(batch)
        with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match=message):
            run.model.fit(data, verbose=0)
            pytest.fail(f"not refused: {what}")
        assert_equal(before, weights(run.model))


def test_labels_may_be_a_column(case, twins):
    model, good = twins[0], case.batch()
    for field in case.fields:
        if not field.shape:
            column = model.as_batch({**good, field.name: good[field.name][:, None]})[field.name]
            np.testing.assert_array_equal(column, good[field.name])
            assert column.dtype == field.dtype


def test_batches_may_be_pairs_or_images_alone(case, twins):
    model, good = twins[0], case.batch()
    if {field.name for field in case.fields} <= {"image", "label"}:
        batch = model.as_batch((good["image"], good["label"]))
        for field in case.fields:
            np.testing.assert_array_equal(batch[field.name], good[field.name])
    if {field.name for field in case.fields} == {"image"}:
        np.testing.assert_array_equal(model.as_batch(good["image"])["image"], good["image"])
