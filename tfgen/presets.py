"""All presets by name: `tfgen.presets.get("vae/mnist")`, and presets of your own: `tfgen.presets.get("mine.py:FACES")`.

The presets of the model in `tfgen/models/<kind>/<paper>.py` are the list `PRESETS` in `<paper>_presets.py` in the same
folder. A preset is a starting point: every value in it can be overridden by name (`Preset.override`).

A preset of your own is a `Preset` in a module of yours; its model may be a class of yours too. Wherever the name of a preset
is taken, it is given as

    package.module:NAME    a module that Python finds: it is installed, or its folder is in PYTHONPATH
    path/to/file.py:NAME   a file, which is imported as `python file.py` would: modules beside it are found
    path/to/file.py        a file with one preset
    faces/mine             the preset's own name, if an installed package has it in its entry point group `tfgen.presets`

NAME is that of the variable, or of the preset. The entry points of a package are presets, lists of presets, or modules:

    [options.entry_points]
    tfgen.presets =
        faces = my_package.presets:PRESETS
"""

import functools
import importlib
import importlib.util
import inspect
import os
import pathlib
import re
import sys
import traceback
import types
from collections.abc import Iterable
from importlib import metadata
from typing import Any

from tfgen import settings
from tfgen.models import MODELS, TrainableModel
from tfgen.models.preset import Preset

__all__ = [
    "GROUP", "Preset", "PresetError", "all_presets", "canonical", "changed_since_import", "get", "is_reference",
    "model_class", "module_at", "module_of", "names",
]  # fmt: skip

GROUP = "tfgen.presets"  # of entry points
_NAME = r"\w[\w.+-]*(/\w[\w.+-]*)*"  # of presets; it becomes a part of the names of folders

_classes: dict[str, type] = {}  # {name: model class} of presets that are not tfgen's
_loading: list[metadata.EntryPoint] = []  # the entry point that is being loaded, if any
_imported: dict[str, tuple] = {}  # {module: (file, its state)} of all modules that came with them, as they were imported


class PresetError(ValueError):
    """There is no such preset, or it cannot be used; of one of your own, the message says which name or place is wrong."""


def all_presets() -> dict[str, Preset]:
    """{name: Preset} of every model, and of installed packages; others of your own are found by `get`."""
    # While packages are loaded, their modules may ask for presets of tfgen on which they build.
    return {**_tfgen(), **{preset.name: preset for _, preset in (() if _loading else _of_packages())}}


def names() -> list[str]:
    """The names of all presets, sorted."""
    return sorted(all_presets())


def get(name: str) -> Preset:
    """The preset of that name, or a preset of your own: "package.module:NAME", "file.py:NAME" or "file.py".

    Raises:
        PresetError: there is no such preset, the message lists the names; or what is there is no preset, or has the name of
            another one.
    """
    if is_reference(name):
        return _referenced(name)
    presets = all_presets()
    if name not in presets:
        hint = settings.did_you_mean(str(name), presets)
        raise PresetError(f"There is no preset {name!r}.{hint} Presets: {', '.join(sorted(presets))}.")
    return presets[name]


def is_reference(name: str) -> bool:
    """Whether a name is the place of a preset of your own, a module or a file, and not a preset's own name."""
    return _parts(name)[0] is not None


def canonical(name: str) -> str:
    """The name with which `get` finds the same preset from every working folder: the path of a file becomes absolute."""
    place, label = _parts(name)
    if not _is_file(place):
        return name
    path = os.path.abspath(os.path.expanduser(place))
    return path if label is None else f"{path}:{label}"


def module_of(name: str) -> str | None:
    """The dotted name of the module of a preset of your own, which `get` finds by `name`; None of a preset of tfgen."""
    if is_reference(name):
        return module_at(name).__name__
    return next((entry.module for entry, preset in _of_packages() if preset.name == name), None)


def model_class(name: str) -> type | None:
    """The model class of that name: of tfgen, or of a preset of your own that is installed or was `get` in this process."""
    _of_packages()
    return MODELS.get(name) or _classes.get(name)


