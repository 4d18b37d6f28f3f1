"""Chooses, before TensorFlow is imported, whether it uses the oneDNN kernels on the CPU.

By default TensorFlow 2.16 to 2.21 uses them only on CPUs with AVX512-VNNI, AMX or newer. It reads
`TF_ENABLE_ONEDNN_OPTS` once, when it is imported. Convolutional networks train up to 2.2 times faster with them on every
CPU. Dense and recurrent ones are up to 1.3 times faster without them on CPUs where TensorFlow leaves them off, and up to 1.2
times faster with them on one where it uses them (benchmarks/reproduce/onednn.json): there its default is right. A value that
the user has set is never changed. Importing this module does not import TensorFlow.
"""

import fnmatch
import json
import logging
import os
import pathlib
import platform
import sys
from collections.abc import Iterable

VARIABLE = "TF_ENABLE_ONEDNN_OPTS"

# The presets whose networks have no convolution, as patterns.
DENSE = (
    "autoencoder/mnist-dec-paper", "autoencoder/mnist-paper", "draw/*", "ebgan*/digits", "ebgan*/mnist-paper", "gan/digits",
    "gan/mnist*", "gan-minimax/*", "glimpse-classifier/*", "gmvae/digits", "gmvae/mnist", "improved-gan/digits*",
    "improved-gan/mnist*", "infogan/digits", "sngan/digits*", "ss-gan/digits", "vae/digits", "vae/freyfaces-paper",
    "vae/mnist*", "wgan/digits", "wgan-gp/digits",
)  # fmt: skip

_hinted = False


def choose(presets: Iterable[str] = (), runs: Iterable[str | os.PathLike] = ()) -> None:
    """Sets the variable for this process and its child processes; no effect once TensorFlow is imported.

    Args:
        presets: names of the presets to be trained; with none, and with any convolutional one, oneDNN is switched on, else
            TensorFlow's default for the CPU stays.
        runs: run folders, of which those with a config.json are continued or used: they keep their choice, unless they
            differ in it.
    """
    if VARIABLE in os.environ or "tensorflow" in sys.modules or not supported():
        return
    before, on = set(), True if suits(presets) else None
    try:
        for config in (pathlib.Path(run) / "config.json" for run in runs):
            if config.exists():
                before.add(bool(json.loads(config.read_text())["onednn"]))
    except (OSError, ValueError, KeyError, TypeError):
        return  # a run of an older tfgen keeps TensorFlow's default; the trainer reports a damaged file
    on = before.pop() if len(before) == 1 else on
    if on is not None:
        os.environ[VARIABLE] = "1" if on else "0"


def suits(presets: Iterable[str]) -> bool:
    """Whether oneDNN is faster for these presets on every CPU: if any is convolutional, or none is named."""
    presets = list(presets)
    return not presets or not all(is_dense(name) for name in presets)


def is_dense(preset: str) -> bool:
    """Whether the networks of a preset are dense or recurrent, so that it depends on the CPU what is faster."""
    return any(fnmatch.fnmatchcase(preset, pattern) for pattern in DENSE)


def supported() -> bool:
    """Whether the variable has an effect on this machine: TensorFlow has oneDNN kernels for x86 CPUs."""
    return platform.machine().lower() in ("x86_64", "amd64")


def processor() -> str:
    """The name of this machine's CPU, as far as the system says it."""
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def enabled() -> bool:
    """Whether TensorFlow uses oneDNN in this process."""
    from tensorflow.python.util import _pywrap_util_port

    return bool(_pywrap_util_port.IsMklEnabled())


def check(before: bool | None, workdir: str) -> None:
    """Raises ValueError if the run in `workdir` was started with oneDNN in the other state.

    Args:
        before: whether the run was started with oneDNN; None: unknown, no error.
    """
    if before not in (None, enabled()) and supported():
        words = ("on", "off") if before else ("off", "on")
        raise ValueError(
            f"The run in {workdir} was trained with oneDNN {words[0]}, and this process has it {words[1]}, so its numbers "
            f"would be rounded differently. Set {VARIABLE}={int(before)} before TensorFlow is imported."
        )


def hint(convolutional: bool) -> None:
    """Logs, once in a process, that oneDNN would speed up a convolutional model, if it is off by default."""
    global _hinted
    if _hinted or not convolutional or VARIABLE in os.environ or not supported() or enabled():
        return
    _hinted = True
    logging.getLogger("tfgen").warning(
        "TensorFlow's oneDNN kernels are off on this CPU. With the environment variable %s=1, set before TensorFlow is "
        "imported, convolutional models train up to 2 times faster; %s=0 silences this message.", VARIABLE, VARIABLE,
    )  # fmt: skip
