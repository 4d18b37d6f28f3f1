"""What the local runner refuses before anything is started."""

import os

import numpy as np
import pytest

from tfgen_pipelines import local


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--preset", "vae/digit"], "There is no preset 'vae/digit'. Did you mean 'vae/digits'?"),
        (["--preset", "vae/digits", "--preset", "vae/digits"], "Each preset can be given once"),
        (["--data", "no-such-data-set"], "The data set 'no-such-data-set' cannot be used"),
        (["--data", "folder:/no/such/folder"], "The data set 'folder:/no/such/folder' cannot be used"),
        (["--preset", "vae/digits", "--override", "vae/digits:latent_dims=3"], "Did you mean 'latent_dim'?"),
        (["--preset", "vae/digits", "--override", "latent_dim=3"], "must read PRESET:NAME=VALUE"),
        (
            ["--preset", "vae/digits", "--thresholds", '{"vae/digits": {"recall": {"least": 1}}}'],
            "Unknown rule 'least'",
        ),
        (
            ["--preset", "vae/digits", "--thresholds", '{"vae/digits": {"recal": {"lower": 0.1}}}'],
            "There is no metric recal; the metrics are accuracy, birthday_duplicate_rate, bits_over_raw, ",
        ),
        (
            ["--preset", "vae/digits", "--override", 'vae/digits:augmentation={"crop": 6}',
             "--override", "vae/digits:image_shape=[6, 6, 1]"],
            "The preset 'vae/digits' crops images (8, 8, 1) to (6, 6, 1) for training; the pipeline evaluates whole images",
        ),
        (["--metrics", "swd,kmeans"], "metrics must be some of fid_infinity, ms_ssim, swd, birthday"),
        (
            ["--preset", "vae/digits", "--override", "vae/digits:batch_size=2000"],
            "has batches of 2000, 'digits' has 1400",
        ),
        (
            ["--preset", "vae/mnist"],
            "The preset 'vae/mnist' is for images (28, 28, 1), 'digits' has (8, 8, 1)",
        ),
    ],
)
def test_wrong_requests_end_before_anything_starts(arguments, message, tmp_path, capfd):
    assert local.main(["--workspace", str(tmp_path / "w"), *arguments]) == local.EXIT_USAGE
    assert message in capfd.readouterr().err
    assert not (tmp_path / "w" / "metadata.sqlite").exists()


def test_a_workspace_that_cannot_be_written(tmp_path, capfd, monkeypatch):
    blocker = tmp_path / "file"
    blocker.write_text("")
    assert local.main(["--workspace", str(blocker / "w")]) == local.EXIT_USAGE
    assert "cannot be written" in capfd.readouterr().err

    def refuse(self, data):  # root may write anywhere, so a read-only folder cannot be had by its mode
        raise PermissionError(13, "Permission denied", os.fspath(self))

    monkeypatch.setattr("pathlib.Path.write_bytes", refuse)
    assert local.main(["--workspace", str(tmp_path / "read-only")]) == local.EXIT_USAGE
    assert "Permission denied" in capfd.readouterr().err


def test_two_runs_in_one_workspace(tmp_path, capfd):
    with local.only_run_in(tmp_path):
        assert local.main(["--workspace", str(tmp_path)]) == local.EXIT_USAGE
    assert "Another run is at work" in capfd.readouterr().err
    with local.only_run_in(tmp_path):
        pass


def test_arguments_that_are_no_json(capsys):
    with pytest.raises(SystemExit):
        local.main(["--thresholds", "{"])
    assert "got '{', expected JSON" in capsys.readouterr().err


def test_help_explains_the_exit_codes(capsys):
    with pytest.raises(SystemExit):
        local.main(["--help"])
    assert "3 the pipeline ran but a model was NOT BLESSED" in " ".join(capsys.readouterr().out.split())


def test_overrides_are_json_or_text():
    assert local.parse_overrides(["a/b:n=3", "a/b:s=tanh", "c/d:x=[1, 2]"]) == {
        "a/b": {"n": 3, "s": "tanh"},
        "c/d": {"x": [1, 2]},
    }


def test_progress_follows_the_history(tmp_path):
    lines = []
    run = tmp_path / "vae-digits-0123"
    run.mkdir()
    progress = local._Progress(lines.append, tmp_path, {"vae-digits": 200}, interval=0.01)
    try:
        progress.start("LastBlessed.vae-digits")
        progress.finish("LastBlessed.vae-digits", cached=False)
        progress.start("Trainer.vae-digits")
        (run / "history.jsonl").write_text('{"step": 100, "loss": 20.5}\n{"step": 15')
        for _ in range(500):
            if len(lines) == 2:
                break
            progress._stop.wait(0.01)
        progress.finish("Trainer.vae-digits", cached=True)
    finally:
        progress.close()
    assert lines[0] == "  Trainer.vae-digits ..."
    assert lines[1] == "      vae-digits step 100/200  loss 20.5"
    assert lines[2].split()[:2] == ["Trainer.vae-digits", "cached"] and len(lines) == 3


def test_output_of_the_process_goes_to_the_log(tmp_path, capfd):
    log = tmp_path / "log"
    with local._quiet(log, os.fdopen(os.dup(1), "w")) as console:
        os.write(2, b"from C++\n")
        print("from a library", flush=True)
        console("shown")
    print("after", flush=True)
    said = capfd.readouterr()
    assert said.out.splitlines() == ["shown", "after"] and said.err == ""
    text = log.read_text()
    assert "from C++" in text and "shown" in text


def test_the_console_says_what_was_skipped_and_why_a_model_is_unjudged(tmp_path, monkeypatch):
    import io

    import tensorflow as tf

    for split, count in (("train", 8), ("test", 4)):
        for i in range(count):
            path = tmp_path / "images" / split / "ab"[i % 2] / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(tf.io.encode_png(np.full((8, 8, 1), 20 * i, np.uint8)).numpy() if i != 3 else b"no image")
    model = {"outcome": "UNJUDGED", "blessed": False, "reasons": ["too few images"], "warnings": ["weak classifier"],
             "samples": None, "metrics": "metrics.json", "pushed": None}  # fmt: skip
    given = {}

    def run_pipeline(workspace, data, branches, options, *rest):
        given.update(data=data, branches=branches, options=options)
        return {"models": {"vae/digits": model}, "report": "report.html", "exit_code": local.EXIT_NOT_BLESSED}

    monkeypatch.setattr(local, "_run_pipeline", run_pipeline)
    out, arguments = io.StringIO(), {"data": f"folder:{tmp_path / 'images'}", "presets": ("vae/digits",)}
    arguments |= {"workspace": tmp_path / "work", "overrides": {"vae/digits": {"batch_size": 2}}, "out": out}
    with pytest.raises(local.UsageError, match=r'train/b/3.png: .*on_error="skip" leaves it out'):
        local.run(**arguments)
    local.run(**arguments, data_options={"on_error": "skip"}, push_unjudged=True, metrics=("swd",))
    shown = out.getvalue()
    assert "skipped   2 of 12 files skipped, the first: " in shown and "3.png: not a readable image" in shown
    for line in ("vae/digits: UNJUDGED", "  reason   too few images", "  warning  weak classifier",
                 "  pushed   nothing: only blessed models are pushed, and with --push_unjudged"):  # fmt: skip
        assert line in shown
    assert given["options"]["push_unjudged"] and given["options"]["metrics"] == ("swd",)
    assert given["branches"][0]["thresholds"] is None and len(given["data"].statistics["skipped"]) == 2
