"""All presets by name: `tfgen.presets.get("vae/mnist")`.

The presets of the model in `tfgen/models/<kind>/<paper>.py` are the list `PRESETS` in `<paper>_presets.py` in the same
folder. A preset is a starting point: every value in it can be overridden by name (`Preset.override`).
"""

import importlib

from tfgen import settings
from tfgen.models import MODELS
from tfgen.models.preset import Preset

__all__ = ["Preset", "all_presets", "get", "names"]


def all_presets() -> dict[str, Preset]:
    """{name: Preset} of every model."""
    presets = {}
    for model in MODELS.values():
        for preset in importlib.import_module(f"{model.__module__}_presets").PRESETS:
            presets[preset.name] = preset
    return presets


def names() -> list[str]:
    """The names of all presets, sorted."""
    return sorted(all_presets())


def get(name: str) -> Preset:
    """The preset of that name.

    Raises:
        ValueError: there is no such preset; the message lists the names.
    """
    presets = all_presets()
    if name not in presets:
        hint = settings.did_you_mean(str(name), presets)
        raise ValueError(f"There is no preset {name!r}.{hint} Presets: {', '.join(sorted(presets))}.")
    return presets[name]
