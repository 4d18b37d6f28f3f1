"""The client where TensorFlow is not installed, and its messages against those of TensorFlow's packages."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2

from tfgen_serving import conformance
from tfgen_serving.client import ServingError, messages, tensors
from tfgen_serving.server import main as server_main
from tfgen_serving.server import tensors as server_tensors

ROOT = pathlib.Path(__file__).resolve().parents[2]
TENSORFLOW = ("tensorflow", "tensorflow_serving", "keras", "tf_keras", "tensorflow_probability")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    def image(values):
        return {"image": tf.cast(values, tf.float32)[:, None, None, None] * np.float32([[[1.0], [0.1]]])}

    folder, seeds = tmp_path_factory.mktemp("alone") / "m", {"seeds": (tf.int64, [None])}
    folder.mkdir()
    conformance.write_model(folder / "3", {
        "sample": (seeds, lambda seeds: image(seeds)),
        "latents": (seeds, lambda seeds: {"latent": tf.cast(seeds, tf.float32)[:, None]}),
        "decode": ({"latent": (tf.float32, [None, 1])}, lambda latent: image(latent[:, 0])),
        "serving_default": (seeds, lambda seeds: {"image_bytes": tf.strings.as_string(seeds)}),
    })  # fmt: skip
    flags = ["--model_name=m", f"--model_base_path={folder}", "--port=0", "--rest_api_port=0"]
    with server_main.start(flags) as running:
        yield running


def without(packages, code):
    """Runs Python code where the packages cannot be imported."""
    absent = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {tuple(packages)!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
    )
    return subprocess.run([sys.executable, "-c", absent + code], cwd=ROOT, capture_output=True, text=True, timeout=120)


CALLS = """
import json
from tfgen_serving.client import Client, ServingError
with Client({target!r}, "m") as client:
    found = {{
        "sample": client.sample([2, 3]).tolist(), "png": [png.decode() for png in client.sample_png([4])],
        "path": client.interpolate(1, 2, steps=3).tolist(), "signatures": client.signatures()["decode"],
        "version": client.served_version(),
    }}
    try:
        client.sample([1], labels=[1])
    except ServingError as error:
        found["code"] = error.code.name
