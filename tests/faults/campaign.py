"""Kills trainings, pipelines, exports and pushes, fills disks, and looks for what was lost. Run by hand:

    python -m tests.faults.campaign training --kills 50
    python -m tests.faults.campaign pipeline --kills 30
    python -m tests.faults.campaign export --kills 15
    python -m tests.faults.campaign push --kills 15
    python -m tests.faults.campaign disks

A kill is a SIGKILL at a system call that changes files, chosen at random (`--at calls`, by strace), or at a random time
(`--at times`). Several kills follow one another in one folder; then the work is finished, and the folder must be as if
nothing had happened. Actions run in forks of this process, which imports TensorFlow once and never runs it. Each loss is
printed; the exit status is 1 if there was one.
"""

import argparse
import collections
import contextlib
import functools
import itertools
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_USE_LEGACY_KERAS", "0")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from tensorflow.core.protobuf import saved_model_pb2  # noqa: E402

from tfgen.data import load  # noqa: E402
from tfgen_commands.main import main as tfgen  # noqa: E402
from tfgen_trainers import train  # noqa: E402, F401 (forks need not import it again)

CALLS = ("rename", "unlink", "unlinkat", "rmdir", "mkdir", "fsync", "write", "openat")
MODELS = {
    "vae/digits": ["hidden=[8]", "latent_dim=2", "batch_size=50", "ema_decay=0.9"],
    "dcgan/digits": ["width=4", "dense_width=8", "latent_dim=4", "batch_size=32"],
    "autoencoder/digits": ["batch_size=50"],
    "gan/digits": ["batch_size=50"],
    "glimpse-classifier/digits": ["batch_size=50"],
}
CHAIN = 5  # kills in one folder


# ---- forks, and how they are killed


def start(action, log, stopped=False):
    """The process id of a fork that runs `action()`, which returns an exit status, with its output in the file `log`."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    status = 70
    try:
        with open(log, "ab", buffering=0) as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        if stopped:
            os.kill(os.getpid(), signal.SIGSTOP)
        status = action() or 0
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def finished(pid):
    """Waits; the exit status, or minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run(action, log):
    return finished(start(action, log))


def traced(action, log, *options):
    """As `run`, under strace with these options."""
    pid = start(action, log, stopped=True)
    os.waitpid(pid, os.WUNTRACED)
    with tempfile.NamedTemporaryFile("r") as said:
        tracer = subprocess.Popen(["strace", "-f", "-p", str(pid), *options], stderr=open(said.name, "w"))  # noqa: SIM115
        while "attached" not in said.read():
            if tracer.poll() is not None:
                os.kill(pid, signal.SIGKILL)
                raise SystemExit(f"strace cannot attach: {pathlib.Path(said.name).read_text()}. Use --at times.")
            time.sleep(0.01)
        os.kill(pid, signal.SIGCONT)
        status = finished(pid)
        tracer.wait()
    return status


def calls_of(action, log):
    """Runs `action`; {system call: how often its first thread made it}."""
    with tempfile.NamedTemporaryFile("r") as trace:
        status = traced(action, log, "-o", trace.name, "-e", f"trace={','.join(CALLS)}")
        lines = trace.read().splitlines()
    if status:
        raise SystemExit(f"Without a kill the status is {status}: see {log}.")
    first = lines[0].split()[0]
    return collections.Counter(found[1] for line in lines if (found := re.match(rf"{first}\s+(\w+)\(", line)))


class Killer:
    """Runs actions and kills them at random."""

    def __init__(self, at, seed):
        self.at, self.random, self.kills = at, random.Random(seed), 0

    def learn(self, action, log):
        """Runs `action` to its end, and keeps when it can be killed."""
        started = time.monotonic()
        if self.at == "calls":
            self.calls = calls_of(action, log)
        elif run(action, log):
            raise SystemExit(f"Without a kill it fails: see {log}.")
        self.seconds = time.monotonic() - started

    def kill(self, action, log):
        """A line about the kill; None if the action ended before."""
        if self.at == "calls":
            call = self.random.choice(sorted(self.calls))
            number = self.random.randint(1, self.calls[call])
            where = f"{call} number {number}"
            rule = f"inject={call}:signal=KILL:when={number}"
            status = traced(action, log, "-o", "/dev/null", "-e", f"trace={call}", "-e", rule)
        else:
            seconds = self.random.uniform(0.0, self.seconds)
            where, pid = f"{seconds:.2f} s", start(action, log)
            timer = threading.Timer(seconds, os.kill, (pid, signal.SIGKILL))
            timer.start()
            status = finished(pid)
            timer.cancel()
        if status == -signal.SIGKILL:
            self.kills += 1
            return where
        return None if status == 0 else f"{where}, but it failed with the status {status}"