def changed_since_import(modules: Iterable[str]) -> list[str]:
    """Those of these modules, of presets of your own, whose files are others now than when this process imported them."""
    return sorted(name for name in modules if name in _imported and _imported[name] != _state(_imported[name][0]))


def _tfgen():
    found = {}
    for model in MODELS.values():
        for preset in importlib.import_module(f"{model.__module__}_presets").PRESETS:
            found[preset.name] = preset
    return found


@functools.cache
def _of_packages():
    """[(entry point, Preset)] of all installed packages."""
    found: dict[str, tuple[Any, Any]] = {}
    for entry in metadata.entry_points(group=GROUP):
        assert entry.dist is not None
        where = f"The entry point {entry.name} = {entry.value} of the package {entry.dist.name}, group {GROUP},"
        before = set(sys.modules)
        _loading.append(entry)
        try:
            value = entry.load()
        except Exception as error:  # of any module
            raise PresetError(f"{where} cannot be imported: {_said(error)}. Repair or uninstall the package.") from error
        finally:
            _loading.remove(entry)
        _note(set(sys.modules) - before)
        named = _presets_in(vars(value) if isinstance(value, types.ModuleType) else {entry.name: value})
        if not named:
            what = settings.shown(value)
            raise PresetError(f"{where} must be a Preset, a list of Presets, or a module with some; it is {what}.")
        for preset in _mine(named):
            _check(preset, where)
            other, same = found.get(preset.name, (None, preset))
            if same is not preset:
                raise PresetError(f"{where} has a preset {preset.name!r}; so has {other.value} of {other.dist.name}.")
            found[preset.name] = (entry, preset)
    return tuple(found.values())


# ---- presets that are named by their place


def _parts(name):
    """("package.module" or the path of a file, NAME or None); (None, None) of the name of a preset."""
    if _is_file(name):
        return name, None
    place, colon, label = str(name).rpartition(":")
    return (place, label) if colon else (None, None)


def _is_file(place):
    return place is not None and str(place).endswith(".py")


def _referenced(name):
    place, label = _parts(name)
    found = _presets_in(vars(module_at(name)))
    if label is None:
        mine = _mine(found)
        if len(mine) != 1:
            known = ", ".join(preset.name for preset in mine) or "none"
            raise PresetError(f"{place} must have one preset, or give {place}:NAME; its presets are: {known}.")
        (preset,) = mine
    elif label in found:
        preset = found[label]
    else:
        value = vars(module_at(name)).get(label)
        what = "" if value is None else f" What it has under this name is {settings.shown(value)}."
        hint, known = settings.did_you_mean(label, found), ", ".join(sorted(found)) or "none"
        raise PresetError(f"{place} has no preset {label!r}.{what}{hint} Its presets are: {known}.")
    if not _mine({label: preset}):
        return preset
    _check(preset, f"The preset {name}")
    known = next((entry for entry, other in _of_packages() if other.name == preset.name and other is not preset), None)
    if known is not None:
        raise PresetError(f"The preset {name} has the name {preset.name!r}; so has {known.value} of {known.dist.name}.")
    return preset


def _presets_in(namespace):
    """{variable or name of the preset: Preset} of presets, and of lists of them."""
    found = {label: value for label, value in namespace.items() if isinstance(value, Preset)}
    listed = [one for value in namespace.values() if isinstance(value, list | tuple) for one in value]
    return {**{one.name: one for one in (*found.values(), *listed) if isinstance(one, Preset)}, **found}


def _mine(found):
    """The presets in {name: Preset} that are not tfgen's own, as those are on which a module builds; each once."""
    own = _tfgen()
    return list({id(one): one for one in found.values() if own.get(one.name) is not one}.values())


