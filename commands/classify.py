"""`tfgen classify`: the classes of image files, with their probabilities."""

from __future__ import annotations

import argparse
import contextlib
import json

from tfgen_commands.models import MODEL, add_model, opened
from tfgen_commands.pictures import add_input, read_all

SUMMARY = "say the class of each image, and its probability"
DESCRIPTION = f"""\
Prints a line for each image: its path, its most probable class, and the probability, with tabs between. --json prints a
list of objects instead, which also have the probabilities of all classes. A model that found its classes without labels,
such as an InfoGAN, has them in any order.

{MODEL}"""
EPILOG = """\
examples:
  tfgen classify digit.png --preset fractal-net/digits
  tfgen classify digits/ --preset fractal-net/digits --json > classes.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `tfgen classify`."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_input(parser)
    add_model(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Runs the command.

    Args:
        args: the options of `add_arguments`.

    Raises:
        ValueError: invalid options or files, or a model that classifies no images.
    """
    from tfgen.models.capabilities import Classifier

    with contextlib.ExitStack() as stack:
        model = opened(args, stack, Classifier)
        paths, images = read_all(args.input, model.image_shape, args.resize)
        found = model.ask("classify", image=images)["probability"]
    lines = []
    for path, probabilities in zip(paths, found, strict=True):
        best = int(probabilities.argmax())
        one = {"file": path, "class": best, "probability": float(probabilities[best])}
        if model.class_names is not None and best < len(model.class_names):
            one["name"] = model.class_names[best]
        lines.append({**one, "probabilities": probabilities.tolist()})
    if args.json:
        print(json.dumps(lines, indent=2))
        return
    for one in lines:
        print(f"{one['file']}\t{one.get('name', one['class'])}\t{one['probability']:.4f}")
