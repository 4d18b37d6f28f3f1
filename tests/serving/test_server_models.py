"""Versions of models: found, loaded, warmed up, swapped and unloaded while requests go on."""

import contextlib
import json
import logging
import signal
import threading
import time

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2, prediction_service_pb2_grpc
from tensorflow_serving.config import file_system_storage_path_source_pb2

from tfgen_serving import conformance
from tfgen_serving.errors import ServingError
from tfgen_serving.server import inference, main, model_manager, repeated_warning
from tfgen_serving.server.flags import ConfigError, Stopped
from tfgen_serving.server.servable import Servable


def write_version(base, number, **options):
    """A model of two outputs that name their version; a torn reply would mix them."""
    base.mkdir(parents=True, exist_ok=True)
    function = {"serving_default": ({"x": (tf.float32, [None])}, lambda x: {"a": x + number, "b": x - number})}
    return conformance.write_model(base / str(number), function, **options)


def start(*flags, **options):
    return main.start(["--port=0", "--rest_api_port=0", *flags], **options)


def serve(base, *flags):
    return start("--model_name=m", f"--model_base_path={base}", "--file_system_poll_wait_seconds=1", *flags)


def ask(server, suffix="", model="m"):
    """(a, b) for x = 0, or the status and the error's text."""
    path = f"/v1/models/{model}{suffix}:predict"
    status, _, body = conformance.rest(server.rest_port, "POST", path, '{"inputs": [0.0]}')
    reply = json.loads(body)
    return (reply["outputs"]["a"][0], reply["outputs"]["b"][0]) if status == 200 else (status, reply["error"])


def channel(server):
    return grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}", [("grpc.use_local_subchannel_pool", 1)])


def ask_grpc(server, connection=None):
    """(a, b) of model m for x = 0, by `connection` or one of its own."""
    if connection is None:
        with channel(server) as connection:
            return ask_grpc(server, connection)
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "m"
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.float32([0.0])))
    reply = prediction_service_pb2_grpc.PredictionServiceStub(connection).Predict(request, timeout=60)
    a, b = reply.outputs["a"].float_val[0], reply.outputs["b"].float_val[0]
    assert reply.model_spec.version.value == a
    return a, b


def states(server, model="m"):
    status, _, body = conformance.rest(server.rest_port, "GET", f"/v1/models/{model}")
    if status != 200:
        return {}
    return {int(v["version"]): v["state"] for v in json.loads(body)["model_version_status"]}


def until(condition, timeout=20.0):
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


@contextlib.contextmanager
def clients(server, count=16):
    """`count` threads that ask over both protocols without a pause; -> list of their answers, complete after the block."""
    done, answers = threading.Event(), []

    def work(index):
        with contextlib.nullcontext() if index % 2 else channel(server) as connection:
            while not done.is_set():
                try:
                    answers.append(ask_grpc(server, connection) if connection else ask(server))
                except Exception as error:
                    answers.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        done.set()
        for thread in threads:
            thread.join()


def test_hot_swap_under_load_fails_and_tears_nothing(tmp_path):
    write_version(tmp_path / "m", 1)
    with serve(tmp_path / "m") as server:
        with clients(server) as answers:
            for number in (2, 10):
                until(lambda: len(answers) > 50)
                write_version(tmp_path / "m", number)
                until(lambda number=number: states(server).get(number) == "AVAILABLE")
                until(lambda number=number: sum(s == "END" for s in states(server).values()) == (1 if number == 2 else 2))
                seen = len(answers)
                until(lambda seen=seen: len(answers) > seen + 50)
        assert set(answers) == {(1.0, -1.0), (2.0, -2.0), (10.0, -10.0)}
        assert answers[-1] == (10.0, -10.0)
        assert states(server) == {1: "END", 2: "END", 10: "AVAILABLE"}


