"""Leaves out what other libraries write at every start, where it is harmless. Importing this module imports no TensorFlow.

TensorFlow 2.16 logs errors about factories of CUDA at every start, and later versions lines that no setting suppresses.
Nothing is left out where the environment variable TF_CPP_MIN_LOG_LEVEL is set.
"""

import importlib.machinery
import os
import sys
import warnings
from collections.abc import Callable

LEVEL = "TF_CPP_MIN_LOG_LEVEL"
# Regular expressions of harmless lines that TensorFlow writes while it is imported, and while workers find each other.
HARMLESS = (
    r"All log messages before absl::InitializeLog\(\) is called are written to STDERR",
    r"oneDNN custom operations are on",
    r"This TensorFlow binary is optimized to use available CPU instructions",
    r"To enable the following instructions: .* rebuild TensorFlow",
    r"Unable to register cu(FFT|DNN|BLAS) factory: Attempting to register factory for plugin",
    r"TF-TRT Warning: Could not find TensorRT",
    r"Coordination agent has successfully connected",
)
NO_DRIVERS = r"Could not find cuda drivers on your machine, GPU will not be used"
DEVICES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")  # of NVIDIA, of AMD, and of Windows' subsystem for Linux


def start() -> None:
    """Prepares the import of TensorFlow. With a GPU, warnings are shown: they say why it cannot be used."""
    # Google's libraries warn about Python 3.10 and the grpcio that TFX needs. Filters of the user come first.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"google\.(api_core|auth)", append=True)
    # Keras 3.15 warns about the default of `fit` for every tf.data.Dataset.
    warnings.filterwarnings("ignore", message="`shuffle=True` was passed, but will be ignored", append=True)
    if LEVEL in os.environ or "tensorflow" in sys.modules:
        return
    os.environ[LEVEL] = "1" if _has_gpu() else "3"
    _Finder.is_used = True
    sys.meta_path.insert(0, _Finder)


def environment() -> dict[str, str]:
    """The environment for another process, which leaves out lines by itself where this one does."""
    return {name: value for name, value in os.environ.items() if name != LEVEL or not _Finder.is_used}


def _has_gpu():
    return any(map(os.path.exists, DEVICES))


class _Finder:
    """Finds TensorFlow when it is first imported, and filters what it writes to standard error meanwhile."""

    is_used = False

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != "tensorflow":
            return None
        sys.meta_path.remove(_Finder)
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module
            spec.loader.exec_module = lambda module: _filtered(lambda: execute(module))  # type: ignore[method-assign]
        return spec


def filtered(run: Callable) -> object:
    """The result of run(), without harmless lines that TensorFlow writes to standard error, unless the user wants all."""
    return _filtered(run) if _Finder.is_used else run()


def _filtered(run):
    """Calls `run` with file descriptor 2 behind grep: it lives on if this process crashes, and shows the reason."""
    import subprocess

    harmless = "|".join(HARMLESS if _has_gpu() else (*HARMLESS, NO_DRIVERS))
    try:
        grep = subprocess.Popen(["grep", "--line-buffered", "-avE", harmless], stdin=subprocess.PIPE, stdout=2)
        saved = os.dup(2)
    except OSError:  # no grep, or no standard error
        return run()
    assert grep.stdin is not None
    os.dup2(grep.stdin.fileno(), 2)
    try:
        return run()
    finally:
        if sys.stderr is not None:
            sys.stderr.flush()
        os.dup2(saved, 2)
        os.close(saved)
        grep.stdin.close()
        try:
            grep.wait(timeout=2.0)
        except subprocess.TimeoutExpired:  # another process has its input, and goes on
            pass
