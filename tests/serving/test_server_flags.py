"""Flags of the server: what they do, and what a wrong one costs."""

import datetime
import ipaddress
import json
import socket
import subprocess
import sys

import grpc
import numpy as np
import pytest
import tensorflow as tf
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from tfgen_serving import conformance
from tfgen_serving.errors import ServingError
from tfgen_serving.server import loader, main, protos
from tfgen_serving.server.flags import ConfigError


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    base = tmp_path_factory.mktemp("m")
    conformance.write_model(base / "1", conformance.linear(1.0, 1.0))
    return base


def start(base, *flags):
    return main.start(["--port=0", "--rest_api_port=0", "--model_name=m", f"--model_base_path={base}", *flags])


def answers(server):
    return conformance.predict_half(server.rest_port, "m", 1.0) == 2.0


def predict(channel):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "m"
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.float32([1.0])))
    reply = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=10)
    return list(reply.outputs["y"].float_val)


# ---- before anything is loaded


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (["--help"], 0, "--model_base_path"),
        (["--version"], 0, "TensorFlow Library: 2."),
        (["--no_such_flag"], 2, "unrecognized arguments"),
        (["--port=x"], 2, "expected a port from 0 to 65535, received 'x'"),
        ([], 2, "give one of --model_base_path, --model_config_file and --preset; received none"),
        (["--model_config_file=/no/such/file"], 2, "cannot read /no/such/file"),
        (["--model_base_path=/m", "--port=TAKEN"], 2, "cannot listen on 127.0.0.1:TAKEN for gRPC"),
        (["--model_base_path=/m", "--port=0", "--rest_api_port=TAKEN"], 2, "cannot listen on 127.0.0.1:TAKEN for REST"),
    ],
)
@pytest.mark.parametrize("command", ["tfgen_serving.server.main", "tfgen_commands.main"])
def test_help_and_wrong_flags_do_not_start_tensorflow(words, status, text, command):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        words = [word.replace("TAKEN", port) for word in words]
        if command == "tfgen_commands.main":
            words = ["serve", *words]
        code = f"""
import sys
import {command} as command
try:
    status = command.main({words!r})
except SystemExit as end:
    status = end.code
sys.exit(100 if "tensorflow" in sys.modules else status)
"""
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=conformance.ROOT)
    assert ran.returncode == status, ran.stderr
    assert text.replace("TAKEN", port) in ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("flag", ["--port", "--rest_api_port"])
def test_ports_are_checked_before_models_are_loaded(base, flag, monkeypatch):
    monkeypatch.setattr(loader.Loader, "__call__", lambda *_: pytest.fail("a model was loaded"))
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ConfigError, match="cannot listen"):
        start(base, f"{flag}={taken.getsockname()[1]}")


# ---- TLS


def certificate(name, issuer=None, *, authority=False):
    """(certificate, key) for this machine, signed by the issuer's."""
    key = ec.generate_private_key(ec.SECP256R1())
    title = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder().subject_name(title).issuer_name(issuer[0].subject if issuer else title)
        .public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(issuer[1] if issuer else key, hashes.SHA256())
    )  # fmt: skip
    return made, key


def pem(pair):
    """(certificate, key) as PEM."""
    form = serialization.Encoding.PEM
    key = pair[1].private_bytes(form, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pair[0].public_bytes(form), key


@pytest.fixture(scope="module")
def keys():
    """(certificate, key) as PEM of an authority, of a server and a client that it signed, and of a stranger."""
    authority = certificate("authority", authority=True)
    pairs = {name: certificate(name, authority) for name in ("server", "client")}
    pairs |= {"authority": authority, "stranger": certificate("stranger")}
    return {name: pem(pair) for name, pair in pairs.items()}


def ssl_file(path, server, authority, verify=""):
    fields = {"server_key": server[1], "server_cert": server[0], "custom_ca": authority[0]}
    path.write_text("".join(f"{name}: {json.dumps(text.decode())}\n" for name, text in fields.items()) + verify)
    return path


def ask_with_tls(port, authority, client=(None, None)):
    credentials = grpc.ssl_channel_credentials(authority[0], client[1], client[0])
    with grpc.secure_channel(f"127.0.0.1:{port}", credentials) as channel:
        return predict(channel)


def test_tls(base, tmp_path, keys):
    file = ssl_file(tmp_path / "ssl.config", keys["server"], keys["authority"])
    with start(base, f"--ssl_config_file={file}") as server:
        assert ask_with_tls(server.grpc_port, keys["authority"]) == [2.0]
        with pytest.raises(grpc.RpcError):  # a client that trusts another authority
            ask_with_tls(server.grpc_port, keys["stranger"])
        with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel, pytest.raises(grpc.RpcError):
            predict(channel)
        assert answers(server)  # REST has no TLS, as upstream


def test_tls_with_certificates_of_clients(base, tmp_path, keys):
    file = ssl_file(tmp_path / "ssl.config", keys["server"], keys["authority"], "client_verify: true")
    with start(base, f"--ssl_config_file={file}") as server:
        assert ask_with_tls(server.grpc_port, keys["authority"], keys["client"]) == [2.0]
        for client in ((None, None), keys["stranger"]):
            with pytest.raises(grpc.RpcError):
                ask_with_tls(server.grpc_port, keys["authority"], client)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("server_key: 'k'", "must have server_key and server_cert"),
        ("server_key: 'k' server_cert: 'c' client_verify: true", "must have custom_ca"),
        ("server_key: 'k' server_cert: 'c'", "the key and certificate of --ssl_config_file"),
        ("key: 'k'", "Error parsing text-format tensorflow.serving.SSLConfig"),
    ],
)
def test_wrong_tls_settings(base, tmp_path, text, message):
    (tmp_path / "ssl.config").write_text(text)
    with pytest.raises(ConfigError, match=message):
        start(base, f"--ssl_config_file={tmp_path}/ssl.config")


