"""The files for the real server: they parse, agree with each other, and the compatible server runs with them."""

import pathlib
import re

import numpy as np
import pytest
import tensorflow as tf
import yaml
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

import tfgen_serving
from tfgen import warmup
from tfgen.export import export_saved_model
from tfgen.models import DCGAN, VAE
from tfgen_serving.client import Client, ServingError
from tfgen_serving.server import flags as server_flags
from tfgen_serving.server import main as server_main

FILES = pathlib.Path(tfgen_serving.__file__).parent / "files"
ROOT = FILES.parents[1]


@pytest.fixture(scope="module")
def models():
    config = model_server_config_pb2.ModelServerConfig()
    text_format.Parse((FILES / "models.config").read_text(), config)
    return config.model_config_list.config


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((FILES / "docker-compose.yaml").read_text())


@pytest.fixture(scope="module")
def manifests():
    found = {}
    for document in yaml.safe_load_all((FILES / "kubernetes.yaml").read_text()):
        found[document["kind"]] = document
    return found


@pytest.fixture(scope="module")
def commands(compose, manifests):
    container = manifests["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    services = compose["services"]
    return {"kubernetes": container["args"], **{name: service["command"] for name, service in services.items()}}


def parse(name, message):
    return text_format.Parse((FILES / name).read_text(), message)


def test_models(models):
    assert [m.name for m in models] == ["vae", "dcgan"]
    for model in models:
        assert model.base_path == f"/models/{model.name}" and model.model_platform == "tensorflow"
        assert model.model_version_policy.latest.num_versions == 2
        assert dict(model.version_labels) == {"stable": 1, "canary": 2}


def test_batching_agrees_with_the_warm_up():
    batching = parse("batching.config", server_flags.BatchingParameters())
    assert tuple(batching.allowed_batch_sizes) == warmup.BATCH_SIZES
    assert batching.max_batch_size.value == max(warmup.BATCH_SIZES)
    # Fields that every release of TensorFlow Serving 2 knows: an unknown one ends the server at its start.
    known = {"max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads", "allowed_batch_sizes"}
    assert {field.name for field, _ in batching.ListFields()} == known


def test_monitoring(manifests):
    page = parse("monitoring.config", server_flags.MonitoringConfig()).prometheus_config
    assert page.enable
    annotations = manifests["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert page.path == annotations["prometheus.io/path"] == server_flags.PROMETHEUS_PATH
    assert annotations["prometheus.io/port"] == "8501"


def test_every_command_is_one_that_the_server_knows(commands):
    assert len({tuple(command) for command in commands.values()}) == 1, "one server, wherever it runs"
    for command in commands.values():
        parsed = server_flags.parse(command)
        assert parsed.model_config_file == "/config/models.config" and parsed.enable_batching
        own = {action.option_strings[0] for action in server_flags.parser()._actions if "(own)" in (action.help or "")}
        assert not own & {word.split("=")[0] for word in command}, "the real server does not know these"


def test_compose(compose, models):
    for name, service in compose["services"].items():
        assert service["image"] == "tensorflow/serving:2.16.1" + ("-gpu" if name.endswith("-gpu") else "")
        assert service["ports"] == ["127.0.0.1:8500:8500", "127.0.0.1:8501:8501"]
        mounts = [volume.rsplit(":", 2) for volume in service["volumes"]]
        assert {mode for *_, mode in mounts} == {"ro"}
        targets = {target: source for source, target, _ in mounts}
        assert {"/models", *re.findall(r"/config/\S+", " ".join(service["command"]))} == set(targets)
        assert all((FILES / source).exists() for target, source in targets.items() if target != "/models")
    devices = compose["services"]["serving-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert devices[0]["capabilities"] == ["gpu"]


def test_kubernetes(manifests, models):
    assert set(manifests) == {"Deployment", "Service", "PodDisruptionBudget"}
    pod = manifests["Deployment"]["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    labels = pod["metadata"]["labels"]
    for kind in ("Deployment", "PodDisruptionBudget"):
        assert manifests[kind]["spec"]["selector"]["matchLabels"] == labels
    assert manifests["Service"]["spec"]["selector"] == labels
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"grpc": 8500, "rest": 8501}
    assert {port["targetPort"]: port["port"] for port in manifests["Service"]["spec"]["ports"]} == ports
    assert container["readinessProbe"]["httpGet"]["path"] == f"/v1/models/{models[0].name}"
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts["models"] == "/models" and mounts["config"] == "/config"
    assert set(mounts) == {volume["name"] for volume in pod["spec"]["volumes"]}
    assert pod["spec"]["securityContext"]["runAsNonRoot"]


def test_kustomization(manifests):
    content = yaml.safe_load((FILES / "kustomization.yaml").read_text())
    (generator,) = content["configMapGenerator"]
    volumes = {v["name"]: v for v in manifests["Deployment"]["spec"]["template"]["spec"]["volumes"]}
    assert generator["name"] == volumes["config"]["configMap"]["name"]
    assert sorted(generator["files"]) == sorted(p.name for p in FILES.glob("*.config"))
    assert all((FILES / name).exists() for name in content["resources"])


def test_the_page_names_what_is_there():
    page = (ROOT / "docs" / "serving.md").read_text()
    for name in (p.name for p in FILES.iterdir() if p.suffix in (".config", ".yaml")):
        assert name in page
    for path in re.findall(r"\b(?:serving/files|serving|tfgen|docs)/[\w./-]+\.(?:py|md|config|yaml)\b", page):
        assert (ROOT / path).exists(), path
    assert "was not run during development" in " ".join(page.split())


@pytest.mark.long
def test_the_compatible_server_runs_with_them(commands, tmp_path):
    makers = {
        "vae": lambda: VAE(image_shape=(8, 8, 1), latent_dim=2, hidden=(8,)),
        "dcgan": lambda: DCGAN(image_shape=(8, 8, 1), latent_dim=3, width=4, stages=1),
    }
    (tmp_path / "config").mkdir()
    for file in FILES.glob("*.config"):
        (tmp_path / "config" / file.name).write_text(file.read_text().replace('"/models/', f'"{tmp_path}/models/'))
    for name, make in makers.items():
        model = make()
        model.compile()
        export_saved_model(model, tmp_path / "models" / name)
        export_saved_model(make(), tmp_path / "models" / name)  # other weights
    command = [word.replace("=/config/", f"={tmp_path}/config/") for word in commands["kubernetes"]]
    with server_main.start([*command, "--port=0", "--rest_api_port=0"]) as server:
        for target in (f"127.0.0.1:{server.grpc_port}", f"http://127.0.0.1:{server.rest_port}"):
            for name in makers:
                images = {}
                for version, label in ((1, "stable"), (2, "canary")):
                    with Client(target, name, label=label) as client:
                        assert client.wait_until_ready(60.0) == version
                        images[label] = client.sample(np.arange(40))
                    path = tmp_path / "models" / name / str(version)
                    expected = tf.saved_model.load(str(path)).signatures["sample"](seeds=tf.range(40, dtype=tf.int64))[
                        "image"
                    ]
                    np.testing.assert_allclose(images[label], expected, atol=1e-6)
                assert np.any(images["stable"] != images["canary"])
                with Client(target, name) as client:
                    np.testing.assert_allclose(client.sample([3]), images["canary"][3:4], atol=1e-6)
                with Client(target, name, batch_size=33) as client, pytest.raises(ServingError):
                    client.sample(np.arange(33))
