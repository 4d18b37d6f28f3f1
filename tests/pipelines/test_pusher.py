"""The pusher: a model is pushed whole or not at all, and once; and what killed runs leave in ML Metadata."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest
from ml_metadata.proto import metadata_store_pb2
from tensorflow.core.protobuf import saved_model_pb2
from tfx.components.pusher import executor as tfx_executor
from tfx.orchestration import metadata
from tfx.types import standard_artifacts

from tfgen_pipelines import local_runner
from tfgen_pipelines.components import pusher

ROOT = pathlib.Path(pusher.__file__).parents[2]


def model_in(folder, content=b"weights"):
    """What the Trainer hands on, with the parts of a SavedModel that a push must not lose."""
    model = folder / "Format-Serving"
    for name in ("variables/variables.data-00000-of-00001", "assets.extra/tfgen.json"):
        (model / name).parent.mkdir(parents=True, exist_ok=True)
        (model / name).write_bytes(content)
    graph = saved_model_pb2.SavedModel(saved_model_schema_version=1)
    graph.meta_graphs.add().meta_info_def.tags.append("serve")
    (model / "saved_model.pb").write_bytes(graph.SerializeToString())
    return model


def files_of(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def push(tmp_path, model, base, blessed=True, outcome="BLESSED", infra=True, executor=pusher.Executor, **settings):
    """One execution of the component's executor; the pushed-model artifact."""
    artifacts = standard_artifacts.Model(), standard_artifacts.ModelBlessing(), standard_artifacts.PushedModel()
    given, blessing, pushed = artifacts
    given.uri, blessing.uri, pushed.uri = str(model.parent), str(tmp_path / "blessing"), str(tmp_path / "archive")
    (tmp_path / "blessing").mkdir(exist_ok=True)
    (tmp_path / "archive").mkdir(exist_ok=True)
    blessing.set_int_custom_property("blessed", int(blessed))
    blessing.set_string_custom_property("outcome", outcome)
    server = standard_artifacts.InfraBlessing()
    server.set_int_custom_property("blessed", int(infra))
    executor().Do(
        {"model": [given], "model_blessing": [blessing], "infra_blessing": [server]},
        {"pushed_model": [pushed]},
        {
            "push_destination": json.dumps({"filesystem": {"base_directory": str(base)}}),
            "custom_config": json.dumps(settings),
        },
    )
    return pushed


def test_a_model_is_pushed_once(tmp_path):
    model, base = model_in(tmp_path / "a"), tmp_path / "pushed"
    first = push(tmp_path, model, base)
    (version,) = base.iterdir()
    assert files_of(version) == files_of(model) and version.name.isdigit()
    assert first.get_string_custom_property("pushed_destination") == str(version)
    assert first.get_int_custom_property("pushed") == 1 and first.get_int_custom_property("already_pushed") == 0
    again = push(tmp_path, model, base)
    assert list(base.iterdir()) == [version], "the same model makes no second version"
    assert again.get_string_custom_property("pushed_version") == version.name
    assert again.get_int_custom_property("already_pushed") == 1
    push(tmp_path, model_in(tmp_path / "b", b"other"), base)
    newest = max(base.iterdir(), key=lambda p: int(p.name))
    assert len(list(base.iterdir())) == 2 and int(newest.name) > int(version.name)
    push(tmp_path, model, base)
    assert len(list(base.iterdir())) == 3, "a model that is not the newest is the newest again"


def test_what_is_not_blessed_is_not_pushed(tmp_path):
    pushed = push(tmp_path, model_in(tmp_path / "a"), tmp_path / "pushed", blessed=False)
    assert pushed.get_int_custom_property("pushed") == 0 and not (tmp_path / "pushed").exists()


def test_what_is_unjudged_is_pushed_if_asked_for_and_if_a_server_loads_it(tmp_path):
    model, base = model_in(tmp_path / "a"), tmp_path / "pushed"
    unjudged, asked = {"blessed": False, "outcome": "UNJUDGED"}, {"push_unjudged": True}
    refused = {"blessed": False, "outcome": "NOT BLESSED"}
    for given in (unjudged, {**unjudged, "push_unjudged": False}, {**unjudged, **asked, "infra": False}, refused | asked):
        assert push(tmp_path, model, base, **given).get_int_custom_property("pushed") == 0 and not base.exists()
    assert push(tmp_path, model, base, **unjudged, **asked).get_int_custom_property("pushed") == 1


