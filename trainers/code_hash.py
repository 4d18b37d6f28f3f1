"""Hashes of code: of packages for TFX's cache keys, and of the modules that a model uses for the record of its training.

A component runs again when its code has changed; a record is stale when the code that trained has changed.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import inspect
import io
import pathlib
import re
import sys
import sysconfig
import tokenize
import typing
from collections.abc import Callable, Iterable

from tfgen.files import sha256

if typing.TYPE_CHECKING:
    from tfgen.presets import Preset

_STDLIB = sysconfig.get_path("stdlib")
_WITH_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_LIBRARIES = ("tfgen", "keras", "tensorflow", "builtins", "abc", "typing")


def code_hash(*modules: str) -> str:
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


def own_hash(preset: Preset, module: str | None = None) -> str:
    """Hash of what a resolved `tfgen.presets.Preset` takes from outside of tfgen; "" where it takes nothing.

    These are the modules of a model class of the user's own, of its presets and of makers of networks that are named by
    dotted names, all modules that these import and that are not installed libraries, and files that the preset names.

    Args:
        module: dotted name of the module of the preset itself, if it is the user's own, see `tfgen.presets.module_of`.

    Raises:
        ValueError: a file has changed since this process imported it, so the hash would not be that of the code that runs.
    """
    names = {cls.__module__ for cls in preset.model.__mro__} | {f"{preset.model.__module__}_presets"} | _makers(preset)
    names |= set() if module is None else {module}
    names = {name for name in names if _root(name) not in _LIBRARIES}
    code = closure(names, lambda name: _root(name) not in _LIBRARIES and _follows(names, name))
    from tfgen.presets import changed_since_import  # here, since it imports TensorFlow

    if changed := changed_since_import(code):
        raise ValueError(
            f"The code of {preset.name} has changed since this process imported it, in {', '.join(changed)}, and would not "
            "be used. Start a new process."
        )
    if "__main__" in names and _source("__main__") is None:  # a notebook
        code["__main__"] = inspect.getsource(preset.model)
    files = files_of(preset)
    return _digest({**code, **files}) if code or files else ""


def modules_hash(followed: Iterable[str], alone: Iterable[str] = ()) -> str:
    """Hash of modules and of all that they import, as far as it is not an installed library; tfgen always counts.

    Comments, docstrings and empty lines do not count, so the hash changes only where what is done may change.

    Args:
        followed: dotted names.
        alone: dotted names of modules whose own code counts, but not what they import.

    Raises:
        ModuleNotFoundError: one of `alone` does not exist, or has no code in Python.
    """
    followed, own = set(followed), {name for name in followed if _root(name) not in _LIBRARIES}
    code = closure(
        followed, lambda name: _root(name).startswith("tfgen") or (_root(name) not in _LIBRARIES and _follows(own, name))
    )
    for name in alone:
        if (text := _source(name)) is None:
            raise ModuleNotFoundError(f"There is no module {name!r} whose code could be hashed.", name=name)
        code[name] = _bare(text)
    return _digest(code)


def model_modules(preset: Preset) -> list[str]:
    """Dotted names of the modules of a preset's model class, of the classes that it inherits, and of makers of networks."""
    classes = {cls.__module__ for cls in preset.model.__mro__}
    return sorted(name for name in classes | _makers(preset) if _find(name) and (_root(name) == "tfgen" or _ours(name)))


def closure(names: Iterable[str], followed: Callable[[str], bool]) -> dict[str, str]:
    """{module: its code, without comments, docstrings and empty lines} of modules and of all that they import.

    Import statements are read, those in functions too, but not those for a type checker alone (`if TYPE_CHECKING`); modules
    are not imported, only their packages. A name that a package only imports counts as an import of the module that has it,
    so a package that lists all models is not a use of all.

    Args:
        names: dotted names; those without a file in Python are left out.
        followed: function of a dotted name: whether an imported module belongs to the code.
    """
    found, todo = {}, sorted(names, reverse=True)
    while todo:
        name = todo.pop()
        if name in found or not followed(name) or (text := _source(name)) is None:
            continue
        found[name] = _bare(text)
        for module, attribute in _statements(name, text):
            if followed(module):
                todo.append(_home(module, attribute))
    return found


@functools.lru_cache(maxsize=1000)
def _statements(name, text):
    """[(module, imported name or None)] of all import statements."""
    package, found = name if _is_package(name) else name.rpartition(".")[0], []
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: -(node.level - 1) or None] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found += [(base, None if alias.name == "*" else alias.name) for alias in node.names]
    return tuple(found)


def _home(module, attribute):
    """Name of the module where a name that is imported from `module` has its code."""
    if attribute is None or not _is_package(module):
        return module
    if _find(f"{module}.{attribute}"):
        return f"{module}.{attribute}"
    for base, name in _statements(module, _source(module) or ""):
        if name == attribute:
            return _home(base, name)
    return module


def _find(name):
    """The spec of a module, None if there is none. Its packages are imported, the module is not."""
    try:
        return importlib.util.find_spec(name)
    except (ModuleNotFoundError, ValueError):
        return None


def _is_package(name):
    spec = _find(name)
    return spec is not None and spec.submodule_search_locations is not None


def _file(name):
    spec = _find(name)
    place = spec.origin if spec else getattr(sys.modules.get(name), "__file__", None)
    return pathlib.Path(place) if place and place.endswith(".py") else None


def _source(name):
    file = _file(name)
    return file.read_text(encoding="utf-8") if file else None


def _root(name):
    return name.split(".")[0]


def _ours(name):
    """Whether a module is Python code that is not installed."""
    file = _file(name)
    return file is not None and not (
        str(file).startswith(_STDLIB) or not {"site-packages", "dist-packages"}.isdisjoint(file.parts)
    )


def _follows(names, name):
    """Whether a module belongs to the code of modules `names`: it is in the same package, or not installed."""
    return _root(name) in {_root(one) for one in names} or _ours(name)


@functools.lru_cache(maxsize=1000)
def _bare(text):
    """Code without comments, docstrings and empty lines; the same for every version of Python."""
    lines = text.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(ast.parse(text)):
        first = node.body[0] if isinstance(node, _WITH_DOCSTRING) and node.body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            # Columns of a syntax tree count bytes.
            before = lines[first.lineno - 1].encode()[: first.col_offset].decode()
            after = lines[first.end_lineno - 1].encode()[first.end_col_offset :].decode()
            lines[first.lineno - 1 : first.end_lineno] = [before + after, *[""] * (first.end_lineno - first.lineno)]
    return "\n".join(line.rstrip() for line in lines if line.strip())


def _makers(preset):
    """Names of modules that may hold the makers of networks which a preset names by dotted names."""
    networks = [preset.model_args.get(name) for name in preset.model.network_arguments()]
    texts = [text for text in networks if isinstance(text, str) and re.fullmatch(r"\w+(\.\w+)+", text)]
    return {".".join(parts[:end]) for parts in (text.split(".") for text in texts) for end in range(1, len(parts))}


def files_of(preset: Preset) -> dict[str, str]:
    """{path: sha256} of the files and SavedModels that the model's arguments in a preset name."""
    return {text: sha256(pathlib.Path(text).expanduser()) for text in _texts(preset.model_args) if _is_file(text)}


def _digest(contents):
    digest = hashlib.sha256()
    for name, content in sorted(contents.items()):
        digest.update(f"{name} {content} ".encode())
    return digest.hexdigest()[:16]


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