def test_a_version_stays_loaded_until_its_last_request_is_answered(tmp_path, monkeypatch):
    """Requests that are held inside the model, over both protocols, while its successor takes over."""
    inside, go_on, run = threading.Semaphore(0), threading.Event(), Servable.run

    def held(servable, *args, **kwargs):
        if servable.version == 1:
            inside.release()
            assert go_on.wait(60)
        return run(servable, *args, **kwargs)

    monkeypatch.setattr(Servable, "run", held)
    write_version(tmp_path / "m", 1)
    with serve(tmp_path / "m") as server:
        answers = []
        asking = [threading.Thread(target=lambda ask=ask: answers.append(ask(server))) for ask in (ask, ask_grpc)]
        try:
            for thread in asking:
                thread.start()
                assert inside.acquire(timeout=20)
            write_version(tmp_path / "m", 2)
            until(lambda: states(server) == {1: "UNLOADING", 2: "AVAILABLE"})
            assert ask(server) == (2.0, -2.0)
            time.sleep(0.5)
            assert states(server)[1] == "UNLOADING" and not answers
        finally:
            go_on.set()
            for thread in asking:
                thread.join()
        assert answers == [(1.0, -1.0)] * 2
        until(lambda: states(server) == {1: "END", 2: "AVAILABLE"})


def test_a_version_counts_only_once_its_saved_model_is_there(tmp_path):
    base = tmp_path / "m"
    write_version(base, 1)
    whole = write_version(tmp_path / "elsewhere", 2)
    for name in ("2", "x3", "-4", "5.0", "٦", ".7"):
        (base / name).mkdir()
    (base / "2" / "variables").mkdir()
    (base / "8" / "saved_model.pb").mkdir(parents=True)  # a folder is no file
    with serve(base) as server:
        for _ in range(2):
            server.manager.poll()
        assert states(server) == {1: "AVAILABLE"} and ask(server) == (1.0, -1.0)
        (whole / "saved_model.pb").rename(base / "2" / "saved_model.pb")
        until(lambda: states(server) == {1: "END", 2: "AVAILABLE"})


def test_a_broken_version_changes_nothing_and_is_tried_again_when_replaced(tmp_path):
    base = tmp_path / "m"
    write_version(base, 1)
    with serve(base, "--max_num_load_retries=1", "--load_retry_interval_micros=100000") as server:
        (base / "2").mkdir()
        (base / "2" / "saved_model.pb").write_bytes(b"half of a model")
        until(lambda: states(server) == {1: "AVAILABLE", 2: "END"})
        assert server.manager.status("m", 2)[0][2][0] is not grpc.StatusCode.OK
        assert ask(server) == (1.0, -1.0)
        whole = write_version(tmp_path / "elsewhere", 2)
        (whole / "saved_model.pb").replace(base / "2" / "saved_model.pb")
        until(lambda: states(server) == {1: "END", 2: "AVAILABLE"})


def test_load_retries_wait_for_the_interval(tmp_path):
    attempts = []

    def load(name, version, path):
        attempts.append(time.monotonic())
        raise ServingError(grpc.StatusCode.UNAVAILABLE, "not yet")

    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").touch()
    manager = model_manager.ModelManager(load, max_load_retries=2, retry_interval=0.3)
    with pytest.raises(ServingError, match=r"1 model\(s\) did not become available.*UNAVAILABLE: not yet"):
        manager.reload(_config(tmp_path), timeout=20)
    manager.stop()
    assert len(attempts) == 3 and attempts[2] - attempts[0] >= 0.55


def _config(base, name="m", **policy):
    config = model_manager.model_server_config_pb2.ModelServerConfig()
    one = config.model_config_list.config.add(name=name, base_path=str(base), model_platform="tensorflow")
    if policy:
        one.model_version_policy.CopyFrom(
            file_system_storage_path_source_pb2.FileSystemStoragePathSourceConfig.ServableVersionPolicy(**policy)
        )
    return config


@pytest.mark.parametrize(
    ("policy", "chosen"),
    [
        ({}, [9]), ({"latest": {}}, [9]), ({"latest": {"num_versions": 2}}, [9, 5]), ({"all": {}}, [1, 5, 9]),
        ({"specific": {"versions": [5, 7, 1]}}, [5, 1]),
    ],
)  # fmt: skip
def test_version_policies(policy, chosen, tmp_path):
    config = _config(tmp_path, **policy).model_config_list.config[0]
    assert list(model_manager.choose_versions(dict.fromkeys([1, 5, 9]), config.model_version_policy)) == chosen


