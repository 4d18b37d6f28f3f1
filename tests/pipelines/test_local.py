"""What the local runner refuses before anything is started."""

import os
import shlex

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
        (["--preset", "vae/digits", "--set", "latent_dims=3"], "Did you mean 'latent_dim'?"),
        (["--data_options", '{"size": 9}', "--size", "9"], "--size is given twice: as an option of its own, and in"),
        (
            ["--data", "folder:x", "--preset", "vae/images-32", "--preset", "dcgan/images-64"],
            "images of different sizes: vae/images-32 32x32, dcgan/images-64 64x64. Give --size",
        ),
        (
            ["--data", "pairs:x", "--preset", "pix2pix/facades-paper", "--preset", "pix2pix/edges2shoes-paper"],
            "different values of the data option input: pix2pix/facades-paper 'right', pix2pix/edges2shoes-paper 'left'. "
            "Give --input",
        ),
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
    assert local.demo(["--workspace", str(tmp_path / "w"), *arguments]) == local.EXIT_USAGE
    assert message in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("before", [None, [], [".lock", "pipeline.log"], ["metadata.sqlite", "pipeline.log"], ["mine.txt"]])
def test_images_that_cannot_be_read_leave_no_workspace(before, tmp_path, capfd):
    """Unless something was there: then the log says what happened."""
    images, workspace = tmp_path / "images", tmp_path / "a" / "w"
    images.mkdir()
    (images / "broken.png").write_bytes(b"no image")
    if before is not None:
        workspace.mkdir(parents=True)
        for name in before:
            (workspace / name).write_text("")
    arguments = ["--workspace", str(workspace), "--data", str(images), "--preset", "vae/images-32", "--eval_split", "-"]
    assert local.main(arguments) == local.EXIT_USAGE
    assert "broken.png" in capfd.readouterr().err
    if before is None:
        assert [path.name for path in tmp_path.iterdir()] == ["images"]
    elif not set(before) - {".lock", "pipeline.log"}:
        assert list(workspace.iterdir()) == []
    else:
        assert {path.name for path in workspace.iterdir()} == {*before, ".lock", "pipeline.log"}


def test_a_workspace_that_cannot_be_written(tmp_path, capfd, monkeypatch):
    blocker = tmp_path / "file"
    blocker.write_text("")
    assert local.demo(["--workspace", str(blocker / "w")]) == local.EXIT_USAGE
    assert "cannot be written" in capfd.readouterr().err

    def refuse(self, data):  # root may write anywhere, so a read-only folder cannot be had by its mode
        raise PermissionError(13, "Permission denied", os.fspath(self))

    monkeypatch.setattr("pathlib.Path.write_bytes", refuse)
    assert local.demo(["--workspace", str(tmp_path / "read-only")]) == local.EXIT_USAGE
    assert "Permission denied" in capfd.readouterr().err


def test_two_runs_in_one_workspace(tmp_path, capfd):
    with local.only_run_in(tmp_path):
        assert local.demo(["--workspace", str(tmp_path)]) == local.EXIT_USAGE
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    assert "Another run is at work" in capfd.readouterr().err
    with local.only_run_in(tmp_path):
        pass


def test_arguments_that_are_no_json(capsys):
    with pytest.raises(SystemExit):
        local.demo(["--thresholds", "{"])
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


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [(["--preset", "vae/digits"], "one of the arguments --data --import_base is required"),
     (["--data", "digits"], "--preset"),
     (["--data", "digits", "--import_base", "x", "--preset", "vae/digits"], "not allowed with argument --data")],
)  # fmt: skip
def test_the_pipeline_has_no_default_for_data_and_presets(arguments, missing, capsys):
    with pytest.raises(SystemExit) as left:
        local.main(arguments)
    error = capsys.readouterr().err
    assert left.value.code == local.EXIT_USAGE and missing in error and error.startswith("tfgen pipeline: ")


