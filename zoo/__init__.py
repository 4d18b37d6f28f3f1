"""Trained models. A wheel of tfgen has those of the 8x8 digits that `setup.cfg` names; a checkout and tfgen-zoo have all."""

if __name__ not in ("tfgen_zoo", "tfgen_zoo_all"):
    raise ImportError(f"The package in the folder zoo/ is imported as tfgen_zoo, not as {__name__}.")
