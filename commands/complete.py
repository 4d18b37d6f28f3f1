"""`tfgen complete`: images of which a part is known, completed by a trained model."""

from __future__ import annotations

import argparse
import contextlib
from typing import Annotated, Literal

import numpy as np

from tfgen.settings import Resize, Seed, Text, within
from tfgen_commands.arguments import add_grid
from tfgen_commands.models import MODEL, add_class, add_model, class_of, opened
from tfgen_commands.pictures import add_input, read_all, read_picture, write_grid
from tfgen_trainers.arguments import option

SUMMARY = "complete images of which a part is known"
DESCRIPTION = f"""\
Writes a row for each image: the image, what is known of it (the rest in grey), and several completions. Known are the half
that --keep names, or the white pixels of --mask, a picture of the image's size. Autoregressive models draw pixels row by
row, so an unknown pixel depends on the known ones before it alone: they complete the lower part of an image best. Pixels
are rounded to the grey levels that the model has.

{MODEL}"""
EPILOG = """\
examples:
  tfgen complete digit.png -o completed.png --preset pixel-cnn/digits --keep top
  tfgen complete digits/ -o completed.gif --preset gated-pixel-cnn/digits-classes --mask known.png --label 3 --num 16
"""
HALVES = ("top", "bottom", "left", "right")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `tfgen complete`."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_input(parser)
    add_grid(parser)
    add_model(parser)
    add = parser.add_mutually_exclusive_group(required=True).add_argument
    add("--keep", type=option(Literal[HALVES]), help=f"the half that is known: {', '.join(HALVES)}")
    add("--mask", type=option(Text), metavar="FILE", help="picture that is white where the image is known, else black")
    add = parser.add_argument
    add("--num", type=option(Annotated[int, within(1, 1000)]), default=8, help="completions of each image (default: 8)")
    add("--seed", type=option(Seed), default=0, help="the same seed draws the same completions (default: 0)")
    add_class(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Runs the command.

    Args:
        args: the options of `add_arguments`.

    Raises:
        ValueError: invalid options or files, or a model that completes no images.
    """
    from tfgen.models.capabilities import Completer

    with contextlib.ExitStack() as stack:
        model = opened(args, stack, Completer)
        _, images = read_all(args.input, model.image_shape, args.resize)
        if model.levels is not None:
            images = np.rint(images * (model.levels - 1)) / np.float32(model.levels - 1)
        mask = _known(args.keep, args.mask, model.image_shape, args.resize)
        total = len(images) * args.num
        seeds = np.tile(np.arange(args.num) + (args.seed << 32), len(images))
        made = model.ask(
            "complete", seeds=seeds, image=np.repeat(images, args.num, axis=0), mask=np.tile(mask, (total, 1, 1)),
            **class_of(model, args.label, total),
        )  # fmt: skip
    made = made["image"].reshape(len(images), args.num, *images.shape[1:])
    shown = np.where(mask[..., None], images, 0.5)
    write_grid(np.concatenate([images[:, None], shown[:, None], made], axis=1), args.out, args.scale)
    print(args.out)


def _known(keep, path, shape, resize: Resize | None):
    """bool [H, W], true where images are known."""
    if path is not None:
        known = read_picture(path, (*shape[:2], 1), resize, "--mask")[..., 0] >= 0.5
    else:
        row, column = np.indices(shape[:2]) < np.array(shape[:2])[:, None, None] // 2  # in the upper half, in the left one
        known = {"top": row, "bottom": ~row, "left": column, "right": ~column}[keep]
    if known.all():
        raise ValueError(f"--mask: {path} is white everywhere, so that nothing is unknown; expected black where it is")
    return known
