"""Presets of the user's own: found by file, by module and by entry point, and never taken for one of tfgen's."""

import importlib
import re
import sys

import pytest

import tfgen
from tfgen import presets

TEXT = """
from {helper} import HIDDEN
from tfgen import presets
from tfgen.models import VAE
from tfgen.models.preset import Preset, adam


class {model}(VAE):
    pass


BASE = presets.get("vae/digits")
MINE = Preset("{name}", {model}, {{"image_shape": (8, 8, 1), "hidden": HIDDEN, "latent_dim": 2}}, data="digits",
              source="this test", batch_size=20, steps=4, compile_args=adam(1e-3), binarization="dynamic")
"""


def write(folder, module, name=None, model=None, **changes):
    """Writes <module>.py with one preset, MINE, and a helper beside it; returns its path."""
    settings = {"helper": f"{module}_helper", "name": name or f"{module}/digits", "model": model or f"Model_{module}"}
    text = TEXT.format(**settings)
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    (folder / f"{module}.py").write_text(text)
    (folder / f"{module}_helper.py").write_text("HIDDEN = (4,)\n")
    return folder / f"{module}.py"


@pytest.fixture
def clean(monkeypatch):
    """What these tests import is forgotten after each."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(presets, "_classes", {})
    monkeypatch.setattr(presets, "_imported", {})
    presets._of_packages.cache_clear()
    yield
    presets._of_packages.cache_clear()
    for name in set(sys.modules) - before:
        if not name.startswith(("tfgen", "keras", "tensorflow")):
            sys.modules.pop(name)


@pytest.fixture
def folder(tmp_path, clean):
    return tmp_path


def test_a_preset_in_a_file(folder, monkeypatch):
    path = write(folder, "in_a_file")
    found = presets.get(str(path))  # BASE is one of tfgen's, so this is the only one of the file
    assert found.name == "in_a_file/digits" and found.model_args["hidden"] == (4,)
    for name in (f"{path}:MINE", f"{path}:in_a_file/digits", "in_a_file:MINE"):
        assert presets.get(name) is found, name
    assert presets.get(f"{path}:BASE") is presets.get("vae/digits")
    assert presets.module_of(str(path)) == "in_a_file" and presets.module_of("vae/digits") is None
    assert presets.model_class("Model_in_a_file") is found.model and presets.model_class("VAE") is tfgen.models.VAE
    assert "in_a_file/digits" not in presets.names(), "only what is installed has a name of its own"
    monkeypatch.chdir(folder)
    assert presets.canonical("in_a_file.py:MINE") == f"{path}:MINE" and presets.canonical("in_a_file.py") == str(path)
    assert presets.canonical("vae/digits") == "vae/digits" and presets.canonical("a.b:MINE") == "a.b:MINE"


def test_a_file_of_a_package_imports_others_of_it(folder):
    package = folder / "own_package"
    package.mkdir()
    (package / "__init__.py").touch()
    path = write(package, "inside", **{"from inside_helper": "from .inside_helper"})
    assert presets.get(f"{path}:MINE") is presets.get("own_package.inside:MINE")


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("{folder}/none.py:MINE", r"There is no file .*/none\.py"),
        ("nowhere.at_all:MINE", r"Python finds no module 'nowhere'\. Install its package, name its folder in PYTHONPATH"),
        ("{file}:MIEN", r"has no preset 'MIEN'\. Did you mean 'MINE'\? Its presets are: BASE, MINE, "),
        ("{file}:Model_wrong", r"What it has under this name is <class 'wrong.Model_wrong'>"),
        (":MINE", "cannot be imported"),
    ],
)
def test_a_place_without_a_preset(folder, reference, message):
    file = write(folder, "wrong")
    with pytest.raises(presets.PresetError, match=message):
        presets.get(reference.format(folder=folder, file=file))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"MINE = Preset(": "MINE = (lambda *args, **kwargs: None)("},
         r"must have one preset, or give .*\.py:NAME; its presets are: none"),
        ({"\nMINE": "\nOTHER = presets.Preset('o/x', VAE, {'image_shape': (8, 8, 1)}, data='digits', source='')\nMINE"},
         "its presets are: o/x, "),
        ({"HIDDEN,": "no_such,"}, r"cannot be imported: NameError: name 'no_such' is not defined \(.*\.py, line \d+\)"),
        ({"class": "klass"}, r"cannot be imported: SyntaxError: .*line 8"),
        ({"(VAE)": ""}, r"must have as model a subclass of tfgen\.models\.TrainableModel; it has <class"),
        ({'"image_shape": (8, 8, 1), ': ""}, "must have image_shape in model_args, which Model_"),
        ({'"latent_dim": 2': '"latent_dim": -2'}, "latent_dim"),
        ({'= Preset("': '= Preset("../'}, "must have a name of letters"),
    ],
)  # fmt: skip
def test_a_preset_that_does_not_fit(folder, changes, message):
    with pytest.raises(presets.PresetError, match=message):
        presets.get(str(write(folder, f"unfit_{abs(hash(message))}", **changes)))


def test_a_name_of_tfgen_is_taken(folder):
    path = write(folder, "taken", name="dcgan/digits")
    with pytest.raises(presets.PresetError, match=r"taken\.py has the name 'dcgan/digits'; so has .*dcgan_presets"):
        presets.get(str(path))
    path = write(folder, "taken_class", model="DCGAN")
    message = r"has the model taken_class\.DCGAN, whose name is that of tfgen\.models\.adversarial\.dcgan\.DCGAN"
    with pytest.raises(presets.PresetError, match=message):
        presets.get(str(path))
    presets.get(str(write(folder, "first", model="Same")))
    with pytest.raises(presets.PresetError, match=r"second\.Same, whose name is that of first\.Same"):
        presets.get(str(write(folder, "second", model="Same")))


def test_a_file_with_the_name_of_another_module(folder):
    for module in ("json", "sys"):
        (folder / f"{module}.py").write_text("")
        with pytest.raises(presets.PresetError, match=rf"cannot be imported as {module}: that is .* here"):
            presets.get(f"{folder}/{module}.py")
    (folder / "not-a-name.py").write_text("")
    with pytest.raises(presets.PresetError, match="its name must be one of a Python module"):
        presets.get(f"{folder}/not-a-name.py")


# ---- entry points


def install(folder, package, value):
    """What an installed distribution with one entry point looks like to importlib.metadata."""
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{presets.GROUP}]\nsome = {value}\n")
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    presets._of_packages.cache_clear()


@pytest.mark.parametrize("value", ["", ":MINE", ":ALL"])
def test_presets_of_an_installed_package(folder, value):
    module = f"installed_{len(value)}"
    path = write(folder, module)
    path.write_text(path.read_text() + "\nALL = [MINE]\n")
    install(folder, module.replace("_", "-"), module + value)
    name = f"{module}/digits"
    assert name in presets.names() and "vae/digits" in presets.names()
    found = presets.get(name)
    assert found.name == name and presets.module_of(name) == module
    assert presets.get(f"{path}:MINE") is found, "the same preset has several ways"
    assert presets.model_class(f"Model_{module}") is found.model


def test_packages_that_cannot_be_used_are_named(folder):
    write(folder, "plain")
    install(folder, "plain", "plain:MINE")
    other = write(folder, "plain_copy", name="plain/digits")
    with pytest.raises(presets.PresetError, match=r"plain_copy\.py has the name 'plain/digits'; so has plain:MINE of plain"):
        presets.get(str(other))
    cases = {
        "clash": ("clash:MINE", "of the package clash, .* has the name 'vae/mnist'; so has the preset of tfgen"),
        "broken": ("broken:NOTHING", "of the package broken, .* cannot be imported: .*NOTHING.*uninstall the package"),
        "empty": ("empty:BASE.name", "of the package empty, .* must be a Preset, a list of Presets.* it is 'vae/digits'"),
        "double": ("double:MINE", "has a preset 'plain/digits'; so has plain:MINE of plain|"
                                  "has a preset 'plain/digits'; so has double:MINE of double"),
    }  # fmt: skip
    for package, (value, message) in cases.items():
        here = folder / package
        here.mkdir()
        write(here, package, name={"clash": "vae/mnist", "double": "plain/digits"}.get(package))
        install(here, package, value)
        with pytest.raises(presets.PresetError, match=message):
            presets.names()
        sys.path.remove(str(here))
        presets._of_packages.cache_clear()
    assert "plain/digits" in presets.names()


# ---- what follows


def test_the_class_is_found_when_a_saved_model_is_loaded(folder):
    preset = presets.get(str(write(folder, "saved")))
    path = preset.build().save_to_preset(folder / "weights")
    assert type(tfgen.from_preset(path)) is preset.model
    presets._classes.clear()  # another process, which has not seen the file: nothing is imported because a folder says so
    with pytest.raises(ValueError, match=r"no model of tfgen: load it by Model_saved\.from_preset"):
        tfgen.from_preset(path)
    with pytest.raises(ValueError, match="has no trained weights here"):
        tfgen.from_preset(f"{folder}/saved.py:MINE")


def test_files_that_changed_after_their_import_are_known(folder):
    path = write(folder, "edited")
    presets.get(str(path))
    assert presets.changed_since_import(["edited", "edited_helper", "os", "never_seen"]) == []
    helper = folder / "edited_helper.py"
    helper.write_text("HIDDEN = (40,)\n")
    assert presets.changed_since_import(["edited", "edited_helper"]) == ["edited_helper"]


def test_names_of_presets_can_be_parts_of_folders_and_options():
    assert all(re.fullmatch(presets._NAME, name) and not presets.is_reference(name) for name in presets.names())


def test_steps_are_compiled_by_xla_where_that_is_set():
    preset = presets.get("vae/digits").override({"jit_compile": True})
    assert preset.build().jit_compile and not presets.get("vae/digits").build().jit_compile
    assert preset.config()["compile_args"]["jit_compile"] is True, "another run"
    with pytest.raises(ValueError, match="jit_compile must be True or False; received 'yes'"):
        preset.override({"jit_compile": "yes"})
