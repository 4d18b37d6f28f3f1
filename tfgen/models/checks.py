"""Checks of the arguments of models."""

import math

import numpy as np


def check_whole(least=1, **values):
    """Raises ValueError unless each argument {name: number or sequence} has whole numbers of at least `least`."""
    for name, value in values.items():
        for number in value if isinstance(value, (tuple, list)) else [value]:
            if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or number < least:
                what = "whole numbers" if isinstance(value, (tuple, list)) else "a whole number"
                raise ValueError(f"{name} must be {what} of at least {least}; received {value!r}.")


def check_not_negative(**values):
    """Raises ValueError for an argument {name: number} that is negative, infinite or NaN."""
    for name, value in values.items():
        if not 0.0 <= value < math.inf:
            raise ValueError(f"{name} must be at least 0 and finite; received {value!r}.")
