"""Clients that would take the memory, the threads or the connections of a server."""

import concurrent.futures
import gzip
import json
import logging
import socket
import time

import grpc
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.apis import (
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tfgen_serving import conformance
from tfgen_serving.server import main, rest_server

CLASSIFY = "tensorflow/serving/classify"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    base = tmp_path_factory.mktemp("m")
    conformance.write_model(base / "1", {
        "serving_default": ({"x": (tf.float32, None)}, lambda x: {"y": x + 1}),
        "first": ({"x": (tf.float32, None), "n": (tf.int32, None)}, lambda x, n: {"y": tf.reshape(x, [-1])[:1]}),
        "large": ({"x": (tf.int32, [])}, lambda x: {"y": tf.zeros([x])}),
        "text": ({"inputs": (tf.string, [None])}, lambda inputs: {"classes": inputs[:, None]}, CLASSIFY),
    })  # fmt: skip
    return base


def start(base, *flags):
    return main.start(["--port=0", "--rest_api_port=0", "--model_name=m", f"--model_base_path={base}", *flags])


@pytest.fixture(scope="module")
def server(base):
    flags = ("--rest_api_header_timeout_in_ms=700", "--max_request_bytes=4000000", "--max_request_elements=200000")
    with start(base, *flags) as running:
        yield running


@pytest.fixture
def channel(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        yield channel


@pytest.fixture
def log(caplog):
    """The errors in the log, with their tracebacks."""
    caplog.set_level(logging.INFO)
    return lambda: [caplog.handler.format(record) for record in caplog.records if record.levelno >= logging.ERROR]


def post(server, body, headers=None):
    status, _, reply = conformance.rest(server.rest_port, "POST", "/v1/models/m:predict", body, headers)
    return status, json.loads(reply)


def answers(server):
    return post(server, '{"inputs": 1.0}') == (200, {"outputs": 2.0})


def connect(server, source="127.0.0.1", **options):
    return socket.create_connection(("127.0.0.1", server.rest_port), timeout=20, source_address=(source, 0), **options)


def read_all(connection):
    return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def predict(channel, signature="", timeout=20, **tensors):
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "m", signature
    for name, (dtype, shape) in tensors.items():
        request.inputs[name].dtype = dtype
        for size in shape:
            request.inputs[name].tensor_shape.dim.add(size=size)
    return prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=timeout)


# ---- memory


def flood(server, bodies):
    """Sends packed bodies at once: their statuses, and the largest memory in MiB and the longest wait of small requests."""
    largest = slowest = 0
    with concurrent.futures.ThreadPoolExecutor(len(bodies)) as pool:
        sent = [pool.submit(post, server, body, {"Content-Encoding": "gzip"}) for body in bodies]
        while not all(one.done() for one in sent):
            started = time.monotonic()
            assert answers(server)
            slowest = max(slowest, time.monotonic() - started)
            largest = max(largest, conformance.resident_mib(server.process.pid))
            time.sleep(0.01)
    return [one.result()[0] for one in sent], largest, slowest


@pytest.fixture(scope="module")
def process(base):
    """A server process with the default limits."""
    with conformance.Server(conformance.OWN_SERVER, ["--model_name=m", f"--model_base_path={base}"]) as server:
        yield server


def test_eight_packed_bodies_of_millions_of_numbers_leave_a_server_small(process):
    """61 kB that unpack to 62 MB. Each took 2.85 GB and 7.7 s of CPU."""
    body = gzip.compress(b'{"inputs":[' + b"1," * 31_000_000 + b"1]}", 1)
    before = conformance.resident_mib(process.process.pid)
    statuses, largest, slowest = flood(process, [body] * 8)
    assert statuses == [400] * 8
    assert largest - before < 300 and slowest < 5


@pytest.mark.long
def test_eight_of_the_largest_bodies_leave_a_server_healthy(process):
    """As many elements as are accepted. A body of 1e-45 took a minute, and eight of them several GB."""
    before = conformance.resident_mib(process.process.pid)
    for item in (b"1.00000000000,", b"1e-45,"):
        body = gzip.compress(b'{"inputs":[' + item * 4_000_000 + b"1]}", 1)
        statuses, largest, slowest = flood(process, [body] * 8)
        print(f"{item}: {statuses}, {largest - before:.0f} MiB more at most, a small request waited {slowest:.1f} s")
        assert {200} <= set(statuses) <= {200, 429, 504}
        assert largest - before < 1500 and slowest < 10
    assert answers(process)


def test_more_elements_than_the_limit_are_refused(server):
    started = time.thread_time()
    status, reply = post(server, gzip.compress(b'{"inputs":[' + b"1," * 1_000_000 + b"1]}"), {"Content-Encoding": "gzip"})
    assert status == 400 and "or more elements; this server takes at most 200000" in reply["error"]
    assert time.thread_time() - started < 2
    body = b'{"examples": [' + b"{}," * 200_000 + b"{}]}"
    status, _, reply = conformance.rest(server.rest_port, "POST", "/v1/models/m:classify", body)
    assert status == 400 and b"elements; this server takes at most" in reply
    assert post(server, b'{"inputs":[' + b"1," * 190_000 + b"1]}")[0] == 200


def test_requests_that_exceed_the_memory_together_are_refused(base):
    with start(base, "--request_memory_bytes=1000000") as server:
        for body in (b'{"inputs": [%s1]}' % (b"1," * 400_000), b" " * 1_000_001, gzip.compress(b" " * 900_000)):
            status, reply = post(server, body, {"Content-Encoding": "gzip"} if body[:1] == b"\x1f" else None)
            assert status == 429 and "all requests together may take 1000000" in reply["error"]
        with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel, pytest.raises(grpc.RpcError) as caught:
            predict(channel, x=(1, [200_000]))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert answers(server)


def test_a_small_message_that_declares_a_large_tensor_is_refused(server, channel):
    with pytest.raises(grpc.RpcError, match="67108864 or more elements; this server takes at most 200000"):
        predict(channel, x=(1, [1 << 26]))
    assert len(predict(channel, x=(1, [1000])).outputs["y"].float_val) == 1000


def test_tensors_of_unknown_inputs_are_not_made(server, channel, monkeypatch):
    """A message may name thousands of inputs, each with a shape of many repeated values."""
    made = []
    decode = rest_server.inference.tensors.from_proto
    monkeypatch.setattr(rest_server.inference.tensors, "from_proto", lambda *args: made.append(1) or decode(*args))
    with pytest.raises(grpc.RpcError, match="input size does not match signature: 100!=1"):
        predict(channel, **{f"x{i}": (1, [100_000]) for i in range(100)})
    assert not made


def test_examples_do_not_multiply_their_context(base):
    with start(base, "--request_memory_bytes=30000000") as server:
        body = {"signature_name": "text", "context": {"a": "b" * 100_000}, "examples": [{}] * 1000}
        status, _, reply = conformance.rest(server.rest_port, "POST", "/v1/models/m:classify", json.dumps(body))
        assert status == 429, reply[:200]


# ---- errors that clients cause


def test_errors_of_clients_leave_no_traceback_and_no_words_of_numpy(server, channel, log):
    texts = []
    for shape in ([0, 1 << 62, 1 << 62], [1 << 62, 0], [1] * 40):
        with pytest.raises(grpc.RpcError) as caught:
            predict(channel, x=(1, shape))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        texts.append(caught.value.details())
    bodies = [
        '{"signature_name": "first", "instances": [{"x": 1, "n": 2}, {"x": {"b64": ""}, "n": 2}]}',
        '{"signature_name": "first", "instances": [{"b64": "aa"}, {"b64": "aa"}]}',
        '{"signature_name": "first", "inputs": {"x": [[], []], "n": []}}', '{"signature_name": "text", "inputs": [1]}',
        '{"inputs": [[1, 2], [3]]}', '{"inputs": [1, [2]]}', '{"inputs": 1e39}',
    ]  # fmt: skip
    texts += [post(server, body)[1].get("error", "") for body in bodies]
    label = '{"signature_name": "text", "examples": [{"x": {"b64": "/w=="}}]}'
    conformance.rest(server.rest_port, "POST", "/v1/models/m:classify", label)
    assert log() == []
    assert all(words not in text for text in texts for words in ("array", "numpy", "Traceback", "maximum possible", "ndim"))


def test_errors_of_the_server_are_logged_and_not_shown(server, channel, log, monkeypatch):
    def broken(*_):
        raise ValueError("setting an array element with a sequence")

    monkeypatch.setattr(rest_server.inference.tensors, "from_proto", broken)
    monkeypatch.setattr(rest_server.json_tensor, "parse_predict", broken)
    with pytest.raises(grpc.RpcError) as caught:
        predict(channel, x=(1, [1]))
    assert caught.value.code() is grpc.StatusCode.INTERNAL and "its log has the reason" in caught.value.details()
    status, reply = post(server, '{"inputs": 1}')
    assert status == 500 and "its log has the reason" in reply["error"]
    assert len(log()) == 2 and all("setting an array element" in text for text in log())


# ---- requests of unclear length


@pytest.mark.parametrize("order", [1, -1])
def test_a_length_and_chunks_together_are_refused(server, order):
    lengths = b"\r\n".join([b"Content-Length: 4", b"Transfer-Encoding: chunked"][::order])
    with connect(server) as connection:
        head = b"POST /v1/models/m:predict HTTP/1.1\r\nHost: x\r\n" + lengths
        connection.sendall(head + b"\r\n\r\n0\r\n\r\nGET /v1/models/m HTTP/1.1\r\nHost: x\r\n\r\n")
        reply = read_all(connection)
    assert reply.startswith(b"HTTP/1.1 400") and b"both Content-Length and Transfer-Encoding" in reply
    assert reply.count(b"HTTP/1.1") == 1  # what follows is not read as a request


def test_data_after_the_gzip_member_is_an_error(server):
    packed = gzip.compress(b'{"inputs": 1.0}')
    assert post(server, packed, {"Content-Encoding": "gzip"})[0] == 200
    for rest in (b"x", packed, b"\0" * 2_000_000):
        status, reply = post(server, packed + rest, {"Content-Encoding": "gzip"})
        assert status == 400 and f"{len(rest)} bytes follow the end of the gzip body" in reply["error"]
    status, reply = post(server, packed[:-1], {"Content-Encoding": "gzip"})
    assert status == 400 and "is incomplete" in reply["error"]


# ---- connections


def test_a_steady_slow_reader_gets_the_whole_reply(server):
    """It reads for several times the timeout of a client that does not read."""
    body = b'{"signature_name": "large", "inputs": 3000000}'
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        connection.connect(("127.0.0.1", server.rest_port))
        connection.settimeout(20)
        head = b"POST /v1/models/m:predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        connection.sendall(head % len(body) + body)
        received, started = [], time.monotonic()
        while chunk := connection.recv(1 << 16):
            received.append(chunk)
            time.sleep(0.02)
    assert time.monotonic() - started > 2
    head, _, reply = b"".join(received).partition(b"\r\n\r\n")
    assert len(reply) == int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    assert reply.count(b"0.0") == 3_000_000


def test_a_thousand_idle_connections_shut_nobody_out(base):
    with start(base, "--rest_api_header_timeout_in_ms=60000") as server:
        idle = [connect(server) for _ in range(rest_server.MAX_CONNECTIONS + 50)]
        try:
            started = time.monotonic()
            for source in ("127.0.0.1", "127.0.0.2"):
                with connect(server, source) as connection:
                    connection.sendall(b"GET /v1/models/m HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                    assert read_all(connection).startswith(b"HTTP/1.1 200")
            assert time.monotonic() - started < 30  # the idle ones have 60 seconds
        finally:
            for connection in idle:
                connection.close()


def test_one_address_leaves_connections_to_others(base):
    """All its connections are at work on a request, so none can be closed for another."""
    with start(base, "--rest_api_timeout_in_ms=60000") as server:
        busy = [connect(server) for _ in range(rest_server.MAX_CONNECTIONS)]
        try:
            for connection in busy:
                try:
                    connection.sendall(b"POST /v1/models/m:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
                except OSError:
                    pass  # beyond the limit of an address
            time.sleep(1)
            with connect(server, "127.0.0.2") as connection:
                connection.sendall(b"GET /v1/models/m HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                assert read_all(connection).startswith(b"HTTP/1.1 200")
            with connect(server) as connection, pytest.raises(ConnectionError):
                connection.sendall(b"GET /v1/models/m HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                if not read_all(connection):
                    raise ConnectionError
        finally:
            for connection in busy:
                connection.close()


# ---- reloads


def reload_request(base, name="missing"):
    request = model_management_pb2.ReloadConfigRequest()
    text_format.Parse(conformance.config_text({name: base}), request.config)
    return request


def until(condition, timeout=20.0):
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def test_reloads_that_wait_hold_no_other_request(base, tmp_path):
    with start(base) as server, grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        reload = model_service_pb2_grpc.ModelServiceStub(channel).HandleReloadConfigRequest
        waiting = [reload.future(reload_request(tmp_path / "no_such_folder")) for _ in range(40)]
        started = time.monotonic()
        until(lambda: sum(one.done() for one in waiting) >= 30)  # too many wait already
        refused = [one for one in waiting if one.done()]
        assert {one.code() for one in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        with pytest.raises(grpc.RpcError, match="Servable not found"):  # the first reload is applied
            predict(channel, x=(1, [1]))
        assert time.monotonic() - started < 10
        for one in waiting:
            one.cancel()
        # They end with their client, so the next one is answered.
        both = reload_request(base, "m")
        until(lambda: reload.future(both, timeout=20).code() is grpc.StatusCode.OK)
        assert len(predict(channel, x=(1, [1])).outputs["y"].float_val) == 1


def test_a_reload_that_waits_does_not_delay_the_end_of_the_server(base, tmp_path):
    with start(base) as server, grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        reload = model_service_pb2_grpc.ModelServiceStub(channel).HandleReloadConfigRequest
        waiting = reload.future(reload_request(tmp_path / "no_such_folder"))
        until(lambda: server.manager.is_configured("missing"))
        started = time.monotonic()
        server.stop(60)
        assert time.monotonic() - started < 20
        assert waiting.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("switch", ["off", "same_paths"])
def test_reloads_can_be_restricted(base, tmp_path, switch):
    with start(base, f"--grpc_reload={switch}") as server:
        with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
            reload = model_service_pb2_grpc.ModelServiceStub(channel).HandleReloadConfigRequest
            for request in (reload_request(tmp_path, "m"), reload_request(base, "other")):
                with pytest.raises(grpc.RpcError, match=f"grpc_reload={switch}") as caught:
                    reload(request, timeout=20)
                assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
            labels = reload_request(base, "m")
            labels.config.model_config_list.config[0].version_labels["stable"] = 1
            if switch == "same_paths":
                reload(labels, timeout=20)
                path = "/v1/models/m/labels/stable:predict"
                assert conformance.rest(server.rest_port, "POST", path, '{"inputs": 1.0}')[0] == 200
            else:
                with pytest.raises(grpc.RpcError, match="grpc_reload=off"):
                    reload(labels, timeout=20)


def test_a_mistyped_path_in_the_config_file_does_not_stop_its_polling(base, tmp_path):
    file = tmp_path / "models.config"
    file.write_text(conformance.config_text({"m": base}))
    flags = [f"--model_config_file={file}", "--model_config_file_poll_wait_seconds=1", "--port=0", "--rest_api_port=0"]
    with main.start(flags) as server:
        file.write_text(conformance.config_text({"m": base, "n": f"{base}-typo"}))
        until(lambda: server.manager.is_configured("n"))
        file.write_text(conformance.config_text({"m": base, "n": base}))
        until(lambda: conformance.predict_half(server.rest_port, "n", 1.0) == 2.0)


