"""The component that judges, on evaluations written by hand, and the cache keys of a compiled pipeline: nothing is run."""

import json
import pathlib

import pytest
from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import LatestBlessedModelStrategy
from tfx.types import standard_artifacts

from tfgen_pipelines import data as data_lib
from tfgen_pipelines.components.generative_evaluator import judge
from tfgen_pipelines.components.previous_blessed_model import PreviousBlessedModelStrategy
from tfgen_pipelines.pipeline import Branch, create_pipeline

CONTENT = {
    "capabilities": ["classifier"], "inapplicable": [], "counts": {"training": 500, "evaluation": 200, "generated": None},
    "classifier": None, "baseline": {"note": "there is none"}, "notes": ["a note"],
    "metrics": {"error_over_chance": {"value": 0.2, "real": None, "untrained": 1.1, "trivial": None, "baseline": None},
                "accuracy": {"value": 0.9, "real": None, "untrained": 0.1, "trivial": None, "baseline": None}},
}  # fmt: skip


def artifact(cls, uri, number):
    found = cls()
    found.uri, found.id = str(uri), number
    return found


@pytest.fixture
def decide(tmp_path):
    """Runs the executor; -> (the blessing, the content of verdict.json, the names of the blessing's files)."""

    def decide(content, thresholds=None, **inputs):
        evaluation = artifact(standard_artifacts.ModelEvaluation, tmp_path / "evaluation", 1)
        pathlib.Path(evaluation.uri).mkdir(exist_ok=True)
        (tmp_path / "evaluation" / "metrics.json").write_text(json.dumps(content))
        blessing = artifact(standard_artifacts.ModelBlessing, tmp_path / f"blessing-{len(list(tmp_path.iterdir()))}", 2)
        inputs = {"evaluation": [evaluation], "model": [artifact(standard_artifacts.Model, "model", 7)], **inputs}
        properties = {"thresholds": json.dumps(thresholds), "code": ""}
        judge.Executor().Do(inputs, {"blessing": [blessing]}, properties)
        folder = pathlib.Path(blessing.uri)
        return blessing, json.loads((folder / "verdict.json").read_text()), {path.name for path in folder.iterdir()}

    return decide


def test_blessed_and_not_blessed_by_the_default_thresholds_and_by_others(decide):
    blessing, found, files = decide(CONTENT)
    assert found["outcome"] == "BLESSED" and found["by_default"] and found["reasons"] == []
    assert found["warnings"] == ["a note"] and files == {"BLESSED", "verdict.json"}
    assert blessing.get_int_custom_property("blessed") == 1 and blessing.get_int_custom_property("current_model_id") == 7
    blessing, found, files = decide(CONTENT, {"accuracy": {"lower": 0.95}})
    assert found["outcome"] == "NOT BLESSED" and files == {"NOT_BLESSED", "verdict.json"}
    assert found["reasons"] == ["accuracy 0.9, at least 0.95"] and blessing.get_int_custom_property("blessed") == 0


def test_unjudged_is_not_blessed(decide):
    few = {**CONTENT, "counts": {**CONTENT["counts"], "evaluation": 99}}
    nothing = {**CONTENT, "metrics": {}, "inapplicable": ["classifier"]}
    for content, thresholds in ((few, None), (CONTENT, {}), (nothing, None)):
        blessing, found, files = decide(content, thresholds)
        assert found["outcome"] == "UNJUDGED" and not found["blessed"] and found["reasons"]
        assert blessing.get_string_custom_property("outcome") == "UNJUDGED"
        assert blessing.get_int_custom_property("blessed") == 0 and "BLESSED" not in files


@pytest.mark.parametrize("strategy", [PreviousBlessedModelStrategy, LatestBlessedModelStrategy])
def test_the_last_blessed_model_is_one_that_was_judged(strategy, decide):
    """Also on Kubeflow, whose strategy is TFX's own."""
    models = [artifact(standard_artifacts.Model, "m", number) for number in (1, 2, 3)]
    blessings = [decide(CONTENT, thresholds, model=[model])[0] for model, thresholds in ((models[0], None), (models[1], {}))]
    for number, model in enumerate(models):
        model.mlmd_artifact.create_time_since_epoch = number
    given = {"model": models, "model_blessing": blessings}
    if strategy is PreviousBlessedModelStrategy:
        given["current"] = [models[2]]
    (found,) = strategy().resolve_artifacts(None, given)["model"]
    assert found.id == 1


@pytest.fixture(scope="module")
def keys():
    """Compiles the pipeline; -> {component id: its execution properties}."""
    data = data_lib.resolve("digits")

    def keys(metrics=(), push_unjudged=False, **branch):
        pipeline = create_pipeline(
            pipeline_name="p", pipeline_root="root", data=data, branches=[Branch("vae/digits", **branch)], workdir="runs",
            push_base_directory="pushed", metrics=metrics, push_unjudged=push_unjudged,
        )  # fmt: skip
        return {component.id: dict(component.exec_properties) for component in pipeline.components}

    return keys


def changed(before, after):
    return {name.split(".")[0] for name in before if before[name] != after[name]}


def test_what_runs_again_is_what_a_setting_is_for(keys, monkeypatch):
    before = keys()
    assert keys() == before
    assert changed(before, keys(thresholds={"accuracy": {"lower": 0.1}})) == {"Judge"}, "nothing is measured anew"
    assert changed(before, keys(push_unjudged=True)) == {"Pusher"}, "nothing is judged anew"
    assert changed(before, keys(metrics=("k_means",))) == {"GenerativeEvaluator"}
    assert changed(before, keys(overrides={"latent_dim": 4})) == {"Trainer"}
    # The preset itself, which no setting names.
    import tfgen
    from tfgen_pipelines import pipeline

    preset = tfgen.presets.get("vae/digits").override({"batch_size": 50})
    monkeypatch.setattr(tfgen.presets, "all_presets", lambda: {"vae/digits": preset})
    assert changed(before, keys()) == {"Trainer"}
    monkeypatch.undo()
    monkeypatch.setattr(pipeline, "own_hash", lambda preset, module: "of a model of the user's own")
    assert changed(before, keys()) == {"Trainer"}
    monkeypatch.undo()
    monkeypatch.setattr(pipeline, "code_hash", lambda *modules: f"other code of {modules[0]}")
    assert changed(before, keys()) == {
        "ImageExampleGen", "Transform", "ClassifierTrainer", "Trainer", "GenerativeEvaluator", "Judge", "InfraValidator",
    }  # fmt: skip
