"""What is promised around the code: metadata, locked versions, lean imports, set-up and CI's command."""

import configparser
import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import EntryPoint

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = pathlib.Path(__file__).resolve().parent.parent
LOCKS = {
    "3.10": ROOT / "constraints/py310.txt",
    "3.12": ROOT / "constraints/core-py312.txt",
    "docs": ROOT / "constraints/docs.txt",
}


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
    ("version", "extras"), [("3.10", ["tfx", "serving", "compression", "onnx", "dev"]), ("3.12", ["compression", "dev"])]
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


def test_tensorboard_starts():
    """With the plugins that its command loads; beside a setuptools without pkg_resources it cannot be imported."""
    from tensorboard import default, main, program

    assert program.TensorBoard(default.get_plugins()).plugin_loaders and callable(main.run_main)


FOLDERS = {  # import name: folder
    "tfgen": "tfgen", "tfgen_commands": "commands", "tfgen_pipelines": "pipelines", "tfgen_serving": "serving",
    "tfgen_trainers": "trainers", "tfgen_zoo": "zoo",
}  # fmt: skip


@pytest.mark.parametrize(("name", "folder"), FOLDERS.items())
def test_every_folder_with_code_is_a_package(name, folder):
    assert (ROOT / name).resolve() == ROOT / folder
    folders = {file.parent for file in (ROOT / folder).rglob("*.py")}
    assert folders, f"{folder} holds no code"
    missing = [str(folder) for folder in folders if not (folder / "__init__.py").exists()]
    assert not missing, f"setuptools would leave these out, they have no __init__.py: {missing}"


@pytest.mark.parametrize(("name", "folder"), [pair for pair in FOLDERS.items() if pair[0] != pair[1]])
def test_a_package_has_one_import_name(name, folder):
    run = run_python(f"import {folder}")
    assert run.returncode == 1
    assert f"ImportError: The package in the folder {folder}/ is imported as {name}, not as {folder}." in run.stderr


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
    blocked += ["onnx", "onnxruntime", "tf2onnx", "tfx", "uvicorn"]
    run = run_python(
        f"import sys; sys.modules.update(dict.fromkeys({blocked}))\n"
        "import importlib, pkgutil, tfgen, tfgen_commands, tfgen_trainers\n"
        "for package in (tfgen, tfgen_commands, tfgen_trainers):\n"
        "    for module in pkgutil.walk_packages(package.__path__, f'{package.__name__}.'):\n"
        "        importlib.import_module(module.name)"
    )
    assert run.returncode == 0, run.stderr


FORBIDDEN = {
    "tfgen/files.py": "from tfgen_trainers.train import train",
    "tfgen/presets.py": "def late():\n    import tfgen_commands.arguments",
    "tfgen/models/preset.py": "import tfx",
    "tfgen/random.py": "import argparse",
    "serving/errors.py": "import tfgen_trainers",
    "trainers/train.py": "import tfgen_pipelines.data",
    "pipelines/combine.py": "from tfgen_commands import main",
}


def copy_of_the_packages(folder):
    """What a wheel is built of, and nothing else."""
    for name, real in FOLDERS.items():
        shutil.copytree(ROOT / real, folder / real, ignore=shutil.ignore_patterns("__pycache__"))
        if name != real:
            (folder / name).symlink_to(real)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def outside(folder, *command, **environment):
    """Runs a command in `folder`, with nothing of this tree on Python's path."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(list(map(str, command)), cwd=folder, env={**env, **environment}, capture_output=True, text=True)


def test_import_linter_lets_no_arrow_point_up(tmp_path):
    tree = copy_of_the_packages(tmp_path)
    lint = [pathlib.Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"]
    run = outside(tree, *lint)
    assert run.returncode == 0 and "2 kept, 0 broken" in run.stdout, run.stdout + run.stderr
    for path, line in FORBIDDEN.items():
        with (tree / path).open("a") as file:
            file.write(f"\n\n{line}\n")
    report = outside(tree, *lint)
    assert report.returncode == 1 and "0 kept, 2 broken" in report.stdout
    for path in FORBIDDEN:
        package, _, module = path.removesuffix(".py").partition("/")
        names = {folder: name for name, folder in FOLDERS.items()}
        assert f"{names[package]}.{module.replace('/', '.')} -> " in report.stdout, f"{path} was let through"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built in a copy of the tree."""
    tree = copy_of_the_packages(tmp_path_factory.mktemp("tree"))
    build = "from setuptools import build_meta; print(build_meta.build_wheel('.'))"
    run = outside(tree, sys.executable, "-c", build)
    assert run.returncode == 0, run.stderr
    return tree / run.stdout.split()[-1]


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The Python of an environment that holds the wheel and sees the packages that tfgen needs, but not this tree."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    zipfile.ZipFile(wheel).extractall(site)
    # A path file adds folders without reading the path files in them, so the editable installation stays unknown. From
    # Python 3.12 on, distutils comes from one of those.
    packages = [pathlib.Path(path) for path in sys.path if path.endswith("site-packages")]
    (site / "packages.pth").write_text("\n".join(map(str, packages)))
    for file in (path / "distutils-precedence.pth" for path in packages):
        if file.exists():
            shutil.copy(file, site)
    python = folder / "bin" / "python"
    for name in FOLDERS:
        run = outside(folder, python, "-c", f"import {name}; print({name}.__file__)")
        assert run.stdout.strip() == str(site / name / "__init__.py"), run.stderr
    return python


