"""The examples in docstrings run, with the results that they show."""

import doctest
import importlib
import inspect
import pathlib
import re

import pytest

import tfgen

ROOT = pathlib.Path(tfgen.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in ROOT.rglob("*.py")
    if ">>>" in path.read_text()
)
PACKAGES = (
    "data", "distributions", "features", "layers", "losses", "metrics", "models", "networks", "sampling", "training",
)  # fmt: skip


def without_example(module):
    """The public classes and functions of a module whose docstrings have no section `Example:`."""
    objects = {name: getattr(module, name) for name in module.__all__}
    documented = {name: o for name, o in objects.items() if inspect.isclass(o) or inspect.isfunction(o)}
    return [name for name, o in documented.items() if not re.search(r"^ *Example:", o.__doc__ or "", re.MULTILINE)]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = doctest.testmod(importlib.import_module(name), extraglobs={"tfgen": tfgen})
    assert found.attempted and not found.failed


def test_an_example_with_another_result_is_found():
    example = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3", {}, "example", None, 0)
    assert doctest.DocTestRunner(verbose=False).run(example, out=lambda text: None).failed == 1


@pytest.mark.parametrize("package", PACKAGES)
def test_public_classes_and_functions_have_examples(package):
    assert not without_example(importlib.import_module(f"tfgen.{package}"))


def test_a_class_without_an_example_is_found(monkeypatch):
    package = importlib.import_module("tfgen.data")
    assert "Source" not in without_example(package)
    monkeypatch.setattr(package.Source, "__doc__", "Images, as in the section Example: of another class.")
    assert without_example(package) == ["Source"]