def module_at(name: str, what: str = "preset") -> types.ModuleType:
    """The module in which something is that is named by its place, "package.module:NAME" or "file.py:NAME".

    Raises:
        PresetError: there is no such module, or it cannot be imported; `what` says of what, for the message.
    """
    place, _ = _parts(name)
    path = pathlib.Path(os.path.abspath(os.path.expanduser(place))) if _is_file(place) else None
    module = place if path is None else _on_path(path)
    before = set(sys.modules)
    try:
        found = importlib.import_module(module)
    except Exception as error:  # of any module
        if isinstance(error, ModuleNotFoundError) and path is None and f"{module}.".startswith(f"{error.name}."):
            raise PresetError(
                f"The {what} {name}: Python finds no module {error.name!r}. Install its package, name its folder in "
                "PYTHONPATH, or give the path of its file, file.py:NAME."
            ) from error
        raise PresetError(f"The {what} {name}: {place} cannot be imported: {_said(error)}.") from error
    _note({module, *(set(sys.modules) - before)})
    return found


def _note(modules):
    """Notes the state of the files of modules that were imported."""
    for one in modules:
        file = getattr(sys.modules[one], "__file__", None)
        if file is not None:
            _imported.setdefault(one, _state(file))


def _on_path(path):
    """The name by which Python finds the module of a file, after its folder was put first on Python's path."""
    if not path.is_file():
        raise PresetError(f"There is no file {path}.")
    folder, parts = path.parent, [path.stem]
    while (folder / "__init__.py").exists():  # a module of a package, which may import others relatively
        folder, parts = folder.parent, [folder.name, *parts]
    if not all(part.isidentifier() for part in parts):
        raise PresetError(f"{path} cannot be imported: its name must be one of a Python module, such as my_model.py.")
    module = ".".join(parts)
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
        importlib.invalidate_caches()
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):  # of a package of this name, or of a module without a file
        spec = None
    other = "another module" if spec is None else spec.origin
    if other is None or not os.path.exists(other) or not os.path.samefile(other, path):
        raise PresetError(f"{path} cannot be imported as {module}: that is {other} here. Give the file another name.")
    return module


def _state(file):
    try:
        found = os.stat(file)
    except OSError:
        return file, None
    return file, (found.st_mtime_ns, found.st_size)


def _said(error):
    """What an error of a module of the user's says, and where."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    told = isinstance(error, SyntaxError) or "importlib" in last.filename
    return f"{type(error).__name__}: {error}" + ("" if told else f" ({last.filename}, line {last.lineno})")


def _check(preset, where):
    """Checks a preset that is not tfgen's, and notes its model class.

    Raises:
        PresetError: its name or its class have a name that is taken, or its settings do not fit.
    """
    if not isinstance(preset.name, str) or not re.fullmatch(_NAME, preset.name):
        raise PresetError(
            f"{where} must have a name of letters, digits and .+-_/ like faces/mine; it is {settings.shown(preset.name)}."
        )
    cls, known = preset.model, _tfgen().get(preset.name)
    if known is not None:
        raise PresetError(
            f"{where} has the name {preset.name!r}; so has the preset of tfgen in {known.model.__module__}_presets. Give it "
            "another name."
        )
    if not (inspect.isclass(cls) and issubclass(cls, TrainableModel)):
        what = settings.shown(cls)
        raise PresetError(f"{where} must have as model a subclass of tfgen.models.TrainableModel; it has {what}.")
    other = MODELS.get(cls.__name__) or _classes.get(cls.__name__) or cls
    if other is not cls and (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
        raise PresetError(
            f"{where} has the model {cls.__module__}.{cls.__qualname__}, whose name is that of "
            f"{other.__module__}.{other.__qualname__}. Models are found again by the names of their classes: rename yours."
        )
    required = [name for name, one in cls.config_parameters().items() if one.default is inspect.Parameter.empty]
    if lacking := sorted(set(required) - set(preset.model_args)):
        raise PresetError(f"{where} must have {', '.join(lacking)} in model_args, which {cls.__name__} needs.")
    try:
        preset.check()
    except (ValueError, TypeError) as error:
        raise PresetError(f"{where}: {error}") from error
    _classes[cls.__name__] = cls
