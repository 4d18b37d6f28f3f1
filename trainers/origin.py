"""Where a result comes from: commit, code, versions, machine; and the file `training.json`, which says it of a run folder.

    {"trained_by": [{"from_step": 0, "commit", "code", "modules", "versions", "machine", "steps"}, ...],
     "first_steps": {"steps": 20, "losses": [{"step", loss: mean}, ...], "weights": sha256}}

`trained_by` has an entry for each version of the code and kind of machine that trained a part of the run. `first_steps` is
what `FirstSteps` found: the same code on the same kind of machine finds it again. Importing this module does not import
TensorFlow.
"""

import functools
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
import sys
from collections.abc import Iterable

from tfgen import onednn
from tfgen.files import write_whole
from tfgen_trainers.code_hash import modules_hash

FILE = "training.json"
_ROOT = pathlib.Path(__file__).resolve().parents[1]
_PACKAGES = {
    "tensorflow": "tensorflow", "keras": "keras", "tfp": "tensorflow-probability", "numpy": "numpy",
}  # fmt: skip
# What cannot change a result. All other files count, also those that git does not know.
_NO_CODE = ("docs", "tests", "zoo", "*.md", "benchmarks/reproduce/*.json")


@functools.lru_cache(maxsize=1)
def commit() -> dict:
    """{"hash": 40 hex digits, "dirty": whether files that can change a result differ from it} when first called in this
    process, as the code that is loaded; both None if tfgen is not in a git checkout of its own.
    """
    try:
        top, head = _git("rev-parse", "--show-toplevel", "HEAD").split()
        if pathlib.Path(top).resolve() != _ROOT:
            raise OSError("a repository around an installation")
        changed = _git("status", "--porcelain", "--", ".", *(f":(exclude){pattern}" for pattern in _NO_CODE))
    except (OSError, ValueError, subprocess.CalledProcessError):
        return {"hash": None, "dirty": None}
    return {"hash": head, "dirty": bool(changed)}


def _git(*words):
    return subprocess.run(["git", *words], cwd=_ROOT, check=True, capture_output=True, text=True).stdout.strip()


def versions() -> dict:
    """Versions of Python and of the packages that affect results; None for a package that is not installed."""
    found = {"python": platform.python_version()}
    for name, distribution in _PACKAGES.items():
        try:
            found[name] = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def machine() -> dict:
    """Usable cores, processor model, its widest vectors, system, and whether TensorFlow used oneDNN (None: unused)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    model = platform.processor() or platform.machine()
    cpuinfo, vectors = pathlib.Path("/proc/cpuinfo"), None
    if cpuinfo.exists():
        text = cpuinfo.read_text()
        lines = [line for line in text.splitlines() if line.startswith("model name")]
        model = lines[0].partition(":")[2].strip() if lines else model
        # Kernels for other vectors add up in another order. Models of one name may differ in them.
        vectors = next((name for name in ("avx512f", "avx2", "avx") if name in text.split()), None)
    # Which kernels ran decides the last digits; of a measurement without TensorFlow there is nothing to tell.
    kernels = onednn.enabled() if "tensorflow" in sys.modules else None
    return {"cores": cores, "cpu": model, "vectors": vectors, "system": f"{platform.system()} {platform.machine()}",
            "onednn": kernels}  # fmt: skip


def same_kind(one: dict, other: dict) -> bool:
    """Whether two `machine()`s should find the same bits: the same processor, vectors, system and kernels.

    Records before 2026-12 do not say which vectors.
    """
    known = ("vectors",) if "vectors" in one and "vectors" in other else ()
    return all(one.get(key) == other.get(key) for key in ("cpu", "system", "onednn", *known))


def origin(followed: Iterable[str], alone: Iterable[str] = ()) -> dict:
    """{"commit", "code", "modules", "versions", "machine"} of what this process does with these modules.

    Args:
        followed, alone: dotted names, see `modules_hash`; they are kept as `modules`, to compute the hash again later.
    """
    modules = {"followed": sorted(followed), "alone": sorted(alone)}
    here = machine()  # before the hash, for which packages are imported, perhaps TensorFlow's
    return {
        "commit": commit(), "code": modules_hash(**modules), "modules": modules, "versions": versions(), "machine": here,
    }  # fmt: skip


def read(workdir: str | os.PathLike) -> dict:
    """The content of `training.json`; {"trained_by": [], "first_steps": None} without such a file."""
    path = pathlib.Path(workdir) / FILE
    return json.loads(path.read_text()) if path.exists() else {"trained_by": [], "first_steps": None}


def begin(workdir: str | os.PathLike, step: int, part: dict) -> None:
    """Notes in `training.json` that training begins, or goes on, at `step`.

    Args:
        part: see `origin`. It becomes an entry of its own if it differs from the last one. Parts that were trained after
            `step` are dropped, since they are trained again. Of a run without `training.json` the first part is unknown.
    """
    found = read(workdir)
    parts = [one for one in found["trained_by"] if one["from_step"] < step]
    if step and not parts:
        parts = [{"from_step": 0, "commit": None, "code": None}]
    if not parts or {**parts[-1], "from_step": None} != {**part, "from_step": None}:
        parts.append({"from_step": step, **part})
    write(workdir, {"trained_by": parts, "first_steps": found["first_steps"] if step else None})


def write(workdir: str | os.PathLike, content: dict) -> None:
    """Writes `training.json`, atomically; `content` is as from `read`. Raises OSError if it cannot be written."""
    write_whole(pathlib.Path(workdir) / FILE, (json.dumps(content, indent=2) + "\n").encode())