def campaign(name, kills, killer, make, check, each=None):
    """Chains of kills, each in a folder of its own; a list of losses.

    Args:
        make: function (number of the chain) -> (action, log, folder); the folder does not exist.
        check: function of the folder -> list of losses, after the action was finished.
        each: None, or such a function to be called after every kill.
    """
    losses, learned = [], set()
    for number in itertools.count():
        if killer.kills >= kills:
            break
        action, log, folder, kind = make(number)
        if kind not in learned:
            learned.add(kind)
            trial, trial_log, _, _ = make(number, "whole")
            killer.learn(trial, trial_log)
        places = []
        for _ in range(min(CHAIN, kills - killer.kills)):
            place = killer.kill(action, log)
            places += [place] if place else []
            losses += [f"{name} {number}, after {places}: {loss}" for loss in (each(folder) if each and place else ())]
        status = run(action, log)
        found = [f"it ends with the status {status}, see {log}"] if status else check(folder)
        losses += [f"{name} {number}, killed at {places}: {loss}" for loss in found]
        print(f"{name} {number}: killed at {places}: {found or 'nothing lost'}", flush=True)
    return losses


# ---- what must be the same


def tree(folder, *skip):
    """{relative path: bytes} of all files, without those whose path matches one of the patterns."""
    files = {str(p.relative_to(folder)): p for p in folder.rglob("*") if p.is_file()}
    return {name: p.read_bytes() for name, p in files.items() if not any(re.match(pattern, name) for pattern in skip)}


def compare_runs(whole, other):
    """Losses of the run folder `other`, that should be as `whole`; runs TensorFlow."""
    whole, other = pathlib.Path(whole), pathlib.Path(other)
    skip = "tensorboard/", r"checkpoints/", r"history\.jsonl", r"config\.json", r"\.lock"
    a, b = tree(whole, *skip), tree(other, *skip)
    losses = [f"{name} differs" for name in sorted(a.keys() | b.keys()) if a.get(name) != b.get(name)]
    names = [{p.name for p in (run / "checkpoints").iterdir()} for run in (whole, other)]
    losses += [f"files {sorted(names[0] ^ names[1])} of checkpoints"] if names[0] != names[1] else []
    lines = [[json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()] for run in (whole, other)]
    losses += ["history.jsonl differs"] if lines[0] != lines[1] else []
    readers = [tf.train.load_checkpoint(str(run / "checkpoints")) for run in (whole, other)]
    for name in readers[0].get_variable_to_shape_map():
        if "OBJECT_GRAPH" not in name and not np.array_equal(*(reader.get_tensor(name) for reader in readers)):
            losses.append(f"{name} differs")
    return losses


def in_fork(function, *args):
    """The list of str that `function(*args)` returns, called in a fork."""
    with tempfile.NamedTemporaryFile("r") as file:

        def action():
            pathlib.Path(file.name).write_text(json.dumps(function(*args)))

        return json.load(file) if run(action, "/dev/stderr") == 0 else [f"{function.__name__} failed"]


# ---- the campaigns


def train_in(preset, workdir):
    settings = [part for text in MODELS[preset] for part in ("--set", text)]
    every = ["--steps", "12", "--log_every", "2", "--checkpoint_every", "4", "--sample_every", "4"]
    return functools.partial(tfgen, ["train", "--preset", preset, "--workdir", str(workdir), *every, *settings])


def training(args, killer):
    models = list(MODELS)[: args.models]

    def make(number, what=None):
        preset = models[number % len(models)]
        slug = preset.replace("/", "-")
        folder = args.folder / f"{slug}-{what or number}"
        return train_in(preset, folder), args.folder / f"{folder.name}.log", folder, slug

    def check(folder):
        whole = folder.with_name(f"{folder.name.rpartition('-')[0]}-whole")
        return in_fork(compare_runs, str(whole), str(folder))

    return campaign("training", args.kills, killer, make, check)


