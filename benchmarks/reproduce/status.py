"""Which records are fresh, and the table of all records in README.md.

A record of trainings is fresh if the code that trains is still the same, or if today's code was seen to reproduce the losses
and the weights of the first 20 steps (`check`). One of a measurement alone is fresh if its code is the same. Evaluation code
is not compared. Hashes of code leave out comments and docstrings; the settings of presets are compared by their values.
"""

import datetime
import json
import pathlib

import tfgen
from benchmarks.record import ROOT, filled, markdown_table, write
from benchmarks.reproduce.autoregressive import split_validation
from tfgen_trainers.code_hash import modules_hash
from tfgen_trainers.origin import commit, machine, same_kind
from tfgen_trainers.train import TrainConfig, examples_of, first_steps, snapshot

FOLDER = ROOT / "benchmarks" / "reproduce"
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


def check(path, manual_dir=None):
    """Trains the first steps of all trainings of a record with today's code, notes in the record what was found, prints it.

    Returns:
        whether all were reproduced. What cannot be judged here (steps that cannot be repeated by themselves, or differ on
        another kind of machine) is printed, and the record keeps what was found before.
    """
    record = json.loads(pathlib.Path(path).read_text())
    if not record.get("trainings"):
        raise ValueError(f"{path} is no record of trainings with first steps; make it anew.")
    verdicts, found = [], record.setdefault("checked", {})
    for name, training in record["trainings"].items():
        reproduced, what = _check(training, manual_dir)
        verdicts.append(reproduced)
        print(f"{pathlib.Path(path).stem} {name}: {what}", flush=True)
        if reproduced is not None:
            now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
            code = _today(training["trained_by"][0]["modules"])
            found[name] = {"date": now, "commit": commit(), "machine": machine(), "code": code, "reproduced": reproduced,
                           "found": what}  # fmt: skip
    write(path, record)
    return all(verdicts)


def _check(training, manual_dir):
    """(whether the first steps are reproduced, None if that cannot be judged; what was found)."""
    before, parts = training["first_steps"], training["trained_by"]
    if before is None or not training.get("load") or not parts or parts[0]["code"] is None:
        return None, "the first steps cannot be repeated by themselves"
    config, load = _config(training), dict(training["load"])
    validation, take = load.pop("validation", None), load.pop("take", None)
    named = manual_dir and ":" not in load["spec"]  # files of one's own have their path in the spec
    source = tfgen.data.load(**load, **({"manual_dir": manual_dir} if named else {}))
    source = source if take is None else source.take(take)
    if validation is not None:
        source = split_validation(source, validation, load["spec"], manual_dir)[0]
    data = snapshot(config, config.resolve(), examples_of(config, source))["data"]
    if data["fingerprint"] != training["data"]["fingerprint"]:
        return False, "the images are others now"
    now = json.loads(json.dumps(first_steps(config, source)))
    if now == before:
        return True, f"the first {before['steps']} steps are the same"
    if not same_kind(parts[0]["machine"], machine()):
        return None, "the first steps differ here, on another kind of machine or with other kernels"
    return False, "the first steps differ"


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
    return path, filled(path, _BEGIN, _END, f"States by the code of {_commit(commit())}, {today}.\n\n{table(found)}")
