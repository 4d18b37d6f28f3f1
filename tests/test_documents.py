"""The code and the commands of README.md and docs/ work as they stand there."""

import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tfgen_commands.main import _parser

ROOT = pathlib.Path(__file__).parents[1]
PAGES = ["README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md"))]
COMMANDS = [
    line
    for page in PAGES
    for line in re.findall(r"^ {4}(tfgen [a-z]+(?: .*)?)$", (ROOT / page).read_text(), re.MULTILINE)
]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(page, replaced=(), **names):
    """Runs the Python blocks of a page in one namespace that holds `names`; errors have the page's line numbers."""
    text = (ROOT / page).read_text()
    blocks = list(re.finditer(r"```python\n(.*?)```", text, re.DOTALL))
    assert blocks
    for found in blocks:
        code = found[1]
        for old, new in dict(replaced).items():
            code = code.replace(old, new)
        exec(compile("\n" * text[: found.start(1)].count("\n") + code, page, "exec"), names)
    return names


def serve(model, name):
    """Serves an export of the model, labelled "stable"."""
    pytest.importorskip("grpc")
    from tfgen_serving.server import main as server

    tfgen.export.export_saved_model(model, name, version=1)
    base = pathlib.Path(name).resolve()
    label = 'version_labels { key: "stable" value: 1 }'
    config = f'config {{ name: "{name}" base_path: "{base}" model_platform: "tensorflow" {label} }}'
    pathlib.Path("models.config").write_text(f"model_config_list {{ {config} }}")
    flags = ["--model_config_file=models.config", "--port=0", "--rest_api_port=0"]
    return server.start([*flags, "--allow_version_labels_for_unavailable_models"])


def run_served(page, model=None):
    """`run` while a model, or else a small DRAW, is served as "vae"."""
    if model is None:
        model = tfgen.models.DRAW(image_shape=(8, 8, 1), glimpses=3, hidden=6, z_size=2, read_size=2, write_size=2)
        model.compile()
    with serve(model, "vae") as server:
        return run(page, {"localhost:8500": f"127.0.0.1:{server.grpc_port}"})


