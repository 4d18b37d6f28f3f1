"""The parser of commands, the options that several of them share, and the types of option values.

The types are those of `tfgen.settings`, as of the parameters that the options are for. It imports no TensorFlow.
"""

import argparse
import ast
import pathlib
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

from tfgen import settings
from tfgen.settings import Channels, OnError, PositiveInt, Resize, Rule, Text


def can_hold(path: pathlib.Path) -> bool:
    """Whether a path is a folder, or can be made as one: the nearest part of it that exists is a folder."""
    try:
        return next(part for part in (path, *path.parents) if part.exists()).is_dir()
    except OSError:  # as of a name that is too long
        return False


def _can_be_written(path):
    try:
        return not path.is_dir() and can_hold(path.parent)
    except OSError:
        return False


def _paths(text, *rules):
    rules = [Rule("", lambda path, holds=holds: holds(pathlib.Path(path))) for holds in rules]
    return Annotated[(Text, *rules, text)]


# Paths are checked before anything is loaded or computed.
OutputFile = _paths("the path of a file to write, in a folder", _can_be_written)
OutputPng = _paths(
    "the path of a .png file to write, in a folder", _can_be_written, lambda path: path.suffix.lower() == ".png"
)  # fmt: skip
OutputFolder = _paths("the path of a folder, or of one that can be made", can_hold)

MixedPrecision = bool | Literal["bfloat16", "float16"]  # see `tfgen_trainers.train.TrainConfig`
DATA_OPTIONS = (
    "manual_dir", "data_dir", "size", "channels", "resize", "on_error", "input", "num_frames", "num_classes", "text_encoder"
)  # fmt: skip


class Parser(argparse.ArgumentParser):
    """A parser that prints what is wrong in one line. Options have their whole names, so no prefix means another one."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, allow_abbrev=False, **kwargs)

    def error(self, message):
        self.exit(2, f"{self.prog}: {message}\n")


def option(hint: object) -> Callable[[str], object]:
    """The `type` of an option: it reads its text as a value of a type of `tfgen.settings`.

    Args:
        hint: the type, such as `PositiveInt`.

    Returns:
        A function of the text; it raises `argparse.ArgumentTypeError` for a text that is no such value.
    """
    return settings.reader(hint, argparse.ArgumentTypeError)


def assignment(text: str) -> tuple[str, object]:
    """Parses "name=value" to ("name", value); the value is a Python literal, or else a text.

    Raises:
        argparse.ArgumentTypeError: there is no name, or no "=".
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"got {settings.shown(text)}, expected NAME=VALUE")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):  # the last two are of thousands of brackets
        return name, value


def overrides(assignments: Sequence[tuple[str, object]]) -> dict[str, object]:
    """{name: value} of `assignment`s.

    Raises:
        ValueError: a name is given twice.
    """
    names = [name for name, _ in assignments]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"--set {name}: got {names.count(name)} values, expected one.")
    return dict(assignments)


def size(text: str) -> int | tuple[int, int]:
    """Parses "N" to N, and "HxW" to (H, W).

    Raises:
        argparse.ArgumentTypeError: another text, or a side outside of [1, settings.MAX_SIDE].
    """
    sides = tuple(int(side) if re.fullmatch("[0-9]{1,9}", side) else 0 for side in re.split("[xX]", text))
    found = sides[0] if len(sides) == 1 else sides
    if not settings.fits(settings.Size, found):
        most = settings.MAX_SIDE
        raise argparse.ArgumentTypeError(
            f"got {settings.shown(text)}, expected N or HxW with sides in [1, {most}] "
            f"({most} x {most} x 3 float32 have 805 MB)"
        )
    return found


def add_mixed_precision(parser: argparse.ArgumentParser) -> None:
    """Adds --mixed_precision, whose value is a `MixedPrecision`."""
    parser.add_argument("--mixed_precision", nargs="?", const="bfloat16", default=False, choices=("bfloat16", "float16"),
                        help="compute in bfloat16, or with loss scaling in float16")  # fmt: skip


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Adds `DATA_OPTIONS`, the options of `tfgen.data.load`, and `--set`, as `overrides`, a list of `assignment`s."""
    add = parser.add_argument
    add("--manual_dir", type=option(Text), help="folder with the original files of a TFDS data set, for machines offline")
    add("--data_dir", type=option(Text), help="where prepared TFDS data sets are kept")
    add("--size", type=size, help="resize images to N or HxW pixels")
    add("--channels", type=option(Channels), help="1: grey, 3: colour")
    add("--resize", type=option(Resize), help="way of resizing: center_crop, pad, stretch or none")
    add("--on_error", type=option(OnError), help="unreadable images: raise (default) or skip")
    add("--input", type=option(Literal["left", "right"]), help="the half that is the input, of files pairs:PATH")
    add("--num_frames", type=option(PositiveInt), help="cut clips:PATH into pieces of so many frames")
    add("--num_classes", type=option(PositiveInt), help="number of classes of the maps of label_maps:PATH")
    add("--text_encoder", type=option(Text), metavar="FILE",
        help="encoder of the texts of captioned:DATA and named:DATA, a .keras file; see tfgen.features.load_text_encoder")
    add("--set", action="append", type=assignment, default=[], metavar="NAME=VALUE", dest="overrides",
        help="override a setting of the preset, e.g. --set latent_dim=10 (repeatable)")  # fmt: skip
