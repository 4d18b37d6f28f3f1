"""benchmarks.record: the one place where measurements are written down."""

import json
import re
import shlex

import numpy as np
import pytest

from benchmarks.record import ROOT, filled, judged, module_command, report, write
from benchmarks.reproduce.status import freshness, readme, records

ABOUT = {"seed": 3, "protocol": "once", "seconds": 1.23456, "gates": {}}


def test_record_says_how_it_was_obtained(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["x", "--data", "x y"])
    path = tmp_path / "folder/speed.json"
    results = {"mean": np.float32(0.5), "all": np.arange(2)}
    written = report(path, "benchmarks.turns", results=results, preset="vae/digits", **ABOUT)
    read = json.loads(path.read_text())
    assert read["results"] == {"mean": 0.5, "all": [0, 1]}
    assert read["command"] == "python -m benchmarks.turns --data 'x y'"
    assert (read["seed"], read["protocol"], read["seconds"]) == (3, "once", 1.235)
    assert read["preset"] == "vae/digits" and read["trainings"] == {}
    by = read["measured_by"]
    assert by["versions"]["numpy"] == np.__version__ and by["machine"]["cores"] >= 1
    assert by["commit"].keys() == {"hash", "dirty"} and re.fullmatch("[0-9a-f]{16}", by["code"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", read["date"])
    assert written.keys() == read.keys()
    assert freshness("speed", read) == (True, "same code")
    read["measured_by"]["code"] = "0" * 16
    assert freshness("speed", read) == (False, "its code has changed since")


def test_a_record_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = tmp_path / "speed.json"
    report(path, "benchmarks.turns", results={"a": 1}, **ABOUT)
    with pytest.raises(TypeError, match="got object"):
        report(path, "benchmarks.turns", results={"a": object()}, **ABOUT)
    with pytest.raises(ValueError, match="measured_by"):
        report(path, "benchmarks.turns", results={}, measured_by="other", **ABOUT)
    assert json.loads(path.read_text())["results"] == {"a": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["speed.json"]


def test_a_list_of_numbers_is_one_line(tmp_path):
    fields = {"pixels": [[0, 1], [255, -2]], "words": ["[\n 1", "a"], "mixed": [1, "b"], "empty": [], "x": [1.5, None, True]}
    write(tmp_path / "a.json", fields)
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text) == fields and "    [0, 1],\n    [255, -2]\n" in text and '"x": [1.5, null, true]' in text


def test_module_command():
    assert module_command("benchmarks.x", ["--out", "a b"]) == "python -m benchmarks.x --out 'a b'"
    words = ["--out", f"{ROOT}/a.json", "--workdir", "/somewhere", "--seed", "1", "--workdir=else"]
    command = module_command("benchmarks.x", [*words, "--data", f"folder:{ROOT}/b"])
    assert command == "python -m benchmarks.x --out a.json --seed 1 --data folder:b"


def test_judged():
    gates = {"low": ("<=", 2.0), "high": (">=", 2.0), "missing": ("<=", 1.0), "nan": (">=", 0.0)}
    found = judged({"low": 2.0, "high": 1.9, "nan": float("nan"), "other": 3}, gates)
    assert found["passed"] == {"low": True, "high": False, "missing": None, "nan": False}
    assert found["gates"]["low"] == "<= 2.0"
    for value, inside in ((0.9, False), (1.0, True), (2.1, False)):
        assert judged({"x": value}, {"x": (">=", 1.0, "<=", 2.0)}) == {
            "gates": {"x": ">= 1.0, <= 2.0"}, "passed": {"x": inside},
        }  # fmt: skip


def test_report_prints_and_records_the_verdict(tmp_path, capsys):
    about = {**ABOUT, "results": {"error": 3.0, "curve": [1, 2], "other": 1}, "gates": {"error": ("<=", 2.0)}}
    written = report(tmp_path / "x.json", "benchmarks.turns", paper="2", **about)
    assert written["passed"] == {"error": False} and written["paper"] == "2"
    assert "gate <= 2.0: MISSED" in (printed := capsys.readouterr().out) and "curve" not in printed
    assert report(None, "benchmarks.turns", **about) is None


def test_filled():
    page = "before\n<a>\nold\n<b>\nafter"
    assert filled(page, "<a>", "<b>", "new") == "before\n<a>\nnew\n<b>\nafter"
    with pytest.raises(ValueError, match="must have the lines '<a>' and '<c>'"):
        filled(page, "<a>", "<c>", "new")


# ---- The records of this repository


def test_readme_is_what_the_records_give():
    def lines(text):  # without the states: the line above the table says of which commit they are
        return [re.sub(r"^(\| `\w+` )\| (fresh|\*\*stale\*\*): [^|]+", r"\1", line) for line in text.splitlines()
                if not line.startswith("States by the code of ")]  # fmt: skip

    path, text = readme(records())
    assert "| fresh: " not in "".join(lines(text)) and len(records()) < len(lines(text))
    assert lines(path.read_text()) == lines(text), "make it again: make reproduce ARGS=--status"


def test_every_record_has_a_command_with_paths_of_the_repository():
    for name, record in records().items():
        python, m, module, *words = shlex.split(record["command"])
        path = ROOT / module.replace(".", "/")
        assert (python, m) == ("python", "-m"), name
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), name
        for word in words:
            path = word.partition(":")[2] or word
            assert not path.startswith("/"), f"{name}: {word}"
            # Folders of data lie beside the repository, or in runs/, which git does not know.
            assert "/" not in path or path.startswith(("../", "runs/")) or (ROOT / path).exists(), f"{name}: {word}"


def test_every_record_has_gates_or_is_known_to_have_none():
    ablations = {"pix2pix_patches"}  # a figure of sizes; none of them is the right one
    assert {name for name, record in records().items() if not record.get("gates")} == ablations
