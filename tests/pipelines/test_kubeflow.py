"""The pipeline compiles for Kubeflow without a cluster and without a network."""

import dataclasses
import json
import pathlib
import re

import pytest

from tfgen import onednn
from tfgen_pipelines import data as data_lib
from tfgen_pipelines import kubeflow


@pytest.fixture(scope="module")
def arguments():
    from tfgen_pipelines.pipeline import Branch

    return {
        "image": "registry.example/tfgen:1",
        "pipeline_name": "tfgen-digits",
        "pipeline_root": "/shared/root",
        "data": data_lib.resolve("digits"),
        "branches": [
            Branch("vae/digits", steps=100, thresholds={"recall": {"lower": 0.1}}),
            Branch("dcgan/digits"),
        ],
        "workdir": "/shared/runs",
        "push_base_directory": "/shared/pushed/",
    }


def test_ir(arguments, tmp_path):
    compiled = kubeflow.compile_pipeline(tmp_path / "ir" / "pipeline.json", **arguments)
    assert json.loads((tmp_path / "ir" / "pipeline.json").read_text()) == compiled
    spec = compiled["pipelineSpec"]
    assert spec["schemaVersion"].startswith("2.")
    tasks = spec["root"]["dag"]["tasks"]
    for node in ("ImageExampleGen", "Transform", "ClassifierTrainer"):
        assert node in tasks
    for slug in ("vae-digits", "dcgan-digits"):
        assert {f"{c}.{slug}" for c in ("Trainer", "GenerativeEvaluator", "Judge", "Pusher")} <= set(tasks)
        assert f"Judge.{slug}" in tasks[f"Pusher.{slug}"]["dependentTasks"]
        assert f"GenerativeEvaluator.{slug}" in tasks[f"Judge.{slug}"]["dependentTasks"]
    text = json.dumps(spec)
    assert "tfgen_trainers.run_fn.run_fn" in text and "tfgen_pipelines.preprocessing.preprocessing_fn" in text
    assert "/shared/pushed/dcgan-digits" in text
    images = {e["container"]["image"] for e in spec["deploymentSpec"]["executors"].values() if "container" in e}
    assert images == {"registry.example/tfgen:1"}


@pytest.mark.parametrize("folder", ["gs://bucket", "runs"])
@pytest.mark.parametrize("name", ["pipeline_root", "workdir", "push_to"])
def test_folders_that_stay_in_a_container_are_refused(name, folder, arguments, tmp_path, capsys):
    """A component would leave what it writes there in its container."""
    words = {"image": "x", "pipeline_root": "/a", "workdir": "/b", "push_to": "/c", "preset": "vae/digits", name: folder}
    with pytest.raises(SystemExit):
        kubeflow.main([word for key, value in words.items() for word in (f"--{key}", value)])
    wanted = f"{name} must be the absolute path of a folder that all containers see, "
    wanted += f"such as a mounted bucket; received {folder!r}"
    assert wanted in " ".join(capsys.readouterr().err.split())
    argument = "push_base_directory" if name == "push_to" else name
    with pytest.raises(ValueError, match=f"{argument} must be the absolute path"):
        kubeflow.compile_pipeline(tmp_path / "pipeline.json", **{**arguments, argument: folder})


@pytest.mark.parametrize("chosen", [None, "0", "1"])
def test_containers_have_the_kernels_that_suit_their_preset(chosen, arguments, tmp_path, monkeypatch):
    monkeypatch.delenv(onednn.VARIABLE, raising=False)
    if chosen is not None:
        monkeypatch.setenv(onednn.VARIABLE, chosen)
    compiled = kubeflow.compile_pipeline(tmp_path / "pipeline.json", **arguments)
    executors = compiled["pipelineSpec"]["deploymentSpec"]["executors"]
    containers = {name.removesuffix("_executor"): e["container"] for name, e in executors.items() if "container" in e}
    found = {name: [(v["name"], v["value"]) for v in container.get("env", [])] for name, container in containers.items()}
    assert {"Trainer.vae-digits", "GenerativeEvaluator.vae-digits", "Trainer.dcgan-digits", "ClassifierTrainer"} < set(found)
    for name, variables in found.items():
        value = chosen or (None if name.endswith(".vae-digits") else "1")
        assert variables == ([] if value is None else [(onednn.VARIABLE, value)]), name