loaded = {{name.partition(".")[0] for name in sys.modules}}
print(json.dumps({{**found, "loaded": sorted(loaded & {{"grpc", "httpx", "tensorflow"}})}}))
"""


@pytest.mark.parametrize(
    ("protocol", "absent", "loaded"),
    [
        ("grpc", (*TENSORFLOW, "httpx", "orjson"), ["grpc"]),
        ("rest", (*TENSORFLOW, "grpc", "google", "orjson"), ["httpx"]),
    ],
)
def test_the_client_needs_no_tensorflow(protocol, absent, loaded, server):
    target = {"grpc": f"127.0.0.1:{server.grpc_port}", "rest": f"http://127.0.0.1:{server.rest_port}"}[protocol]
    run = without(absent, CALLS.format(target=target))
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    image = np.float32([[[1.0], [0.1]]])
    np.testing.assert_array_equal(np.float32(found["sample"]), [2 * image, 3 * image])
    np.testing.assert_allclose(found["path"], [image, 1.5 * image, 2 * image], rtol=1e-6)
    assert (found["png"], found["version"], found["code"]) == (["4"], 3, "INVALID_ARGUMENT")
    shapes = {"latent": [None, 1]}, {"image": [None, 1, 2, 1]}
    for kind, expected in zip(("inputs", "outputs"), shapes, strict=True):
        assert found["signatures"][kind] == {k: {"dtype": "float32", "shape": shape} for k, shape in expected.items()}
    assert found["loaded"] == loaded


@pytest.mark.parametrize(
    ("target", "absent", "message"),
    [
        ("127.0.0.1:1", ["grpc"], "gRPC needs the packages grpcio and protobuf (No module named 'grpc')"),
        ("127.0.0.1:1", ["google"], "gRPC needs the packages grpcio and protobuf (No module named 'google"),
        ("http://127.0.0.1:1", ["httpx"], "REST needs the package httpx (No module named 'httpx')"),
    ],
)
def test_missing_packages_are_named(target, absent, message):
    run = without([*TENSORFLOW, *absent], f"from tfgen_serving.client import Client; Client({target!r}, 'm')")
    assert f"ImportError: {message}" in run.stderr, run.stderr


ARRAYS = {
    "float32": np.float32([[1.5, -0.0, 3e38]]), "float64": np.array([1e300]), "float16": np.float16([0.1, -2.0]),
    "int32": np.int32([[-1], [2**31 - 1]]), "int64": np.array([-(2**63), 5]), "int16": np.int16([-3]),
    "int8": np.int8([-3, 4]), "uint8": np.uint8([255]), "uint16": np.uint16([65535]), "uint32": np.uint32([2**32 - 1]),
    "uint64": np.array([2**64 - 1], np.uint64), "bool": np.array([True, False]), "complex64": np.complex64([1 + 2j]),
    "complex128": np.array([1 - 2j]), "string": np.array([b"\xff\x00", b""], object), "empty": np.zeros((0, 3), np.float32),
}  # fmt: skip


@pytest.mark.parametrize("name", ARRAYS)
def test_tensors_are_tensorflows(name):
    array = ARRAYS[name]
    dtype = "string" if array.dtype == object else array.dtype.name
    assert tensors.DTYPES[tf.as_dtype(dtype).as_datatype_enum] == dtype
    sent = tensor_pb2.TensorProto.FromString(tensors.to_proto(array, dtype).SerializeToString())
    np.testing.assert_array_equal(tf.make_ndarray(sent), array)
    assert sent.dtype == tf.as_dtype(dtype).as_datatype_enum
    # The two forms of a reply: raw bytes, and a field for each dtype.
    for value in (array, array[:1]):
        proto = tf.make_tensor_proto(value, tf.as_dtype(dtype))
        got = tensors.from_proto(messages.Tensor.FromString(proto.SerializeToString()), "x")
        np.testing.assert_array_equal(got, value)
        assert got.dtype == value.dtype
    proto = tensor_pb2.TensorProto()
    server_tensors.to_proto(array, proto)
    np.testing.assert_array_equal(tensors.from_proto(messages.Tensor.FromString(proto.SerializeToString()), "x"), array)


def test_missing_values_repeat_the_last():
    proto = tf.make_tensor_proto([1.0])
    proto.tensor_shape.dim[0].size = 3
    proto.float_val.append(2.0)
    assert tensors.from_proto(messages.Tensor.FromString(proto.SerializeToString()), "x").tolist() == [1.0, 2.0, 2.0]
    for change in (lambda p: p.ClearField("float_val"), lambda p: setattr(p.tensor_shape.dim[0], "size", 1)):
        wrong = tensor_pb2.TensorProto.FromString(proto.SerializeToString())
        change(wrong)
        with pytest.raises(ServingError, match="'x' has [02] values for the shape"):
            tensors.from_proto(messages.Tensor.FromString(wrong.SerializeToString()), "x")
    with pytest.raises(ServingError, match="bfloat16, which the client cannot read"):
        tensors.from_proto(messages.Tensor(dtype=14), "x")


def test_messages_are_tensorflow_servings():
    request = messages.PredictRequest(model_spec=messages.ModelSpec(name="m"), output_filter=["a", "b"])
    request.model_spec.version.value, request.model_spec.signature_name = 7, "s"
    request.inputs.add(key="x", value=tensors.to_proto(np.float32([1.0]), "float32"))
    read = predict_pb2.PredictRequest.FromString(request.SerializeToString())
    spec = read.model_spec
    assert (spec.name, spec.version.value, spec.signature_name, list(read.output_filter)) == ("m", 7, "s", ["a", "b"])
    assert tf.make_ndarray(read.inputs["x"]).tolist() == [1.0]
    asked = messages.MetadataRequest(model_spec=messages.ModelSpec(version_label="stable"), metadata_field=["signature_def"])
    read = get_model_metadata_pb2.GetModelMetadataRequest.FromString(asked.SerializeToString())
    assert read.model_spec.version_label == "stable" and read.metadata_field == ["signature_def"]
