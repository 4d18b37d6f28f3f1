"""`tfgen sample`: a grid of samples, with the classes, codes and other settings that the model's samples take.

What they take is read from the signatures of the model whose names begin with `sample`, and from its fields.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import math
from typing import Annotated

import numpy as np

from tfgen.settings import Seed, shown, within
from tfgen_commands.arguments import MAX_GRID, add_grid, numbers, whole_numbers
from tfgen_commands.models import MODEL, add_model, opened
from tfgen_commands.pictures import write_grid
from tfgen_trainers.arguments import option, overrides

SUMMARY = "draw a grid of samples from a trained model"
DESCRIPTION = f"""\
Draws samples. A list of several values, such as --labels 0-9 or --truncation 1,0.7,0.5, gives a row for each value, two such
lists a row for each pair; then all rows have the same noise, and differ by these values alone. Classes that are not given
come in turn.

{MODEL}"""
EPILOG = """\
examples:
  tfgen sample --preset vae/digits -o samples.png
  tfgen sample --preset biggan/digits -o classes.png --labels 0-9 --truncation 0.5
  tfgen sample --preset style-gan/digits -o psi.png --truncation=1,0.7,0.5,0,-0.5
  tfgen sample --preset infogan/digits -o codes.png --codes 0-9,0.5
  tfgen sample --preset gmvae/digits -o clusters.png --set clusters=0-9
  tfgen sample --model exported-stack-gan -o sentence.png --text "a small red seven on the left"