@pytest.mark.parametrize("asked", [False, True])
def test_what_is_unjudged_is_pushed_only_if_asked_for_and_is_no_standard(asked, arguments, tmp_path):
    """From the compiled settings to the executor, with the blessing as Kubeflow's container hands it on."""
    from kfp.pipeline_spec import pipeline_spec_pb2
    from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_entrypoint_utils as container
    from tfx.types import standard_artifacts

    from tfgen_pipelines.components import pusher

    spec = kubeflow.compile_pipeline(tmp_path / "pipeline.json", **arguments, push_unjudged=asked)["pipelineSpec"]
    # The property by which Kubeflow finds the last blessed model.
    resolver = spec["deploymentSpec"]["executors"]["LastBlessed.vae-digits-model-blessing-resolver_executor"]
    assert "metadata.blessed" in json.dumps(resolver)
    settings = {
        name: value["runtimeValue"]["constantValue"]["stringValue"]
        for name, value in spec["root"]["dag"]["tasks"]["Pusher.vae-digits"]["inputs"]["parameters"].items()
    }
    model = standard_artifacts.Model()
    model.uri = str(tmp_path / "model")
    (tmp_path / "model/Format-Serving").mkdir(parents=True)
    (tmp_path / "model/Format-Serving/saved_model.pb").write_bytes(b"")

    for outcome, blessed, expected in (("UNJUDGED", 0, asked), ("NOT BLESSED", 0, False), ("BLESSED", 1, True)):
        blessing, pushed = standard_artifacts.ModelBlessing(), standard_artifacts.PushedModel()
        blessing.set_string_custom_property("outcome", outcome)
        blessing.set_int_custom_property("blessed", blessed)
        handed = container.to_runtime_artifact(blessing, {})
        handed.type.schema_title = "tfx.ModelBlessing"
        given = container.parse_raw_artifact_dict(
            {"model_blessing": pipeline_spec_pb2.ArtifactList(artifacts=[handed])}
        )
        pushed.uri = str(tmp_path / f"archive of {outcome}")
        settings["push_destination"] = json.dumps({"filesystem": {"base_directory": str(tmp_path / outcome)}})
        pusher.Executor().Do({**given, "model": [model]}, {"pushed_model": [pushed]}, settings)
        assert pushed.get_int_custom_property("pushed") == (tmp_path / outcome).exists() == expected, outcome


def test_without_labels_there_is_no_classifier(arguments, tmp_path):
    unlabelled = dataclasses.replace(arguments["data"], num_classes=None, class_names=None)
    compiled = kubeflow.compile_pipeline(tmp_path / "pipeline.json", **{**arguments, "data": unlabelled})
    tasks = compiled["pipelineSpec"]["root"]["dag"]["tasks"]
    assert "ClassifierTrainer" not in tasks and "GenerativeEvaluator.vae-digits" in tasks


def test_what_create_pipeline_refuses(arguments):
    from tfgen_pipelines.pipeline import Branch, create_pipeline

    rest = {k: arguments[k] for k in ("pipeline_name", "pipeline_root", "data", "workdir", "push_base_directory")}
    with pytest.raises(ValueError, match="at least one preset"):
        create_pipeline(branches=[], **rest)
    with pytest.raises(ValueError, match="Each preset can appear once"):
        create_pipeline(branches=[Branch("vae/digits"), Branch("vae/digits")], **rest)
    with pytest.raises(ValueError, match="Unknown rule"):
        create_pipeline(branches=[Branch("vae/digits", thresholds={"recall": {"least": 1}})], **rest)
    with pytest.raises(ValueError, match="num_samples must be 0"):
        create_pipeline(branches=[Branch("vae/digits")], num_samples=1, **rest)


# ---- what is run again


def inputs_of(compiled):
    """{task: its parameters}, from which, with its artifacts, Kubeflow computes the key of its cache."""
    tasks = compiled["pipelineSpec"]["root"]["dag"]["tasks"]
    assert all(task["cachingOptions"] == {"enableCache": True} for name, task in tasks.items() if "cachingOptions" in task)
    return {name: task.get("inputs", {}).get("parameters", {}) for name, task in tasks.items()}


def changed(one, other):
    return {name for name in one if one[name] != other[name]}


