"""`tfgen mix`: the mixing matrix of a StyleGAN, images with the styles of two samples."""

from __future__ import annotations

import argparse
import contextlib

from tfgen_commands.arguments import add_grid, whole_numbers
from tfgen_commands.models import MODEL, add_class, add_model, class_of, opened
from tfgen_commands.pictures import write_grid
from tfgen_trainers.arguments import option

SUMMARY = "mix the styles of samples of a StyleGAN"
DESCRIPTION = f"""\
Writes the matrix of figure 3 of the paper: above are the samples of the seeds of --columns, at the left those of --rows, and
between them images with the styles of their row, but in --layers those of their column. The first layers are the coarsest.

{MODEL}"""
EPILOG = """\
examples:
  tfgen mix -o mixed.png --preset style-gan/digits
  tfgen mix -o fine.png --preset style-gan/digits --rows 0-3 --columns 10-15 --layers 2,3 --scale 4
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `tfgen mix`."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add_grid(parser)
    add_model(parser)
    add("--rows", type=whole_numbers, metavar="LIST", default=[0, 1, 2, 3], help="seeds of the rows (default: 0-3)")
    add("--columns", type=whole_numbers, metavar="LIST", default=[4, 5, 6, 7, 8, 9],
        help="seeds of the columns (default: 4-9)")  # fmt: skip
    add("--layers", type=whole_numbers, metavar="LIST",
        help="layers with the styles of the columns, from 0 (default: the first half)")  # fmt: skip
    add("--truncation", type=option(float), default=1.0, help="psi of all styles, 1 for none (default: 1)")
    add_class(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Runs the command.

    Args:
        args: the options of `add_arguments`.

    Raises:
        ValueError: invalid options, or a model without styles.
    """
    from tfgen import sampling
    from tfgen.models.capabilities import Sampler

    with contextlib.ExitStack() as stack:
        model = opened(args, stack, Sampler)
        model.require("mix", "mix styles")
        num = model.signatures["mix"]["layers"].shape[1]
        layers = range(num // 2) if args.layers is None else args.layers
        if args.layers and max(layers) >= num:
            raise ValueError(f"--layers must be whole numbers in [0, {num - 1}]; received {max(layers)}")
        of_rows, of_columns = (class_of(model, args.label, len(seeds)).get("labels") for seeds in (args.rows, args.columns))
        matrix = sampling.mixing_matrix(
            model, args.rows, args.columns, layers, row_labels=of_rows, column_labels=of_columns,
            truncation=args.truncation,
        )  # fmt: skip
    write_grid(matrix, args.out, args.scale)
    print(args.out)
