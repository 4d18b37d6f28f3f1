"""A disk cache of the statistics of real images, one file per protocol. Damaged files are computed again."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tfgen.files import write_whole

_FORMAT = 1


class Cache:
    """Named arrays for each key, one file per key: a line of JSON (format, key, sha256), then an .npz.

    Example:
        >>> cache = tfgen.metrics.Cache("statistics", report=lambda line: None)
        >>> for _ in range(2):  # computed once, then read
        ...     found = cache.get({"data": "digits", "seed": 0}, lambda: print("computing") or {"mean": np.zeros(3)})
        computing
        >>> found["mean"].shape
        (3,)

    Args:
      folder: created if missing.
      report: function that takes a line of text.
    """

    def __init__(self, folder: str | os.PathLike, report: Callable[[str], None] = print):
        self.folder, self.report = Path(folder).expanduser(), report

    def path(self, key: dict) -> Path:
        """The file for `key`, a dict of plain values."""
        return self.folder / f"{hashlib.sha256(_text(key).encode()).hexdigest()}.stats"

    def get(self, key: dict, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """The arrays for `key`: read from disk, or computed by `make()` and then stored; see `read` and `write`."""
        arrays = self.read(key)
        if arrays is None:
            arrays = make()
            self.write(key, arrays)
        return arrays

    def read(self, key: dict) -> dict[str, np.ndarray] | None:
        """The arrays for `key`, or None if there are none. A damaged file is reported."""
        path = self.path(key)
        if path.exists():
            try:
                return self._read(path, key)
            except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
                self.report(f"{path} is damaged ({error}): the real side is computed again")
        return None

    def write(self, key: dict, arrays: dict[str, np.ndarray]) -> None:
        """Stores the arrays for `key`. A folder that cannot be written is reported and otherwise ignored."""
        path = self.path(key)
        try:
            self._write(path, key, arrays)
        except OSError as error:
            self.report(f"{path} could not be written ({error}): the real side will be computed again next time")

    def _read(self, path: Path, key: dict) -> dict[str, np.ndarray]:
        header, _, content = path.read_bytes().partition(b"\n")
        header = json.loads(header)
        if header["format"] != _FORMAT or header["key"] != json.loads(_text(key)):
            raise ValueError("it has another format or key")
        if hashlib.sha256(content).hexdigest() != header["sha256"]:
            raise ValueError("its checksum does not match")
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}

    def _write(self, path: Path, key: dict, arrays: dict[str, np.ndarray]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        content = buffer.getvalue()
        header = {"format": _FORMAT, "key": json.loads(_text(key)), "sha256": hashlib.sha256(content).hexdigest()}
        write_whole(path, json.dumps(header, sort_keys=True).encode() + b"\n" + content)


def _text(key: dict) -> str:
    return json.dumps(key, sort_keys=True)
