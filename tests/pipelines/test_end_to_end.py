"""The whole pipeline on few images and few steps. One module-scoped workspace, many assertions: TFX is slow to start."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tfgen import onednn
from tfgen_pipelines import local

PRESET, SLUG = "vae/digits", "vae-digits"
GENEROUS = {PRESET: {"frechet_classifier_distance": {"upper": 1e9}, "negative_log_likelihood": {"max_worsening": 0.5}}}
IMPOSSIBLE = {PRESET: {"frechet_classifier_distance": {"upper": -1.0}}}


def write_folder(root):
    """400 digits as root/{train,test}/<class>/<n>.png."""
    for split, n in (("train", 300), ("test", 100)):
        source = tfgen.data.load("digits", split)
        images, labels = np.round(source.images(n) * 255.0).astype(np.uint8), source.labels(n)
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            folder = root / split / str(label)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{i:03d}.png").write_bytes(tf.io.encode_png(image).numpy())


class Workspace:
    def __init__(self, root):
        self.path, self.images, self.log = root / "work", root / "images", root / "shown.txt"
        write_folder(self.images)

    def run(self, **kwargs):
        arguments = {"steps": 60, "thresholds": GENEROUS, "presets": (PRESET,), "data_options": {"size": (8, 8)}, **kwargs}
        with open(self.log, "w") as out:
            result = local.run(workspace=self.path, data=f"folder:{self.images}", out=out, **arguments)
        result["shown"] = self.log.read_text()
        return result

    def versions(self):
        folder = self.path / "pushed" / SLUG
        return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return Workspace(tmp_path_factory.mktemp("pipeline"))


@pytest.fixture(scope="module")
def temporary(tmp_path_factory):
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
def first(workspace, temporary):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tempfile, "tempdir", str(temporary))
        return workspace.run()


def states(outcome):
    return {n: c["state"] for n, c in outcome["components"].items() if not n.startswith("LastBlessed.")}


def test_every_component_ran(first):
    names = ["ImageExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "Transform", "ClassifierTrainer",
             *(f"{n}.{SLUG}" for n in ("Trainer", "GenerativeEvaluator", "Judge", "InfraValidator", "Pusher"))]  # fmt: skip
    assert states(first) == dict.fromkeys(names, "complete")
    assert first["anomalies"] == []
    assert all(c["seconds"] >= 0.0 for c in first["components"].values())


def test_tfx_does_not_pack_itself_into_the_temporary_folder(first, temporary):
    assert list(temporary.iterdir()) and not list(temporary.glob("*/build/tfx"))


def test_a_blessed_model_is_pushed_and_serves_without_tfgen(first, workspace):
    model = first["models"][PRESET]
    assert model["blessed"] and first["exit_code"] == local.EXIT_OK
    assert workspace.versions() == [pathlib.Path(model["pushed"]).name]
    loaded = tf.saved_model.load(model["pushed"])
    png = loaded.signatures["serving_default"](seeds=tf.constant([1, 2], tf.int64))["image_bytes"]
    assert tf.io.decode_png(png[0]).shape == (8, 8, 1)
    for key in ("samples", "metrics"):
        assert os.path.exists(model[key])


def test_protocols_and_anchors_are_stored(first):
    content = first["models"][PRESET]["content"]
    assert content["protocols"]["samples"]["n_fake"] == 100
    assert content["protocols"]["samples"]["features_hash"] == content["classifier"]["weights_hash"]
    distance = content["metrics"]["frechet_classifier_distance"]
    assert distance["real"] < distance["untrained"]
    assert content["metrics"]["negative_log_likelihood"]["value"] > 0.0
    assert content["data"].startswith("folder:")


def test_progress_and_report(first, workspace):
    shown = first["shown"]
    for text in (
        f"Trainer.{SLUG} ...",
        "done",
        "vae/digits: BLESSED",
        first["report"],
        str(workspace.path / "pipeline.log"),
    ):
        assert text in shown
    page = pathlib.Path(first["report"]).read_text()
    for text in ("Samples", "Real images", "Reconstructions", "Nearest training images", "<svg", "Wall time",
                 "tensorflow", "Samples during training", " parameters", "Command line",
                 "tfgen serve --model_name=vae-digits"):  # fmt: skip
        assert text in page
    assert (workspace.path / "pipeline.log").stat().st_size > 1000


def test_history_reaches_the_report(first):
    history = first["models"][PRESET]["history"]
    assert history and history[-1]["step"] == 60 and np.isfinite(history[-1]["loss"])


@pytest.fixture(scope="module")
def second(first, workspace):
    return workspace.run()


def test_a_second_run_does_nothing(second, first, workspace):
    assert set(states(second).values()) == {"cached"}
    made = {name: component["made_in"] for name, component in second["components"].items()}
    assert made["Transform"] == first["components"]["Transform"]["seconds"] > 0.1
    assert second["models"][PRESET]["pushed"] == first["models"][PRESET]["pushed"]
    assert len(workspace.versions()) == 1 and "by an earlier run" in second["shown"]


@pytest.mark.long
def test_judging_anew_measures_nothing_and_what_is_unjudged_is_not_pushed(second, workspace):
    outcome = workspace.run(thresholds={PRESET: {}})
    ran = {node for node, state in states(outcome).items() if state == "complete"}
    assert ran == {f"Judge.{SLUG}", f"Pusher.{SLUG}"}
    assert outcome["models"][PRESET]["outcome"] == "UNJUDGED" and outcome["exit_code"] == local.EXIT_NOT_BLESSED
    assert len(workspace.versions()) == 1 and "vae/digits: UNJUDGED" in outcome["shown"]
    assert "no threshold applies" in outcome["shown"] and "with --push_unjudged" in outcome["shown"]


@pytest.fixture(scope="module")
def refused(second, workspace):
    return workspace.run(thresholds=IMPOSSIBLE, steps=80)


@pytest.mark.long
def test_not_blessed_stops_the_pusher(refused, workspace):
    ran = {name for name, state in states(refused).items() if state == "complete"}
    # and nothing else
    assert ran == {f"{name}.{SLUG}" for name in ("Trainer", "GenerativeEvaluator", "Judge", "InfraValidator", "Pusher")}
    model = refused["models"][PRESET]
    assert not model["blessed"] and model["pushed"] is None and refused["exit_code"] == local.EXIT_NOT_BLESSED
    assert len(workspace.versions()) == 1
    blessing = pathlib.Path(refused["components"][f"Judge.{SLUG}"]["outputs"]["blessing"][0]["uri"])
    assert {p.name for p in blessing.iterdir()} == {"NOT_BLESSED", "verdict.json"}
    assert "NOT BLESSED" in refused["shown"] and "at most -1" in refused["shown"]


@pytest.mark.long
def test_a_new_model_is_compared_with_the_last_blessed_one(refused, first, workspace):
    outcome = workspace.run(steps=160)
    content = outcome["models"][PRESET]["content"]
    old = first["models"][PRESET]["content"]["metrics"]["negative_log_likelihood"]["value"]
    # Not the model that was refused, though that is newer; measured anew, to the same number.
    assert content["metrics"]["negative_log_likelihood"]["baseline"] == pytest.approx(old, rel=1e-5)
    assert content["metrics"]["negative_log_likelihood"]["value"] < old
    assert outcome["models"][PRESET]["blessed"] and len(workspace.versions()) == 2
    blessing = outcome["components"][f"Judge.{SLUG}"]["outputs"]["blessing"][0]["properties"]
    assert blessing["blessed"] == 1 and blessing["baseline_model_id"] != blessing["current_model_id"]


@pytest.mark.long
def test_a_model_that_makes_no_images_goes_the_same_way(first, workspace):
    """Trained, measured by accuracy, blessed by the default thresholds, served and asked for classes, pushed."""
    name, slug = "glimpse-classifier/digits", "glimpse-classifier-digits"
    outcome = workspace.run(presets=(name,), steps=200, thresholds=None)
    ran = {node for node, state in states(outcome).items() if state == "complete"}
    assert ran == {f"{node}.{slug}" for node in ("Trainer", "GenerativeEvaluator", "Judge", "InfraValidator", "Pusher")}
    model = outcome["models"][name]
    assert model["blessed"] and outcome["exit_code"] == local.EXIT_OK and model["samples"] is None
    accuracy = model["content"]["metrics"]["accuracy"]
    assert accuracy["value"] > 0.55 > accuracy["untrained"]
    assert {check["metric"] for check in model["content"]["verdict"]["checks"]} == {"error_over_chance", "accuracy"}
    signatures = tf.saved_model.load(model["pushed"]).signatures
    test = tfgen.data.load("digits", "test").take(100)
    said = tf.argmax(signatures["classify"](image=tf.constant(test.images()))["probability"], axis=1)
    assert np.mean(said.numpy() == test.labels()) == pytest.approx(accuracy["value"])
    assert f"{name}: BLESSED" in outcome["shown"] and "samples" not in outcome["shown"].split(f"{name}: BLESSED")[1]


def test_an_unreadable_image_is_named_before_anything_starts(first, workspace, capfd):
    picture = sorted((workspace.images / "train" / "0").glob("*.png"))[0]
    before = picture.read_bytes()
    picture.write_bytes(b"this is no image")
    try:
        code = local.main(["--workspace", str(workspace.path), "--data", f"folder:{workspace.images}", "--preset", PRESET])
    finally:
        picture.write_bytes(before)
    assert code == local.EXIT_USAGE and picture.name in capfd.readouterr().err


def test_a_failed_component_is_named_with_its_cause(first, workspace, capfd):
    arguments = [
        "--workspace",
        str(workspace.path),
        "--data",
        f"folder:{workspace.images}",
        "--preset",
        PRESET,
        "--size",  # as in `Workspace.run`, so that the data come from the cache
        "8x8",
    ]
    code = local.main([*arguments, "--steps", "60", "--override", f"{PRESET}:learning_rate=1e30"])
    assert code == local.EXIT_FAILED
    said = capfd.readouterr().err
    assert f"Trainer.{SLUG} failed: TrainingDiverged" in said and "pipeline.log" in said
    assert len(workspace.versions()) <= 2


@pytest.mark.long
def test_what_is_unjudged_is_pushed_if_asked_for(first, workspace):
    (workspace.path / "pushed" / SLUG / "1").mkdir()  # as TFX's own Pusher leaves it
    outcome = workspace.run(thresholds={PRESET: {}}, push_unjudged=True)
    assert "1" not in workspace.versions() and "have no whole saved_model.pb" in outcome["shown"]
    model = outcome["models"][PRESET]
    assert model["outcome"] == "UNJUDGED" and not model["blessed"] and outcome["exit_code"] == local.EXIT_OK
    assert pathlib.Path(model["pushed"]).name in workspace.versions()
    assert "UNJUDGED" in pathlib.Path(outcome["report"]).read_text()


def store_state(execution):
    return type(execution).State.Name(execution.last_known_state)


@pytest.mark.long
def test_kill_in_mid_training_then_resume(tmp_path):
    """kill -9 while the trainer runs; imports TFRecords as they are (ImportExampleGen)."""
    records = tmp_path / "records"
    for split, n in (("train", 200), ("test", 100)):
        (records / split).mkdir(parents=True)
        tfgen.data.load("digits", split).take(n).write_tfrecords(str(records / split / "images.tfrecord"))
    workspace = tmp_path / "work"
    arguments = ["--workspace", str(workspace), "--import_base", str(records), "--train_split", "train/*",
                 "--eval_split", "test/*", "--preset", PRESET, "--steps", "3000",
                 "--thresholds", '{"vae/digits": {"negative_log_likelihood": {"upper": 1000}}}']  # fmt: skip
    child = subprocess.Popen(
        [sys.executable, "-m", "tfgen_pipelines.local", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        cwd=pathlib.Path(local.__file__).parents[1],
        env={**os.environ, onednn.VARIABLE: str(int(onednn.enabled()))},  # it goes on in this process, which cannot choose
    )  # fmt: skip
    deadline = time.monotonic() + 300.0
    try:
        while not (checkpoints := list(workspace.glob(f"runs/{SLUG}-*/checkpoints/*"))):
            assert child.poll() is None and time.monotonic() < deadline, "the pipeline ended before it was killed"
            time.sleep(0.05)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    (run,) = {path.parents[1] for path in checkpoints}
    marker = run / "survives"
    marker.write_text("")
    assert local.main(arguments) == local.EXIT_OK
    assert marker.exists() and list(workspace.glob(f"runs/{SLUG}-*")) == [run]
    from tfx.orchestration import metadata

    from tfgen_pipelines import runs

    store = runs.Store(metadata.sqlite_metadata_connection_config(str(workspace / "metadata.sqlite")))
    states = {store_state(e) for e in store._store.get_executions()}
    assert "RUNNING" not in states and "FAILED" in states, "the killed execution is closed"
    components = store.components(store.latest_run())
    assert components["ImportExampleGen"]["state"] == components["Transform"]["state"] == "cached"
    assert components[f"Trainer.{SLUG}"]["state"] == components[f"Pusher.{SLUG}"]["state"] == "complete"
    steps = [json.loads(line)["step"] for line in (run / "history.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps)) and steps[-1] == 3000
