"""The server over the wire, in the way of TensorFlow Serving: REST and gRPC, one case a line."""

import contextlib
import gzip
import json

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from tfgen_serving import conformance
from tfgen_serving.server import main


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    models = conformance.build_fixtures(folder / "models")
    (folder / "models.config").write_text(conformance.config_text(models, {"half_plus_two": {"stable": 123}}))
    (folder / "monitoring.config").write_text("prometheus_config { enable: true path: '/metrics' }")
    with main.start([
        "--port=0", "--rest_api_port=0", f"--model_config_file={folder}/models.config", "--rest_api_enable_cors_support",
        f"--monitoring_config_file={folder}/monitoring.config", "--allow_version_labels_for_unavailable_models=true",
    ]) as running:  # fmt: skip
        yield running


@pytest.fixture
def stubs(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        yield (
            prediction_service_pb2_grpc.PredictionServiceStub(channel),
            model_service_pb2_grpc.ModelServiceStub(channel),
        )


def post(server, path, body, **headers):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    status, headers, reply = conformance.rest(server.rest_port, "POST", f"/v1/models/{path}", body, headers)
    assert headers["content-type"] == "application/json"
    return status, json.loads(reply)


def predict_request(model="half_plus_two", signature="", **inputs):
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = model, signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return request


@contextlib.contextmanager
def refused(code, text):
    with pytest.raises(grpc.RpcError) as caught:
        yield
    assert caught.value.code().name == code
    assert text in caught.value.details()


def test_the_servers_default_address_is_loopback():
    assert main.flags_module.parser().get_default("host") == "127.0.0.1"


CASES = json.loads(conformance.OWN_CASES.read_text())["cases"]


@pytest.mark.parametrize("case", [c for c in CASES if c["kind"] == "rest"], ids=lambda c: c["id"])
def test_rest_case(server, case):
    assert conformance.check_rest(case, server.rest_port) is None


@pytest.mark.parametrize("case", [c for c in CASES if c["kind"] == "grpc"], ids=lambda c: c["id"])
def test_grpc_case(server, case):
    assert conformance.check_grpc(case, server.grpc_port, {}) is None


@pytest.mark.parametrize("body", [b'{"inputs": [' + b"[" * 100_000, b'{"instances": ' + b'{"x":' * 100_000])
def test_nesting_without_end_is_refused(server, body):
    status, reply = post(server, "half_plus_two:predict", body)
    assert status == 400 and "JSON Parse error" in reply["error"]


def test_a_name_that_is_not_text_is_not_a_model(server):
    assert post(server, "%00%ff:predict", {"inputs": 1})[0] == 404


def test_rest_status_and_metadata(server):
    status, _, body = conformance.rest(server.rest_port, "GET", "/v1/models/half_plus_two")
    available = {"version": "123", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    assert (status, json.loads(body)) == (200, {"model_version_status": [available]})
    status, _, body = conformance.rest(server.rest_port, "GET", "/v1/models/identity_2d/metadata")
    reply = json.loads(body)
    assert reply["model_spec"] == {"name": "identity_2d", "signature_name": "", "version": "123"}
    signature = reply["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["method_name"] == "tensorflow/serving/predict" and signature["defaults"] == {}
    x = signature["inputs"]["x"]
    assert x["dtype"] == "DT_FLOAT"
    assert x["tensor_shape"] == {"dim": [{"size": "-1", "name": ""}, {"size": "1", "name": ""}], "unknown_rank": False}


def test_unknown_paths_are_plain_404(server):
    status, headers, _ = conformance.rest(server.rest_port, "GET", "/favicon.ico")
    assert status == 404 and headers["content-type"].startswith("text/plain")


def test_gzip_both_ways(server):
    packed = gzip.compress(json.dumps({"instances": list(range(1000))}).encode())
    headers = {"Content-Encoding": "gzip", "Accept-Encoding": "gzip"}
    status, headers, body = conformance.rest(server.rest_port, "POST", "/v1/models/half_plus_two:predict", packed, headers)
    assert status == 200 and headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(body))["predictions"][2] == 3.0
    assert post(server, "half_plus_two:predict", packed[:20], **{"Content-Encoding": "gzip"})[0] == 400
    assert post(server, "half_plus_two:predict", b"{}", **{"Content-Encoding": "br"})[0] == 415


def test_cors(server):
    status, headers, body = conformance.rest(
        server.rest_port, "OPTIONS", "/v1/models/x:predict", headers={"Origin": "http://a"}
    )
    assert (status, body, headers["access-control-allow-origin"]) == (200, b"", "*")
    assert conformance.rest(server.rest_port, "OPTIONS", "/v1/models/x:predict")[0] == 400
    assert conformance.rest(server.rest_port, "GET", "/v1/models/half_plus_two")[1]["access-control-allow-origin"] == "*"


def test_metrics_count_configured_models_only(server, stubs):
    post(server, "half_plus_two:predict", {"inputs": 1})
    stubs[0].Predict(predict_request(x=[1.0]))
    post(server, "invented:predict", {"inputs": 1})
    status, headers, body = conformance.rest(server.rest_port, "GET", "/metrics")
    text = body.decode()
    assert status == 200 and headers["content-type"].startswith("text/plain")
    assert "# TYPE :tensorflow:serving:request_count counter" in text
    assert ':tensorflow:serving:request_count{model_name="half_plus_two",status="OK"}' in text
    latency = ':tensorflow:serving:request_latency_count{model_name="half_plus_two",API="Predict",entrypoint='
    assert latency + '"REST",status="OK"}' in text and latency + '"GRPC",status="OK"}' in text
    assert "invented" not in text


@pytest.mark.parametrize("value", [np.float32([2.0, 3.5]), np.float32(2.0), np.zeros([0, 3], np.float32)])
def test_grpc_predict_answers_in_float_val(stubs, value):
    reply = stubs[0].Predict(predict_request(x=value))
    y = reply.outputs["y"]
    assert list(y.float_val) == list(0.5 * value.ravel() + 2) and not y.tensor_content
    assert [d.size for d in y.tensor_shape.dim] == list(value.shape)
    spec = reply.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("half_plus_two", 123, "serving_default")


@pytest.mark.parametrize(
    ("signature", "value"),
    [
        ("i32", np.int32([[1, -2]])),
        ("f64", np.float64([1e300])),
        ("bool", np.array([True, False])),
        ("str", np.array([b"a", b"\xff"], object)),
        ("half_in", np.float16([0.5, 2.0])),
        ("half_out", np.float32([0.5, 2.0])),
    ],
)  # fmt: skip
def test_grpc_carries_each_dtype(stubs, signature, value):
    output = stubs[0].Predict(predict_request("echo", signature, default=value)).outputs["default"]
    assert tf.make_ndarray(output).tolist() == value.tolist() and not output.tensor_content


def test_grpc_input_forms(stubs):
    request = predict_request()
    x = request.inputs["x"]
    x.dtype = 1
    for size in (2, 2):
        x.tensor_shape.dim.add(size=size)
    assert list(stubs[0].Predict(request).outputs["y"].float_val) == [2.0] * 4  # no values: zeros
    x.float_val.extend([2.0, 4.0])
    assert list(stubs[0].Predict(request).outputs["y"].float_val) == [3.0, 4.0, 4.0, 4.0]  # the last one is repeated
    x.tensor_content = np.float32([2, 4, 6, 8]).tobytes()
    assert list(stubs[0].Predict(request).outputs["y"].float_val) == [3.0, 4.0, 5.0, 6.0]
    x.tensor_content = b"12345"
    with refused("INVALID_ARGUMENT", "tensor parsing error: x"):
        stubs[0].Predict(request)
    x.tensor_shape.dim[0].size = 2**40
    with refused("INVALID_ARGUMENT", "too large"):
        stubs[0].Predict(request)
    x.tensor_shape.dim[0].size = -1
    with refused("INVALID_ARGUMENT", "shape must be known"):
        stubs[0].Predict(request)


def test_grpc_output_filter(stubs):
    inputs = dict(int_tensor=np.int32([1]), str_tensor=np.array([b"a"], object))
    request = predict_request("echo", "int_str", **inputs)
    request.output_filter.append("str_tensor")
    assert list(stubs[0].Predict(request).outputs) == ["str_tensor"]
    request.output_filter.append("str_tensor")
    with refused("INVALID_ARGUMENT", "duplicate output tensor alias: str_tensor"):
        stubs[0].Predict(request)
    request.output_filter[1] = "other"
    with refused("INVALID_ARGUMENT", "output tensor alias not found in signature: other"):
        stubs[0].Predict(request)


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (predict_pb2.PredictRequest(), "INVALID_ARGUMENT", "Missing ModelSpec"),
        (predict_request("", "s"), "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        (predict_request("foo"), "NOT_FOUND", "Servable not found for request: Latest(foo)"),
        (predict_request(), "INVALID_ARGUMENT", "input size does not match signature: 0!=1"),
        (predict_request(signature="nope"), "FAILED_PRECONDITION", 'Serving signature key "nope" not found.'),
        (predict_request(y=[1.0]), "INVALID_ARGUMENT", "x was not found"),
        (predict_request(x=["a"]), "INVALID_ARGUMENT", "expects float32 but string"),
        (predict_request(x=[1]), "INVALID_ARGUMENT", "expects float32 but int32"),
        (predict_request(signature="n" * 5000, x=[1.0]), "FAILED_PRECONDITION", "...TRUNCATED"),
    ],
)
def test_grpc_refusals(stubs, request_, code, text):
    with refused(code, text):
        stubs[0].Predict(request_)


def test_grpc_examples(stubs):
    example = tf.train.Example()
    example.features.feature["x"].float_list.value.append(2.0)
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name, request.model_spec.signature_name = "half_plus_two", "classify_x_to_y"
    with refused("INVALID_ARGUMENT", "Input is empty."):
        stubs[0].Classify(request)
    request.input.example_list.examples.add().CopyFrom(example)
    assert stubs[0].Classify(request).result.classifications[0].classes[0].score == 3.0
    regress = regression_pb2.RegressionRequest(input=request.input, model_spec=request.model_spec)
    with refused("FAILED_PRECONDITION", "No regression outputs found"):
        stubs[0].Regress(regress)
    regress.model_spec.signature_name = "regress_x_to_y"
    assert [r.value for r in stubs[0].Regress(regress).result.regressions] == [3.0]
    both = inference_pb2.MultiInferenceRequest(input=request.input)
    task = both.tasks.add(method_name="tensorflow/serving/classify")
    task.model_spec.CopyFrom(request.model_spec)
    assert stubs[0].MultiInference(both).results[0].classification_result.classifications[0].classes[0].score == 3.0
    both.tasks.add().CopyFrom(task)
    with refused("INVALID_ARGUMENT", "Duplicate evaluation of signature"):
        stubs[0].MultiInference(both)
    both.tasks[1].model_spec.signature_name = "regress_x_to_y"
    with refused("FAILED_PRECONDITION", "Expected classification signature outputs"):
        stubs[0].MultiInference(both)
    with refused("INVALID_ARGUMENT", "no name specified"):
        stubs[0].MultiInference(inference_pb2.MultiInferenceRequest())


def test_grpc_metadata_and_status(stubs):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "echo"
    reply = stubs[0].GetModelMetadata(request)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert reply.metadata["signature_def"].Unpack(signatures)
    assert "multi_bytes" in signatures.signature_def and reply.model_spec.version.value == 123
    request.metadata_field[0] = "other"
    with refused("INVALID_ARGUMENT", "not supported"):
        stubs[0].GetModelMetadata(request)
    status = get_model_status_pb2.GetModelStatusRequest(model_spec=request.model_spec)
    (version,) = stubs[1].GetModelStatus(status).model_version_status
    assert (version.version, version.state, version.status.error_code) == (123, 30, 0)
    status.model_spec.version.value = 7
    with refused("NOT_FOUND", "Could not find version 7 of model echo"):
        stubs[1].GetModelStatus(status)


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("custom_model_config {}", "INVALID_ARGUMENT", "Only ModelConfigList is currently supported"),
        ('model_config_list { config { name: "m" base_path: "a" model_platform: "tensorflow" } }', "INVALID_ARGUMENT",
         "to have an absolute path or URI"),
        ('model_config_list { config { name: "m" base_path: "/a" } }', "INVALID_ARGUMENT", "Illegal setting neither"),
        ('model_config_list { config { name: "../m" base_path: "/a" model_platform: "tensorflow" } }', "INVALID_ARGUMENT",
         "must not be empty and hold no '/'"),
    ],
)  # fmt: skip
def test_reload_refusals_change_nothing(server, text, code, message):
    with refused(code, message):
        conformance.reload_config(server.grpc_port, text)
    assert conformance.predict_half(server.rest_port, "half_plus_two") == 3.0


def test_reload_reply_has_the_status(stubs):
    reply = stubs[1].HandleReloadConfigRequest
    with refused("INVALID_ARGUMENT", "type not supported"):
        reply(model_management_pb2.ReloadConfigRequest())


def test_broken_requests_get_well_formed_errors(server):
    assert conformance.fuzz(400, 7, server.rest_port, server.grpc_port) == []
