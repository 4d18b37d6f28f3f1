"""Writes the record of a measurement, with the information on how it was obtained.

A record is one JSON object:

    command, seed, protocol, results, gates, passed, seconds, date     the measurement; wall clock, and UTC at its end
    measured_by     {"commit", "code", "modules", "versions", "machine"} of the process that measured and wrote the record
    trainings       {name: origin, first steps and settings of a training}, see `training_of`; {} where nothing is trained
    checked         what `python -m benchmarks.reproduce --check` found since, of each training

`code` is a hash of the modules that did it, see `tfgen_trainers.code_hash`.
"""

import datetime
import json
import operator
import os
import pathlib
import re
import shlex
import sys

from tfgen.files import write_whole
from tfgen_trainers.origin import origin, read

ROOT = pathlib.Path(__file__).resolve().parent.parent


def judged(results, gates):
    """The fields `gates` and `passed` of a record.

    Args:
      results: {name: number}. A missing number, or None, is not checked against its gate.
      gates: {name of a result: ("<=" or ">=", bound)}, or with two of each: (">=", low, "<=", high).
    """
    met = {"<=": operator.le, ">=": operator.ge}
    gates = {name: list(zip(gate[::2], gate[1::2], strict=True)) for name, gate in gates.items()}
    passed = {
        name: None if results.get(name) is None else all(bool(met[sign](results[name], bound)) for sign, bound in gate)
        for name, gate in gates.items()
    }
    return {"gates": {name: ", ".join(f"{sign} {bound}" for sign, bound in gate) for name, gate in gates.items()},
            "passed": passed}  # fmt: skip


def report(path, module, *, seed, seconds, protocol, results, gates, trainings=None, code=None, **extra):
    """Prints all numbers of `results` with their gates, writes the record as JSON, atomically, and returns it as a dict.

    Args:
      path: the JSON file, its folder is made if needed; None: nothing is written, and None returned.
      module: the module whose `python -m` repeats the measurement with this process's arguments.
      seed: the int from which all random numbers come, or None.
      seconds: wall clock of the whole measurement, in seconds.
      protocol: a description of the measurement: a string or a dict.
      results: dict of name -> number (or anything that JSON holds; NumPy scalars and arrays are converted).
      gates: see `judged`.
      trainings: {name: the dict of `training_of`}, of all models that were trained.
      code: the module that measures, if it is another one than `module`.
      **extra: additional fields; the name of a standard field raises ValueError.
    """
    verdict = judged(results, gates)
    for name, value in results.items():
        verdicts = {None: "no number", True: "met", False: "MISSED"}
        gate = f"   gate {verdict['gates'][name]}: {verdicts[verdict['passed'][name]]}" if name in gates else ""
        if gate or not isinstance(value, (dict, list)):
            print(f"{name:44} {value}{gate}")
    if path is None:
        return None
    fields = {
        "command": module_command(module),
        "seed": seed,
        "protocol": protocol,
        "seconds": round(float(seconds), 3),
        "results": results,
        **verdict,
        "measured_by": origin([code or module]),
        "trainings": trainings or {},
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }
    if taken := sorted(fields.keys() & extra.keys()):
        raise ValueError(f"report() sets {taken} itself; got them as extra fields too")
    return write(path, fields | extra)


def write(path, fields):
    """Writes a record and returns it. A list of numbers is one line: a picture would be tens of thousands."""
    text = json.dumps(fields, indent=2, default=_plain)
    text = re.sub(r"\[\n[^][{}\"]*\]", lambda found: "[" + " ".join(found[0][1:-1].split()) + "]", text)
    write_whole(pathlib.Path(path), f"{text}\n".encode())
    return fields


def training_of(workdir, **load):
    """What a record says of the training in a run folder: {"trained_by", "first_steps", "config", "data", "load"}.

    Args:
      workdir: a run folder of `tfgen_trainers.train.train`.
      **load: keyword arguments of `tfgen.data.load`, without `manual_dir`, by which the source can be loaded again to check
        the first steps, and `take`, the number of its first examples if not all are used; none: it cannot.
    """
    config = json.loads((pathlib.Path(workdir) / "config.json").read_text())
    return {**read(workdir), "config": config["config"], "preset": config["run"]["preset"],
            "data": {"name": config["data"], **config["run"]["data"]}, "load": load or None}  # fmt: skip


def module_command(module, argv=None):
    """The command line of `python -m module` with this process's arguments, without run folders; paths are relative to the
    repository.
    """
    words, found = list(sys.argv[1:] if argv is None else argv), []
    while words:
        word = words.pop(0)
        if word.partition("=")[0] == "--workdir":  # where a run is does not change it
            words = words if "=" in word else words[1:]
        else:  # a path may follow "--name=" or "folder:"
            found.append(re.sub(r"(^|(?<=[=:]))/.*", lambda path: os.path.relpath(path[0], ROOT), word))
    return shlex.join(["python", "-m", module, *found])


def markdown_table(head, rows):
    """A table of texts or numbers in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def filled(page, begin, end, text):
    """The text `page` with `text` between its lines `begin` and `end`; ValueError if it lacks one of them."""
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"The page must have the lines {begin!r} and {end!r}.")
    return f"{before}{begin}\n{text}\n{end}{after}"


def _plain(value):
    if hasattr(value, "tolist"):  # NumPy scalars and arrays
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"a record holds JSON values; got {type(value).__name__}: {value!r}")
