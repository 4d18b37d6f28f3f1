"""A hash of the code for TFX's cache keys: a component runs again when its code has changed."""

import hashlib
import importlib.util
import pathlib


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