"""
NUM, PER_ROW = 64, 8
TEXT = "sample_text"  # the signature
OPTIONS = ("labels", "codes", "truncation", "text")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `tfgen sample`."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add_model(parser)
    add_grid(parser)
    add("--num", type=option(Annotated[int, within(1, MAX_GRID)]),
        help=f"number of images, at most {MAX_GRID} (default: {NUM}, with several rows {PER_ROW} each)")  # fmt: skip
    add("--seed", type=option(Seed), default=0, help="the same seed draws the same images (default: 0)")
    add("--labels", type=whole_numbers, metavar="LIST", help="classes, such as 3 or 0,1,2 or 0-9")
    add("--codes", type=_codes, metavar="LIST", help="values of the codes of an InfoGAN in their order, such as 3,0.5; "
        "_ leaves a code as it is drawn, 0-9 gives a row for each value; --codes=-1,_ if it begins with -")  # fmt: skip
    add("--truncation", type=numbers, metavar="LIST",
        help="of a BigGAN the threshold > 0 of the latents; of a StyleGAN psi, 1 for none")  # fmt: skip
    add("--text", action="append", metavar="SENTENCE", help="a sentence of which is drawn (repeatable: a row for each), by "
        "a model that was exported with the encoder of its texts, see `tfgen export --text_encoder`")  # fmt: skip
    add("--set", action="append", type=_named, default=[], metavar="NAME=LIST", dest="given",
        help="another setting of samples, as clusters=0-9 of a GMVAE, level=0 of a ProgressiveGAN (repeatable)")  # fmt: skip
    parser.set_defaults(run=run)


def _codes(text):
    """[(value of each code, NaN where it is drawn)]: all combinations of the values."""
    return list(itertools.product(*([math.nan] if item == "_" else numbers(item, text) for item in text.split(","))))


def _named(text):
    name, equals, values = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"got {shown(text)}, expected NAME=LIST")
    return name, numbers(values, text)


def run(args: argparse.Namespace) -> None:
    """Runs the command.

    Args:
        args: the options of `add_arguments`.

    Raises:
        ValueError: invalid options, or a model that draws no samples or none with these settings.
    """
    from tfgen.models.capabilities import Sampler

    options = {name: value for name in OPTIONS if (value := getattr(args, name)) is not None}
    others = overrides(args.given)
    if both := sorted(options.keys() & others.keys()):
        raise ValueError(f"give --{both[0]} or --set {both[0]}=LIST, not both")
    if "text" in others:
        raise ValueError("--set takes numbers; sentences are given with --text")
    lists = {**options, **others}
    rows = math.prod(map(len, lists.values()))
    num = args.num or (NUM if rows == 1 else PER_ROW * rows)
    if num % rows or num > MAX_GRID:
        raise ValueError(f"--num must be a multiple of the {rows} rows and at most {MAX_GRID}; received {num}")
    with contextlib.ExitStack() as stack:
        model = opened(args, stack, Sampler)
        signature, columns = _signature(model, lists), num // rows
        seeds = np.arange(columns) + (args.seed << 32)
        conditions = [] if signature == TEXT else model.conditions
        given = {field.argument: field.in_turn(0, columns) for field in conditions if field.argument not in lists}
        given = {name: np.tile(values, rows) for name, values in given.items()}
        pairs = list(itertools.product(*(_values(model, name, values) for name, values in lists.items())))
        for i, name in enumerate(lists):
            given[name] = np.repeat([pair[i] for pair in pairs], columns, axis=0)
        images = model.ask(signature, seeds=np.tile(seeds, rows), **given)["image"]
    several = None if rows > 1 else math.ceil(math.sqrt(num))
    write_grid(images.reshape(rows, columns, *images.shape[1:]), args.out, args.scale, several)
    print(args.out)


def _signature(model, lists):
    """The name of the signature that samples with these settings."""
    takes = {name: specs.keys() - {"seeds"} for name, specs in model.signatures.items() if name.startswith("sample")}
    if lists.keys() == {"text"} and TEXT in takes:
        return TEXT
    vectors = [field.name for field in model.conditions if field.shape or field.high is None]
    if "text" in lists and TEXT in takes:
        raise ValueError(f"--text cannot be given with {' and '.join(_option(one) for one in lists if one != 'text')}")
    if vectors and TEXT in takes:
        raise ValueError(f"samples of {model.path} need --text SENTENCE")
    if vectors:
        raise ValueError(f"samples of {model.path} need {', '.join(vectors)}, which this command cannot give")
    conditions = {field.argument for field in model.conditions}
    settings = sorted(set().union(*takes.values()))
    for name in lists:
        if name not in settings:
            known = f"it takes {', '.join(settings)}" if settings else "it takes none"
            raise ValueError(f"{_option(name)} is no setting of the samples of {model.path}, {model.name}; {known}")
    for name, inputs in takes.items():
        if inputs == conditions | lists.keys():
            return name
    raise ValueError(f"{' and '.join(map(_option, lists))} cannot be given together for {model.path}, {model.name}")


def _option(name):
    return f"--{name}" if name in OPTIONS else f"--set {name}"


def _values(model, name, values):
    """The values as the signature takes them, after a look at their ranges."""
    if name == "codes":
        return [_of_codes(model, one) for one in values]
    if name == "text":
        return values
    field = model.fields[name]
    for one in values:
        if field.dtype == "int32" and not (isinstance(one, int) and field.low <= one <= field.high):
            raise ValueError(f"{_option(name)} must be whole numbers in [{field.low}, {field.high}]; received {one}")
        if field.dtype == "float32" and field.low is not None and one <= field.low:  # the lowest stands for "none"
            raise ValueError(f"{_option(name)} must be numbers > {field.low:g}; received {one}")
    return values


def _of_codes(model, values):
    """One row for the input `codes`: what is not given is NaN."""
    if len(values) > len(model.codes):
        names = ", ".join(field.name for field in model.codes)
        raise ValueError(f"--codes must be at most {len(model.codes)} values, of {names}; received {len(values)}")
    for field, one in zip(model.codes, values, strict=False):
        if field.dtype == "int32" and not (math.isnan(one) or (one == int(one) and field.low <= one <= field.high)):
            raise ValueError(f"--codes: {field.name} must be whole numbers in [{field.low}, {field.high}]; received {one}")
    return [*values, *[math.nan] * (len(model.codes) - len(values))]
