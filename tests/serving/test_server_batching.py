"""Dynamic batching: same answers, fewer runs, each request its own errors."""

import concurrent.futures
import json
import threading
import time

import grpc
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from tfgen_serving import conformance
from tfgen_serving.errors import ServingError
from tfgen_serving.server import batching, flags, inference, main
from tfgen_serving.server.flags import ConfigError
from tfgen_serving.server.servable import Servable


def parameters(text=""):
    return text_format.Parse(text, flags.BatchingParameters())


@pytest.fixture
def make():
    made = []

    def make(text):
        made.append(batching.Batcher(parameters(text)))
        return made[-1]

    yield make
    for batcher in made:
        batcher.stop()


class Recorder:
    """Stands in for a servable: y = 2x, remembers the batches; a negative x fails the run, 99 makes a short output."""

    def __init__(self):
        self.sizes, self.gate = [], threading.Event()
        self.gate.set()

    def run(self, feeds, fetches, timeout=None):
        assert self.gate.wait(20)
        x = feeds["x"]
        self.sizes.append(len(x))
        if (x < 0).any():
            raise ServingError(grpc.StatusCode.INVALID_ARGUMENT, f"negative: {x.min()}")
        return [2 * x[:1] if (x == 99).any() else 2 * x for _ in fetches]


def rows(*values):
    return {"x": np.array(values, np.float32)}


def together(batcher, servable, requests):
    """Answers, or errors, of requests that are all queued before the first batch is taken."""
    servable.gate.clear()
    with concurrent.futures.ThreadPoolExecutor(len(requests) + 1) as pool:
        first = pool.submit(batcher.execute, servable, rows(0.5), ["y"])  # keeps the only thread busy
        until(lambda: not batcher._queues)
        futures = [pool.submit(batcher.execute, servable, feeds, ["y"]) for feeds in requests]
        until(lambda: sum(len(q.tasks) for q in batcher._queues.values()) == len(requests))
        servable.gate.set()
        first.result()
        return [f.exception() or f.result()[0].tolist() for f in futures]


def until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_requests_share_a_padded_batch_and_get_their_own_rows(make):
    servable = Recorder()
    answers = together(make("num_batch_threads { value: 1 }"), servable, [rows(1, 2), rows(3), rows(4, 5)])
    assert answers == [[2, 4], [6], [8, 10]]
    assert servable.sizes == [1, 8]


def test_allowed_sizes_and_the_largest_batch(make):
    servable = Recorder()
    batcher = make(
        "num_batch_threads { value: 1 } max_batch_size { value: 6 } allowed_batch_sizes: 3 allowed_batch_sizes: 6"
    )
    answers = together(batcher, servable, [rows(1, 2), rows(3, 4), rows(5, 6), rows(7)])
    assert answers == [[2, 4], [6, 8], [10, 12], [14]]
    assert servable.sizes == [3, 6, 3]


def test_an_error_stays_with_its_request(make):
    servable = Recorder()
    answers = together(make("num_batch_threads { value: 1 }"), servable, [rows(1), rows(-1), rows(3), rows(-2)])
    assert answers[0] == [2] and answers[2] == [6]
    assert [a.message for a in answers[1::2]] == ["negative: -1.0", "negative: -2.0"]


def test_requests_of_different_shapes_are_in_different_batches(make):
    servable = Recorder()
    wide = {"x": np.ones([1, 2], np.float32)}
    assert together(make("num_batch_threads { value: 1 }"), servable, [rows(1), wide, rows(3)]) == [[2], [[2, 2]], [6]]
    assert servable.sizes == [1, 2, 1]


def test_variable_lengths_are_padded_with_the_first_element_if_enabled(make):
    servable = Recorder()
    batcher = make("num_batch_threads { value: 1 } pad_variable_length_inputs: true")
    requests = [{"x": np.array([[1, 2, 3]], np.float32)}, {"x": np.array([[4]], np.float32)}]
    assert together(batcher, servable, requests) == [[[2, 4, 6]], [[8, 8, 8]]]


@pytest.mark.parametrize(
    ("feeds", "text"),
    [
        ({"x": np.float32(1)}, "at least one dimension"),
        ({"x": np.zeros(2, np.float32), "z": np.zeros(3)}, "equal 0th-dimension size"),
        (rows(*range(9)), "Task size 9 is larger than maximum batch size 8"),
        (rows(99, 1), "0th dimension does not equal the sum"),
    ],
)
def test_what_cannot_be_batched(make, feeds, text):
    batcher = make("max_batch_size { value: 8 }")
    with pytest.raises(ServingError, match=text):
        batcher.execute(Recorder(), {k: np.asarray(v) for k, v in feeds.items()}, ["y"])