def test_labels_and_several_versions(tmp_path):
    base = tmp_path / "m"
    for number in (1, 2, 3):
        write_version(base, number)
    every = f'config {{ name: "m" base_path: "{base}" model_platform: "tensorflow" model_version_policy {{ %s }} %s }}'

    def config(policy, **labels):
        marks = " ".join(f'version_labels {{ key: "{k}" value: {v} }}' for k, v in labels.items())
        return f"model_config_list {{ {every % (policy, marks)} }}"

    file = tmp_path / "models.config"
    file.write_text(config("all {}"))
    with start(f"--model_config_file={file}") as server:
        until(lambda: list(states(server).values()) == ["AVAILABLE"] * 3)
        assert ask(server) == (3.0, -3.0) and ask(server, "/versions/1") == (1.0, -1.0)
        conformance.reload_config(server.grpc_port, config("all {}", stable=1, canary=3))
        assert ask(server, "/labels/stable") == (1.0, -1.0) and ask(server, "/labels/canary") == (3.0, -3.0)
        with pytest.raises(grpc.RpcError, match="not currently available for inference"):
            conformance.reload_config(server.grpc_port, config("all {}", stable=7))
        assert ask(server, "/labels/stable") == (1.0, -1.0)
        conformance.reload_config(server.grpc_port, config("specific { versions: 1 versions: 2 }", stable=2))
        until(lambda: states(server) == {1: "AVAILABLE", 2: "AVAILABLE", 3: "END"})
        assert ask(server, "/labels/stable") == (2.0, -2.0)
        assert ask(server, "/labels/canary")[0] == 400 and ask(server, "/versions/3")[0] == 404


def test_a_label_at_the_start_needs_its_flag(tmp_path):
    write_version(tmp_path / "m", 1)
    file = tmp_path / "models.config"
    file.write_text(conformance.config_text({"m": tmp_path / "m"}, {"m": {"stable": 1}}))
    with pytest.raises(ServingError, match="not currently available"):
        start(f"--model_config_file={file}")
    with start(f"--model_config_file={file}", "--allow_version_labels_for_unavailable_models") as server:
        assert ask(server, "/labels/stable") == (1.0, -1.0)


def test_the_only_version_goes_with_its_folder_but_not_with_the_base_path(tmp_path):
    base = tmp_path / "m"
    path = write_version(base, 1)
    with serve(base) as server:
        base.rename(tmp_path / "away")
        server.manager.poll()
        assert ask(server) == (1.0, -1.0)
        (tmp_path / "away").rename(base)
        path.rename(tmp_path / "1")
        until(lambda: states(server) == {1: "END"})
        assert ask(server)[0] == 404


def _run_folder(path):
    (path / "checkpoints").mkdir(parents=True)
    (path / "config.json").write_text("{}")


def _versions(*names):
    def make(path):
        for name in names:
            (path / name).mkdir(parents=True)

    return make


