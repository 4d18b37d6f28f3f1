"""The extras of tfgen that sub-commands need, and what to do where one is not installed."""

import importlib.util
import platform
import sys

_SERVING = ("grpc", "h11", "orjson", "starlette", "tensorflow_serving", "uvicorn")
_TFX = ("tfx", "apache_beam", "ml_metadata", *_SERVING)  # the pipeline serves each model before it is pushed
# {sub-command: (extras, modules that they bring, versions of Python for which they exist)}; see setup.cfg.
_EXTRAS = {
    "demo": ("tfx,serving", _TFX, "3.10 only"),
    "pipeline": ("tfx,serving", _TFX, "3.10 only"),
    "serve": ("serving", _SERVING, "3.10 and later"),
    "studio": ("serving", (*_SERVING, "httpx"), "3.10 and later"),
    "compress": ("compression", ("constriction",), "3.10 and later"),
    "decompress": ("compression", ("constriction",), "3.10 and later"),
    "export --to *.onnx": ("onnx", ("onnx", "onnxruntime", "tf2onnx"), "3.10 and later"),  # without it export needs none
}


def missing(command: str) -> str | None:
    """What to install for a sub-command.

    Args:
        command: its name, such as "serve"; other names need no extra.

    Returns:
        A sentence, or None if nothing is missing.
    """
    extra, modules, pythons = _EXTRAS.get(command, (None, (), ""))
    absent = [name for name in modules if not _is_installed(name)]
    if not absent:
        return None
    return (
        f"needs the extra [{extra}]; not installed: {', '.join(absent)}. Install it with: pip install 'tfgen[{extra}]'. "
        f"It exists for Python {pythons}; this is Python {platform.python_version()}."
    )


def _is_installed(name):
    try:
        return sys.modules.get(name, name) is not None and importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False
