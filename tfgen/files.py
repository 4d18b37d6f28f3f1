"""Files: written whole or not at all; weights checked by sha256, and downloaded only with permission."""

from __future__ import annotations

import hashlib
import os
import shutil
import urllib.request
from collections.abc import Callable
from pathlib import Path

SCHEMES = ("http://", "https://", "file://")


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file atomically: under a temporary name, which is then renamed. Makes the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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
        return _fetched(what, str(given), expected, allow_download, cache, report), expected
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
            raise ValueError(f"{what}: what {url} gave has the sha256 {found}, expected {expected}; it was not kept")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