def test_options_of_train_reach_the_data_and_every_preset(monkeypatch):
    """The pipeline and the demo take `--set`, `--size`, `--on_error`, ... as `tfgen train` does."""
    given = []
    monkeypatch.setattr(local, "main_of", lambda **kwargs: given.append(kwargs) or 0)
    options = ["--set", "steps=7", "--set", "ema_decay=0.5", "--size", "8x9", "--on_error", "skip", "--manual_dir", "m"]
    options += ["--input", "right", "--num_frames", "4", "--num_classes", "12"]
    options += ["--override", "dcgan/digits:steps=9", "--data_options", '{"levels": 17}']
    presets = ["--preset", "vae/digits", "--preset", "dcgan/digits"]
    assert local.main(["--data", "x", *presets, *options]) == local.demo([*options]) == local.EXIT_OK
    for found in given:
        assert found["presets"] == ("vae/digits", "dcgan/digits")
        assert found["overrides"] == {
            "vae/digits": {"steps": 7, "ema_decay": 0.5}, "dcgan/digits": {"steps": 9, "ema_decay": 0.5}
        }  # fmt: skip
        further = {"input": "right", "num_frames": 4, "num_classes": 12}
        assert found["data_options"] == {"levels": 17, "size": (8, 9), "on_error": "skip", "manual_dir": "m", **further}
    assert [(found["data"], found["workspace"]) for found in given] == [("x", "tfgen-pipeline"), ("digits", "tfgen-demo")]


def test_settings_are_parts_of_the_cache_keys(tmp_path):
    """What `--set` changes, and nothing else, changes the Trainer's properties."""
    from tfgen_pipelines import data
    from tfgen_pipelines.pipeline import Branch, create_pipeline

    resolved = data.resolve("digits")

    def properties(**overrides):
        branches = [Branch("vae/digits", overrides=overrides)]
        pipeline = create_pipeline(
            pipeline_name="p", pipeline_root=str(tmp_path), data=resolved, branches=branches,
            workdir=str(tmp_path / "runs"), push_base_directory=str(tmp_path / "pushed"),
        )  # fmt: skip
        return {component.id: str(component.exec_properties) for component in pipeline.components}

    plain, same, other = properties(), properties(), properties(hidden=(8,))
    assert plain == same and {name for name in plain if plain[name] != other[name]} == {"Trainer.vae-digits"}


def test_components_show_their_progress(tmp_path):
    lines = []
    steps = local._Progress(lines.append)
    for node, cached in (("LastBlessed.vae-digits", False), ("Trainer.vae-digits", True)):
        steps.start(node)
        steps.finish(node, cached=cached)
    assert lines[0] == "  Trainer.vae-digits ..." and lines[1].split()[:2] == ["Trainer.vae-digits", "cached"]
    assert len(lines) == 2 and steps.current is None


@pytest.mark.parametrize(
    ("meta", "ask"),
    [
        ({"capabilities": ["sampler", "encoder"]}, "curl -d '{\"instances\": [1, 2, 3]}' localhost:8501/v1/models/b-c:pred"),
        ({"capabilities": ["sampler"], "conditions": [{"argument": "labels"}]}, '[{"seeds": 1, "labels": 0}, {"seeds": 2'),
        ({"capabilities": ["sampler"], "conditions": [{"argument": "embedding"}]}, "curl localhost:8501/v1/models/b-c/meta"),
        ({"capabilities": ["classifier"]}, "curl localhost:8501/v1/models/b-c/metadata"),
    ],
)  # fmt: skip
def test_the_last_lines_say_what_to_do_next(meta, ask, monkeypatch):
    monkeypatch.setattr("sys.argv", [".venv/bin/tfgen", "demo"])
    models = {"a": {"pushed": None}, "b/c": {"pushed": "/my work/pushed/b-c/1", "content": {"model": meta}}}
    lines = dict(local._next_steps({"report": "/my work/report.html", "models": models}))
    assert lines["open it"] == "python3 -m webbrowser file:///my%20work/report.html"
    assert shlex.split(lines["serve"]) == [
        ".venv/bin/tfgen", "serve", "--model_name=b-c", "--model_base_path=/my work/pushed/b-c", "--port=8500",
        "--rest_api_port=8501",
    ]  # fmt: skip
    assert shlex.split(lines["try it"]) == [".venv/bin/tfgen", "studio", "/my work/pushed/b-c"]
    assert ask in lines["ask"]
    assert [name for name, _ in local._next_steps({"report": "/r", "models": {"a": {"pushed": None}}})] == ["open it"]


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
    # A preset for the user's own images has their channels, and its own size where no other is asked for.
    arguments |= {"presets": ("vae/images-32",), "overrides": {"vae/images-32": {"batch_size": 2}}}
    for size, shape in (({}, (32, 32, 1)), ({"size": 12}, (12, 12, 1))):
        local.run(**arguments, data_options={"on_error": "skip", **size}, push_unjudged=True, metrics=("swd",))
        assert given["branches"][0]["overrides"] == {"batch_size": 2, "image_shape": shape}
        assert given["data"].image_shape == shape
    assert given["options"]["push_unjudged"] and given["options"]["metrics"] == ("swd",)
    assert given["branches"][0]["thresholds"] is None and len(given["data"].statistics["skipped"]) == 2
