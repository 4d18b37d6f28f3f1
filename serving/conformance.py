"""Sends TensorFlow Serving's own test cases to `tfgen serve` or to the real `tensorflow_model_server`.

    python -m tfgen_serving.conformance [--cases cases.json] [--golden json_golden.jsonl] [--server tensorflow_model_server]

A cases file lists requests and expected answers for small models (fixtures), which this module builds; the default is
conformance_cases.json in this folder. `--server` is the command to test; without it, this package's server is started in a
separate process. `--fuzz N` sends N broken requests and checks that each gets a well-formed error. The exit status is 1 if
anything fails.
"""

import argparse
import base64
import collections
import contextlib
import http.client
import json
import math
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import grpc  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from google.protobuf import json_format, text_format  # noqa: E402
from tensorflow.core.framework import types_pb2  # noqa: E402
from tensorflow_serving.apis import (  # noqa: E402
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

tf.get_logger().setLevel("ERROR")  # hides hints that these graphs are in TensorFlow 1's style
VERSION = 123
PREDICT = tf.compat.v1.saved_model.signature_constants.PREDICT_METHOD_NAME
OWN_SERVER = [sys.executable, "-m", "tfgen_serving.server.main"]
OWN_CASES = pathlib.Path(__file__).with_name("conformance_cases.json")
MEMORY_GROWTH = 24  # MiB that a server may grow while it answers broken requests
ROOT = pathlib.Path(__file__).resolve().parent.parent

# ---- fixtures


def write_model(path, signatures, *, assets_extra=None):
    """Writes a SavedModel without variables to exactly `path`.

    Args:
        signatures: {name: (inputs, function)} or {name: (inputs, function, method name)}; inputs are
            {input: (dtype, shape or None)}, the function maps keyword tensors to {output: tensor}.
        assets_extra: {file name: bytes} for the folder assets.extra.
    """
    path = pathlib.Path(path)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        defs = {}
        for name, (inputs, function, *method) in signatures.items():
            placeholders = {
                key: tf.compat.v1.placeholder(dtype, shape, name=f"{name}_{key}") for key, (dtype, shape) in inputs.items()
            }
            outputs = {key: tf.identity(value) for key, value in function(**placeholders).items()}
            defs[name] = tf.compat.v1.saved_model.predict_signature_def(placeholders, outputs)
            defs[name].method_name = method[0] if method else PREDICT
        hidden = path.with_name(f".{path.name}.tmp")
        builder = tf.compat.v1.saved_model.Builder(str(hidden))
        builder.add_meta_graph_and_variables(session, ["serve"], defs)
        builder.save()
    for file, content in (assets_extra or {}).items():
        (hidden / "assets.extra").mkdir(exist_ok=True)
        (hidden / "assets.extra" / file).write_bytes(content)
    hidden.rename(path)
    return path


def linear(slope, offset):
    """Signatures of `half_plus_two` and similar models: y = slope * x + offset for x of any shape, and for tf.Examples."""

    def of_examples(inputs):
        parsed = tf.io.parse_example(inputs, {"x": tf.io.FixedLenFeature([1], tf.float32, default_value=[0.0])})
        return slope * parsed["x"] + offset

    examples = {"inputs": (tf.string, [None])}
    return {
        "serving_default": ({"x": (tf.float32, None)}, lambda x: {"y": slope * x + offset}),
        "classify_x_to_y": (examples, lambda inputs: {"scores": of_examples(inputs)}, "tensorflow/serving/classify"),
        "regress_x_to_y": (examples, lambda inputs: {"outputs": of_examples(inputs)}, "tensorflow/serving/regress"),
    }


def _echo():
    def same(**tensors):
        return tensors

    def one(dtype, function=same):
        return {"default": (dtype, None)}, function

    def of(default):
        return lambda **_: {"default": default}

    def many(**dtypes):
        return {name: (dtype, None) for name, dtype in dtypes.items()}

    mismatch = {"int_tensor": tf.ones([2, 3], tf.int32), "str_tensor": tf.fill([1, 3], "a")}
    text = {"int_tensor": tf.int32, "str_tensor": tf.string}
    return {
        "i32": one(tf.int32),
        "f32": one(tf.float32),
        "f64": one(tf.float64),
        "str": one(tf.string),
        "bool": one(tf.bool),
        "bytes_out": one(tf.string, lambda default: {"str_tensor_bytes": default}),
        "multi": (many(**text, float_tensor=tf.float32, dbl_tensor=tf.float64), same),
        "multi_col": (many(**text, bin_tensor=tf.string), same),
        "int_str": (many(**text), same),
        "multi_bytes": (
            many(**text, raw=tf.string),
            lambda int_tensor, str_tensor, raw: dict(int_tensor=int_tensor, str_tensor=str_tensor, str_tensor_bytes=raw),
        ),
        "zero_out": one(tf.int32, of(np.zeros([0, 2], np.int32))),
        "scalar_out": one(tf.int32, of(np.int32(1))),
        "mismatch_out": one(tf.int32, lambda **_: {name: value.numpy() for name, value in mismatch.items()}),
        "complex_out": one(tf.int32, lambda default: {"default": tf.cast(default, tf.complex64)}),
        "half_out": one(tf.float32, lambda default: {"default": tf.cast(default, tf.float16)}),
        "half_in": one(tf.float16, lambda default: {"default": tf.cast(default, tf.float32)}),
    }


def build_fixtures(root):
    """Writes all models of the cases; returns {model name: base path}."""
    root = pathlib.Path(root)
    x = {"x": (tf.float32, None)}
    models = {
        "half_plus_two": linear(0.5, 2.0),
        "half_plus_three": linear(0.5, 3.0),
        "identity_2d": {"serving_default": ({"x": (tf.float32, [None, 1])}, lambda x: {"y": x})},
        "two_sigs": {
            "serving_default": (x, lambda x: {"y": np.float32(1)}),
            "custom_signature_key": (x, lambda x: {"y": np.float32(2)}),
        },
        "echo": _echo(),
    }
    for name, signatures in models.items():
        (root / name).mkdir(parents=True)
        write_model(root / name / str(VERSION).zfill(8), signatures)
    return {name: root / name for name in models}


def config_text(models, labels=None):
    """A ModelServerConfig as text, from {name: base path}; labels: {name: {label: version}}."""
    lines = []
    for name, path in models.items():
        marks = "".join(
            f' version_labels {{ key: "{label}" value: {version} }}'
            for label, version in (labels or {}).get(name, {}).items()
        )
        lines.append(f'  config {{ name: "{name}" base_path: "{path}" model_platform: "tensorflow"{marks} }}')
    return "model_config_list {\n" + "\n".join(lines) + "\n}\n"


# ---- a server process


class Server:
    """A server process with free ports on this machine; `log()` returns its output so far.

    Args:
        command: list of words before the flags.
        flags: list of additional flags.
        wait: seconds to wait for its ports; 0 does not wait.
    """

    def __init__(self, command, flags, *, wait=60.0):
        self.grpc_port, self.rest_port = free_port(), free_port()
        words = [*command, *flags, f"--port={self.grpc_port}", f"--rest_api_port={self.rest_port}"]
        self._log = tempfile.TemporaryFile("w+b")
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
        self.process = subprocess.Popen(words, stdout=self._log, stderr=subprocess.STDOUT, env=env)
        end = time.monotonic() + wait
        while wait and not (listens(self.rest_port) and listens(self.grpc_port)):
            if self.process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise RuntimeError(f"the server did not start:\n{self.log()}")
            time.sleep(0.05)

    def log(self):
        self._log.seek(0)
        return self._log.read().decode("utf-8", "replace")

    def wait_exit(self, timeout):
        """Its exit status, or None if it still runs after `timeout` seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.process.wait(timeout)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            if self.wait_exit(30) is None:
                self.process.kill()
                self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        self._log.close()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def listens(port):
    with socket.socket() as s:
        s.settimeout(1)
        return s.connect_ex(("127.0.0.1", port)) == 0


def rest(port, method, path, body=None, headers=None, timeout=60):
    """(status, headers, body) of one HTTP request; header names in lower case."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body, headers or {})
        reply = connection.getresponse()
        return reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read()
    finally:
        connection.close()


def predict_half(port, model, value=2.0):
    """The REST prediction for one number, or None if it is refused."""
    status, _, body = rest(port, "POST", f"/v1/models/{model}:predict", json.dumps({"instances": [value]}))
    return json.loads(body)["predictions"][0] if status == 200 else None


def reload_config(port, text):
    """Sends a text ModelServerConfig as HandleReloadConfigRequest; raises `grpc.RpcError` if it is refused."""
    request = model_management_pb2.ReloadConfigRequest()
    text_format.Parse(text, request.config)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        return model_service_pb2_grpc.ModelServiceStub(channel).HandleReloadConfigRequest(request, timeout=60)


# ---- comparison


def equal(expected, got):
    """Whether two parsed JSON values are equal, with numbers compared as float32."""
    if isinstance(expected, dict):
        return isinstance(got, dict) and expected.keys() == got.keys() and all(equal(v, got[k]) for k, v in expected.items())
    if isinstance(expected, list):
        return isinstance(got, list) and len(expected) == len(got) and all(map(equal, expected, got))
    if isinstance(expected, bool) or isinstance(got, bool) or not isinstance(expected, (int, float)):
        return type(expected) is type(got) and expected == got
    if not isinstance(got, (int, float)):
        return False
    with np.errstate(over="ignore"):
        a, b = np.float32(expected), np.float32(got)
    return bool(a == b) or (math.isnan(a) and math.isnan(b))


def with_number_texts(text):
    """Parses JSON and keeps each number as its text."""
    keep = dict(
        parse_float=lambda s: ("number", s), parse_int=lambda s: ("number", s), parse_constant=lambda s: ("number", s)
    )
    return json.loads(text, **keep)


# ---- cases


def check_rest(case, port):
    """None, or the error in the answer to a REST case, as a text."""
    request, expect = case["request"], case["expect"]
    body = request.get("body")
    if "body_b64" in request:
        body = base64.b64decode(request["body_b64"])
    elif body is not None:
        body = body.encode()
    status, headers, reply = rest(port, request["method"], request["path"], body, request.get("headers"))
    shown = reply[:300].decode("utf-8", "replace")
    if status != expect["status"]:
        return f"status {status}, expected {expect['status']}: {shown}"
    for name, value in expect.get("headers", {}).items():
        if not headers.get(name.lower(), "").startswith(value):
            return f"header {name} is {headers.get(name.lower())!r}, expected {value!r}"
    text = reply.decode("utf-8", "replace")
    if "json_equals" in expect and not equal(expect["json_equals"], json.loads(text)):
        return f"body {shown}, expected {json.dumps(expect['json_equals'])[:300]}"
    if "json_text_numbers_as_strings" in expect:
        if with_number_texts(expect["json_text_numbers_as_strings"]) != with_number_texts(text):
            return f"body {shown}, expected {expect['json_text_numbers_as_strings']}"
    for part in expect.get("error_contains", []):
        message = json.loads(text).get("error")
        if not isinstance(message, str) or part not in message:
            return f"error {message!r} does not contain {part!r}"
    if status >= 400 and reply and "error_contains" not in expect and list(json.loads(text)) != ["error"]:
        return f"body {shown} is not an error object"
    return CHECKS.get(case["id"], lambda *_: None)(status, headers, text)


def check_grpc(case, port, fixtures):
    """None, or the error in the answer to a gRPC case, as a text."""
    request, expect = case["request"], case["expect"]
    prediction = request["service"].endswith("PredictionService")
    services = prediction_service_pb2_grpc if prediction else model_service_pb2_grpc
    make = services.PredictionServiceStub if prediction else services.ModelServiceStub
    classes = {
        "Predict": predict_pb2.PredictRequest,
        "Regress": regression_pb2.RegressionRequest,
        "GetModelMetadata": get_model_metadata_pb2.GetModelMetadataRequest,
        "GetModelStatus": get_model_status_pb2.GetModelStatusRequest,
        "HandleReloadConfigRequest": model_management_pb2.ReloadConfigRequest,
    }
    text = json.dumps(request["message"])
    for name, path in fixtures.items():
        text = text.replace(f"${name.upper()}", str(path))
    message = json_format.ParseDict(_protos(json.loads(text)), classes[request["method"]]())
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            reply = getattr(make(channel), request["method"])(message, timeout=60)
            code, details = "OK", ""
        except grpc.RpcError as error:
            reply, code, details = None, error.code().name, error.details()
    if code != expect["code"]:
        return f"{code} {details!r}, expected {expect['code']}"
    if expect.get("details_contains", "") not in details:
        return f"details {details!r} do not contain {expect['details_contains']!r}"
    check = CHECKS.get(case["id"])
    if check is None and code == "OK":
        return "this program has no check of the reply of this case"
    return check(reply) if check else None


def _protos(value):
    """Expands the cases' shorthand to the JSON form of protos: bytes in base64, tensor_content from numbers."""
    if isinstance(value, list):
        return [_protos(v) for v in value]
    if not isinstance(value, dict):
        return value
    value = {k: _protos(v) for k, v in value.items()}
    if "string_val" in value:
        value["string_val"] = [base64.b64encode(s.encode()).decode() for s in value["string_val"]]
    if "tensor_content_f32" in value:
        numbers = value.pop("tensor_content_f32")
        value["tensor_content"] = base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()
    return value


def _expect(condition, what):
    return None if condition else what


def _is_half(*values, shape=None):
    def check(reply):
        y = reply.outputs["y"]
        right = list(y.float_val) == list(values) and not y.tensor_content and y.dtype == tf.float32.as_datatype_enum
        spec = (reply.model_spec.name, reply.model_spec.version.value, reply.model_spec.signature_name)
        if list(reply.outputs) != ["y"] or not right or spec != ("half_plus_two", VERSION, "serving_default"):
            return f"unexpected reply {reply}"
        return _expect([d.size for d in y.tensor_shape.dim] == list(shape), f"unexpected shape in {reply}")

    return check


def _check_metadata(reply):
    signatures = get_model_metadata_pb2.SignatureDefMap()
    if list(reply.metadata) != ["signature_def"] or not reply.metadata["signature_def"].Unpack(signatures):
        return f"unexpected metadata {reply}"
    spec = reply.model_spec
    right = (spec.name, spec.version.value) == ("half_plus_two", VERSION) and "serving_default" in signatures.signature_def
    return _expect(right, f"unexpected reply {reply}")


def _check_prometheus(status, headers, text):
    count = re.search(r'^:tensorflow:serving:request_count\{model_name="[^"]+",status="OK"\} [0-9]+$', text, re.MULTILINE)
    return _expect("# TYPE" in text and count and 'le="+Inf"' in text, f"unexpected metrics {text[:300]}")


def _check_status(reply):
    found = [(v.version, v.state, v.status.error_code) for v in reply.model_version_status]
    return _expect(found == [(VERSION, 30, 0)], f"unexpected reply {reply}")


# Expectations that the cases state in words.
CHECKS = {
    "prometheus_page": _check_prometheus,
    "cors_preflight_no_origin": lambda status, headers, text: _expect(text == "", f"the body is {text!r}"),
    "grpc_predict": _is_half(3.0, shape=[1]),
    "grpc_predict_no_filter": _is_half(3.0, shape=[1]),
    "grpc_predict_scalar_rank0": _is_half(3.0, shape=[]),
    "grpc_predict_tensor_content": _is_half(3.0, 4.0, shape=[2]),
    "grpc_regress": lambda r: _expect([x.value for x in r.result.regressions] == [3.0], f"unexpected reply {r}"),
    "grpc_metadata": _check_metadata,
    "grpc_status": _check_status,
}


# ---- lifecycle cases: {case id: function (command, folder, fixtures) -> None or an error text}


def _broken(command, folder, fixtures):
    (folder / "m" / "1").mkdir(parents=True)
    (folder / "m" / "1" / "saved_model.pb").write_bytes(b"not a model")
    return _refused_start(command, ["--model_name=m", f"--model_base_path={folder}/m", "--max_num_load_retries=0"],
                          "Failed to start server. Error:", "model(s) did not become available")  # fmt: skip


def _bad_config(command, folder, fixtures):
    (folder / "models.config").write_text("improperly formatted file")
    return _refused_start(command, [f"--model_config_file={folder}/models.config"],
                          "Error parsing text-format tensorflow.serving.ModelServerConfig")  # fmt: skip


def _refused_start(command, flags, *texts):
    with Server(command, flags, wait=0) as server:
        status = server.wait_exit(60)
        log = server.log()
    if not status:
        return f"exit status {status}, expected not 0"
    missing = [text for text in texts if text not in log]
    return _expect(not missing, f"{missing} not in its output: {log[-500:]}")


def _config_file(poll):
    def run(command, folder, fixtures):
        file = folder / "models.config"
        file.write_text(config_text({"half_plus_two": fixtures["half_plus_two"]}))
        with Server(command, [f"--model_config_file={file}", f"--model_config_file_poll_wait_seconds={poll}"]) as server:
            if predict_half(server.rest_port, "half_plus_two") != 3.0:
                return "half_plus_two is not served"
            file.write_text(config_text({"half_plus_three": fixtures["half_plus_three"]}))
            time.sleep(3)
            served = {m: predict_half(server.rest_port, m) for m in ("half_plus_two", "half_plus_three")}
        wanted = {"half_plus_two": None, "half_plus_three": 4.0} if poll else {"half_plus_two": 3.0, "half_plus_three": None}
        return _expect(served == wanted, f"served {served}, expected {wanted}")

    return run


def _warmup(record, *texts):
    def run(command, folder, fixtures):
        file = folder / "records"
        with tf.io.TFRecordWriter(str(file)) as writer:
            writer.write(record)
        (folder / "m").mkdir()
        write_model(folder / "m" / "1", linear(0.5, 2.0), assets_extra={"tf_serving_warmup_requests": file.read_bytes()})
        return _refused_start(
            command, ["--model_name=m", f"--model_base_path={folder}/m", "--max_num_load_retries=0"], *texts
        )

    return run


def _wrong_input():
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.model_spec.name = "m"
    log.predict_log.request.inputs["wrong"].CopyFrom(tf.make_tensor_proto([1.0]))
    return log.SerializeToString()


def _session_run():
    log = prediction_log_pb2.PredictionLog()
    log.session_run_log.SetInParent()
    return log.SerializeToString()


LIFECYCLE = {
    "life_first_version_broken": _broken,
    "life_bad_config_file": _bad_config,
    "life_config_file_poll": _config_file(1),
    "life_config_file_no_poll": _config_file(0),
    "life_warmup_bad_record": _warmup(b"\xff\xff not a log", "Failed to parse warmup record"),
    "life_warmup_session_run_log": _warmup(_session_run(), "Unsupported log_type for warmup"),
    "life_warmup_failing_request": _warmup(_wrong_input(), "model(s) did not become available"),
}


def run_cases(cases, command, folder):
    """Runs a list of cases: {case id: None or an error text}."""
    folder = pathlib.Path(folder)
    fixtures = build_fixtures(folder / "fixtures")
    (folder / "models.config").write_text(config_text(fixtures))
    (folder / "monitoring.config").write_text("prometheus_config { enable: true }\n")
    flags = [f"--model_config_file={folder}/models.config", f"--monitoring_config_file={folder}/monitoring.config"]
    outcome = {}
    with Server(command, flags) as server:
        # After the version is loaded: before that, a label on it is refused.
        reload_config(server.grpc_port, config_text(fixtures, {"half_plus_two": {"stable": VERSION}}))
        for case in sorted(cases, key=lambda c: c["id"] == "prometheus_page"):  # last: it shows the others' counts
            if case["kind"] == "lifecycle":
                continue
            try:
                if case["kind"] == "rest":
                    outcome[case["id"]] = check_rest(case, server.rest_port)
                else:
                    outcome[case["id"]] = check_grpc(case, server.grpc_port, fixtures)
            except (OSError, http.client.HTTPException, ValueError) as error:
                outcome[case["id"]] = f"{type(error).__name__}: {error}"
    for case in cases:
        if case["kind"] == "lifecycle":
            if case["id"] not in LIFECYCLE:
                outcome[case["id"]] = "this program has no steps for this case"
                continue
            (folder / case["id"]).mkdir()
            try:
                outcome[case["id"]] = LIFECYCLE[case["id"]](command, folder / case["id"], fixtures)
            except (OSError, RuntimeError) as error:
                outcome[case["id"]] = f"{type(error).__name__}: {error}"
    return {case["id"]: outcome[case["id"]] for case in cases}


def run_golden(lines, command, folder):
    """Sends golden bodies, each to an echo model of its inputs: {line number: None or an error text}."""
    config = golden_config(lines, pathlib.Path(folder))
    with Server(command, [f"--model_config_file={config}"], wait=300) as server:
        return check_golden(lines, server.rest_port)


def golden_config(lines, folder):
    """Writes an echo model for each set of inputs in golden lines, and a file for `--model_config_file`: its path."""
    names = _golden_names(lines)
    for inputs, name in names.items():
        (folder / name).mkdir(parents=True)
        kinds = {n: (tf.as_dtype(types_pb2.DataType.Value(kind)), None) for n, kind in json.loads(inputs).items()}
        echo = kinds, lambda **tensors: tensors
        write_model(folder / name / "1", {"serving_default": echo, "s": echo})
    config = folder / "golden.config"
    config.write_text(config_text({name: folder / name for name in names.values()}))
    return config


def _golden_names(lines):
    """{inputs as JSON: name of their echo model}."""
    kinds = dict.fromkeys(json.dumps(line["inputs"]) for line in lines)
    return {inputs: f"echo{i}" for i, inputs in enumerate(kinds)}


def check_golden(lines, port):
    """Sends golden bodies to the models of `golden_config`: {line number: None or an error text}."""
    names, outcome = _golden_names(lines), {}
    for number, line in enumerate(lines, 1):
        path = f"/v1/models/{names[json.dumps(line['inputs'])]}:predict"
        status, _, body = rest(port, "POST", path, line["body"].encode())
        reply = base64.b64decode(line["reply_b64"]) if "reply_b64" in line else line["reply"].encode()
        outcome[number] = None
        if status != line["status"]:
            outcome[number] = f"status {status}, expected {line['status']}: {body[:200]}"
        elif status == 200:
            wanted, got = (json.loads(text.decode("utf-8", "surrogateescape")) for text in (reply, body))
            if {"DT_INT8", "DT_UINT8"} & {*line["inputs"].values()}:
                # The JSON code returns 8-bit integers out of range unchanged; a model wraps them. Both are accepted.
                wanted, got = _wrapped(wanted), _wrapped(got)
            outcome[number] = _expect(equal(wanted, got), f"body {body[:200]}, expected {reply[:200]}")
        elif list(json.loads(body.decode("utf-8", "replace"))) != ["error"]:
            outcome[number] = f"body {body[:200]} is not an error object"
    return outcome


def _wrapped(value):
    if isinstance(value, dict):
        return {k: _wrapped(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_wrapped(v) for v in value]
    return value % 256 if type(value) is int else value


# ---- broken requests

_BODIES = [
    b'{"instances": [1.0, 2.5, -3e10]}',
    b'{"inputs": {"x": [[1, 2], [3, 4]]}}',
    b'{"signature_name": "f32", "instances": [[0.5]]}',
    b'{"signature_name": "str", "instances": [{"b64": "aGVsbG8="}, "x"]}',
    b'{"examples": [{"x": 1.0, "y": ["a", "b"]}]}',
    b'{"signature_name": "multi", "instances": [{"int_tensor": [1], "str_tensor": ["a"], "float_tensor": [1.0], '
    b'"dbl_tensor": [2.0]}]}',
    b'{"context": {"x": 2.0}, "examples": [{}], "signature_name": "classify_x_to_y"}',
]
_PIECES = [
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"[" * 300,
    b"{" * 40,
    b'"',
    b"\\u0000",
    b"\\ud800",
    b"null",
    b"\x00",
    b"\xff\xfe",
    b'{"b64": 1}',
    b"9" * 400,
    b"-0",
    b"[]",
    b"{}",
    b",",
    b'"inputs"',
    b'"instances"',
    b'"signature_name": 7,',
]
_PATHS = [
    "/v1/models/{m}:predict",
    "/v1/models/{m}:classify",
    "/v1/models/{m}:regress",
    "/v1/models/{m}/versions/123:predict",
    "/v1/models/..%2f..%2fetc:predict",
    "/v1/models/%00:predict",
    "/v1/models/{m}/labels/%ff:predict",
    "/v1/models/{m}/versions/99999999999999999999:predict",
    "/v1/models/{m}/metadata",
    "/v1/models/{m}",
    "/v1/models/{m}/versions/0",
    "/v1//models",
    "/v1/models/{m}/../{m}:predict",
]


def _mutate(random, data):
    data = bytearray(data)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(data) + 1)
        kind = random.randrange(4)
        if kind == 0 and data:
            data[at % len(data)] = random.randrange(256)
        elif kind == 1:
            data[at:at] = random.choice(_PIECES)
        elif kind == 2:
            del data[at : at + random.randint(1, 8)]
        else:
            data[at:at] = data[: random.randint(0, 40)]
    return bytes(data)


def _broken_rest(random, port, counts):
    """Sends one request: None, or the error in the answer, as a text. Counts the status in a `collections.Counter`."""
    model = random.choice(["half_plus_two", "echo", "identity_2d", "two_sigs", "foo"])
    path = random.choice(_PATHS).format(m=model)
    method = random.choice(["POST"] * 8 + ["GET", "PUT", "DELETE"])
    body = _mutate(random, random.choice(_BODIES)) if random.random() < 0.8 else random.randbytes(random.randint(0, 300))
    headers = {"Content-Encoding": "gzip"} if random.random() < 0.05 else {}
    try:
        status, _, reply = rest(port, method, path, body, headers, timeout=30)
    except (OSError, http.client.HTTPException) as error:
        return f"{method} {path} {body[:200]!r}: {type(error).__name__}: {error}"
    counts[f"REST {status}"] += 1
    shown = f"{method} {path} {body[:200]!r}: {status} {reply[:200]!r}"
    try:
        value = json.loads(reply.decode("utf-8", "replace"))
    except ValueError:
        return shown
    if status != 200 and (list(value) != ["error"] or not isinstance(value["error"], str)):
        return shown
    return None if status in (200, 400, 404, 413, 501) else shown


def _broken_grpc(random, channel, counts):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = random.choice(["half_plus_two", "echo", "foo"])
    request.model_spec.signature_name = random.choice(["", "f32", "str", "half_in", "nope"])
    request.output_filter.extend(random.choice([[], ["y"], ["y", "y"], ["default"]]))
    for name in random.sample(["x", "default", "z"], random.randint(0, 2)):
        tensor = request.inputs[name]
        tensor.dtype = random.choice([1, 1, 2, 7, 10, 19, 0, 20, 101, 25])
        tensor.float_val.extend(random.choices([0.0, 1.5, float("nan")], k=random.randint(0, 3)))
        tensor.string_val.extend([b"a"] * random.randint(0, 2))
        tensor.half_val.extend([15360] * random.randint(0, 2))
        tensor.tensor_content = random.randbytes(random.choice([0, 0, 4, 5]))
        tensor.tensor_shape.unknown_rank = random.random() < 0.1
        for _ in range(random.choice([0, 1, 1, 2, 40])):
            tensor.tensor_shape.dim.add(size=random.choice([0, 1, 1, 2, -1, 2**31, 2**62]))
    data = request.SerializeToString()
    if random.random() < 0.5:
        data = _mutate(random, data)
    service, method = random.choice(
        [
            ("PredictionService", "Predict"),
            ("PredictionService", "Predict"),
            ("PredictionService", "Classify"),
            ("PredictionService", "MultiInference"),
            ("PredictionService", "GetModelMetadata"),
            ("ModelService", "GetModelStatus"),
        ]
    )
    try:
        channel.unary_unary(f"/tensorflow.serving.{service}/{method}")(data, timeout=30)
        counts["gRPC OK"] += 1
    except grpc.RpcError as error:
        counts[f"gRPC {error.code().name}"] += 1
        expected = ("INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "UNIMPLEMENTED")
        # gRPC itself refuses bytes that are not a message.
        unreadable = error.code().name == "INTERNAL" and re.search("pars|deserializ", error.details())
        if error.code().name not in expected and not unreadable:
            return f"{method} {data[:200]!r}: {error.code().name} {error.details()}"
    return None


def fuzz(count, seed, rest_port, grpc_port, counts=None):
    """Sends `count` broken requests, half over each protocol, from `seed`; returns a list of error texts.

    Args:
        counts: a `collections.Counter` to which the answers are added by protocol and status.
    """
    random_, wrong, counts = random.Random(seed), [], collections.Counter() if counts is None else counts
    with grpc.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
        for i in range(count):
            wrong.append(_broken_rest(random_, rest_port, counts) if i % 2 else _broken_grpc(random_, channel, counts))
    if predict_half(rest_port, "half_plus_two") != 3.0:
        wrong.append("half_plus_two no longer answers")
    return [text for text in wrong if text]


def run_fuzz(count, seed, command, folder):
    """Runs `fuzz` on a new server process.

    Returns:
        {"requests": count, "answers": {protocol and status: number of them}, "wrong": [error text], "resident_mib": the
        memory of the server [after a tenth, at the end]}.
    """
    fixtures = build_fixtures(pathlib.Path(folder) / "fixtures")
    config = pathlib.Path(folder) / "models.config"
    config.write_text(config_text(fixtures))
    answers, wrong, resident = collections.Counter(), [], []
    with Server(command, [f"--model_config_file={config}"]) as server:
        for part, its_seed in ((count // 10, seed), (count - count // 10, seed + 1)):
            wrong += fuzz(part, its_seed, server.rest_port, server.grpc_port, answers)
            resident.append(resident_mib(server.process.pid))
    return {"requests": count, "answers": dict(sorted(answers.items())), "wrong": wrong, "resident_mib": resident}


def resident_mib(pid):
    """Resident memory of a process in MiB (Linux)."""
    pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _report(what, outcome):
    for key, wrong in outcome.items():
        if wrong:
            print(f"FAILED {key}: {wrong}")
    failed = sum(map(bool, outcome.values()))
    print(f"{what}: {len(outcome) - failed} of {len(outcome)} passed")
    return failed


def main(argv=None):
    """Runs the cases that the flags select; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tfgen_serving.conformance", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--cases", help="JSON file of wire cases (default: the package's, unless --golden or --fuzz is given)"
    )
    parser.add_argument("--golden", help="JSON lines of predict bodies with their replies")
    parser.add_argument("--fuzz", type=int, default=0, metavar="N", help="send N broken requests")
    parser.add_argument("--seed", type=int, default=0, help="seed of the broken requests (default: 0)")
    parser.add_argument("--server", help="command to test, e.g. tensorflow_model_server (default: this package's)")
    parser.add_argument("--tier", type=int, help="only cases up to this tier")
    parser.add_argument("--only", help="only cases whose id holds this text")
    args = parser.parse_args(argv)
    if not (args.cases or args.golden or args.fuzz):
        args.cases = OWN_CASES
    command = OWN_SERVER
    if args.server:
        if shutil.which(args.server.split()[0]) is None:
            parser.error(f"there is no {args.server.split()[0]!r} on PATH")
        command = args.server.split()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        if args.cases:
            cases = json.loads(pathlib.Path(args.cases).read_text())["cases"]
            cases = [c for c in cases if (args.only or "") in c["id"] and c.get("tier", 1) <= (args.tier or 9)]
            failed += _report("cases", run_cases(cases, command, pathlib.Path(folder) / "cases"))
        if args.golden:
            lines = [json.loads(line) for line in pathlib.Path(args.golden).read_text().splitlines()]
            failed += _report("golden", run_golden(lines, command, pathlib.Path(folder) / "golden"))
        if args.fuzz:
            found = run_fuzz(args.fuzz, args.seed, command, pathlib.Path(folder) / "fuzz")
            before, after = found["resident_mib"]
            print(f"resident memory: {before:.1f} MiB after a tenth of the broken requests, {after:.1f} MiB at the end")
            outcome = {f"broken request {i}": text for i, text in enumerate(found["wrong"])}
            outcome["memory"] = _expect(after - before < MEMORY_GROWTH, f"grew from {before:.1f} to {after:.1f} MiB")
            failed += _report("fuzz", outcome)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
