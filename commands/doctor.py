"""`tfgen doctor`: looks at this machine and this installation, and says what to do about what it finds."""

from __future__ import annotations

import argparse
import contextlib
import os
import pathlib
import platform
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import NamedTuple

from tfgen import onednn
from tfgen.files import default_cache
from tfgen_commands import extras

OK, HINT, WRONG = "ok", "hint", "WRONG"
# Of this repository's tests; see setup.cfg and docs/architecture.md.
VERSIONS = {"tensorflow": ("2.16", "2.22"), "keras": ("3.12", "4")}
PACKAGES = ("tensorflow", "keras", "tensorflow-probability", "numpy", "tfx")
DISK, MEMORY, PORTS, SECONDS = 5e9, 4e9, (8500, 8501), 2.0
SUMMARY = "look at this machine and this installation, and say what to do"
EPILOG = """\
Each line begins with ok, hint (it works, and could work better) or WRONG. The exit status is 1 if anything is WRONG, else 0.
Nothing is changed, and files are written only to see whether that is possible.
"""


class Finding(NamedTuple):
    """A line: how it stands, what was looked at, what was found, and what to do."""

    state: str
    name: str
    found: str
    advice: str = ""

    def __str__(self):
        return f"{self.state:6}{self.name:24}{self.found}" + (f"\n{'':30}{self.advice}" if self.advice else "")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Sets the help of `tfgen doctor`, which has no options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description, parser.epilog = "Looks at this machine and this installation, and says what to do.", EPILOG
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints all findings as they come; -> the exit status."""
    states = set()
    for look in (python, packages, onednn_kernels, devices, optional, folders, disk_and_memory, ports, training):
        for finding in _looked(look):
            states.add(finding.state)
            print(finding, flush=True)
    print("\nSomething is wrong: see above." if WRONG in states else "\nNothing is wrong.")
    return int(WRONG in states)


def _looked(look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """The findings; an error while looking is one of them."""
    try:
        yield from look()
    except Exception as error:  # whatever it is: the other lines are still of use
        text = (str(error).strip().splitlines() or [type(error).__name__])[0]
        yield Finding(WRONG, look.__name__.replace("_", " "), text, f"{type(error).__name__} while looking")


# ---- what is looked at


def python():
    """The version of Python."""
    good = (3, 10) <= sys.version_info[:2] <= (3, 13)
    advice = "" if good else "tfgen is for Python 3.10 to 3.13; TFX has packages for 3.10 alone."
    yield Finding(OK if good else WRONG, "Python", f"{platform.python_version()} at {sys.executable}", advice)


def packages():
    """The versions of packages."""
    for name in PACKAGES:
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            if name != "tfx":
                yield Finding(WRONG, name, "not installed", "pip install tfgen brings it.")
            continue
        low, high = VERSIONS.get(name, ("0", "9999"))
        good = _numbers(low) <= _numbers(version) < _numbers(high)
        yield Finding(
            OK if good else WRONG, name, version, "" if good else f"tfgen needs {name}>={low},<{high}: pip install it."
        )
    legacy = os.environ.get("TF_USE_LEGACY_KERAS", "0")
    if legacy != "0":
        yield Finding(
            WRONG, "Keras", f"TF_USE_LEGACY_KERAS={legacy}", "tfgen is written for Keras 3: unset it, or set it to 0."
        )


def _numbers(version):
    parts = (part for part in version.split("+")[0].split(".")[:2])
    return [int("".join(c for c in part if c.isdigit()) or 0) for part in parts]


def onednn_kernels():
    """Whether the fast convolutions are on."""
    if not onednn.supported():
        return
    on = onednn.enabled()
    yield Finding(
        OK if on else HINT, "oneDNN", f"{'on' if on else 'off'}; {onednn.processor()}",
        "" if on else f"convolutional models train up to 2 times faster with {onednn.VARIABLE}=1; `tfgen train` sets it.",
    )  # fmt: skip


def devices():
    """What TensorFlow computes on."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    built, cards = tf.test.is_built_with_cuda(), pathlib.Path("/proc/driver/nvidia/version").exists()
    yield Finding(OK, "CPU", f"{os.cpu_count()} cores")
    if gpus:
        yield Finding(OK, "GPU", f"{len(gpus)}: {', '.join(gpu.name for gpu in gpus)}")
    elif cards:
        advice = "pip install 'tensorflow[and-cuda]' brings the libraries." if built else "this TensorFlow has no CUDA."
        yield Finding(HINT, "GPU", "there is an NVIDIA driver, and TensorFlow sees no GPU", advice)
    else:
        yield Finding(OK, "GPU", "none")


