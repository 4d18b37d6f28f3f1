"""A component runs again when its code changed, and only then."""

import hashlib
import importlib
import sys

import pytest

import tfgen
from tfgen.models.preset import Preset
from tfgen_trainers.code_hash import closure, code_hash, model_modules, modules_hash, own_hash


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


MODEL = """
import keras
import tfgen
from tfgen.models import VAE
import {helper}

class Mine(VAE):
    pass
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Modules of a user: a model, its presets, a maker of networks, and a module that these use."""
    monkeypatch.syspath_prepend(tmp_path)
    names = [f"own_{tmp_path.name}_{part}".replace("-", "_") for part in ("model", "model_presets", "helper", "nets")]
    texts = [MODEL.format(helper=names[2]), "PRESETS = []", "rate = 1", f"import {names[2]}\ndef make(): pass"]
    for name, text in zip(names, texts, strict=True):
        (tmp_path / f"{name}.py").write_text(text)
    yield tmp_path, names
    for name in names:
        sys.modules.pop(name, None)


def test_the_users_own_model_presets_networks_and_what_they_use_are_hashed(own):
    folder, (model, presets, helper, nets) = own
    settings = {"model_args": {"image_shape": (8, 8, 1)}, "data": "digits", "source": "ours"}
    found = Preset("mine/digits", importlib.import_module(model).Mine, **settings)
    before = own_hash(found)
    assert before and own_hash(found) == before
    for name in (model, presets, helper):
        file = folder / f"{name}.py"
        text = file.read_text()
        file.write_text(text + "\nchanged = 1")
        assert own_hash(found) != before, name
        file.write_text(text)
    assert own_hash(found) == before
    # A model of tfgen with a network of the user's own.
    network = tfgen.presets.get("vae/digits").override({"encoder": f"{nets}.make"})
    before = own_hash(network)
    assert before
    for name in (nets, helper):
        (folder / f"{name}.py").write_text((folder / f"{name}.py").read_text() + "\nchanged = 1")
        assert own_hash(network) != before, name
        before = own_hash(network)


def test_what_comes_of_tfgen_alone_needs_no_further_hash_and_files_are_hashed(tmp_path, monkeypatch):
    preset = tfgen.presets.get("vae/digits")
    assert own_hash(preset) == ""
    monkeypatch.chdir(tmp_path)
    for name, file in (("network.keras", "network.keras"), (str(tmp_path / "saved"), "saved/saved_model.pb")):
        hashes = set()
        for content in (b"1", b"2"):
            (tmp_path / file).parent.mkdir(exist_ok=True)
            (tmp_path / file).write_bytes(content)
            hashes.add(own_hash(preset.override({"encoder": name})))
        assert len(hashes) == 2 and "" not in hashes


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package that lists two models, each with modules of its own: (its folder, function of changes to a hash)."""
    monkeypatch.syspath_prepend(tmp_path)
    name = f"package_{tmp_path.name}".replace("-", "_")
    folder = tmp_path / name
    (folder / "models").mkdir(parents=True)
    texts = {
        "__init__": "", "models/__init__": f"from {name}.models.one import One\nfrom .two import Two\nALL = [One, Two]",
        "models/one": f"import numpy\nfrom {name}.rates import RATE\nfrom .. import tools\nclass One: pass",
        "models/two": "from .one import One\nclass Two(One): pass",
        "models/user": f"from {name}.models import Two as Other",
        "models/registry": f"from {name}.models import ALL",
        "rates": "RATE = 1", "tools": f"def f():\n    from {name}.late import x", "late": "x = 1", "unused": "y = 1",
        "typed": "import typing\nif typing.TYPE_CHECKING:\n    from .unused import y\nelse:\n    from .rates import RATE",
    }  # fmt: skip
    for module, text in texts.items():
        (folder / f"{module}.py").write_text(text)
    yield folder, name
    for module in [module for module in sys.modules if module.split(".")[0] == name]:
        sys.modules.pop(module)


def test_the_closure_is_what_is_imported(package):
    _, name = package
    found = lambda module: {m.removeprefix(f"{name}.") for m in closure([f"{name}.{module}"], lambda m: m.startswith(name))}  # noqa: E501, E731
    one = {"models.one", "rates", "tools", "late"}
    assert found("models.one") == one, "names in functions and constants count, packages that only list do not"
    assert found("models.user") == {"models.user", "models.two", *one}
    assert found("models.registry") == {"models.registry", "models", "models.two", *one}
    assert found("typed") == {"typed", "rates"}, "what is for a type checker alone does not count"
    assert name not in sys.modules or not hasattr(sys.modules[name], "late"), "nothing is imported"


def test_comments_and_docstrings_change_no_hash_of_modules(package):
    folder, name = package
    before, alone = modules_hash([f"{name}.models.two"]), modules_hash([], [f"{name}.models.two"])
    assert before != alone
    texts = {
        "late": '"""A text."""\n\n# a comment\nx = 1  # another\n',
        "models/two": 'from .one import One\nclass Two(One):\n    """Ünïcode\n\n    # no comment\n    """\n\n    pass\n',
    }
    (folder / "models/two.py").write_text("from .one import One\nclass Two(One):\n    pass")
    bare = modules_hash([f"{name}.models.two"])
    for module, text in texts.items():
        (folder / f"{module}.py").write_text(text)
        assert modules_hash([f"{name}.models.two"]) == bare, module
    for text in ("x = '# 2'", "x = '# 3'", "if True:\n    x = 1", "if True: 'a'; x = 1"):
        (folder / "late.py").write_text(text)
        after = modules_hash([f"{name}.models.two"])
        assert after != bare, text
        bare = after
    (folder / "unused.py").write_text("y = 2")
    assert modules_hash([f"{name}.models.two"]) == bare
    with pytest.raises(ModuleNotFoundError, match="no module 'nowhere'"):
        modules_hash([], ["nowhere"])


def test_the_code_of_a_model_of_tfgen_is_not_that_of_others():
    modules = closure(model_modules(tfgen.presets.get("vae/digits")), lambda name: name.startswith("tfgen"))
    assert {"tfgen.models.base", "tfgen.training.players", "tfgen.random"} <= modules.keys()
    assert not {name for name in modules if "adversarial" in name or name in ("tfgen.models", "tfgen.presets")}
