"""A run folder says which code trained it, and what its first steps gave."""

import shutil
import subprocess

import pytest

import tfgen
from tfgen_trainers import origin
from tfgen_trainers.first_steps import FIRST_STEPS, weights_checksum
from tfgen_trainers.train import TrainConfig, first_steps, train


@pytest.fixture(scope="module")
def source():
    return tfgen.data.load("digits")


def config(preset="vae/digits", **settings):
    overrides = {"hidden": (8,), "latent_dim": 2, "batch_size": 50} | settings.pop("overrides", {})
    return TrainConfig(preset, overrides, **{"steps": 40, "log_every": 40, "checkpoint_every": 20, **settings})


@pytest.fixture(scope="module")
def workdir(source, tmp_path_factory):
    """The folder of a run of 40 steps."""
    return train(config(), source, tmp_path_factory.mktemp("run"), report=None).workdir


def test_a_run_folder_has_its_origin_and_the_first_steps_can_be_repeated(source, workdir):
    found = origin.read(workdir)
    (part,) = found["trained_by"]
    assert part["from_step"] == 0 and part["steps"] == 40 and part["commit"] == origin.commit()
    assert part["code"] == origin.modules_hash(**part["modules"])
    assert {"tfgen.models.autoencoders.vae", "tfgen.data.source"} <= set(part["modules"]["followed"])
    first = found["first_steps"]
    assert first["steps"] == FIRST_STEPS and [line["step"] for line in first["losses"]] == [FIRST_STEPS]
    assert first["losses"][0]["loss"] > 0

    assert first_steps(config(), source) == first
    other = first_steps(config(overrides={"learning_rate": 1.001e-3}), source)
    assert other["weights"] != first["weights"] and other["losses"] != first["losses"]


@pytest.mark.long
def test_the_first_steps_are_those_of_shorter_epochs_and_of_short_runs(source, tmp_path):
    train(config(steps=21, log_every=7), source, tmp_path, report=None)
    first = origin.read(tmp_path)["first_steps"]
    assert [line["step"] for line in first["losses"]] == [7, 14, 20]
    assert first_steps(config(steps=21, log_every=7), source) == first
    whole = train(config(steps=5), source, tmp_path / "short", report=None)
    first = origin.read(tmp_path / "short")["first_steps"]
    assert first["steps"] == 5 and first["weights"] == weights_checksum(whole.model)


def test_a_resumed_run_keeps_its_origin_and_lists_other_code(source, workdir, tmp_path, monkeypatch):
    shutil.copytree(workdir, tmp_path, dirs_exist_ok=True)
    before, other = origin.read(tmp_path), {"hash": "1" * 40, "dirty": False}
    with monkeypatch.context() as patch:
        patch.setattr(origin, "commit", lambda: other)
        train(config(), source, tmp_path, report=None)
    assert origin.read(tmp_path) == before, "a finished run is not of the code that looks at it"
    train(config(steps=60), source, tmp_path, report=None)
    after = origin.read(tmp_path)
    assert [part["from_step"] for part in after["trained_by"]] == [0, 40], "other steps are another schedule"
    assert after["first_steps"] == before["first_steps"]
    monkeypatch.setattr(origin, "commit", lambda: other)
    train(config(steps=80), source, tmp_path, report=None)
    parts = origin.read(tmp_path)["trained_by"]
    assert [part["from_step"] for part in parts] == [0, 40, 60] and parts[-1]["commit"] == other


def test_parts_that_are_trained_again_are_dropped_and_old_runs_are_unknown(tmp_path):
    origin.begin(tmp_path, 0, {"code": "a"})
    origin.begin(tmp_path, 10, {"code": "b"})
    origin.begin(tmp_path, 20, {"code": "b"})
    origin.begin(tmp_path, 5, {"code": "c"})
    assert [(part["from_step"], part["code"]) for part in origin.read(tmp_path)["trained_by"]] == [(0, "a"), (5, "c")]
    origin.begin(tmp_path, 0, {"code": "d"})
    assert [(part["from_step"], part["code"]) for part in origin.read(tmp_path)["trained_by"]] == [(0, "d")]
    origin.begin(tmp_path / "old", 7, {"code": "e"})
    parts = origin.read(tmp_path / "old")["trained_by"]
    assert [(part["from_step"], part["code"]) for part in parts] == [(0, None), (7, "e")]


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A git repository that stands for that of tfgen."""
    git = lambda *words: subprocess.run(["git", "-C", tmp_path, *words], check=True, capture_output=True, text=True)  # noqa: E731
    for name in ("tfgen/model.py", "constraints/a.txt", "docs/page.md", "benchmarks/reproduce/a.json", "zoo/a/config.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    git("init", "-q")
    git("add", ".")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "a")
    monkeypatch.setattr(origin, "_ROOT", tmp_path.resolve())
    return tmp_path


def commit():
    return origin.commit.__wrapped__()


def test_dirty_counts_all_that_can_change_a_result(checkout, tmp_path, monkeypatch):
    clean = commit()
    assert len(clean["hash"]) == 40 and clean["dirty"] is False
    for name in ("docs/page.md", "benchmarks/reproduce/a.json", "zoo/a/config.json", "docs/images/new.png", "README.md"):
        (checkout / name).parent.mkdir(exist_ok=True)
        (checkout / name).write_text("2")
        assert commit() == clean, name
    for name in ("tfgen/model.py", "constraints/a.txt", "tfgen/new.py", "sitecustomize.py", "benchmarks/reproduce/new.py"):
        old = (checkout / name).read_bytes() if (checkout / name).exists() else None
        (checkout / name).write_text("2")
        assert commit()["dirty"] is True, name
        (checkout / name).unlink() if old is None else (checkout / name).write_bytes(old)
    assert commit() == clean
    monkeypatch.setattr(origin, "_ROOT", (checkout / "tfgen").resolve())
    assert commit() == {"hash": None, "dirty": None}, "the repository around an installation is not that of tfgen"


def test_machines_of_one_kind():
    one = {"cores": 2, "cpu": "a", "system": "Linux x86_64", "onednn": True}
    assert origin.same_kind(one, {**one, "cores": 4})
    with_vectors = [{**one, "vectors": vectors} for vectors in ("avx2", "avx512f")]
    assert not origin.same_kind(*with_vectors) and origin.same_kind(with_vectors[0], {**with_vectors[0]})
    assert origin.same_kind(one, with_vectors[1])  # an old record does not say
    assert not origin.same_kind(one, {**one, "onednn": False}) and not origin.same_kind(one, {**one, "cpu": "b"})
