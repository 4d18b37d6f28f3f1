"""`tfgen` as a user types it."""

import pytest
import tensorflow as tf

from tfgen import cli


def test_train_sample_export(tmp_path, capsys):
    run = str(tmp_path / "run")
    command = [
        "train",
        "--preset",
        "vae/digits",
        "--workdir",
        run,
        "--steps",
        "10",
        "--set",
        "hidden=(8,)",
        "--batch_size",
        "20",
    ]
    assert cli.main(command) == 0
    assert cli.main(["sample", "--workdir", run, "--out", str(tmp_path / "grid.png"), "--num", "4"]) == 0
    assert tf.io.decode_png((tmp_path / "grid.png").read_bytes()).shape.rank == 3
    assert cli.main(["export", "--workdir", run, "--to", str(tmp_path / "models")]) == 0
    out = capsys.readouterr().out
    assert "done: 10 steps" in out and str(tmp_path / "models/1") in out
    assert "sample" in tf.saved_model.load(str(tmp_path / "models/1")).signatures


def test_presets_are_listed(capsys):
    assert cli.main(["presets"]) == 0
    assert "vae/mnist" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["train", "--preset", "vae/nothing", "--workdir", "x"], "There is no preset 'vae/nothing'"),
        (["train", "--preset", "vae/digits", "--workdir", "x", "--data", "no_such_set"], "no_such_set"),
        (["train", "--preset", "vae/digits", "--workdir", "x", "--set", "hiden=3"], "Did you mean 'hidden'"),
        (["train", "--preset", "vae/digits", "--workdir", "x", "--set", "hidden"], "NAME=VALUE"),
        (["train", "--preset", "vae/digits", "--workdir", "x", "--split", "validation"], "validation"),
        (["export", "--workdir", "nowhere", "--to", "x"], "no config.json"),
    ],
)
def test_wrong_input_is_one_line(argv, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(argv) == 2
    error = capsys.readouterr().err.strip()
    assert message in error and len(error.splitlines()) == 1
    assert not (tmp_path / "x").exists()
