"""Which records are fresh: by the code that trained, or by first steps that today's code gives again."""

import json

import pytest

import tfgen
from benchmarks.record import report, training_of
from benchmarks.reproduce import __main__ as command
from benchmarks.reproduce import status
from tfgen_trainers.train import TrainConfig, train


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    """The record of a short run, as a text."""
    folder = tmp_path_factory.mktemp("record")
    config = TrainConfig("vae/digits", {"hidden": (8,), "latent_dim": 2}, steps=20)
    train(config, tfgen.data.load("digits"), folder / "run", report=None)
    trainings = {"seed_0": training_of(folder / "run", spec="digits", split="train")}
    about = {"seed": 0, "seconds": 1.0, "protocol": "p", "results": {"a": 1.0}, "gates": {"a": (">=", 2.0)}}
    report(folder / "run.json", "benchmarks.reproduce.vae_digits", trainings=trainings, **about)
    return (folder / "run.json").read_text()


def changed(record, **values):
    """The record, as a dict, whose training has other values."""
    found = json.loads(record)
    found["trainings"]["seed_0"] |= values
    return found


def by(record, **values):
    return changed(record, trained_by=[json.loads(record)["trainings"]["seed_0"]["trained_by"][0] | values])


def test_fresh_by_the_code_that_trained(record):
    assert status.freshness("run", json.loads(record)) == (True, "same code")
    preset = json.loads(record)["trainings"]["seed_0"]["preset"]
    for other, why in (
        (by(record, code="0" * 16), "its first steps are not checked"),
        (by(record, code=None), "does not say which code trained"),
        (changed(record, trained_by=[]), "does not say which code trained"),
        (changed(record, preset={**preset, "batch_size": 7}), "the preset has changed"),
    ):
        fresh, said = status.freshness("run", other)
        assert fresh is False and why in said
    assert status.freshness("run", changed(record, preset={**preset, "source": "another text"}))[0]
    old = json.loads(record)
    del old["measured_by"]
    assert status.freshness("vae_digits", old)[0] is False


def test_fresh_by_the_first_steps(record, tmp_path, capsys, monkeypatch):
    path = tmp_path / "run.json"
    path.write_text(json.dumps(by(record, code="0" * 16)))
    assert status.check(path)
    assert status.freshness("run", json.loads(path.read_text())) == (True, "the first 20 steps are the same")
    assert "run seed_0: the first 20 steps are the same" in capsys.readouterr().out

    other = by(record, code="0" * 16)
    path.write_text(json.dumps(other))
    differing = other["trainings"]["seed_0"]["first_steps"] | {"weights": "0" * 64}
    monkeypatch.setattr(status, "first_steps", lambda config, source: differing)
    assert not status.check(path)
    assert status.freshness("run", json.loads(path.read_text())) == (False, "the first steps differ")
    other["checked"] = {"seed_0": {"code": "1" * 16, "reproduced": True, "found": ""}}
    assert status.freshness("run", other)[0] is False, "what other code reproduced"


def test_what_cannot_be_checked(record, tmp_path, capsys, monkeypatch):
    path = tmp_path / "run.json"
    data = json.loads(record)["trainings"]["seed_0"]["data"]
    part = json.loads(record)["trainings"]["seed_0"]["trained_by"][0]
    other = {**part, "machine": {**part["machine"], "onednn": not part["machine"]["onednn"]}}
    monkeypatch.setattr(status, "first_steps", lambda config, source: {})
    for values, why, judged in (
        ({"load": None}, "cannot be repeated", False), ({"first_steps": None}, "cannot be repeated", False),
        ({"trained_by": [other]}, "with other kernels", False),
        ({"data": {**data, "fingerprint": "0"}}, "images are others", True), ({}, "the first steps differ", True),
    ):  # fmt: skip
        path.write_text(json.dumps(changed(record, **values)))
        assert not status.check(path)
        assert why in capsys.readouterr().out
        assert bool(json.loads(path.read_text())["checked"]) is judged
    path.write_text(json.dumps({"results": {}}))
    with pytest.raises(ValueError, match="is no record of trainings with first steps"):
        status.check(path)


def test_against_an_earlier_commit_on_another_kind_of_machine(record, tmp_path, capsys, monkeypatch):
    path, training = tmp_path / "run.json", json.loads(record)["trainings"]["seed_0"]
    part, steps = training["trained_by"][0], training["first_steps"]
    values = {"trained_by": [{**part, "code": "0" * 16, "machine": {**part["machine"], "cpu": "another"}}],
              "first_steps": {**steps, "weights": "0" * 64}}  # fmt: skip
    monkeypatch.setattr(status, "first_steps", lambda config, source: steps)
    for code, earlier, checked, fresh, why in (
        ("0" * 16, steps, {}, True, "those of the code of abc, by which the record was fresh"),
        ("0" * 16, {**steps, "weights": "1" * 64}, {}, False, "differ from those of the code of abc"),
        ("2" * 16, steps, {}, None, "not known to be fresh by the code of abc"),
        ("2" * 16, steps, {"seed_0": {"code": "2" * 16, "reproduced": True, "found": ""}}, True, "those of the code of"),
        ("2" * 16, steps, {"seed_0": {"code": "2" * 16, "reproduced": False, "found": ""}}, None, "not known to be fresh"),
    ):
        path.write_text(json.dumps({**changed(record, **values), "checked": checked}))
        monkeypatch.setattr(status, "_by_code_of", lambda *_: {"code": code, "steps": earlier})  # noqa: B023
        assert status.check(path, against="abc") is bool(fresh)
        assert why in capsys.readouterr().out
        assert (status.freshness("run", json.loads(path.read_text()))[0]) is bool(fresh)


@pytest.mark.long
def test_the_code_of_a_commit_trains_in_a_process_of_its_own(record):
    training = json.loads(record)["trainings"]["seed_0"]
    found = status._by_code_of("HEAD", training, None)
    # Tests may have other threads and kernels than a process of its own, so not the same bits.
    (found,), (before,) = (steps["losses"] for steps in (found["steps"], training["first_steps"]))
    assert found == pytest.approx(before, rel=1e-4)


def test_the_table_shows_state_kernels_and_gates(record):
    (line,) = status.table({"run": json.loads(record)}).splitlines()[2:]
    assert line.startswith("| `run` | fresh: same code | ") and "a 1 (>= 2.0: **missed**)" in line
    assert line.split(" | ")[3] in ("on", "off")


def test_a_run_that_is_continued_keeps_its_kernels(tmp_path):
    assert command._kernels_of("run", ["--workdir", str(tmp_path)]) == {"TF_ENABLE_ONEDNN_OPTS": "1"}  # a new run
    for name, text in (("run-0", "{}"), ("run-1", '{"onednn": false}'), ("other-0", '{"onednn": true}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(text)
    assert command._kernels_of("run", ["--seed", "1", "--workdir", str(tmp_path)]) == {"TF_ENABLE_ONEDNN_OPTS": "0"}
    assert command._kernels_of("other", [f"--workdir={tmp_path}"]) == {"TF_ENABLE_ONEDNN_OPTS": "1"}
