import numpy as np
import pytest
import tensorflow as tf

from tfgen import fields
from tfgen_pipelines.preprocessing import preprocessing_fn

FIELDS = [
    fields.image((6, 4, 1)), fields.frames((2, 6, 4, 3)), fields.vector("embedding", 3), fields.label(10),
    fields.Field("factors", (2,), "int32"),
]  # fmt: skip


def config(*declared):
    return {"fields": [field.config() for field in declared]}


def inputs():
    return {
        "image": tf.constant([[b"not even"], [b"an image"]]), "frames": tf.constant([[b"a", b"b"], [b"c", b"d"]]),
        "embedding": tf.reshape(tf.range(6.0), [2, 3]), "label": tf.constant([[3], [1]], tf.int64),
        "factors": tf.constant([[1, 2], [3, 4]], tf.int64), "id": tf.constant([[b"one"], [b"two"]]),
        "unknown": tf.constant([1, 2], tf.int64),
    }  # fmt: skip


def test_images_keep_their_bytes():
    out = tf.function(lambda given: preprocessing_fn(given, config(*FIELDS)))(inputs())
    assert out.keys() == {"id", "image", "frames", "embedding", "label", "factors"}
    assert out["image"].numpy().tolist() == [b"not even", b"an image"] and out["id"].numpy().tolist() == [b"one", b"two"]
    assert out["frames"].numpy().tolist() == [[b"a", b"b"], [b"c", b"d"]]
    assert out["label"].dtype == tf.int64 and out["label"].numpy().tolist() == [3, 1]
    np.testing.assert_array_equal(out["embedding"], [[0, 1, 2], [3, 4, 5]])
    assert out["factors"].shape == (2, 2)


def test_records_without_id_and_with_undeclared_features():
    given = {"image": inputs()["image"], "label": inputs()["label"]}
    assert preprocessing_fn(given, config(FIELDS[0])).keys() == {"image"}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("image", tf.zeros([2, 24]), "'image' must hold encoded images .* received dtype float32"),
        ("label", tf.zeros([2]), "'label' must hold int32; received dtype float32"),
        ("embedding", tf.constant(["a", "b"]), "'embedding' must hold float32; received dtype string"),
        ("label", None, r"no feature 'label'; they have \['embedding', 'factors'"),
    ],
)
def test_other_features_than_declared(name, value, message):
    given = {**inputs(), name: value}
    if value is None:
        del given[name]
    with pytest.raises(ValueError, match=message):
        preprocessing_fn(given, config(*FIELDS))