@pytest.mark.parametrize(
    ("make", "policy", "found", "expected"),
    [
        (lambda path: path.mkdir(), {}, "It is empty", "{base}/1/saved_model.pb"),
        (lambda path: write_version(path.parent, int(path.name)), {}, "It is the folder of one version",
         "Expected: the folder around it, {base.parent}."),
        (_run_folder, {}, "It is a run folder", "tfgen export --workdir {base}"),
        (_versions("x", "y"), {}, "It has x, y", "{base}/1/saved_model.pb"),
        (_versions(*"abcdefg"), {}, "It has a, b, c, d, e and 2 more", "{base}/1/saved_model.pb"),
        (_versions("3", "04"), {}, "04, 3 in it have no saved_model.pb", "{base}/1/saved_model.pb"),
        (lambda path: write_version(path, 5), {"specific": {"versions": [7]}}, "It has 5", "The policy asks for 7."),
    ],
)  # fmt: skip
def test_a_base_path_without_versions_is_explained(make, policy, found, expected, tmp_path, caplog):
    base = tmp_path / "9"
    make(base)
    manager = model_manager.ModelManager(None, poll_wait=0)
    with pytest.raises(ServingError, match="Models not available in time") as caught:
        manager.reload(_config(base, **policy), timeout=0.01)
    manager.stop()
    (text,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert text.startswith(f"No versions of servable m found under base path {base}. {found}")
    assert expected.format(base=base) in text and text.rstrip(".") in caught.value.message


def test_a_base_path_that_is_not_there_is_explained(tmp_path, caplog):
    manager = model_manager.ModelManager(None, poll_wait=0)
    manager.apply(_config(tmp_path / "typo"))
    manager.stop()
    assert f"Could not find base path {tmp_path}/typo for servable m. Expected: a folder" in caplog.text


def test_warnings_are_repeated_with_pauses_that_double(monkeypatch, caplog):
    now = [0.0]
    monkeypatch.setattr(repeated_warning.time, "monotonic", lambda: now[0])
    warning = repeated_warning.RepeatedWarning()
    for second in range(3600):
        now[0] = float(second)
        warning.log(f"empty at {second}")
    said = [int(record.getMessage().split()[-1]) for record in caplog.records]
    assert said[:6] == [0, 1, 3, 7, 15, 31] and set(np.diff(said[9:])) == {300}
    warning.clear()
    warning.log("empty again")
    warning.log("something else", topic="other")
    assert [record.getMessage() for record in caplog.records][-2:] == ["empty again", "something else"]


def test_config_file_is_read_again(tmp_path):
    for name in ("m", "n"):
        write_version(tmp_path / name, 1)
    file = tmp_path / "models.config"
    file.write_text(conformance.config_text({"m": tmp_path / "m"}))
    with start(f"--model_config_file={file}", "--model_config_file_poll_wait_seconds=1") as server:
        file.write_text("nonsense")
        time.sleep(1.2)
        assert ask(server) == (1.0, -1.0)
        file.write_text(conformance.config_text({"n": tmp_path / "n"}))
        until(lambda: ask(server, model="n") == (1.0, -1.0))
        until(lambda: ask(server)[0] == 404)


def _records(folder, logs):
    with tf.io.TFRecordWriter(str(folder / "records")) as writer:
        for log in logs:
            writer.write(log if isinstance(log, bytes) else log.SerializeToString())
    return {"tf_serving_warmup_requests": (folder / "records").read_bytes()}


def _predict_log(name):
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.inputs[name].CopyFrom(tf.make_tensor_proto(np.float32([1.0])))
    return log


@pytest.mark.parametrize(
    ("records", "text"),
    [
        ([b"\xff\xff no log"], "Failed to parse warmup record"),
        ([_predict_log("y")], "x was not found"),
        ([prediction_log_pb2.PredictionLog(session_run_log={})], "Unsupported log_type for warmup"),
        ([_predict_log("x")] * 1001, "exceeds the maximum"),
    ],
)
def test_a_failing_warmup_record_fails_the_load(tmp_path, records, text):
    write_version(tmp_path / "m", 1, assets_extra=_records(tmp_path, records))
    with pytest.raises(ServingError, match="did not become available") as caught:
        serve(tmp_path / "m", "--max_num_load_retries=0")
    assert text in caught.value.message
    serve(tmp_path / "m", "--max_num_load_retries=0", "--enable_model_warmup=false").stop()


def test_warmup_runs_before_a_version_is_available(tmp_path, monkeypatch):
    write_version(tmp_path / "m", 1)
    write_version(tmp_path / "m", 2, assets_extra=_records(tmp_path, [_predict_log("x")]))
    warming, go_on, warm_up = threading.Event(), threading.Event(), inference.warm_up

    def watched(servable):
        if servable.version == 2:
            warming.set()
            go_on.wait(20)
        return warm_up(servable)

    monkeypatch.setattr(inference, "warm_up", watched)
    (tmp_path / "m" / "2").rename(tmp_path / "2")
    with serve(tmp_path / "m") as server:
        (tmp_path / "2").rename(tmp_path / "m" / "2")
        assert warming.wait(20)
        assert states(server) == {1: "AVAILABLE", 2: "LOADING"} and ask(server) == (1.0, -1.0)
        go_on.set()
        until(lambda: states(server) == {1: "END", 2: "AVAILABLE"})


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ([], "--model_base_path"),
        (["--model_base_path=/x", "--model_config_file=/y"], "--model_base_path"),
        (["--model_base_path=/x", "--batching_parameters_file=/y"], "setting server_options.enable_batching to true"),
        (["--model_base_path=/x", "--enable_per_model_batching_parameters"], "without --enable_batching"),
        (["--model_base_path=/x", "--saved_model_tags=serve,"], "--saved_model_tags needs tags"),
        (["--model_base_path=/x", "--ssl_config_file=/no/such/file"], "cannot read /no/such/file"),
        (["--model_base_path=/x", "--port=9", "--rest_api_port=9"], "same as --port"),
        (["--model_config_file=/no/such/file"], "cannot read /no/such/file"),
    ],
)
def test_flags_that_contradict_each_other(flags, text):
    with pytest.raises(ConfigError, match=text):
        main.start(flags)