# ---- the others


def check_health(channel, service):
    ask = channel.unary_unary("/grpc.health.v1.Health/Check", protos.HealthCheckRequest.SerializeToString)
    return ask(protos.HealthCheckRequest(service=service), timeout=10)


def test_health_service(base):
    with start(base, "--enable_grpc_healthcheck_service") as server:
        with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
            for service in ("", "PredictionService", "ModelService", "tensorflow.serving.PredictionService"):
                assert check_health(channel, service) == b"\x08\x01"  # status: SERVING
            with pytest.raises(grpc.RpcError) as caught:
                check_health(channel, "other")
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    with start(base) as server, grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        with pytest.raises(grpc.RpcError) as caught:
            check_health(channel, "")
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_saved_model_tags(base, tmp_path):
    path = tmp_path / "1"
    builder = tf.compat.v1.saved_model.Builder(str(path))
    for index, (tags, value) in enumerate({("serve",): 1.0, ("serve", "gpu"): 5.0}.items()):
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            x = tf.compat.v1.placeholder(tf.float32, None)
            defs = {"serving_default": tf.compat.v1.saved_model.predict_signature_def({"x": x}, {"y": x + value})}
            if index == 0:
                builder.add_meta_graph_and_variables(session, list(tags), defs)
            else:
                builder.add_meta_graph(list(tags), defs)
    builder.save()
    with start(tmp_path) as server:
        assert answers(server)
    with start(tmp_path, "--saved_model_tags=serve,gpu") as server:
        assert conformance.predict_half(server.rest_port, "m", 1.0) == 6.0
    with pytest.raises(ServingError, match="did not become available"):
        start(tmp_path, "--saved_model_tags=tpu", "--max_num_load_retries=0")


def test_threads_of_tensorflow(base, monkeypatch):
    made, session = [], tf.compat.v1.Session
    monkeypatch.setattr(tf.compat.v1, "Session", lambda **options: made.append(options["config"]) or session(**options))
    with start(base, "--tensorflow_intra_op_parallelism=2", "--tensorflow_inter_op_parallelism=3") as server:
        assert answers(server)
    assert [(config.intra_op_parallelism_threads, config.inter_op_parallelism_threads) for config in made] == [(2, 3)]


def test_batching_settings_of_a_version(base, tmp_path):
    for name, text in {"a": "max_batch_size { value: 2 }", "b": None, "c": "max_batch_size { value: -1 }"}.items():
        (tmp_path / name).mkdir()
        path = conformance.write_model(tmp_path / name / "1", conformance.linear(1.0, 1.0))
        if text:
            (path / "batching_params.pbtxt").write_text(text)
    (tmp_path / "batching.config").write_text("max_batch_size { value: 1 } num_batch_threads { value: 3 }")
    (tmp_path / "models.config").write_text(conformance.config_text({name: tmp_path / name for name in "ab"}))
    flags = [f"--model_config_file={tmp_path}/models.config", "--port=0", "--rest_api_port=0", "--enable_batching",
             "--max_num_load_retries=0", f"--batching_parameters_file={tmp_path}/batching.config"]  # fmt: skip

    def status(server, model, rows):
        body = json.dumps({"inputs": [1.0] * rows})
        return conformance.rest(server.rest_port, "POST", f"/v1/models/{model}:predict", body)[0]

    with main.start(flags) as server:
        assert [status(server, name, 2) for name in "ab"] == [400, 400]
    with main.start([*flags, "--enable_per_model_batching_parameters"]) as server:
        assert [status(server, "a", rows) for rows in (1, 2, 3)] == [200, 200, 400]
        assert status(server, "b", 50) == 200  # no file, so no batching
        with pytest.raises(grpc.RpcError, match="must be positive"):
            conformance.reload_config(server.grpc_port, conformance.config_text({"c": tmp_path / "c"}))