def run_commands(page):
    """Runs the `tfgen` commands of a page, each in a process of its own."""
    for line in re.findall(r"^ {4}tfgen ([a-z]+(?: .*)?)$", (ROOT / page).read_text(), re.MULTILINE):
        words = shlex.split(line, comments=True)
        done = subprocess.run(
            [sys.executable, "-m", "tfgen_commands.main", *words], capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert not done.returncode, f"tfgen {line}\n{done.stdout}\n{done.stderr}"


@pytest.mark.long
def test_readme():
    names = run_served("README.md")
    assert names["images"].shape == (3, 8, 8, 1)
    assert pathlib.Path("samples.png").exists() and pathlib.Path("vae.keras").exists() and pathlib.Path("draw.gif").exists()
    assert 15 < float(np.mean(names["nats"])) < 25  # the record has 16.8 after more epochs


@pytest.mark.long
def test_serving():
    names = run_served("docs/serving.md")
    assert names["canvas"].shape[0] == 3 and names["path"].shape == (9, 8, 8, 1)


def test_tutorial_keras():
    names = run("docs/tutorial-keras.md")
    assert names["images"].shape == (16, 8, 8, 1) and names["codes"].shape == (64, 8) and names["between"].shape[1] == 9
    assert names["losses"][-1] < names["losses"][0] and names["small"].latent_dim == 2
    assert (pathlib.Path("mine") / "README.md").exists() and (pathlib.Path(names["path"]) / "saved_model.pb").exists()


def test_tutorial_serving():
    names = run_served("docs/tutorial-serving.md", tfgen.from_preset("vae/digits"))
    assert names["card"]["model"] == "VAE" and names["on_the_way"].shape == (5, 8, 8, 1)
    assert names["pngs"][0].startswith(b"\x89PNG") and names["latents"][0].shape == (2, 8)


@pytest.mark.long
def test_tutorial_pipelines():
    pytest.importorskip("tfx")
    run("docs/tutorial-pipelines.md")
    run_commands("docs/tutorial-pipelines.md")
    assert pathlib.Path("samples.png").exists() and list(pathlib.Path("work").rglob("saved_model.pb"))


def test_help():
    names = run("docs/help.md")
    assert names["gan"].sample(2, seed=0).shape == (2, 8, 8, 1) and 15 < names["held_out"] < 50


def test_architecture():
    names = run("docs/architecture.md")
    assert set(tf.saved_model.load("linear-autoencoder/1").signatures) >= {"encode", "reconstruct"}
    assert names["model"].capabilities() == (tfgen.models.capabilities.Encoder,)


def test_data():
    rng = np.random.default_rng(0)
    photos = rng.integers(0, 256, (8, 8, 8, 3), dtype="uint8")
    for folder in ("edges/train", "photos/train", "pairs/image/train", "pairs/target/train", "pairs/mask/train"):
        pathlib.Path(folder).mkdir(parents=True)
        for i in range(6):
            image = photos[i, ..., :1] if "mask" in folder else photos[i]
            pathlib.Path(folder, f"{i}.png").write_bytes(tf.io.encode_png(image).numpy())
    for folder, width in (
        ("facades/train", 16), ("horse2zebra/trainA", 8), ("horse2zebra/trainB", 8), ("walks/train/one", 8),
        ("streets/label_map/train", 8), ("streets/target/train", 8), ("streets/instances/train", 8),
    ):  # fmt: skip
        pathlib.Path(folder).mkdir(parents=True)
        for i in range(4):
            image = np.zeros((8, width, 1 if "streets" in folder else 3), "uint8")
            pathlib.Path(folder, f"{i}.png").write_bytes(tf.io.encode_png(image).numpy())
    frames = [tf.io.encode_png(np.zeros((64, 64, 3), "uint8")).numpy()] * 16
    with tf.io.TFRecordWriter("clips-0.tfrecord") as writer:
        feature = {"frames": tf.train.Feature(bytes_list=tf.train.BytesList(value=frames))}
        feature["image"] = tf.train.Feature(bytes_list=tf.train.BytesList(value=frames[:1]))
        writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    names = run(
        "docs/data.md", {"/my/pairs": "pairs"}, tfgen=tfgen, np=np, photos=photos,
        classes=rng.integers(0, 3, (8, 8, 8)), labels=np.arange(8) % 2, maps=photos,
        masks=rng.integers(0, 256, (8, 8, 8), dtype="uint8"), vectors=rng.normal(size=(8, 5)).astype("float32"),
    )  # fmt: skip
    assert set(names["source"].fields) == {"image", "target", "mask"}
    assert next(iter(names["batches"]))["image"].shape == (4, 8, 8, 3)


def test_onnx():
    pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    names = run("docs/onnx.md")
    assert names["images"].shape == (16, 8, 8, 1) and names["about"]["preset"] == "vae/digits"


def test_metrics():
    protocol = tfgen.metrics.Protocol(
        data="digits", data_fingerprint="0", split="test", n_real=9, n_fake=9, features="none", features_hash="0", seed=0,
        weights="ema",
    )  # fmt: skip
    for name, value in (("a", 1.5), ("b", 1.0)):
        result = tfgen.metrics.Result({"fid": value}, protocol)
        pathlib.Path(f"{name}.json").write_text(json.dumps({"result": result.to_dict()}))
    names = run("docs/metrics.md")
    assert names["a"].difference(names["b"]) == {"fid": 0.5}


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_have_these_options(line):
    arguments = shlex.split(line, comments=True)[1:]
    if arguments[0] == "serve":
        pytest.importorskip("grpc")
        from tfgen_serving.server import flags

        flags.parse(arguments[1:])
    elif arguments[0] in ("demo", "pipeline"):
        pytest.importorskip("tfx")
        from tfgen_pipelines import local

        local.build_parser(demo=arguments[0] == "demo").parse_args(arguments[1:])
    else:
        _parser().parse_args(arguments)