def optional():
    """The extras."""
    for command in ("serve", "compress", "export --to *.onnx", "pipeline"):
        missing = extras.missing(command)
        yield Finding(HINT if missing else OK, f"tfgen {command}", "can run" if missing is None else missing)


def folders():
    """Where files are written."""
    looked = {"this folder": pathlib.Path.cwd(), "cache": default_cache(), "temporary": pathlib.Path(tempfile.gettempdir())}
    for name, folder in looked.items():
        nearest = next(part for part in (folder, *folder.parents) if part.exists())
        try:
            with tempfile.TemporaryFile(dir=nearest) as file:
                file.write(b"0")
        except OSError as error:
            advice = {"cache": "set TFGEN_CACHE to a folder that can be written.",
                      "temporary": "set TMPDIR to a folder that can be written."}.get(name, "run tfgen in another folder.")
            yield Finding(WRONG, name, f"{folder} cannot be written: {error.strerror}", advice)
        else:
            yield Finding(OK, name, f"{folder} can be written")


def disk_and_memory():
    """What is free."""
    free = shutil.disk_usage(pathlib.Path.cwd()).free
    advice = "" if free > DISK else "checkpoints of a large model need some GB."
    yield Finding(HINT if advice else OK, "disk", f"{free / 1e9:.1f} GB free", advice)
    memory = available_memory()
    if memory is not None:
        advice = "" if memory > MEMORY else "the pipeline needs about 4 GB; a smaller --batch_size needs less."
        yield Finding(HINT if advice else OK, "memory", f"{memory / 1e9:.1f} GB free", advice)


def available_memory() -> int | None:
    """Bytes that can be had, of the machine or of the control group of this process; None: unknown."""
    found = []
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
        found.append(1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")))
    with contextlib.suppress(OSError, ValueError):  # "max" is no number
        limit, used = (int(pathlib.Path(f"/sys/fs/cgroup/memory.{name}").read_text()) for name in ("max", "current"))
        found.append(limit - used)
    return min(found, default=None)


def ports():
    """Whether a server can start."""
    for port in PORTS:
        with socket.socket() as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                flag = "--port" if port == 8500 else "--rest_api_port"
                yield Finding(HINT, f"port {port}", "in use", f"`tfgen serve {flag}=N` takes another one; 0: any.")
            else:
                yield Finding(OK, f"port {port}", "free")


def training():
    """Some steps on each device."""
    import tensorflow as tf

    import tfgen

    for device in tf.config.list_logical_devices():
        if device.device_type not in ("CPU", "GPU"):
            continue
        with tf.device(device.name):
            model = tfgen.presets.get("vae/digits").build()
            model.compile()
            batches = tf.data.Dataset.from_tensors(tf.zeros([64, *model.image_shape])).repeat()
            model.fit(batches, steps_per_epoch=2, verbose=0)
            started, steps = time.perf_counter(), 0
            while (seconds := time.perf_counter() - started) < SECONDS:
                model.fit(batches, steps_per_epoch=10, verbose=0)
                steps += 10
        name = f"training on {device.device_type}"
        if int(model.bad_step.value) >= 0:
            yield Finding(WRONG, name, "a loss is not a finite number", "the installation of TensorFlow is broken.")
        else:
            yield Finding(OK, name, f"{steps / seconds:.0f} steps of vae/digits in a second")
