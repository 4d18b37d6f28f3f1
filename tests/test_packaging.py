"""What is promised around the code: metadata, locked versions, lean imports, set-up and CI's command."""

import configparser
import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = pathlib.Path(__file__).resolve().parent.parent
LOCKS = {"3.10": ROOT / "constraints/py310.txt", "3.12": ROOT / "constraints/core-py312.txt"}


def setup_cfg():
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string((ROOT / "setup.cfg").read_text())
    return parser


def requirements(text):
    return [Requirement(line) for line in text.strip().splitlines()]


def locked(version):
    return dict(line.split("==") for line in LOCKS[version].read_text().split())


def run_python(code):
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)


def test_metadata():
    import tfgen

    metadata = setup_cfg()["metadata"]
    assert (metadata["name"], metadata["license"]) == ("tfgen", "Apache-2.0")
    assert metadata["version"] == tfgen.__version__
    license_text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in license_text and "END OF TERMS AND CONDITIONS" in license_text


@pytest.mark.parametrize("version", LOCKS)
def test_locks_hold_names_and_versions_only(version):
    lines = LOCKS[version].read_text().splitlines()
    strange = [line for line in lines if not re.fullmatch(r"[a-z0-9][a-z0-9-]*==[a-z0-9][a-z0-9.+]*", line)]
    assert not strange, f"neither addresses nor comments nor options belong into a lock: {strange}"
    assert len(locked(version)) == len(lines), "a package stands twice"


@pytest.mark.parametrize(
    ("version", "extras"), [("3.10", ["tfx", "serving", "compression", "dev"]), ("3.12", ["compression", "dev"])]
)
def test_every_requirement_is_locked_to_a_version_it_allows(version, extras):
    cfg, lock = setup_cfg(), locked(version)
    needed = requirements(cfg["options"]["install_requires"])
    for extra in extras:
        needed += requirements(cfg["options.extras_require"][extra])
    for requirement in needed:
        name = canonicalize_name(requirement.name)
        assert name in lock, f"{requirement} is not in {LOCKS[version].name}"
        assert requirement.specifier.contains(lock[name]), f"{requirement} forbids the locked {lock[name]}"


def test_every_folder_with_code_is_a_package():
    for package in ("tfgen", "pipelines", "trainers", "serving"):
        assert f"{package}*" in setup_cfg()["options.packages.find"]["include"].split()
        folders = {file.parent for file in (ROOT / package).rglob("*.py")}
        assert folders, f"{package} holds no code"
        missing = [str(folder) for folder in folders if not (folder / "__init__.py").exists()]
        assert not missing, f"setuptools would leave these out, they have no __init__.py: {missing}"


def test_console_script_can_be_loaded():
    name, _, value = setup_cfg()["options.entry_points"]["console_scripts"].strip().partition(" = ")
    assert name == "tfgen"
    assert callable(EntryPoint(name, value, "console_scripts").load())


def test_import_tfgen_needs_no_heavy_module():
    blocked = ["apache_beam", "matplotlib", "sklearn", "tensorflow_datasets", "tensorflow_probability", "tfx"]
    run = run_python(f"import sys; sys.modules.update(dict.fromkeys({blocked})); import tfgen")
    assert run.returncode == 0, run.stderr


def test_every_core_module_imports_without_the_extras():
    blocked = ["apache_beam", "constriction", "kfp", "orjson", "starlette", "tensorflow_serving", "tensorflow_transform"]
    blocked += ["tfx", "uvicorn"]
    run = run_python(
        f"import sys; sys.modules.update(dict.fromkeys({blocked}))\n"
        "import importlib, pkgutil, tfgen\n"
        "for module in pkgutil.walk_packages(tfgen.__path__, 'tfgen.'):\n"
        "    importlib.import_module(module.name)"
    )
    assert run.returncode == 0, run.stderr


def test_ci_runs_the_command_of_the_readme():
    script = ROOT / ".ci/run"
    assert script.stat().st_mode & stat.S_IXUSR
    assert re.search(r"^exec make test\b", script.read_text(), re.MULTILINE)
    readme = (ROOT / "README.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    for target in ("test", "demo"):
        assert re.search(rf"^\s*(\$ )?make {target}\b", readme, re.MULTILINE), f"README lacks `make {target}`"
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


# --- tools/setup_env.sh, with a stand-in for uv that notes its calls and makes an environment of one link ---

FAKE_UV = """#!/bin/sh
echo "$*" >>"$LOG"
case "$1 $2" in
"venv "*) for last; do :; done; mkdir -p "$last/bin"; ln -s "$FAKE_PYTHON" "$last/bin/python" ;;
"pip sync") [ ! -e "$BROKEN" ] || { kill -9 $PPID; exit 1; } ;;
esac
"""


@pytest.fixture
def setup_env(tmp_path):
    """A function that runs the script in a copy of what it reads; returns (process, calls of uv)."""
    tree, tools = tmp_path / "tree", tmp_path / "bin"
    tools.mkdir()
    for name in ("tools/setup_env.sh", "setup.cfg", "pyproject.toml", "constraints/py310.txt"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name)
    (tools / "uv").write_text(FAKE_UV)
    (tools / "uv").chmod(0o755)
    log = tmp_path / "log"

    def run(python=sys.executable, version=f"{sys.version_info.major}.{sys.version_info.minor}"):
        log.write_text("")
        process = subprocess.run(
            ["sh", tree / "tools/setup_env.sh", ".venv", version, "constraints/py310.txt"],
            env={
                "PATH": f"{tools}{os.pathsep}/usr/bin{os.pathsep}/bin",
                "HOME": str(tmp_path),
                "LOG": str(log),
                "BROKEN": str(tmp_path / "broken"),
                "FAKE_PYTHON": sys.executable,
                "TFGEN_PYTHON": python,
            },
            capture_output=True,
            text=True,
        )
        return process, [line.split(" --")[0] for line in log.read_text().splitlines() if line != "--version"]

    run.tree, run.broken = tree, tmp_path / "broken"
    return run


def test_setup_runs_once_and_again_when_the_lock_changes(setup_env):
    process, calls = setup_env()
    assert process.returncode == 0, process.stderr
    assert calls == ["venv", "pip sync", "pip install"]
    process, calls = setup_env()
    assert (process.returncode, calls, process.stderr) == (0, [], "")

    with (setup_env.tree / "constraints/py310.txt").open("a") as lock:
        lock.write("another==1.0\n")
    process, calls = setup_env()
    assert (process.returncode, calls) == (0, ["pip sync", "pip install"])


def test_setup_that_was_killed_starts_over(setup_env):
    setup_env.broken.touch()
    process, _ = setup_env()
    assert process.returncode == -9
    leftover = setup_env.tree / ".venv/half-written"
    leftover.touch()
    setup_env.broken.unlink()
    process, calls = setup_env()
    assert (process.returncode, calls) == (0, ["venv", "pip sync", "pip install"])
    assert "did not finish" in process.stderr
    assert not leftover.exists()
    assert setup_env()[1] == []


def test_setup_says_which_python_it_needs(setup_env):
    process, _ = setup_env(python="/nowhere/python")
    assert process.returncode == 1
    assert "TFGEN_PYTHON='/nowhere/python' does not run as Python" in process.stderr
    process, _ = setup_env(version="2.7")
    assert process.returncode == 1
    assert "Python 2.7" in process.stderr