@pytest.mark.parametrize("name", ["..", "a/b", "a:b", "a\nb"])
def test_model_names_that_are_paths_are_refused(name, tmp_path):
    with pytest.raises(ServingError, match="must not be empty"):
        main.start([f"--model_name={name}", f"--model_base_path={tmp_path}"])


def test_a_port_that_is_taken_is_a_start_error(tmp_path):
    write_version(tmp_path / "m", 1)
    with serve(tmp_path / "m") as server:
        for taken in (f"--port={server.grpc_port}", f"--rest_api_port={server.rest_port}"):
            with pytest.raises(ConfigError, match="cannot listen"):
                start("--model_name=m", f"--model_base_path={tmp_path}/m", taken)


def test_the_wait_for_models_can_be_stopped(tmp_path):
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    with pytest.raises(Stopped):
        start("--model_name=m", f"--model_base_path={tmp_path}", "--wait_for_versions", stop=stop)


def test_a_server_of_nothing_does_not_start(tmp_path):
    for base, reason in ((tmp_path, "It is empty"), (tmp_path / "typo", "Could not find base path")):
        with pytest.raises(ConfigError, match=f"{reason}.*With --wait_for_versions the server waits"):
            start("--model_name=m", f"--model_base_path={base}")


@pytest.mark.long
def test_sigterm_finishes_running_requests(tmp_path):
    heavy = tmp_path / "m" / "1"
    heavy.parent.mkdir()
    # Seconds of arithmetic that no optimiser can shorten.
    body = {"serving_default": ({"x": (tf.float32, [None])}, lambda x: {"y": tf.while_loop(
        lambda i, v: i < 1_000_000, lambda i, v: (i + 1, tf.math.cos(v)), [0, x])[1]})}  # fmt: skip
    conformance.write_model(heavy, body)
    flags = [
        "--model_name=m",
        f"--model_base_path={tmp_path}/m",
        "--shutdown_grace_seconds=60",
        "--rest_api_timeout_in_ms=60000",
    ]
    with conformance.Server(conformance.OWN_SERVER, flags) as server:
        answers = []

        def one():
            answers.append(conformance.rest(server.rest_port, "POST", "/v1/models/m:predict", '{"instances": [1.0]}')[0])

        def other():
            with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
                request = predict_pb2.PredictRequest()
                request.model_spec.name = "m"
                request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.float32([1.0])))
                prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=60)
                answers.append(200)

        threads = [threading.Thread(target=f) for f in (one, other)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        early = list(answers)
        server.process.send_signal(signal.SIGTERM)
        assert server.wait_exit(60) == 0
        for thread in threads:
            thread.join()
        assert early == [] and answers == [200, 200]
        assert not conformance.listens(server.rest_port) and not conformance.listens(server.grpc_port)
