"""Keras callbacks of the user's own, by the places of the functions or classes that make them."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import keras

from tfgen import presets, settings


def made(names: Sequence[str], **known: object) -> list[keras.callbacks.Callback]:
    """The callbacks that functions, or classes of callbacks, make.

    Args:
        names: "package.module:make" or "file.py:make", see `tfgen.presets`.
        **known: arguments; each function is called with those of them that it has.

    Raises:
        ValueError: there is no such function, or what it returns is no callback, and no list of callbacks.
    """
    found = []
    for name in names:
        place, _, attribute = name.rpartition(":")
        if not place:
            raise ValueError(f"callback must be package.module:NAME or file.py:NAME; received {name!r}.")
        module = presets.module_at(name, "callback")
        make = getattr(module, attribute, None)
        if not callable(make):
            there = f"no {attribute}" if make is None else settings.shown(make)
            hint = settings.did_you_mean(attribute, (key for key, value in vars(module).items() if callable(value)))
            raise ValueError(f"callback={name!r} must be a function or a class; {place} has {there}.{hint}")
        given = {key: value for key, value in known.items() if key in inspect.signature(make).parameters}
        value = make(**given)
        several = list(value) if isinstance(value, list | tuple) else [value]
        if not all(isinstance(one, keras.callbacks.Callback) for one in several):
            raise ValueError(
                f"callback={name!r} must make a keras.callbacks.Callback or a list of them; it made {settings.shown(value)}."
            )
        found += several
    return found
