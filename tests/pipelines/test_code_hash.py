"""A component runs again when its code changed, and only then."""

import hashlib
import importlib
import sys

import pytest

import tfgen
from tfgen.models.preset import Preset
from tfgen_pipelines.code_hash import code_hash, own_hash


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
        file.write_text(text + "\n# changed")
        assert own_hash(found) != before, name
        file.write_text(text)
    assert own_hash(found) == before
    # A model of tfgen with a network of the user's own.
    network = tfgen.presets.get("vae/digits").override({"encoder": f"{nets}.make"})
    before = own_hash(network)
    assert before
    for name in (nets, helper):
        (folder / f"{name}.py").write_text((folder / f"{name}.py").read_text() + "\n# changed")
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
