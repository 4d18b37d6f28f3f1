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
    """[process of worker 0, of worker 1], joined by free ports; `other`: the run folder of worker 1, if not the same."""
    with socket.socket() as a, socket.socket() as b:
        for one in (a, b):
            one.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in (a, b)]
    command = [sys.executable, "-m", "tfgen_commands.main", *TRAIN, *words, "--workdir"]
    return [
        subprocess.Popen(
            [*command, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "TF_CONFIG": config({"type": "worker", "index": k}, worker=addresses), "PYTHONPATH": "."},
        )
        for k, folder in enumerate((workdir, other or workdir))
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
    pair = started(tmp_path / "killed", "--steps", "200")
    deadline = time.monotonic() + 240
    while not (tmp_path / "killed/checkpoints/checkpoint").exists():
        assert time.monotonic() < deadline and all(one.poll() is None for one in pair)
        time.sleep(0.01)
    pair[1].send_signal(signal.SIGKILL)
    _, err, code = ended(pair[:1])[0]
    assert code == 1 and "Worker 0 stops, since worker 1 of 2 was lost. The same command" in err, err
    pair[1].communicate()
    (out, _, _), _ = found = ended(started(tmp_path / "killed", "--steps", "200"))
    assert [code for *_, code in found] == [0, 0] and "resumed at step" in out
    a, b = checkpoint(tmp_path / "whole"), checkpoint(tmp_path / "killed")
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


@pytest.mark.long
def test_folders_that_are_not_shared_are_noticed(tmp_path):
    assert all(code == 0 for *_, code in ended(started(tmp_path / "a", "--steps", "20")))
    pair = started(tmp_path / "a", "--steps", "40", other=tmp_path / "b")
    for _, err, code in ended(pair):
        assert code == 2 and "The step of the last checkpoint is " in err and "must be one that all see" in err
