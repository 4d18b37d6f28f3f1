"""Checks that several sub-commands share."""


def require(model, capability, path):
    """Raises ValueError if the model of the run folder `path` does not have the capability."""
    if capability not in model.capabilities():
        can = ", ".join(found.NAME for found in model.capabilities())
        raise ValueError(f"{path} is a run of {type(model).__name__}, which is no {capability.NAME}; it is: {can}.")
