"""Clients that send too much, too slowly, or never read."""

import gzip
import json
import socket
import threading
import time

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from tfgen_serving import conformance
from tfgen_serving.server import main


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    base = tmp_path_factory.mktemp("m")
    conformance.write_model(base / "1", {
        "serving_default": ({"x": (tf.float32, None)}, lambda x: {"y": x + 1}),
        "slow": ({"x": (tf.float32, [])},
                 lambda x: {"y": tf.while_loop(lambda i, v: i < 10**9, lambda i, v: (i + 1, tf.cos(v)), [0, x])[1]}),
        "large": ({"x": (tf.int32, [])}, lambda x: {"y": tf.zeros([x])}),
    })  # fmt: skip
    with main.start([
        "--port=0", "--rest_api_port=0", "--model_name=m", f"--model_base_path={base}", "--rest_api_timeout_in_ms=1000",
        "--rest_api_header_timeout_in_ms=500", "--max_request_bytes=100000",
    ]) as running:  # fmt: skip
        yield running


def post(server, body, headers=None):
    status, _, reply = conformance.rest(server.rest_port, "POST", "/v1/models/m:predict", body, headers)
    return status, json.loads(reply)


def answers(server):
    return post(server, '{"inputs": 1.0}') == (200, {"outputs": 2.0})


def connect(server, data=b""):
    connection = socket.create_connection(("127.0.0.1", server.rest_port), timeout=10)
    connection.sendall(data)
    return connection


def closed_after(connection):
    """Seconds until the server hangs up."""
    started = time.monotonic()
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        pass
    return time.monotonic() - started


def test_oversized_bodies_are_refused(server):
    status, reply = post(server, b" " * 100_001)
    assert status == 413 and "larger than 100000 bytes" in reply["error"]
    chunked = (b" " * 1000 for _ in range(200))
    status, reply = post(server, chunked)
    assert status == 413
    status, reply = post(server, gzip.compress(b" " * 10_000_000), {"Content-Encoding": "gzip"})
    assert status == 413 and "unpacked" in reply["error"]
    assert answers(server)


def test_an_announced_oversized_body_is_refused_before_it_is_sent(server):
    head = b"POST /v1/models/m:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\n"
    with connect(server, head) as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 413")
        assert closed_after(connection) < 5


def test_an_oversized_grpc_message_is_refused(server):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "m"
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.zeros(50_000, np.float32)))
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Predict(request, timeout=20)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.zeros(10, np.float32)))
        assert len(stub.Predict(request, timeout=20).outputs["y"].float_val) == 10


def test_headers_that_trickle_do_not_hold_a_connection(server):
    connections = [connect(server, b"POST /v1/models/m:predict HTTP/1.1\r\n") for _ in range(50)]
    connections.append(connect(server))  # says nothing at all
    after = connect(server, b"GET /v1/models/m HTTP/1.1\r\nHost: x\r\n\r\nGET /v1/")  # trickles in its second request
    stop = threading.Event()

    def trickle():
        while not stop.wait(0.1):
            for connection in connections[:50]:
                try:
                    connection.sendall(b"a: b\r\n")
                except OSError:
                    pass

    thread = threading.Thread(target=trickle)
    thread.start()
    assert answers(server)  # others are served meanwhile
    try:
        for connection in [*connections, after]:
            assert closed_after(connection) < 5
            connection.close()
    finally:
        stop.set()
        thread.join()
    assert answers(server)


def test_a_body_that_trickles_is_given_up(server):
    with connect(server, b"POST /v1/models/m:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{") as connection:
        reply = b"".join(iter(lambda: connection.recv(65536), b""))
    assert reply.startswith(b"HTTP/1.1 408") and b'"error"' in reply


def test_a_reply_that_is_not_read_does_not_hold_memory(server):
    body = b'{"signature_name": "large", "inputs": 3000000}'
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with connection:
        connection.connect(("127.0.0.1", server.rest_port))
        connection.settimeout(20)
        head = b"POST /v1/models/m:predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
        connection.sendall(head % len(body) + body)
        time.sleep(3)
        received = 0
        try:
            while chunk := connection.recv(65536):
                received += len(chunk)
        except ConnectionError:
            pass
    assert received < 10_000_000
    assert answers(server)


def test_a_slow_model_ends_with_the_timeout(server):
    started = time.monotonic()
    status, reply = post(server, '{"signature_name": "slow", "inputs": 1.0}')
    assert status == 504 and "error" in reply
    assert time.monotonic() - started < 10
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "m", "slow"
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.float32(1)))
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel, pytest.raises(grpc.RpcError) as caught:
        prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=1)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert answers(server)


@pytest.mark.parametrize("data", [b"\x00\x01\x02\r\n\r\n", b"GET /\r\n\r\n"])
def test_requests_that_are_not_http_are_refused(server, data):
    with connect(server, data) as connection:
        reply = b"".join(iter(lambda: connection.recv(65536), b""))
    assert reply.startswith(b"HTTP/1.1 400") and b'"error"' in reply
    assert answers(server)