def test_large_requests_are_split_if_enabled(make):
    servable = Recorder()
    batcher = make("max_batch_size { value: 8 } enable_large_batch_splitting { value: true }")
    assert batcher.execute(servable, rows(*range(19)), ["y"])[0].tolist() == [2 * i for i in range(19)]


def test_a_full_queue_and_a_deadline(make):
    servable = Recorder()
    servable.gate.clear()
    batcher = make("num_batch_threads { value: 1 } max_batch_size { value: 1 } max_enqueued_batches { value: 1 }")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        running = pool.submit(batcher.execute, servable, rows(1), ["y"])
        until(lambda: not batcher._queues)
        with pytest.raises(ServingError) as caught:
            batcher.execute(servable, rows(2), ["y"], timeout=0.05)
        assert caught.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
        with pytest.raises(ServingError, match="queue to which this task was submitted is full") as caught:
            batcher.execute(servable, rows(3), ["y"], timeout=0.05)
        assert caught.value.code is grpc.StatusCode.UNAVAILABLE
        servable.gate.set()
        assert running.result()[0].tolist() == [2]
    batcher.stop()
    assert servable.sizes == [1]  # the one that had given up was never run


def test_the_wait_for_other_requests_ends(make):
    batcher = make("batch_timeout_micros { value: 50000 }")
    started = time.monotonic()
    assert batcher.execute(Recorder(), rows(1), ["y"])[0].tolist() == [2]
    assert 0.04 < time.monotonic() - started < 5


@pytest.mark.parametrize(
    "text",
    [
        "max_batch_size { value: 0 }", "num_batch_threads { value: -1 }", "batch_timeout_micros { value: -1 }",
        "allowed_batch_sizes: 4", "allowed_batch_sizes: 8 allowed_batch_sizes: 4 max_batch_size { value: 4 }",
    ],
)  # fmt: skip
def test_parameters_that_cannot_be_used(text):
    with pytest.raises(ConfigError):
        batching.Batcher(parameters(text))


def test_a_batching_server_gives_the_same_answers(tmp_path):
    weights = np.random.default_rng(0).normal(size=[8, 3]).astype(np.float32)
    model = {
        "serving_default": (
            {"x": (tf.float32, [None, 8])},
            lambda x: {"y": tf.linalg.matmul(x, weights), "text_bytes": tf.strings.as_string(x[:, 0])},
        )
    }
    (tmp_path / "m").mkdir()
    path = conformance.write_model(tmp_path / "m" / "1", model)
    (tmp_path / "batching.config").write_text("max_batch_size { value: 16 } batch_timeout_micros { value: 2000 }")
    inputs = np.random.default_rng(1).normal(size=[40, 2, 8]).astype(np.float32)
    servable = Servable("m", 1, path)
    alone = [inference.predict(servable, "", {"x": x}) for x in inputs]
    with main.start([
        "--port=0", "--rest_api_port=0", "--model_name=m", f"--model_base_path={tmp_path}/m", "--enable_batching",
        f"--batching_parameters_file={tmp_path}/batching.config",
    ]) as server:  # fmt: skip

        def ask(x):
            body = json.dumps({"inputs": x.tolist()})
            return conformance.rest(server.rest_port, "POST", "/v1/models/m:predict", body)

        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(ask, inputs))
        for (status, _, body), wanted in zip(answers, alone, strict=True):
            outputs = json.loads(body)["outputs"]
            assert status == 200
            np.testing.assert_allclose(outputs["y"], wanted["y"], rtol=1e-5, atol=1e-5)
            assert len(outputs["text_bytes"]) == 2
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "m"
        request.inputs["x"].CopyFrom(tf.make_tensor_proto(inputs[0]))
        with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
            reply = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request)  # without a deadline
        np.testing.assert_allclose(tf.make_ndarray(reply.outputs["y"]), alone[0]["y"], rtol=1e-5, atol=1e-5)
        # One that fails does not spoil the others, and is told why.
        status, _, body = conformance.rest(server.rest_port, "POST", "/v1/models/m:predict", '{"inputs": [[1.0]]}')
        assert status == 400 and "shape" in json.loads(body)["error"]
    servable.close()
