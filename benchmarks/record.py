"""Writes the record of a measurement, with the information on how it was obtained.

A record is one JSON object: the run (`command`, `commit`, `seed`, `protocol`), the machine (`versions`, `machine`), the time
(`date` in UTC, `seconds` of wall clock) and the `results`.
"""

import datetime
import importlib.metadata
import json
import operator
import os
import pathlib
import platform
import shlex
import subprocess
import sys

from tfgen import onednn
from tfgen.files import write_whole

ROOT = pathlib.Path(__file__).resolve().parent.parent
_PACKAGES = {
    "tensorflow": "tensorflow", "keras": "keras", "tfp": "tensorflow-probability", "numpy": "numpy",
}  # fmt: skip


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


def report(path, module, *, seed, seconds, protocol, results, gates, **extra):
    """Prints all numbers of `results` with their gates, writes the record and returns it (see `record`).

    Args:
      path: the JSON file; None: no file.
      module: the module whose `python -m` repeats the measurement.
      gates: see `judged`.
      seed, seconds, protocol, results, **extra: see `record`.
    """
    verdict = judged(results, gates)
    for name, value in results.items():
        verdicts = {None: "no number", True: "met", False: "MISSED"}
        gate = f"   gate {verdict['gates'][name]}: {verdicts[verdict['passed'][name]]}" if name in gates else ""
        if gate or not isinstance(value, (dict, list)):
            print(f"{name:44} {value}{gate}")
    if path is None:
        return None
    return record(
        path,
        command=module_command(module),
        seed=seed,
        protocol=protocol,
        seconds=seconds,
        results=results,
        **verdict,
        **extra,
    )


def record(path, *, command, seed, protocol, seconds, results, **extra):
    """Writes one record as JSON, atomically, and returns it as a dict.

    Args:
      path: the JSON file; its folder is made if needed.
      command: the command line that repeats the measurement, a string or a list of words.
      seed: the int from which all random numbers come, or None.
      protocol: a description of the measurement: a string or a dict.
      seconds: wall clock of the whole measurement, in seconds.
      results: dict of name -> number (or anything that JSON holds; NumPy scalars and arrays are converted).
      **extra: additional fields; the name of a standard field raises ValueError.
    """
    fields = {
        "command": command if isinstance(command, str) else shlex.join(map(str, command)),
        "seed": seed,
        "protocol": protocol,
        "seconds": round(float(seconds), 3),
        "results": results,
        "commit": commit(),
        "versions": versions(),
        "machine": machine(),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }
    if taken := sorted(fields.keys() & extra.keys()):
        raise ValueError(f"record() sets {taken} itself; got them as extra fields too")
    fields |= extra
    write_whole(pathlib.Path(path), (json.dumps(fields, indent=2, default=_plain) + "\n").encode())
    return fields


def commit():
    """{"hash": 40 hex digits, "dirty": whether files other than records and pictures differ from it}; both None outside a
    git checkout.
    """
    written = (":(exclude)docs/images", ":(exclude)benchmarks/reproduce/*.json")
    try:
        head = _output(["git", "rev-parse", "HEAD"])
        changed = _output(["git", "status", "--porcelain", "--", ".", *written])
    except (OSError, subprocess.CalledProcessError):
        return {"hash": None, "dirty": None}
    return {"hash": head, "dirty": bool(changed)}


def versions():
    """Versions of Python and of the packages that affect results; None for a package that is not installed."""
    found = {"python": platform.python_version()}
    for name, distribution in _PACKAGES.items():
        try:
            found[name] = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def machine():
    """Usable cores, processor model, system, and whether TensorFlow used oneDNN (None: TensorFlow was not used)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    model = platform.processor() or platform.machine()
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].partition(":")[2].strip() if lines else model
    # Which kernels ran decides the last digits; of a measurement without TensorFlow there is nothing to tell.
    kernels = onednn.enabled() if "tensorflow" in sys.modules else None
    return {"cores": cores, "cpu": model, "system": f"{platform.system()} {platform.machine()}", "onednn": kernels}


def module_command(module, argv=None):
    """The command line of `python -m module` with this process's arguments, for `record(command=...)`."""
    return shlex.join(["python", "-m", module, *(sys.argv[1:] if argv is None else argv)])


def _output(command):
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def _plain(value):
    if hasattr(value, "tolist"):  # NumPy scalars and arrays
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"a record holds JSON values; got {type(value).__name__}: {value!r}")
