"""A component runs again when its code changed, and only then."""

import hashlib

import pytest

from tfgen_pipelines.code_hash import code_hash


def test_other_code_has_another_hash(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "hashed_package" / "within"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    (folder / "__init__.py").touch()
    packages, modules = set(), set()
    for text in ("a = 1", "a = 2", "a = 2"):
        (folder / "module.py").write_text(text)
        packages.add(code_hash("hashed_package"))
        modules.add(code_hash("hashed_package.within.module"))
    assert len(packages) == len(modules) == 2 and len(packages | modules) == 4
    before = code_hash("hashed_package.within.module")
    (folder / "beside.py").write_text("b = 1")
    assert code_hash("hashed_package.within.module") == before and code_hash("hashed_package") not in packages
    with pytest.raises(ModuleNotFoundError, match="hashed_package.no_module"):
        code_hash("hashed_package.no_module")


def test_every_package_is_found_by_its_import_name():
    nothing = hashlib.sha256().hexdigest()[:16]
    hashes = {code_hash(name) for name in ("tfgen", "tfgen_trainers", "tfgen_serving", "tfgen_pipelines.components")}
    assert len(hashes) == 4 and nothing not in hashes