def test_what_changed_is_run_again(arguments, tmp_path, monkeypatch):
    """Changed pixels, and changed code of each part; all else that follows has other artifacts then."""
    from tfgen_pipelines import pipeline

    path, before = tmp_path / "pipeline.json", inputs_of(kubeflow.compile_pipeline(tmp_path / "a.json", **arguments))
    assert changed(before, inputs_of(kubeflow.compile_pipeline(path, **arguments))) == set()
    data = dataclasses.replace(arguments["data"], fingerprint="of other pixels")
    assert changed(before, inputs_of(kubeflow.compile_pipeline(path, **{**arguments, "data": data}))) == {"ImageExampleGen"}
    code = pipeline.code_hash
    for module, again in (
        ("tfgen_pipelines.data", {"ImageExampleGen"}),
        ("tfgen_pipelines.preprocessing", {"Transform"}),
        ("tfgen.features", {"ClassifierTrainer"}),
        ("tfgen_trainers", {"Trainer"}),
        ("tfgen_pipelines.combine", {"GenerativeEvaluator"}),
        ("tfgen_serving", {"InfraValidator"}),
        ("tfgen_pipelines.components.generative_evaluator", {"GenerativeEvaluator", "Judge"}),
    ):
        monkeypatch.setattr(pipeline, "code_hash", lambda *names, m=module: code(*names) + ("new" if m in names else ""))
        found = changed(before, inputs_of(kubeflow.compile_pipeline(path, **arguments)))
        assert {name.partition(".")[0] for name in found} == again, module


# ---- the command, and a run


def test_options_of_beam_are_those_of_the_containers(tmp_path):
    words = ["--image", "i", "--pipeline_root", "/r", "--workdir", "/w", "--push_to", "/p", "--preset", "vae/digits"]
    beam = ["--beam_arg=--direct_num_workers=2", "--beam_arg=--direct_running_mode=multi_processing"]
    assert kubeflow.main([*words, "--output", str(tmp_path / "pipeline.json"), *beam]) == 0
    spec = json.loads((tmp_path / "pipeline.json").read_text())["pipelineSpec"]
    expected = ["--direct_num_workers=2", "--direct_running_mode=multi_processing", "--sdk_container_image=none"]
    for name in ("ImageExampleGen", "StatisticsGen", "Transform", "GenerativeEvaluator.vae-digits"):
        found = spec["deploymentSpec"]["executors"][f"{name}_executor"]["container"]["args"]
        assert found[-3:] == expected, name
    with pytest.raises(SystemExit, match="2"):
        kubeflow.main([*words, "--output", str(tmp_path / "other.json"), "--beam_arg=direct_num_workers=2"])


def test_the_file_of_the_image_has_what_the_containers_need():
    root = pathlib.Path(kubeflow.__file__).resolve().parents[1]
    text = (root / "pipelines/Containerfile").read_text()
    copied = re.findall(r"^COPY (\S+) ", text, re.MULTILINE)
    assert copied == ["constraints/py310.txt", "."] and (root / copied[0]).exists()
    assert text.count("constraints/py310.txt") == 3 and "\nFROM python:3.10" in text and " TF_USE_LEGACY_KERAS=0 " in text


@pytest.mark.long
def test_the_tasks_run_as_containers_to_the_pushed_model(tmp_path):
    """Each in a process of its own, given what Kubeflow would give it."""
    import tensorflow as tf

    from tests.pipelines import ir
    from tfgen_pipelines.pipeline import Branch

    branch = Branch("vae/digits", steps=100, thresholds={"reconstruction_error": {"relative_to_untrained": 0.9}})
    compiled = kubeflow.compile_pipeline(
        tmp_path / "pipeline.json", image="none", pipeline_name="tfgen-digits", pipeline_root=str(tmp_path / "root"),
        data=data_lib.resolve("digits"), branches=[branch], workdir=str(tmp_path / "runs"),
        push_base_directory=str(tmp_path / "pushed"),
    )  # fmt: skip
    done = ir.run(compiled, tmp_path / "root")
    blessing, pushed = done["Judge.vae-digits"]["blessing"], done["Pusher.vae-digits"]["pushed_model"]
    assert blessing["metadata"]["outcome"] == "BLESSED" and pushed["metadata"]["pushed"] == 1, (blessing, pushed)
    (version,) = (tmp_path / "pushed/vae-digits").iterdir()
    model = tf.saved_model.load(str(version))
    images = model.signatures["sample"](seeds=tf.constant([1, 2], tf.int64))["image"]
    assert images.shape == (2, 8, 8, 1)
    (run,) = (tmp_path / "runs").iterdir()
    assert (run / "checkpoints/checkpoint").exists()
