"""Atomic writes of files and folders; locks; files of weights, checked by sha256 and downloaded only with permission."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import tempfile
import urllib.request
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from absl import logging

SCHEMES = ("http://", "https://", "file://")
# Of files that are taken as images, in lower or upper case.
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


def natural_order(path: str | os.PathLike) -> tuple:
    """A key for sorting paths, part by part, in which numbers are compared as numbers.

    Example:
        >>> sorted(["a/10", "a/2", "b/1"], key=tfgen.files.natural_order)
        ['a/2', 'a/10', 'b/1']
    """
    parts = (re.split(r"(\d+)", part) for part in Path(path).parts)  # text, number, text, ...
    return [[int(text) if k % 2 else text for k, text in enumerate(part)] for part in parts], str(path)


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file atomically: under a temporary name, which is then renamed. Makes the folder.

    Raises:
        OSError: writing failed; the message names the file.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        to_disk(path.parent)
    except OSError as error:
        raise OSError(error.errno, f"{path} could not be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):  # there is none, or no folder
            temporary.unlink()


def save_keras(model: Any, path: Path) -> None:
    """Saves a `keras.Model` as a .keras file atomically: under a temporary name, which is then renamed. Makes the folder."""
    hidden = path.with_name(f".{path.name}.{os.getpid()}.part.keras")  # another process may save to the same path
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        model.save(hidden)
        to_disk(hidden)
        hidden.replace(path)
        to_disk(path.parent)
    finally:
        hidden.unlink(missing_ok=True)


def remove_temporaries(pattern: Path) -> None:
    """Removes the temporary files of processes that were killed in `write_whole`. No other process may write these files.

    Args:
        pattern: the path of the file; its name may be a glob pattern.
    """
    for path in pattern.parent.glob(f".{pattern.name}.*.tmp"):
        path.unlink(missing_ok=True)


def to_disk(path: Path) -> None:
    """Flushes a file, or the names in a folder, to the disk (fsync)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(path: Path, busy: str | None = None) -> Iterator[bool]:
    """A context with a lock that one process at a time can hold. The lock ends with the process, even if it is killed.

    Args:
        path: a file, which is made if missing, or a folder.
        busy: message of the error if another process has the lock; None: waits for it.

    Yields:
        False if the operating system or the file system (then with a warning) has no such locks; else True.

    Raises:
        BlockingIOError: another process has the lock, and `busy` is given.
        OSError: the file cannot be written.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield False
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT, 0o666)
    try:
        held = True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError as error:
            raise BlockingIOError(error.errno, busy) from error
        except OSError as error:
            logging.warning("%s cannot be locked (%s): other processes can write to it at the same time.", path, error)
            held = False
        yield held
    finally:
        os.close(descriptor)


class TemporaryFolder:
    """A folder in the system's temporary folder, which is removed with this object; if the process is killed, by the next
    one that makes such a folder.

    Args:
        prefix: the beginning of its name.

    Attributes:
        path: its path.
    """

    def __init__(self, prefix: str):
        parent = Path(tempfile.gettempdir())
        for path in parent.glob(f"{prefix}*"):
            with contextlib.suppress(OSError), locked(path, "in use") as held:
                if held:
                    shutil.rmtree(path)
        hidden = Path(tempfile.mkdtemp(prefix=f".{prefix}"))  # until it is locked: no other process removes it meanwhile
        self.path = parent / hidden.name[1:]
        stack = contextlib.ExitStack()
        stack.enter_context(locked(hidden, "in use"))
        hidden.rename(self.path)
        stack.callback(shutil.rmtree, self.path, ignore_errors=True)
        weakref.finalize(self, stack.close)


@contextlib.contextmanager
def new_version(base_dir: Path, version: int | None = None, at_least: int = 1) -> Iterator[tuple[Path, Path]]:
    """A context that makes the folder `<base_dir>/<version>` atomically, by one rename at its end.

    One process at a time makes a version in `base_dir`; others wait. Hidden folders of processes that were killed are
    removed.

    Args:
        base_dir: made if missing.
        version: positive int; None: the largest in `base_dir` plus 1, or `at_least` if that is larger.

    Yields:
        (the hidden folder to write to, the path to which it will be renamed).

    Raises:
        FileExistsError: the version exists.
    """
    base_dir.mkdir(parents=True, exist_ok=True)
    with locked(base_dir) as held:
        if held:
            for path in base_dir.iterdir():
                if re.fullmatch(r"\.\d+-[a-z0-9_]{8}", path.name):
                    shutil.rmtree(path)
        if version is None:
            version = max(at_least, 1 + max((int(p.name) for p in base_dir.iterdir() if p.name.isdigit()), default=0))
        target = base_dir / str(version)
        if target.exists():
            raise FileExistsError(f"{target} exists: a version is never overwritten. Choose another one.")
        hidden = base_dir / f".{version}-{secrets.token_hex(4)}"
        try:
            hidden.mkdir()
            yield hidden, target
            for path in (hidden, *hidden.rglob("*")):
                to_disk(path)
            hidden.rename(target)
            to_disk(base_dir)
        finally:
            shutil.rmtree(hidden, ignore_errors=True)


def default_cache() -> Path:
    """The cache folder: $TFGEN_CACHE, else ~/.cache/tfgen."""
    return Path(os.environ.get("TFGEN_CACHE") or Path.home() / ".cache" / "tfgen")


def sha256(path: str | os.PathLike) -> str:
    """sha256 (hex) of a file's bytes; of a folder, of the names, sizes and bytes of all files in it that are not hidden."""
    path, digest = Path(path), hashlib.sha256()
    files = [path]
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
    for file in files:
        if path.is_dir():
            digest.update(f"{file.relative_to(path).as_posix()}\0{file.stat().st_size}\0".encode())
        with open(file, "rb") as f:
            while block := f.read(2**20):
                digest.update(block)
    return digest.hexdigest()


