"""A hash of the code for TFX's cache keys: a component runs again when its code has changed."""

import hashlib
import importlib
import importlib.util
import inspect
import pathlib
import re
import sys
import sysconfig
import types

from tfgen.files import sha256

_STDLIB = sysconfig.get_path("stdlib")
_LIBRARIES = ("tfgen", "keras", "tensorflow", "builtins", "abc", "typing")


def code_hash(*modules):
    """Hash of the code of modules, and of packages with all files in them. A component with this hash as a parameter runs
    again when the code has changed. The hash does not depend on where tfgen is installed.

    Args:
        modules: dotted names of modules and packages.

    Raises:
        ModuleNotFoundError: there is no such module.
    """
    digest = hashlib.sha256()
    for module in modules:
        spec = importlib.util.find_spec(module)
        if spec is None:
            raise ModuleNotFoundError(f"There is no module {module!r} whose code could be hashed.", name=module)
        file = pathlib.Path(spec.origin)
        for path in sorted(file.parent.rglob("*.py")) if spec.submodule_search_locations else [file]:
            digest.update(f"{module} {path.relative_to(file.parent)} ".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def own_hash(preset):
    """Hash of what a resolved `tfgen.presets.Preset` takes from outside of tfgen; "" where it takes nothing.

    These are the modules of a model class of the user's own, of its presets and of makers of networks that are named by
    dotted names, all modules that these use and that are not installed libraries, and files that the preset names.
    """
    networks = [preset.model_args.get(name) for name in preset.model.network_arguments()]
    texts = [text for text in networks if isinstance(text, str) and re.fullmatch(r"\w+(\.\w+)+", text)]
    makers = [".".join(parts[:end]) for parts in (text.split(".") for text in texts) for end in range(1, len(parts))]
    modules = {cls.__module__ for cls in preset.model.__mro__} | {f"{preset.model.__module__}_presets", *makers}
    code = _sources({name for name in modules if name.split(".")[0] not in _LIBRARIES})
    if "__main__" in code and code["__main__"] is None:  # a notebook
        code["__main__"] = inspect.getsource(preset.model)
    files = {text: sha256(pathlib.Path(text).expanduser()) for text in _texts(preset.model_args) if _is_file(text)}
    if not code and not files:
        return ""
    digest = hashlib.sha256()
    for name, content in sorted({**code, **files}.items()):
        digest.update(f"{name} ".encode() + (content if isinstance(content, bytes) else str(content).encode()))
    return digest.hexdigest()[:16]


def _sources(names):
    """{module: its file's bytes, None without a file} of modules and of all that they use and that are no libraries."""
    roots, found, todo = {name.split(".")[0] for name in names}, {}, sorted(names)
    while todo:
        name = todo.pop()
        if name in found or (name not in sys.modules and not _exists(name)):
            continue
        module = importlib.import_module(name)
        file = getattr(module, "__file__", None)
        found[name] = pathlib.Path(file).read_bytes() if file else None
        for value in vars(module).values():
            used = value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", None)
            if isinstance(used, str) and used in sys.modules and used.split(".")[0] not in _LIBRARIES:
                place = getattr(sys.modules[used], "__file__", None) or ""
                if used.split(".")[0] in roots or (place.endswith(".py") and not _is_library(place)):
                    todo.append(used)
    return found


def _is_library(place):
    return place.startswith(_STDLIB) or not {"site-packages", "dist-packages"}.isdisjoint(pathlib.Path(place).parts)


def _exists(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _texts(value):
    """All strings in lists, tuples and dicts."""
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [text for part in parts for text in _texts(part)]


def _is_file(text):
    """Whether a text is the path of a file or of a SavedModel."""
    path = pathlib.Path(text[:4000]).expanduser()
    return path.is_file() or (path / "saved_model.pb").is_file()
