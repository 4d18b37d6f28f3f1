"""`tfgen traverse`: what each number of a model's latents, or a code of an InfoGAN, changes in an image."""

from __future__ import annotations

import argparse
import contextlib
from typing import Annotated

import numpy as np

from tfgen.settings import NaturalInt, PositiveFloat, Seed, Text, within
from tfgen_commands.arguments import add_grid, whole_numbers
from tfgen_commands.models import MODEL, add_class, add_model, class_of, opened
from tfgen_commands.pictures import add_resize, read_picture, write_grid
from tfgen_trainers.arguments import option

SUMMARY = "show what each latent, or a code of an InfoGAN, changes in an image"
DESCRIPTION = f"""\
Writes a row for each of some latents, whose images differ by this number alone: it goes from REACH below its value in the
image in the middle to REACH above. That image is the sample of --seed, or --image, which the model must be able to encode
or project. With --code K all rows show the code K of an InfoGAN, each with other noise: all classes of a code with classes,
else the values from -REACH to REACH.

{MODEL}"""
EPILOG = """\
examples:
  tfgen traverse -o latents.png --preset vae/digits
  tfgen traverse -o latents.gif --preset vae/digits --image digit.png --latents 0-3 --reach 3
  tfgen traverse -o classes.png --preset infogan/digits --code 0
"""
ROWS = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `tfgen traverse`."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add_grid(parser)
    add_model(parser)
    add("--latents", type=whole_numbers, metavar="LIST", help=f"numbers of latents, from 0 (default: the first {ROWS})")
    add("--code", type=option(NaturalInt), metavar="K", help="the number of a code of an InfoGAN, from 0")
    add("--rows", type=option(Annotated[int, within(1, 1000)]), help=f"rows with --code (default: {ROWS})")
    add("--reach", type=option(PositiveFloat), default=2.0, help="how far a number goes (default: 2)")
    add("--frames", type=option(Annotated[int, within(2, 1000)]), default=9, help="images of a row (default: 9)")
    add("--seed", type=option(Seed), default=0, help="seed of the sample in the middle, or of the noise (default: 0)")
    add("--image", type=option(Text), metavar="FILE", help="image in the middle, in place of a sample")
    add_resize(parser)
    add_class(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Runs the command.

    Args:
        args: the options of `add_arguments`.

    Raises:
        ValueError: invalid options or files, or a model without such latents or codes.
    """
    from tfgen.models.capabilities import Encoder, Projector, Sampler

    if args.code is not None and (args.latents or args.image):
        raise ValueError(f"--code shows no --{'latents' if args.latents else 'image'}: give one of them")
    if args.code is None and args.rows is not None:
        raise ValueError("--rows is for --code; --latents says which rows there are")
    if args.resize and not args.image:
        raise ValueError("--resize is for --image")
    with contextlib.ExitStack() as stack:
        model = opened(args, stack, *([Encoder, Projector] if args.image else [Sampler]))
        rows = _latents(model, args) if args.code is None else _codes(model, args)
    write_grid(rows, args.out, args.scale)
    print(args.out)


def _latents(model, args):
    from tfgen import sampling

    model.require_latents()
    if args.image:
        latents = model.codes_of(read_picture(args.image, model.image_shape, args.resize, "--image")[None])
    else:
        latents = model.latents([args.seed])
    width = latents.shape[1]
    shown = args.latents or range(min(width, ROWS))
    if max(shown) >= width:
        raise ValueError(f"--latents must be whole numbers in [0, {width - 1}]; received {max(shown)}")
    distances = np.linspace(-args.reach, args.reach, args.frames)
    points = np.concatenate([sampling.sweep(latents, np.eye(width)[i], distances) for i in shown])
    return sampling.decoded(model, points, **class_of(model, args.label, len(points)))


def _codes(model, args):
    """As `InfoGAN.traversal`, also of an export."""
    model.require("sample_codes", "show a code")
    if args.code >= len(model.codes):
        raise ValueError(f"--code must be a whole number in [0, {len(model.codes) - 1}]; received {args.code}")
    field, rows = model.codes[args.code], args.rows or ROWS
    classes = field.dtype == "int32"
    values = np.arange(field.high + 1) if classes else np.linspace(-args.reach, args.reach, args.frames)
    codes = np.full((rows * len(values), len(model.codes)), np.nan)
    codes[:, args.code] = np.tile(values, rows)
    seeds = np.repeat(np.arange(rows) + (args.seed << 32), len(values))
    made = model.ask("sample_codes", seeds=seeds, codes=codes, **class_of(model, args.label, len(seeds)))["image"]
    return made.reshape(rows, len(values), *model.image_shape)