SHIPPED = {
    line.removesuffix("/*") for line in setup_cfg()["options.package_data"]["tfgen_zoo"].split()
}  # fmt: skip


def test_a_wheel_puts_only_tfgen_at_the_top(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {*FOLDERS, next(top for top in tops if top.endswith(".dist-info"))}
    tree = {
        f"{name}/{path.relative_to(ROOT / folder)}"
        for name, folder in FOLDERS.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file()
        and path.suffix not in (".pyc", ".toml")
        and (folder != "zoo" or path.parent.name in {"zoo", *SHIPPED})
    }
    assert {name for name in names if not name.split("/")[0].endswith(".dist-info")} == tree


def test_a_wheel_has_a_few_trained_models(wheel, installed, tmp_path):
    assert {"vae_digits", "infogan_digits", "gated_classes_digits"} <= SHIPPED
    assert all((ROOT / "zoo" / name / "metadata.json").exists() for name in SHIPPED)
    assert wheel.stat().st_size < 5_000_000
    code = "import tfgen; print(len(tfgen.pretrained.names()), tfgen.from_preset('vae/digits').sample(2).shape)"
    run = outside(tmp_path, installed, "-c", code)
    assert run.stdout == f"{len(SHIPPED)} (2, 8, 8, 1)\n", run.stderr


@pytest.mark.long
def test_the_package_of_all_trained_models(installed, tmp_path):
    """Its wheel is built in a copy, and installed beside that of tfgen."""
    shutil.copytree(ROOT / "zoo", tmp_path / "zoo", ignore=shutil.ignore_patterns("__pycache__"))
    code = "from setuptools import build_meta; print(build_meta.build_wheel('.'))"
    run = outside(tmp_path / "zoo", sys.executable, "-c", code)
    assert run.returncode == 0, run.stderr
    built = tmp_path / "zoo" / run.stdout.split()[-1]
    assert built.stat().st_size < 25_000_000
    zipfile.ZipFile(built).extractall(tmp_path / "site")
    code = "import tfgen; print(tfgen.pretrained.find('fractal-net/digits'), *tfgen.pretrained.names())"
    run = outside(tmp_path, installed, "-c", code, PYTHONPATH=str(tmp_path / "site"))
    folder, *names = run.stdout.split()
    here = run_python("import tfgen; print(*tfgen.pretrained.names())").stdout.split()
    assert folder == str(tmp_path / "site/tfgen_zoo_all/fractal_net_digits") and names == here


SCRIPT = """
import sys
from importlib.metadata import entry_points
(script,) = entry_points(group="console_scripts", name="tfgen")
sys.exit(script.load()())
"""


@pytest.mark.parametrize(
    ("argv", "needs", "shown"),
    [
        (["--help"], "tfgen", "decompress"),
        (["presets"], "tfgen", "vae/mnist"),
        (["evaluate", "--help"], "tfgen", "Frechet distance"),
        pytest.param(["demo", "--help"], "tfx", "--workspace", marks=pytest.mark.long),
        pytest.param(["pipeline", "--help"], "tfx", "--on_error", marks=pytest.mark.long),
        (["serve", "--help"], "tensorflow_serving", "--model_base_path"),
    ],
)
def test_the_command_runs_from_a_wheel(argv, needs, shown, installed, tmp_path):
    pytest.importorskip(needs)
    run = outside(tmp_path, installed, "-c", SCRIPT, *argv)
    assert run.returncode == 0 and shown in run.stdout, run.stderr


def test_the_cache_keys_are_those_of_the_tree(installed, tmp_path):
    names = [*FOLDERS, "tfgen_pipelines.components.generative_evaluator", "tfgen_pipelines.combine", "tfgen.metrics"]
    code = f"from tfgen_trainers.code_hash import code_hash; print([code_hash(name) for name in {names}])"
    there, here = outside(tmp_path, installed, "-c", code), run_python(code)
    assert there.returncode == 0, there.stderr
    assert there.stdout == here.stdout and len(set(here.stdout.split())) == len(names)


def test_ci_runs_the_command_of_the_readme():
    script = ROOT / ".ci/run"
    assert script.stat().st_mode & stat.S_IXUSR
    assert [line.split()[1] for line in script.read_text().splitlines() if line.startswith("make ")] == ["test", "test-long"]
    readme = (ROOT / "README.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"`make test-long`", readme), "README lacks `make test-long`"
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
