"""Which records are fresh, and the table of all records in README.md.

A record of trainings is fresh if the code that trains is still the same, or if today's code was seen to reproduce the losses
and the weights of the first 20 steps (`check`): those that the record has, or on another kind of machine, which rounds in
another way, those of an earlier commit there, by whose code the record was fresh. One of a measurement alone is fresh if its
code is the same. Evaluation code is not compared. Hashes of code leave out comments and docstrings; the settings of presets
are compared by their values.
"""

import contextlib
import datetime
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import tfgen
from benchmarks.record import ROOT, filled, markdown_table, write
from benchmarks.reproduce.autoregressive import split_validation
from tfgen_trainers.code_hash import modules_hash
from tfgen_trainers.origin import commit, machine, same_kind
from tfgen_trainers.train import TrainConfig, examples_of, first_steps, snapshot

FOLDER = ROOT / "benchmarks" / "reproduce"
# Prints to a file what `first_steps_of` returns by the code of another folder.
_ELSEWHERE = """
import json, sys
sys.path[0] = sys.argv[1]
from benchmarks.reproduce import status
found = status.first_steps_of(*json.load(sys.stdin))
open(sys.argv[2], "w").write(json.dumps(found))
"""
_BEGIN, _END = "<!-- records: from the JSON files, by `make reproduce ARGS=--status` -->", "<!-- end of records -->"


