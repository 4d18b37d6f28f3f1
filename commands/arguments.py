"""Parsers of option values that several sub-commands share."""

import argparse
import ast


def assignment(text):
    """Parses "name=value" to ("name", value); the value is a Python literal, or else a string."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ValueError(f"--set takes NAME=VALUE; received {text!r}.")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def size(text):
    """Parses "N" to N, and "HxW" to (H, W)."""
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdigit() for part in parts):
        raise argparse.ArgumentTypeError(f"expected N or HxW, received {text!r}")
    return int(parts[0]) if len(parts) == 1 else tuple(map(int, parts))


def require(model, capability, path):
    """Raises ValueError if the model of the run folder `path` does not have the capability."""
    if capability not in model.capabilities():
        can = ", ".join(found.NAME for found in model.capabilities())
        raise ValueError(f"{path} is a run of {type(model).__name__}, which is no {capability.NAME}; it is: {can}.")
