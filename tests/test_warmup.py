"""The warm-up file that an export carries: every record is parsed back and run."""

import pathlib
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from tfgen import export, warmup
from tfgen.export import export_saved_model
from tfgen.features.text import CharacterEncoder, character_network
from tfgen.models import DCGAN, VAE, StackGANv2

prediction_log_pb2 = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")


def of_texts():
    model = StackGANv2(image_shape=(4, 4, 1), embedding_dim=3, width=2, ups=0, branches=1, blocks=0, noise_dim=2,
                       condition_dim=2, discriminator_width=2)  # fmt: skip
    model.text_encoder = CharacterEncoder(character_network(3, width=4))
    return model


MODELS = {
    "texts": of_texts,
    "vae": lambda: VAE(image_shape=(8, 8, 1), latent_dim=3, hidden=(8,)),
    "dcgan": lambda: DCGAN(image_shape=(16, 16, 3), latent_dim=4, width=4, stages=2),
    "conditional": lambda: DCGAN(image_shape=(8, 8, 1), latent_dim=4, width=4, stages=1, num_classes=3),
}


@pytest.fixture(scope="module", params=MODELS)
def exported(request, tmp_path_factory):
    model = MODELS[request.param]()
    model.compile()
    return model, export_saved_model(model, tmp_path_factory.mktemp("model"))


def read(path):
    records = tf.data.TFRecordDataset(str(path / warmup.WARMUP_FILE)).as_numpy_iterator()
    return [prediction_log_pb2.PredictionLog.FromString(record) for record in records]


def test_every_record_runs(exported):
    model, path = exported
    loaded, seen = tf.saved_model.load(str(path)).signatures, set()
    for log in read(path):
        assert log.WhichOneof("log_type") == "predict_log"
        request = log.predict_log.request
        name = request.model_spec.signature_name
        inputs = {k: tf.constant(tf.make_ndarray(v)) for k, v in request.inputs.items()}
        sizes = {len(v) for v in inputs.values()}
        outputs = loaded[name](**inputs)
        assert {len(v) for v in outputs.values()} == sizes
        assert all(np.isfinite(v).all() for v in outputs.values() if v.dtype != tf.string)
        seen.add((name, *sizes))
    assert seen == {(name, size) for name in [*model.signatures(), "card"] for size in warmup.BATCH_SIZES}


def test_the_file_is_small(exported):
    _, path = exported
    assert len(read(path)) <= warmup.MAX_RECORDS
    assert (path / warmup.WARMUP_FILE).stat().st_size < 10_000, "a batch of zeros is one value and a shape"


def test_inputs_have_the_signatures_types_and_shapes(exported):
    _, path = exported
    signatures = warmup.signatures(path)
    for log in read(path):
        request = log.predict_log.request
        for name, info in signatures[request.model_spec.signature_name].inputs.items():
            tensor = request.inputs[name]
            assert tensor.dtype == info.dtype
            assert [d.size for d in tensor.tensor_shape.dim][1:] == [d.size for d in info.tensor_shape.dim][1:]


def test_the_compatible_server_replays_them(exported):
    from tfgen_serving.server import inference, servable

    _, path = exported
    model = servable.Servable("m", 1, str(path))
    try:
        assert inference.warm_up(model) == len(read(path))
    finally:
        model.close()


def test_written_before_the_version_is_seen(tmp_path, monkeypatch):
    model, renamed, rename = MODELS["dcgan"](), [], pathlib.Path.rename
    model.compile()

    def seen(hidden, target):
        renamed.append((hidden / warmup.WARMUP_FILE).exists() and (hidden / "saved_model.pb").exists())
        return rename(hidden, target)

    monkeypatch.setattr(pathlib.Path, "rename", seen)
    path = export_saved_model(model, tmp_path)
    assert renamed == [True] and (path / warmup.WARMUP_FILE).exists()
    assert not list(tmp_path.glob("*/*/*.tmp"))


def test_a_failing_warmup_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(export, "write_warmup", fail)
    model = MODELS["dcgan"]()
    model.compile()
    with pytest.raises(OSError, match="No space"):
        export_saved_model(model, tmp_path)
    assert not list(tmp_path.iterdir())


def test_export_without_the_extra(tmp_path, monkeypatch, caplog):
    for name in [n for n in sys.modules if n.split(".")[0] == "tensorflow_serving"] + ["tensorflow_serving"]:
        monkeypatch.setitem(sys.modules, name, None)
    model = MODELS["dcgan"]()
    model.compile()
    with caplog.at_level("WARNING", logger="absl"):
        path = export_saved_model(model, tmp_path)
    assert "tensorflow-serving-api is not installed" in caplog.text
    assert (path / "saved_model.pb").exists() and not (path / warmup.WARMUP_FILE).exists()


def test_no_warmup_if_not_requested(tmp_path):
    model = MODELS["dcgan"]()
    model.compile()
    assert not (export_saved_model(model, tmp_path, warmup=False) / warmup.WARMUP_FILE).exists()


@pytest.mark.parametrize(
    ("sizes", "message"), [([0], "positive"), ([1.5], "positive"), ([], "1 to 1000"), (range(1, 500), "1 to 1000")]
)
def test_sizes_that_make_no_file(exported, tmp_path, sizes, message):
    _, path = exported
    (tmp_path / "saved_model.pb").write_bytes((path / "saved_model.pb").read_bytes())
    with pytest.raises(ValueError, match=message):
        warmup.write_warmup(tmp_path, sizes)
    assert [p.name for p in tmp_path.iterdir()] == ["saved_model.pb"]


def test_an_input_without_fixed_shape(tmp_path):
    class Free(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32)])
        def double(self, x):
            return {"y": 2.0 * x}

    free = Free()
    tf.saved_model.save(free, str(tmp_path), signatures={"serving_default": free.double})
    with pytest.raises(ValueError, match="fixed dimensions after the first"):
        warmup.write_warmup(tmp_path)


def test_images_of_any_size():
    """Height and width get a size; another free dimension is refused."""

    def requests(shape):
        info = tf.compat.v1.saved_model.build_tensor_info(tf.compat.v1.placeholder(tf.float32, shape))
        signature = meta_graph_pb2.SignatureDef(inputs={"x": info})
        logs = warmup.prediction_logs({"translate": signature}, [2])
        return [[dim.size for dim in log.predict_log.request.inputs["x"].tensor_shape.dim] for log in logs]

    with tf.Graph().as_default():
        assert requests([None, None, None, 3]) == [[2, 64, 64, 3]]
        assert requests([None, None, None]) == [[2, 64, 64]]
        for shape in ([None, None, 5, None], [None, 4, None]):
            with pytest.raises(ValueError, match="fixed dimensions after the first"):
                requests(shape)