def weights_file(
    what: str, given: str | os.PathLike | None, *, sha256_expected: str | None = None, allow_download: bool = False,
    cache: str | os.PathLike | None = None, report: Callable[[str], object] = print,
) -> tuple[Path, str]:  # fmt: skip
    """Finds or downloads a file or folder of weights: (path, sha256).

    Args:
      what: name of the weights, for messages: "the FID Inception graph (classify_image_graph_def.pb)".
      given: path or URL; None raises a ValueError that names `what`.
      sha256_expected: 64 hex digits, or None: a local file is not checked.
      allow_download: whether a URL may be downloaded; the file is kept in `cache` under its sha256.
      cache: folder; None: `default_cache`.
      report: function that takes a line of text, called before a download.

    Raises:
      ValueError: nothing is given, the file does not exist or has another sha256, or a URL comes without allow_download or
          sha256.
    """
    if given is None:
        raise ValueError(f"{what} is needed: give its path, or a URL with its sha256 and permission to download")
    expected = None if sha256_expected is None else str(sha256_expected).lower()
    if expected is not None and (len(expected) != 64 or set(expected) - set("0123456789abcdef")):
        raise ValueError(f"a sha256 has 64 hex digits; received {sha256_expected!r}")
    if str(given).startswith(SCHEMES):
        path = _fetched(what, str(given), expected, allow_download, cache, report)
        assert expected is not None  # without it nothing is fetched
        return path, expected
    path = Path(given).expanduser()
    if not path.exists():
        raise ValueError(f"{what}: there is no file {path}" + (f" (its sha256 must be {expected})" if expected else ""))
    found = sha256(path)
    if expected not in (None, found):
        raise ValueError(f"{what}: {path} has the sha256 {found}, expected {expected}")
    return path, found


def _fetched(what, url, expected, allow_download, cache, report) -> Path:
    if expected is None:
        raise ValueError(f"{what}: the URL {url} needs the sha256 of the file, to check the download")
    folder = Path(cache or default_cache()).expanduser() / "weights" / expected
    path = folder / (url.split("?")[0].rsplit("/", 1)[-1] or "weights")
    if path.exists() and sha256(path) == expected:
        return path
    if not allow_download:
        raise ValueError(f"{what} is not in {folder}: allow the download of {url}, or place the file of sha256 {expected} at {path}")  # noqa: E501  # fmt: skip
    report(f"downloading {url} to {path}")
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{path.name}.{os.getpid()}.tmp"
    try:
        with urllib.request.urlopen(url, timeout=60) as response, open(temporary, "wb") as file:
            shutil.copyfileobj(response, file)
        if (found := sha256(temporary)) != expected:
            raise ValueError(f"{what}: the file at {url} has the sha256 {found}, expected {expected}; it was not kept")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