def pipeline(args, killer):
    from tfgen_pipelines import local, local_runner, pipeline  # noqa: F401
    from tfgen_pipelines.code_hash import code_hash

    # Few images without labels, which need no classifier, to be fast; a threshold that any model passes; and no server, for
    # strace would kill it in place of the pipeline.
    if run(lambda: write_digits(args.folder / "images"), args.folder / "images.log"):
        raise SystemExit(f"See {args.folder / 'images.log'}.")
    options = ["--preset", "vae/digits", "--data", f"folder:{args.folder / 'images'}", "--steps", "20",
               "--infra_validation", "none", "--thresholds", '{"vae/digits": {"bits_per_dim": {"upper": 1e9}}}']  # fmt: skip

    def make(number, what=None):
        folder = args.folder / f"pipeline-{what or number}"
        action = functools.partial(local.main, ["--workspace", str(folder), *options])
        return action, args.folder / f"{folder.name}.log", folder, "pipeline"

    code = code_hash("tfgen", "tfgen_trainers", "tfgen_pipelines")

    def check(folder):
        if code_hash("tfgen", "tfgen_trainers", "tfgen_pipelines") != code:
            raise SystemExit("The code was edited, so pipelines train anew. Run the campaign on a copy of the code.")
        return in_fork(pipeline_losses, str(folder), str(args.folder / "pipeline-whole"))

    return campaign("pipeline", args.kills, killer, make, check, lambda folder: version_losses(folder / "pushed/vae-digits"))


def write_digits(folder):
    """100 digits without labels in each of the folders train and test; runs TensorFlow."""
    for split in ("train", "test"):
        (folder / split).mkdir(parents=True)
        for i, image in enumerate(load("digits", split).images(100)):
            (folder / split / f"{i:03d}.png").write_bytes(tf.io.encode_png(np.uint8(np.round(image * 255.0))).numpy())


def pipeline_losses(folder, whole):
    """What is wrong with the workspace `folder` of a finished pipeline; `whole` is that of one that was never killed."""
    from ml_metadata.proto import metadata_store_pb2
    from tfx.orchestration import metadata

    folder, states = pathlib.Path(folder), metadata_store_pb2.Execution.State
    versions = sorted((folder / "pushed/vae-digits").iterdir())
    models = [tree(model) for model in (folder / "artifacts/Trainer.vae-digits/model").glob("*/Format-Serving")]
    losses = [] if len(versions) == 1 and versions[0].name.isdigit() else [f"pushed are {[p.name for p in versions]}"]
    losses += [f"version {p.name} is no model of the trainer" for p in versions if tree(p) not in models]
    losses += [] if (folder / "report.html").exists() else ["no report"]
    trained = [sorted(pathlib.Path(workspace).glob("runs/*")) for workspace in (whole, folder)]
    names = [[run.name for run in runs] for runs in trained]
    losses += compare_runs(trained[0][0], trained[1][0]) if names[0] == names[1] else [f"run folders are {names[1]}"]
    with metadata.Metadata(metadata.sqlite_metadata_connection_config(str(folder / "metadata.sqlite"))) as handle:
        executions, artifacts = handle.store.get_executions(), handle.store.get_artifacts()
        contexts = {e.id: handle.store.get_contexts_by_execution(e.id) for e in executions}
    losses += [f"execution {e.id} is open" for e in executions if e.last_known_state in (states.NEW, states.RUNNING)]
    complete = {str(e.id) for e in executions if e.last_known_state == states.COMPLETE}
    nodes = collections.Counter(
        c.name for e in executions if str(e.id) in complete for c in contexts[e.id] if c.type == "node"
    )
    losses += [f"{node} ran to its end {n} times" for node, n in nodes.items() if n > 1 and "LastBlessed" not in node]
    live = [a for a in artifacts if a.state == metadata_store_pb2.Artifact.LIVE]
    losses += [f"{a.uri} of the artifact {a.id} is lost" for a in live if a.uri and not pathlib.Path(a.uri).exists()]
    left = [p for p in (folder / "artifacts").glob("*/*/*") if p.parent.name != ".system" and ".system" not in p.parts]
    losses += [f"{p.relative_to(folder)} belongs to no execution" for p in left if p.name not in complete]
    losses += [f"{p.relative_to(folder)} is left" for p in folder.glob("runs/**/*") if re.search(r"tmp|_temp|temp$", p.name)]
    return losses