def test_what_tfx_own_pusher_left_is_set_aside(tmp_path, monkeypatch):
    model, base = model_in(tmp_path / "a"), tmp_path / "pushed"
    version, _ = pusher.push(model, base)
    assert pusher.set_aside_incomplete(base) == ""

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    for call in ("copy_dir", "copy_file"):  # the latter copies saved_model.pb
        with monkeypatch.context() as patched, pytest.raises(OSError, match="No space left"):
            patched.setattr(f"tfx.utils.io_utils.{call}", full)
            patched.setattr("time.time", lambda: int(version.name) + 5.0)
            push(tmp_path, model, base, executor=tfx_executor.Executor)
    left = str(int(version.name) + 5)
    assert (base / left).is_dir() and not (base / left / "saved_model.pb").exists()
    content = (model / "saved_model.pb").read_bytes()
    for name, written in (("1", content[:-1]), ("2", b"")):
        (base / name).mkdir()
        (base / name / "saved_model.pb").write_bytes(written)
    (base / "later").mkdir()  # no version
    before = files_of(base)
    pushed = push(tmp_path, model, base)
    warning = pushed.get_string_custom_property("warning")
    assert "have no whole saved_model.pb" in warning
    assert f": 1, 2, {left}. They were renamed" in warning and f".incomplete-{left}-" in warning
    assert {path.name for path in base.iterdir() if not path.name.startswith(".incomplete-")} == {version.name, "later"}
    assert pushed.get_int_custom_property("already_pushed") == 1, "the newest complete version is the model's"
    assert sorted(files_of(base).values()) == sorted(before.values()), "nothing is deleted"
    assert push(tmp_path, model, base).get_string_custom_property("warning") == ""


@pytest.mark.parametrize("call", ["copy_dir", "to_disk"])
def test_a_push_that_fails_has_pushed_nothing(call, tmp_path, monkeypatch):
    model, base = model_in(tmp_path / "a"), tmp_path / "pushed"

    def full(path, *rest):
        if call == "to_disk" or base in pathlib.Path(rest[0]).parents:
            raise OSError(28, "No space left on device")
        return copy(path, *rest)

    copy = pusher.io_utils.copy_dir
    with monkeypatch.context() as patched:
        patched.setattr("tfgen.files.to_disk" if call == "to_disk" else "tfx.utils.io_utils.copy_dir", full)
        with pytest.raises(OSError, match=f"Nothing was pushed to {base}.*No space left"):
            push(tmp_path, model, base)
    assert list(base.iterdir()) == []
    push(tmp_path, model, base)
    assert [files_of(version) for version in base.iterdir()] == [files_of(model)]


KILLED = """
import os, pathlib, signal, sys
from tfgen_pipelines.components import pusher
copy = pusher.io_utils.copy_dir
def killed(source, target):
    copy(source, target)
    os.kill(os.getpid(), signal.SIGKILL)
pusher.io_utils.copy_dir = killed
pusher.push(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
"""


def test_a_killed_push_is_invisible_and_removed_by_the_next(tmp_path):
    model, base = model_in(tmp_path / "a"), tmp_path / "pushed"
    command = [sys.executable, "-c", KILLED, str(model), str(base)]
    run = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True)
    assert run.returncode == -signal.SIGKILL, run.stderr[-1000:]
    (left,) = base.iterdir()
    assert left.name.startswith(".") and files_of(left) == files_of(model)
    push(tmp_path, model, base)
    assert [path.name.isdigit() for path in base.iterdir()] == [True]


def test_unfinished_executions_are_closed_and_their_outputs_removed(tmp_path):
    states = metadata_store_pb2.Execution.State
    root = tmp_path / "artifacts"
    connection = metadata.Metadata(metadata.sqlite_metadata_connection_config(str(tmp_path / "metadata.sqlite")))
    with connection as handle:
        kind = handle.store.put_execution_type(metadata_store_pb2.ExecutionType(name="Trainer"))
        made = [states.RUNNING, states.COMPLETE, states.CACHED, states.FAILED, states.NEW]
        ids = handle.store.put_executions(
            [metadata_store_pb2.Execution(type_id=kind, last_known_state=state) for state in made]
        )
    for number in ids:
        (root / f"Trainer/model/{number}").mkdir(parents=True)
        (root / f"Trainer/.system/executor_execution/{number}").mkdir(parents=True)
    (root / "Trainer/.system/stateful_working_dir/0123").mkdir(parents=True)
    local_runner.close_unfinished(connection, root)
    with connection as handle:
        found = [e.last_known_state for e in sorted(handle.store.get_executions(), key=lambda e: e.id)]
    assert found == [states.FAILED, states.COMPLETE, states.CACHED, states.FAILED, states.FAILED]
    for folder in ("model", ".system/executor_execution"):
        assert sorted(int(p.name) for p in (root / "Trainer" / folder).iterdir()) == ids[1:4]
    assert not list((root / "Trainer/.system/stateful_working_dir").iterdir())
