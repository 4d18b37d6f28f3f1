"""Checks that several sub-commands share."""

from __future__ import annotations

import os
import typing

if typing.TYPE_CHECKING:
    import keras


def require(model: keras.Model, capability: type, path: str | os.PathLike) -> None:
    """Checks that a model has a capability.

    Args:
        model: a `tfgen.models.TrainableModel`.
        capability: a class of `tfgen.models.capabilities`.
        path: the run folder of the model, for the message.

    Raises:
        ValueError: it has not; the message lists those that it has.
    """
    if capability not in model.capabilities():
        can = ", ".join(found.NAME for found in model.capabilities())
        raise ValueError(f"{path} is a run of {type(model).__name__}, which is no {capability.NAME}; it is: {can}.")
