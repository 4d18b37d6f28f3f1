"""Trained models. A wheel of tfgen has those of the 8x8 digits that `setup.cfg` names; a checkout has all."""

if __name__ != "tfgen_zoo":
    raise ImportError(f"The package in the folder zoo/ is imported as tfgen_zoo, not as {__name__}.")