def version_losses(folder):
    """Versions that are visible, but not whole; the number of their files is that of the fullest."""
    versions = {p.name: len(tree(p)) for p in folder.iterdir() if p.name.isdigit()} if folder.exists() else {}
    most = version_losses.most = max([version_losses.most, *versions.values()])
    return [f"version {name} has {files} of {most} files" for name, files in versions.items() if files < most]


version_losses.most = 0


def no_hidden(folder):
    return version_losses(folder) + [f"{p.name} is left" for p in folder.iterdir() if not p.name.isdigit()]


def export(args, killer):
    preset = "vae/digits"
    workdir = args.folder / "run"
    if run(train_in(preset, workdir), args.folder / "run.log"):
        raise SystemExit(f"See {args.folder / 'run.log'}.")

    def make(number, what=None):
        folder = args.folder / f"export-{what or number}"
        action = functools.partial(tfgen, ["export", "--workdir", str(workdir), "--to", str(folder)])
        return action, args.folder / f"{folder.name}.log", folder, "export"

    return campaign("export", args.kills, killer, make, no_hidden, version_losses)


def push(args, killer):
    from tfgen_pipelines.components import pusher

    model = args.folder / "model"
    graph = saved_model_pb2.SavedModel()
    graph.meta_graphs.add().meta_info_def.tags.append("serve")
    model.mkdir()
    (model / "saved_model.pb").write_bytes(graph.SerializeToString())
    for i in range(20):
        path = model / f"variables/{i}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(10000))

    def make(number, what=None):
        folder = args.folder / f"push-{what or number}"
        return lambda: pusher.push(model, folder) and 0, args.folder / f"{folder.name}.log", folder, "push"

    def check(folder):
        versions = [p for p in folder.iterdir() if p.name.isdigit()]
        return no_hidden(folder) + ([] if len(versions) == 1 else [f"{len(versions)} versions of one model"])

    return campaign("push", args.kills, killer, make, check, version_losses)


def disks(args, killer):
    """Trains on disks of several sizes, each too small, and goes on when the disk has grown."""
    whole, mounted, losses = args.folder / "whole", args.folder / "disk", []
    run(train_in("vae/digits", whole), args.folder / "whole.log")
    size = sum(-(-len(content) // 4096) * 4096 for content in tree(whole).values())
    mounted.mkdir()
    for share in (0.1, 0.3, 0.5, 0.7, 0.9):
        log = args.folder / f"disk-{share}.log"
        limit = f"size={int(share * size / 1024)}k"
        if subprocess.run(["mount", "-t", "tmpfs", "-o", limit, "tmpfs", mounted]).returncode:
            raise SystemExit("No disk can be mounted here.")
        try:
            status = run(train_in("vae/digits", mounted / "run"), log)
            said = log.read_text()
            found = [] if status == 2 and "Traceback" not in said else [f"the status is {status}, see {log}"]
            subprocess.run(["mount", "-o", "remount,size=100m", mounted], check=True)
            again = run(train_in("vae/digits", mounted / "run"), log)
            found += in_fork(compare_runs, str(whole), str(mounted / "run")) if again == 0 else [f"{again} after it grew"]
        finally:
            subprocess.run(["umount", mounted], check=True)
        print(f"disk of {limit}: {said.strip()[-150:]}: {found or 'nothing lost'}", flush=True)
        losses += [f"{limit}: {loss}" for loss in found]
    return losses


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m tests.faults.campaign", description=__doc__.split("\n\n")[0])
    parser.add_argument("what", choices=("training", "pipeline", "export", "push", "disks"))
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--models", type=int, default=len(MODELS), help="of the training: how many models")
    parser.add_argument("--at", choices=("calls", "times"), default="calls" if shutil.which("strace") else "times")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=pathlib.Path, help="kept for a look; default: a temporary one")
    args = parser.parse_args(argv)
    with contextlib.ExitStack() as stack:
        if args.folder is None:
            args.folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        args.folder.mkdir(parents=True, exist_ok=True)
        killer = Killer(args.at, args.seed)
        losses = globals()[args.what](args, killer)
    print(f"{killer.kills} kills, {len(losses)} losses")
    for loss in losses:
        print(f"  {loss}")
    return int(bool(losses))


if __name__ == "__main__":
    sys.exit(main())