def records(folder=FOLDER):
    """{name: record} of all records in a folder."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(pathlib.Path(folder).glob("*.json"))}


def freshness(name, record):
    """(whether a record is fresh, why) by the code of this process."""
    if "measured_by" not in record:
        return False, "it does not say which code made it"
    if not record["trainings"]:
        same = record["measured_by"]["code"] == _today(record["measured_by"]["modules"])
        return same, "same code" if same else "its code has changed since"
    checked = record.get("checked", {})
    reasons = [_freshness(training, checked.get(name)) for name, training in record["trainings"].items()]
    return all(fresh for fresh, _ in reasons), "; ".join(dict.fromkeys(why for _, why in sorted(reasons)))


def _freshness(training, checked):
    parts = training["trained_by"]
    if not parts or None in (part["code"] for part in parts):
        return False, "a run folder does not say which code trained"
    if "preset" in training and _settings(training["preset"]) != _preset_today(training):
        return False, "the preset has changed since"
    today = _today(parts[0]["modules"])
    if {part["code"] for part in parts} == {today}:
        return True, "same code"
    if checked is None or checked["code"] != today:
        return False, "the code has changed since, and its first steps are not checked"
    return checked["reproduced"], checked["found"]


def _today(modules):
    try:
        return modules_hash(**modules)
    except ModuleNotFoundError:
        return None


def _config(training):
    return TrainConfig(**training["config"] | {"steps": training["trained_by"][0]["steps"]})


def _preset_today(training):
    try:
        resolved = _config(training).resolve().config()
    except ValueError:  # there is no such preset, or setting, any more
        return None
    return _settings(json.loads(json.dumps(resolved)))


def _settings(preset):
    """The values of a preset without texts about it, and without the steps, which a training has of its own."""
    return {name: value for name, value in preset.items() if name not in ("source", "paper", "steps")}


def check(path, manual_dir=None, against=None):
    """Trains the first steps of all trainings of a record with today's code, notes in the record what was found, prints it.

    Args:
        against: None, or a commit. Where the steps differ on another kind of machine, they are compared with those of this
            commit's code here, if the record is fresh by that code.

    Returns:
        whether all were reproduced. What cannot be judged here (steps that cannot be repeated by themselves, or differ on
        another kind of machine) is printed, and the record keeps what was found before.
    """
    record = json.loads(pathlib.Path(path).read_text())
    if not record.get("trainings"):
        raise ValueError(f"{path} is no record of trainings with first steps; make it anew.")
    verdicts, found = [], record.setdefault("checked", {})
    for name, training in record["trainings"].items():
        reproduced, what = _check(training, manual_dir, against, found.get(name))
        verdicts.append(reproduced)
        print(f"{pathlib.Path(path).stem} {name}: {what}", flush=True)
        if reproduced is not None:
            now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
            code = _today(training["trained_by"][0]["modules"])
            found[name] = {"date": now, "commit": commit(), "machine": machine(), "code": code, "reproduced": reproduced,
                           "found": what}  # fmt: skip
    write(path, record)
    return all(verdicts)


def first_steps_of(training, manual_dir=None):
    """{"code": hash, "fingerprint": of the images, "steps": the first steps} of a record's training by today's code."""
    config, load = _config(training), dict(training["load"])
    validation, take = load.pop("validation", None), load.pop("take", None)
    named = manual_dir and ":" not in load["spec"]  # files of one's own have their path in the spec
    source = tfgen.data.load(**load, **({"manual_dir": manual_dir} if named else {}))
    source = source if take is None else source.take(take)
    if validation is not None:
        source = split_validation(source, validation, load["spec"], manual_dir)[0]
    fingerprint = snapshot(config, config.resolve(), examples_of(config, source))["data"]["fingerprint"]
    same = fingerprint == training["data"]["fingerprint"]
    steps = json.loads(json.dumps(first_steps(config, source))) if same else None
    return {"code": _today(training["trained_by"][0]["modules"]), "fingerprint": fingerprint, "steps": steps}


def _check(training, manual_dir, against, checked):
    """(whether the first steps are reproduced, None if that cannot be judged; what was found)."""
    before, parts = training["first_steps"], training["trained_by"]
    if before is None or not training.get("load") or not parts or parts[0]["code"] is None:
        return None, "the first steps cannot be repeated by themselves"
    now = first_steps_of(training, manual_dir)
    if now["steps"] is None:
        return False, "the images are others now"
    if now["steps"] == before:
        return True, f"the first {before['steps']} steps are the same"
    if same_kind(parts[0]["machine"], machine()):
        return False, "the first steps differ"
    if against is None:
        return None, "the first steps differ here, on another kind of machine or with other kernels"
    earlier = _by_code_of(against, training, manual_dir)
    fresh = {part["code"] for part in parts} == {earlier["code"]}
    if not fresh and not (checked and checked["reproduced"] and checked["code"] == earlier["code"]):
        return None, f"the record is not known to be fresh by the code of {against}"
    if earlier["steps"] == now["steps"]:
        return True, f"the first {before['steps']} steps are those of the code of {against}, by which the record was fresh"
    return False, f"the first steps differ from those of the code of {against}"


def _by_code_of(other, training, manual_dir):
    """`first_steps_of` by the code of another commit, in a process of its own."""
    with _checkout(other) as folder:
        result = folder / "found.json"
        asked = json.dumps([training, manual_dir])
        subprocess.run([sys.executable, "-c", _ELSEWHERE, str(folder), str(result)], input=asked, text=True, check=True)
        return json.loads(result.read_text())


@contextlib.contextmanager
def _checkout(other):
    """A folder with the files of a commit, but with this file as it is now."""
    git = ["git", "-C", str(ROOT), "worktree"]
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch) / "code"
        subprocess.run([*git, "add", "--quiet", "--detach", str(folder), other], check=True)
        try:
            shutil.copy(__file__, folder / "benchmarks" / "reproduce" / "status.py")
            yield folder
        finally:
            subprocess.run([*git, "remove", "--force", str(folder)], check=True)


def table(found):
    """The table of {name: record} in README.md, as Markdown."""
    head = ["record", "state", "trained (or measured) by", "oneDNN", "seconds", "results with gates", "the paper"]
    rows = []
    for name, record in found.items():
        fresh, why = freshness(name, record)
        state = f"{'fresh' if fresh else '**stale**'}: {why}"
        rows.append([f"`{name}`", state, _by(record), _kernels(record), f"{record['seconds']:,.0f}", _results(record),
                     record.get("paper") or "-"])  # fmt: skip
    return markdown_table(head, rows)


def _parts(record):
    parts = [part for training in record.get("trainings", {}).values() for part in training["trained_by"]]
    return parts or [record.get("measured_by") or record]


def _by(record):
    commits = dict.fromkeys(_commit(part["commit"]) for part in _parts(record))
    return f"{', '.join(commits)}, {record['date'][:10]}"


def _commit(one):
    if one is None or one["hash"] is None:
        return "unknown"
    return one["hash"][:8] + (" and uncommitted files" if one["dirty"] else "")


def _kernels(record):
    machines = [part.get("machine", {}).get("onednn") for part in _parts(record)]
    words = {None: "unknown" if "tensorflow" in str(record.get("versions", "")) else "-", True: "on", False: "off"}
    return ", ".join(dict.fromkeys(words[one] for one in machines))


def _results(record):
    lines = []
    for name, gate in (record.get("gates") or {}).items():
        value, met = record["results"].get(name), (record.get("passed") or {}).get(name)
        number = "" if value is None else f" {value:.4g}" if isinstance(value, int | float) else ""
        lines.append(f"{name}{number} ({gate}: { {True: 'met', False: '**missed**', None: 'no number'}[met] })")
    return "; ".join(lines) or "no gates"


def readme(found):
    """(path, text) of README.md with the table of {name: record}, and the commit of the code that the states are for."""
    path = FOLDER / "README.md"
    today = datetime.datetime.now(datetime.timezone.utc).date()
    text = f"States by the code of {_commit(commit())}, {today}.\n\n{table(found)}"
    return path, filled(path.read_text(), _BEGIN, _END, text)
