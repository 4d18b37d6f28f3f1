"""benchmarks.record: the one place where measurements are written down."""

import json
import re

import numpy as np
import pytest

from benchmarks.record import judged, module_command, record, report


def test_record_says_how_it_was_obtained(tmp_path):
    path = tmp_path / "folder/speed.json"
    written = record(
        path, command=["python", "-m", "x y"], seed=3, protocol="once", seconds=1.23456,
        results={"mean": np.float32(0.5), "all": np.arange(2)}, preset="vae/digits",
    )  # fmt: skip
    read = json.loads(path.read_text())
    assert read["results"] == {"mean": 0.5, "all": [0, 1]}
    assert read["command"] == "python -m 'x y'"
    assert (read["seed"], read["protocol"], read["seconds"]) == (3, "once", 1.235)
    assert read["preset"] == "vae/digits"
    assert read["versions"]["numpy"] == np.__version__
    assert read["machine"]["cores"] >= 1
    assert read["commit"].keys() == {"hash", "dirty"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", read["date"])
    assert written.keys() == read.keys()


def test_a_record_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = tmp_path / "speed.json"
    common = {"command": "x", "seed": None, "protocol": "p", "seconds": 0}
    record(path, results={"a": 1}, **common)
    with pytest.raises(TypeError, match="got object"):
        record(path, results={"a": object()}, **common)
    with pytest.raises(ValueError, match="machine"):
        record(path, results={}, machine="other", **common)
    assert json.loads(path.read_text())["results"] == {"a": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["speed.json"]


def test_module_command():
    assert module_command("benchmarks.x", ["--out", "a b"]) == "python -m benchmarks.x --out 'a b'"


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
    results = {"error": 3.0, "curve": [1, 2], "other": 1}
    about = {"seed": 0, "seconds": 5.0, "protocol": "p", "results": results}
    written = report(tmp_path / "x.json", "benchmarks.x", gates={"error": ("<=", 2.0)}, paper="2", **about)
    assert written["passed"] == {"error": False} and written["paper"] == "2" and written["seconds"] == 5.0
    assert written["command"].startswith("python -m benchmarks.x")
    assert "gate <= 2.0: MISSED" in (printed := capsys.readouterr().out) and "curve" not in printed
    assert report(None, "benchmarks.x", gates={}, **about) is None
