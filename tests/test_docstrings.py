"""The examples in docstrings run, with the results that they show."""

import doctest
import importlib
import pathlib

import pytest

import tfgen

ROOT = pathlib.Path(tfgen.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in ROOT.rglob("*.py")
    if ">>>" in path.read_text()
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = doctest.testmod(importlib.import_module(name), extraglobs={"tfgen": tfgen})
    assert found.attempted and not found.failed


def test_an_example_with_another_result_is_found():
    example = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3", {}, "example", None, 0)
    assert doctest.DocTestRunner(verbose=False).run(example, out=lambda text: None).failed == 1
