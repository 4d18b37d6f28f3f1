"""`tfgen reconstruct`: images beside what a trained model makes of them from their codes."""

from __future__ import annotations

import argparse
import contextlib

import numpy as np

from tfgen.settings import Seed
from tfgen_commands.arguments import add_grid
from tfgen_commands.models import MODEL, add_model, opened
from tfgen_commands.pictures import add_input, read_all, write_grid
from tfgen_trainers.arguments import option

SUMMARY = "show images beside their reconstructions by a trained model"
DESCRIPTION = f"""\
Writes a row for each image: the image, and its reconstruction by a model that encodes images, or its projection by one that
finds codes by optimisation. In a .gif they take turns.

{MODEL}"""
EPILOG = """\
examples:
  tfgen reconstruct digit.png -o pair.png --preset vae/digits
  tfgen reconstruct digits/ -o pairs.png --preset draw/digits --scale 4
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `tfgen reconstruct`."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_input(parser)
    add_grid(parser)
    add_model(parser)
    parser.add_argument("--seed", type=option(Seed), default=0, help="of models that draw reconstructions (default: 0)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Runs the command.

    Args:
        args: the options of `add_arguments`.

    Raises:
        ValueError: invalid options or files, or a model without an encoder.
    """
    from tfgen.models.capabilities import Encoder, Projector

    with contextlib.ExitStack() as stack:
        model = opened(args, stack, Encoder, Projector)
        _, images = read_all(args.input, model.image_shape, args.resize)
        signature = "reconstruct" if "reconstruct" in model.signatures else "project"
        drawn = {"seeds": np.arange(len(images)) + (args.seed << 32)} if "seeds" in model.signatures[signature] else {}
        made = model.ask(signature, image=images, **drawn)["image"]
    write_grid(np.stack([images, made], axis=1), args.out, args.scale)
    print(args.out)
