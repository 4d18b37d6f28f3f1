"""The infra validator: models that can be served, and models that cannot, through TFX's own client and into Pusher."""

import os
import pathlib
import subprocess
import sys
import time

import pytest
import tensorflow as tf
from tfx import v1 as tfx
from tfx.components.infra_validator import error_types, serving_bins
from tfx.components.infra_validator.model_server_clients import tensorflow_serving_client
from tfx.proto import infra_validator_pb2
from tfx.types import standard_artifacts

from tfgen.export import export_saved_model
from tfgen.models import VAE
from tfgen_pipelines.components.infra_validator import component, executor

ROOT = pathlib.Path(executor.__file__).parents[3]


def write_examples(folder):
    (folder / "Split-eval").mkdir(parents=True)
    with tf.io.TFRecordWriter(str(folder / "Split-eval" / "data-00000-of-00001.gz"), "GZIP") as writer:
        for label in range(3):
            example = tf.train.Example()
            png = tf.io.encode_png(tf.zeros([8, 8, 1], tf.uint8)).numpy()
            example.features.feature["image"].bytes_list.value.append(png)
            example.features.feature["label"].int64_list.value.append(label)
            writer.write(example.SerializeToString())
    return folder


class Stubborn(tf.Module):
    """Loads, and fails on every request."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve_examples(self, examples):
        with tf.control_dependencies([tf.debugging.Assert(tf.size(examples) < 0, ["no"])]):
            return {"image": tf.zeros([tf.size(examples), 8, 8, 1])}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    root = tmp_path_factory.mktemp("good")
    model = VAE(image_shape=(8, 8, 1), latent_dim=2, hidden=(8,))
    model.compile()
    export_saved_model(model, root, version=1).rename(root / "Format-Serving")
    return root


@pytest.fixture(scope="module")
def torn(tmp_path_factory):
    root = tmp_path_factory.mktemp("torn")
    model = VAE(image_shape=(8, 8, 1), latent_dim=2, hidden=(8,))
    model.compile()
    export_saved_model(model, root, version=1).rename(root / "Format-Serving")
    for file in (root / "Format-Serving" / "variables").glob("*.data-*"):
        file.write_bytes(file.read_bytes()[:100])
    return root


@pytest.fixture(scope="module")
def stubborn(tmp_path_factory):
    root = tmp_path_factory.mktemp("stubborn")
    module = Stubborn()
    tf.saved_model.save(module, str(root / "Format-Serving"), signatures={"serve_examples": module.serve_examples})
    return root


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """run(model folder) -> (files of the blessing, pushed models) of Importer -> InfraValidator -> Pusher."""
    examples = write_examples(tmp_path_factory.mktemp("examples"))

    def run_pipeline(model_folder, **settings):
        root = tmp_path_factory.mktemp("pipeline")
        model = tfx.dsl.Importer(source_uri=str(model_folder), artifact_type=standard_artifacts.Model).with_id("Model")
        data = tfx.dsl.Importer(
            source_uri=str(examples), artifact_type=standard_artifacts.Examples, properties={"split_names": '["eval"]'}
        ).with_id("Examples")
        validator = component.LocalInfraValidator(model.outputs["result"], data.outputs["result"], num_tries=1, **settings)
        pusher = tfx.components.Pusher(
            model=model.outputs["result"],
            infra_blessing=validator.outputs["blessing"],
            push_destination={"filesystem": {"base_directory": str(root / "pushed")}},
        )
        tfx.orchestration.LocalDagRunner().run(
            tfx.dsl.Pipeline(
                pipeline_name="p",
                pipeline_root=str(root / "artifacts"),
                components=[model, data, validator, pusher],
                metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(str(root / "db")),
            )
        )
        (blessing,) = (root / "artifacts").glob("LocalInfraValidator/blessing/*")
        pushed = sorted((root / "pushed").glob("*/saved_model.pb"))
        return [p.name for p in blessing.iterdir()], pushed

    return run_pipeline


def children():
    listed = subprocess.run(["ps", "-o", "args=", "--ppid", str(os.getpid())], capture_output=True, text=True).stdout
    return [line for line in listed.splitlines() if "infra_validator.serve" in line]


def test_a_good_model_is_blessed_and_pushed(run, good, monkeypatch):
    client, sent = tensorflow_serving_client.TensorFlowServingClient, []
    send = client._SendRequest
    monkeypatch.setattr(client, "_SendRequest", lambda self, request: sent.append(request) or send(self, request))
    blessing, pushed = run(good)
    assert blessing == ["INFRA_BLESSED"] and len(pushed) == 1
    assert [request.model_spec.signature_name for request in sent] == ["serve_examples"] * 4
    assert (pushed[0].parent / "assets.extra/tf_serving_warmup_requests").exists()
    assert not children()


@pytest.mark.parametrize("broken", [pytest.param("torn", marks=pytest.mark.long), "stubborn"])
def test_a_broken_model_is_not_blessed_and_not_pushed(run, broken, request, caplog):
    blessing, pushed = run(request.getfixturevalue(broken))
    assert blessing == ["INFRA_NOT_BLESSED"] and not pushed
    assert "Infra validation failed. The server's log:" in caplog.text
    assert ("cannot be served" if broken == "torn" else "assertion failed") in caplog.text
    assert not children()


# ---- servers that misbehave


def runner_of(code):
    class Runner(executor.LocalServerRunner):
        command = (sys.executable, "-c", code)

    return Runner


def validate(code, seconds):
    class Executor(executor.Executor):
        runner_class = runner_of(code)

    spec = infra_validator_pb2.ServingSpec(tensorflow_serving={"tags": ["local"]}, model_name="m")
    (binary,) = serving_bins.parse_serving_binaries(spec)
    limits = infra_validator_pb2.ValidationSpec(num_tries=1, max_loading_time_seconds=seconds)
    started = time.monotonic()
    try:
        Executor()._ValidateOnce("/models/m/1", binary, spec, limits, [])
    finally:
        assert time.monotonic() - started < seconds + 10


def test_a_server_that_dies():
    code = "import os, sys; print('out of memory', file=sys.stderr, flush=True); os.abort()"
    with pytest.raises(error_types.JobAborted, match="ended with status -6"):
        validate(code, 60)


def test_a_server_that_does_not_become_ready():
    with pytest.raises(error_types.DeadlineExceeded):
        validate("import time; time.sleep(60)", 1)


def test_a_server_that_does_not_answer():
    # Takes connections and is silent: TFX's client alone would wait for ever.
    code = (
        "import socket, time; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True)\n"
        "time.sleep(60)"
    )
    with pytest.raises(error_types.InfraValidationError):
        validate(code, 2)


def test_the_log_and_the_order_of_calls():
    runner = runner_of("import sys, time; print('said', file=sys.stderr); print(4321, flush=True); time.sleep(60)")("/a/m/1")
    assert runner.GetLogs() is None and "--model_base_path=/a/m" in repr(runner)
    with pytest.raises(AssertionError):
        runner.GetEndpoint()
    runner.Stop()
    runner.Start()
    try:
        runner.WaitUntilRunning(time.time() + 60)
        assert runner.GetEndpoint() == "127.0.0.1:4321" and runner.GetLogs() == "said\n"
    finally:
        runner.Stop()
        runner.Stop()


@pytest.mark.long
def test_the_server_ends_with_the_validator(good, tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "1").symlink_to(good / "Format-Serving")
    server = subprocess.Popen(
        [*executor.LocalServerRunner.command, "--model_name=m", f"--model_base_path={tmp_path / 'm'}"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    try:
        assert int(server.stdout.readline()) > 0
        server.stdin.close()
        assert server.wait(30) == 0
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


# ---- in the pipeline


@pytest.fixture
def arguments():
    from tfgen_pipelines import data
    from tfgen_pipelines.pipeline import Branch

    return {
        "pipeline_name": "p", "pipeline_root": "/r", "data": data.resolve("digits"), "workdir": "/w",
        "push_base_directory": "/p", "branches": [Branch("vae/digits"), Branch("dcgan/digits")],
    }  # fmt: skip


@pytest.mark.parametrize("mode", component.MODES)
def test_modes(mode, arguments):
    from tfgen_pipelines.pipeline import create_pipeline

    nodes = {c.id: c for c in create_pipeline(**arguments, infra_validation=mode).components}
    for slug in ("vae-digits", "dcgan-digits"):
        validator, pusher = nodes.get(f"InfraValidator.{slug}"), nodes[f"Pusher.{slug}"]
        if mode == "none":
            assert validator is None and "infra_blessing" not in pusher.inputs
            continue
        assert pusher.inputs["infra_blessing"] is validator.outputs["blessing"]
        assert isinstance(validator, component.LocalInfraValidator) == (mode == "local")
        spec = validator.exec_properties["serving_spec"]
        assert ("local_docker" in str(spec)) == (mode == "docker") == ("2.16.1" in str(spec))
        assert "serve_examples" in str(validator.exec_properties["request_spec"])


def test_unknown_mode(arguments):
    from tfgen_pipelines.pipeline import create_pipeline

    with pytest.raises(ValueError, match="local, docker, none; received 'podman'"):
        create_pipeline(**arguments, infra_validation="podman")


def test_it_compiles_for_kubeflow(arguments, tmp_path):
    from tfgen_pipelines import kubeflow

    for mode in ("local", "none"):
        compiled = kubeflow.compile_pipeline(tmp_path / f"{mode}.json", image="i", infra_validation=mode, **arguments)
        tasks = compiled["pipelineSpec"]["root"]["dag"]["tasks"]
        assert ("InfraValidator.vae-digits" in tasks) == (mode != "none")
        if mode != "none":
            assert "InfraValidator.vae-digits" in tasks["Pusher.vae-digits"]["dependentTasks"]
            assert "tfgen_pipelines.components.infra_validator.executor.Executor" in str(compiled)
    with pytest.raises(ValueError, match="received 'docker'"):
        kubeflow.compile_pipeline(tmp_path / "p.json", image="i", infra_validation="docker", **arguments)


def test_a_model_that_cannot_be_served_is_not_blessed():
    from tfgen_pipelines import local
    from tfgen_pipelines.pipeline import Branch

    def record(blessed):
        outputs = {"outputs": {"blessing": [{"properties": {"blessed": blessed}}]}}
        return {
            "components": {"InfraValidator.vae-digits": outputs},
            "models": {"vae/digits": {"blessed": True, "reasons": []}},
        }

    for blessed in (1, 0):
        got = record(blessed)
        local._add_infra_verdicts(got, [Branch("vae/digits")])
        model = got["models"]["vae/digits"]
        assert model["blessed"] == bool(blessed) and len(model["reasons"]) == 1 - blessed
    without = {"components": {}, "models": {"vae/digits": {"blessed": True, "reasons": []}}}
    local._add_infra_verdicts(without, [Branch("vae/digits")])
    assert without["models"]["vae/digits"]["blessed"]
