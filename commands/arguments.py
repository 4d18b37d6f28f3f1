"""Options and checks that several sub-commands share."""

from __future__ import annotations

import argparse
import os
import pathlib
import re
import tempfile
from typing import Annotated

from tfgen.settings import Rule, Text, shown, within
from tfgen_trainers.arguments import can_hold, option

# The most images of a grid: all are in memory, of 256 x 256 pixels in colour 7.9 GB.
MAX_GRID = 10_000


def _can_be_grid(text):
    path = pathlib.Path(text)
    try:
        return path.suffix.lower() in (".png", ".gif") and not path.is_dir() and can_hold(path.parent)
    except OSError:  # as of a name that is too long
        return False


# Checked before anything is loaded or computed.
OutputGrid = Annotated[Text, Rule("", _can_be_grid), "the path of a .png or .gif file to write, in a folder"]


def numbers(text: str, whole_text: str | None = None) -> list[int | float]:
    """Parses numbers with commas between, and ranges of whole ones: "0-2,0.5" to [0, 1, 2, 0.5].

    Args:
        text: the numbers.
        whole_text: for the message, the value of the option that they are a part of; None: `text`.

    Raises:
        argparse.ArgumentTypeError: another text, or more than `MAX_GRID` numbers.
    """
    found = []
    for item in text.split(","):
        whole = re.fullmatch("([0-9]{1,9})(?:-([0-9]{1,9}))?", item)
        first, last = (int(whole[1]), int(whole[2] or whole[1])) if whole else (0, -1)
        if whole and first <= last < first + MAX_GRID - len(found):
            found += range(first, last + 1)
        elif not whole and re.fullmatch(r"-?[0-9]{0,9}\.?[0-9]{1,9}(e-?[0-9]{1,2})?", item):
            found.append(float(item))
        else:
            raise argparse.ArgumentTypeError(f"got {shown(whole_text or text)}, expected numbers such as 3 or 0,1,2 or 0-9")
    return found


def whole_numbers(text: str) -> list[int]:
    """Parses whole numbers >= 0 with commas between, and ranges of them: "0-2,5" to [0, 1, 2, 5]; raises as `numbers`."""
    found = numbers(text)
    if not all(isinstance(number, int) for number in found):
        raise argparse.ArgumentTypeError(f"got {shown(text)}, expected whole numbers >= 0 such as 3 or 0,1,2 or 0-9")
    return found


def add_grid(parser: argparse.ArgumentParser) -> None:
    """Adds the options of a grid to write, see `tfgen_commands.pictures.write_grid`."""
    add = parser.add_argument
    add("-o", "--out", type=option(OutputGrid), required=True, metavar="FILE",
        help="grid to write, a .png; or a .gif, in which each row is an animation")  # fmt: skip
    add("--scale", type=option(Annotated[int, within(1, 64)]), default=1,
        help="side in the grid of a pixel of the images (default: 1)")  # fmt: skip


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
