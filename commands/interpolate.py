"""`tfgen interpolate`: images on the way between two images, or between the samples of two seeds."""

from __future__ import annotations

import argparse
import contextlib
import re
from typing import Annotated, Literal

import numpy as np

from tfgen.settings import Text, within
from tfgen_commands.arguments import add_grid
from tfgen_commands.models import MODEL, add_class, add_model, class_of, opened
from tfgen_commands.pictures import add_resize, read_picture, write_grid
from tfgen_trainers.arguments import option

SUMMARY = "show the way between two images, or between the samples of two seeds"
DESCRIPTION = f"""\
Draws images of evenly spaced points between two latents, ends included: those of two whole numbers, the seeds of samples; or
those of two image files, which the model must be able to encode or project. `tfgen project --to` does the same with a
generator that has no encoder.

{MODEL}"""
EPILOG = """\
examples:
  tfgen interpolate 1 2 -o strip.png --preset sngan/digits --rule slerp
  tfgen interpolate one.png two.png -o morph.gif --preset vae/digits --frames 24 --scale 8
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `tfgen interpolate`."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("ends", type=option(Text), nargs=2, metavar="END", help="two seeds, or two image files")
    add_resize(parser)
    add_grid(parser)
    add_model(parser)
    add("--frames", type=option(Annotated[int, within(2, 1000)]), default=9, help="number of images (default: 9)")
    add("--rule", type=option(Literal["lerp", "slerp"]), default="lerp",
        help="the way: lerp, a straight line (default), or slerp, an arc, for latents of a normal distribution")  # fmt: skip
    add_class(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Runs the command.

    Args:
        args: the options of `add_arguments`.

    Raises:
        ValueError: invalid options or files, or a model without such latents.
    """
    from tfgen import sampling
    from tfgen.models.capabilities import Encoder, Projector, Sampler

    seeds = [int(end) for end in args.ends if re.fullmatch("[0-9]{1,9}", end)]
    if len(seeds) == 1:
        raise ValueError(f"give two seeds or two image files, not one of each; received {' and '.join(args.ends)}")
    if seeds and args.resize:
        raise ValueError("--resize is for image files; received two seeds")
    with contextlib.ExitStack() as stack:
        model = opened(args, stack, *([Sampler] if seeds else [Encoder, Projector]))
        model.require_latents()
        given = class_of(model, args.label, 1)
        if seeds:
            rows = sampling.interpolate(model, seeds[:1], seeds[1:], args.frames, rule=args.rule, **given)
        else:
            images = [read_picture(end, model.image_shape, args.resize, "END") for end in args.ends]
            a, b = model.codes_of(np.stack(images))
            rows = sampling.decoded(model, sampling.latent_path(a, b, args.frames, rule=args.rule)[None], **given)
    write_grid(rows, args.out, args.scale)
    print(args.out)
