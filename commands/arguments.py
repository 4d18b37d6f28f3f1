"""Checks that several sub-commands share."""

from __future__ import annotations

import os
import pathlib
import tempfile
import typing

from tfgen_trainers.arguments import can_hold

if typing.TYPE_CHECKING:
    import keras


def require(model: keras.Model, capability: type, path: str | os.PathLike) -> None:
    """Checks that a model has a capability.

    Args:
        model: a `tfgen.models.TrainableModel`.
        capability: a class of `tfgen.models.capabilities`.
        path: where the model is from, a run folder or a preset, for the message.

    Raises:
        ValueError: it has not; the message lists those that it has.
    """
    if capability not in model.capabilities():
        can = ", ".join(found.NAME for found in model.capabilities())
        raise ValueError(f"{path} is a {type(model).__name__}, which is no {capability.NAME}; it is: {can}.")


def output_file(out: str | os.PathLike, source: str | os.PathLike) -> pathlib.Path:
    """Checks the path of a file to write, and returns it.

    Args:
        out: the path.
        source: path of the input, which must not be overwritten.

    Raises:
        ValueError: it is a folder or the input, is in no folder, or cannot be written.
    """
    out = pathlib.Path(out)
    if out.is_dir():
        raise ValueError(f"--out must be a file to write; received the folder {out}")
    if not can_hold(out.parent):
        raise ValueError(f"--out must be a file to write, in a folder; received {out}")
    if out.resolve() == pathlib.Path(source).resolve():
        raise ValueError(f"--out must be another file than the input; received {out}, which is the input file")
    check_writable(out.parent)
    return out


def check_writable(folder: pathlib.Path) -> None:
    """Checks that files can be written to the folder of --out, or to the nearest one that exists; writes none.

    Raises:
        ValueError: it cannot be written.
    """
    nearest = next(part for part in (folder, *folder.parents) if part.exists())
    try:
        tempfile.TemporaryFile(dir=nearest).close()
    except OSError as error:
        raise ValueError(f"--out: the folder {nearest} cannot be written: {error.strerror}") from error
