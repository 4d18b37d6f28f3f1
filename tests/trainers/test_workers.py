"""Several workers, each a process: TF_CONFIG, the parts of batches, a training by two, and a worker that is killed."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tfgen_trainers import workers
from tfgen_trainers.train import make_strategy

TRAIN = ["train", "--preset", "vae/digits", "--set", "hidden=(16,)", "--set", "ema_decay=0.9", "--batch_size", "50",
         "--log_every", "20", "--checkpoint_every", "20", "--sample_every", "1000"]  # fmt: skip


def config(task, **cluster):
    return json.dumps({"cluster": cluster, "task": task})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (None, None), ("", None), ("{}", None), (config({"type": "worker", "index": 0}, worker=["a:1"]), None),
        (config({"type": "worker", "index": 1}, worker=["a:1", "b:1"]), workers.Worker(1, 2)),
        (config({"type": "chief", "index": 0}, chief=["a:1"], worker=["b:1", "c:1"]), workers.Worker(0, 3)),
        (config({"type": "worker", "index": 1}, chief=["a:1"], worker=["b:1", "c:1"]), workers.Worker(2, 3)),
    ],
)  # fmt: skip
def test_who_a_process_is(text, found, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if text is not None:
        monkeypatch.setenv("TF_CONFIG", text)
    assert workers.mine() == found


@pytest.mark.parametrize(
    "text",
    [
        "{", "[]", "3", '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"index": 0}}',
        config({"type": "worker", "index": "x"}, worker=["a:1", "b:1"]),
        config({"type": "worker", "index": 2}, worker=["a:1", "b:1"]),
        config({"type": "ps", "index": 0}, worker=["a:1", "b:1"]),
        config({"type": "worker", "index": 0}, worker=["a:1", "b:1"], ps=["c:1"]),
    ],
)  # fmt: skip
def test_a_config_that_cannot_be_is_refused(text, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match="TF_CONFIG must .*received"):
        workers.mine()


# ---- strategies and devices by name


@pytest.fixture
def alone(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    yield
    workers.choose()


@pytest.mark.parametrize(
    ("given", "kind", "devices"),
    [
        (("mirrored",), "MirroredStrategy", ["CPU:0", "CPU:1"]),
        (("mirrored", ["cpu:1"]), "MirroredStrategy", ["CPU:1"]),
        ((None, ["CPU:1", "CPU:0"]), "MirroredStrategy", ["CPU:1", "CPU:0"]),
        (("one_device", ["CPU:1"]), "OneDeviceStrategy", ["CPU:1"]),
        (("one_device",), "_DefaultDistributionStrategy", None),
        (("one_device", ["CPU:0"]), "_DefaultDistributionStrategy", None),
        ((), "NoneType", None),
    ],
)  # fmt: skip
def test_a_strategy_has_the_devices_that_were_named(given, kind, devices, alone):
    workers.choose("mirrored")  # which the next choice forgets
    workers.choose(*given)
    found = workers.strategy()
    assert type(found).__name__ == kind
    if devices is not None:
        assert [name.rpartition("device:")[2] for name in found.extended.worker_devices] == devices


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("several",), "strategy must be one of mirrored, multi_worker, one_device; received 'several'"),
        (("multi_worker",), "multi_worker needs several workers, by TF_CONFIG or --workers; received none"),
        (("mirrored", ["CPU:7"]), "devices must be .*, of CPU:0, CPU:1; received CPU:7"),
        (("mirrored", ["CPU:0", "cpu:0"]), "devices must be different ones .*; received CPU:0,cpu:0"),
        (("one_device", ["CPU:0", "CPU:1"]), "one_device has one of the devices; received CPU:0,CPU:1"),
    ],
)
def test_a_strategy_that_cannot_be_is_refused(given, message, alone):
    with pytest.raises(ValueError, match=message):
        workers.choose(*given)


@pytest.mark.parametrize(
    ("given", "received"),
    [
        ((), "MirroredStrategy with 2"), (("mirrored",), "MirroredStrategy with 2"),
        (("one_device", ["CPU:1"]), "OneDeviceStrategy"),
    ],
)  # fmt: skip
def test_xla_is_for_the_first_device_alone(given, received, alone):
    preset = tfgen.presets.get("vae/digits").override({"jit_compile": True})
    if given:
        workers.choose(*given)
    with pytest.raises(ValueError, match=f"jit_compile=True is for .* first device alone, .*; received a {received}"):
        make_strategy(preset)
    workers.choose("one_device")
    assert make_strategy(preset).num_replicas_in_sync == 1


def test_the_number_of_workers_is_that_of_tf_config(alone, monkeypatch, capsys):
    from tfgen_commands.main import main

    monkeypatch.setenv("TF_CONFIG", config({"type": "worker", "index": 0}, worker=["a:1", "b:1"]))
    assert main([*TRAIN, "--workdir", "x", "--workers", "5"]) == 2
    assert "--workers must be 2, as in TF_CONFIG; received 5" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "received"),
    [(("one_device",), "strategy one_device"), (("mirrored",), "strategy mirrored"), ((None, ["GPU:0"]), "devices GPU:0")],
)
def test_of_several_workers_each_has_all_its_devices(given, received, alone, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config({"type": "worker", "index": 0}, worker=["a:1", "b:1"]))
    with pytest.raises(ValueError, match=f"must be multi_worker, .*; received {received} and 2 workers"):
        workers.choose(*given)
    workers.choose("multi_worker")  # which `strategy` makes


@pytest.mark.long
def test_the_command_trains_on_the_devices_that_were_named(alone, tmp_path, monkeypatch, capsys):
    """With the same bits on each, and accumulates only without a replica."""
    from tfgen_commands.main import main

    used, make = [], workers.strategy
    monkeypatch.setattr(workers, "strategy", lambda: used.append(make()) or used[-1])
    weights = []
    for i, words in enumerate((["--strategy", "one_device"], ["--devices", "CPU:1"])):
        assert main([*TRAIN, "--steps", "20", "--workdir", str(tmp_path / str(i)), *words]) == 0
        weights.append(checkpoint(tmp_path / str(i)))
    assert {type(one).__name__ for one in used} == {"_DefaultDistributionStrategy", "MirroredStrategy"}
    assert weights[0].keys() == weights[1].keys()
    for name in weights[0]:
        np.testing.assert_array_equal(weights[0][name], weights[1][name], err_msg=name)
    accumulates = [*TRAIN, "--steps", "20", "--accumulate", "2", "--workdir", str(tmp_path / "more"), "--strategy"]
    assert main([*accumulates, "one_device"]) == 0
    assert main([*accumulates, "multi_worker"]) == 2 and "multi_worker needs several workers" in capsys.readouterr().err


# ---- parts of batches


@pytest.mark.parametrize("kind", ["digits", "labels of a few", "unpaired", "phases", "factors"])
def test_parts_are_the_rows_of_the_whole_batches(kind):
    source, size = tfgen.data.load("digits"), 12
    options = {"shuffle": True, "repeat": True, "seed": 3, "start_step": 1, "binarization": "dynamic"}
    if kind == "labels of a few":
        source = tfgen.data.semi_supervised(source, 2, seed=0)
    elif kind == "unpaired":
        source = tfgen.data.load("inverted:digits")
    elif kind == "phases":
        size = [(0, 12), (2, 6)]
    elif kind == "factors":
        indices = np.array([(a, b) for a in range(3) for b in range(5)])
        source = tfgen.data.FactorSource(
            np.random.default_rng(0).integers(0, 256, (15, 4, 4, 1), np.uint8), indices, ("a", "b"), groups=("a",),
            name="factors", split="train",
        )  # fmt: skip
    options["augmentation"] = {"shift": 1}
    whole = list(source.batches(size, **options).take(3))
    parts = [list(source.batches(size, part=(k, 3), **options).take(3)) for k in range(3)]
    for step, batch in enumerate(whole):
        for name, value in batch.items():
            found = np.concatenate([part[step][name] for part in parts])
            np.testing.assert_array_equal(found, value, err_msg=f"{name} of step {step}")


@pytest.mark.parametrize("bad", [{"part": (2, 2)}, {"part": (-1, 2)}, {"part": (0, 3)}, {"drop_remainder": False}])
def test_parts_that_cannot_be_are_refused(bad):
    given = {"part": (0, 2), "repeat": True, **bad}
    with pytest.raises(ValueError, match="part must be .k, n. .*received part="):
        tfgen.data.load("digits").batches(8, **given)


def test_only_the_part_is_read():
    rows = []
    source = tfgen.data.load("digits")
    read = source.graph_read
    source.graph_read = lambda name, indices: (rows.append(indices.shape[0]), read(name, indices))[1]
    next(iter(source.batches(8, repeat=True, part=(1, 4))))
    assert set(rows) == {2}


# ---- two processes


def started(workdir, *words, other=None):
    """[process of worker 0, of worker 1] of a training; `other`: the run folder of worker 1, if not the same."""
    command = [sys.executable, "-m", "tfgen_commands.main", *TRAIN, *words, "--workdir"]
    return pair(*command, str(workdir), other=None if other is None else [*command, str(other)])


def pair(*command, other=None):
    """[process of worker 0, of worker 1], joined by free ports; `other`: the command of worker 1, if not the same."""
    with socket.socket() as a, socket.socket() as b:
        for one in (a, b):
            one.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in (a, b)]
    return [
        subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "TF_CONFIG": config({"type": "worker", "index": k}, worker=addresses), "PYTHONPATH": "."},
        )
        for k, words in enumerate((command, other or command))
    ]  # fmt: skip


def ended(processes, timeout=300):
    return [(*process.communicate(timeout=timeout), process.returncode) for process in processes]


def checkpoint(workdir):
    reader = tf.train.load_checkpoint(str(workdir / "checkpoints"))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


@pytest.mark.long
def test_two_workers_train_what_one_does(tmp_path):
    command = [sys.executable, "-m", "tfgen_commands.main", *TRAIN, "--steps", "40"]
    env = {**os.environ, "PYTHONPATH": "."}
    for name, words in (("one", []), ("two", ["--workers", "2"])):
        run = subprocess.run([*command, "--workdir", tmp_path / name, *words], env=env, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        assert run.stdout.count("done: 40 steps") == 1, "of the chief alone"
    a, b = checkpoint(tmp_path / "one"), checkpoint(tmp_path / "two")
    assert a.keys() == b.keys()
    numbers = [name for name in a if np.asarray(a[name]).dtype.kind in "fiu"]
    assert len(numbers) > 10
    for name in numbers:
        np.testing.assert_allclose(a[name], b[name], atol=2e-6, err_msg=name)
    (entry,) = json.loads((tmp_path / "two/training.json").read_text())["trained_by"]
    assert entry["workers"] == 2
    assert sorted(p.name for p in (tmp_path / "two").iterdir()) == sorted(p.name for p in (tmp_path / "one").iterdir())


@pytest.mark.long
def test_a_killed_worker_is_named_and_the_run_goes_on_with_the_same_bits(tmp_path):
    for _, err, code in ended(started(tmp_path / "whole", "--steps", "200")):
        assert code == 0, err
    two = started(tmp_path / "killed", "--steps", "200")
    deadline = time.monotonic() + 240
    while not (tmp_path / "killed/checkpoints/checkpoint").exists():
        assert time.monotonic() < deadline and all(one.poll() is None for one in two)
        time.sleep(0.01)
    two[1].send_signal(signal.SIGKILL)
    _, err, code = ended(two[:1])[0]
    assert code == 1 and "Worker 0 stops, since worker 1 of 2 was lost. The same command" in err, err
    two[1].communicate()
    (out, _, _), _ = found = ended(started(tmp_path / "killed", "--steps", "200"))
    assert [code for *_, code in found] == [0, 0] and "resumed at step" in out
    a, b = checkpoint(tmp_path / "whole"), checkpoint(tmp_path / "killed")
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


@pytest.mark.long
def test_folders_that_are_not_shared_are_noticed(tmp_path):
    assert all(code == 0 for *_, code in ended(started(tmp_path / "a", "--steps", "20")))
    two = started(tmp_path / "a", "--steps", "40", other=tmp_path / "b")
    for _, err, code in ended(two):
        assert code == 2 and "The step of the last checkpoint is " in err and "must be one that all see" in err


RUN_FN = """
import sys, types
from tfgen_trainers import run_fn as module
export = module.export_saved_model
module.export_saved_model = lambda *args, **given: (print("exports"), export(*args, **given))[1]
root, files = sys.argv[1:]
settings = {"preset": "vae/digits", "steps": 20, "log_every": 20, "workdir": f"{root}/runs", "overrides": {"hidden": [16]}}
module.run_fn(types.SimpleNamespace(
    custom_config=settings, train_files=[files], serving_model_dir=f"{root}/model", model_run_dir=f"{root}/logs",
))
"""


@pytest.mark.long
def test_the_trainer_of_the_pipeline_by_two_workers_exports_once(tmp_path, digits):
    """As a cluster's training job runs TFX's Trainer: the same executor in each container, with another TF_CONFIG."""
    records = tmp_path / "digits.tfrecord"
    with tf.io.TFRecordWriter(str(records)) as writer:
        for image, label in zip(*digits, strict=True):
            png = tf.io.encode_png(np.round(image * 255).astype(np.uint8)).numpy()
            feature = {"image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[png])),
                       "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[int(label)]))}  # fmt: skip
            writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    both = ended(pair(sys.executable, "-c", RUN_FN, str(tmp_path), str(records)))
    assert [code for *_, code in both] == [0, 0], both
    assert ["exports" in out for out, *_ in both] == [True, False]
    (run,) = (tmp_path / "runs").iterdir()
    assert json.loads((run / "training.json").read_text())["trained_by"][0]["workers"] == 2
    assert (tmp_path / "model/saved_model.pb").exists() and (tmp_path / "logs/history.json").exists()
