"""The code that made a result, as a part of TFX's cache keys."""

import hashlib
import importlib.util
import pathlib


def code_hash(*modules):
    """Hash of the code of these modules, of packages with everything in them: a component whose parameter it is runs again
    when the code that made its result has changed. It is the same wherever tfgen is installed.

    Args:
        modules: dotted names.

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
