"""Measures of generated images, each a plain function of activations, with the protocol beside the number.

The functions are NumPy in float64 and import nothing heavy. `Classifier` (Keras) is the default source of
features: a small network trained on the data set itself. `evaluate_samples` runs everything at once.
"""

import importlib

_MODULES = {
    "score": ("Estimate", "class_shares", "classifier_score", "count_classes", "presence_threshold"),
    "frechet": ("frechet_distance", "frechet_distance_from_moments", "moments"),
    "kernel": ("kernel_distance",),
    "manifold": ("prdc",),
    "neighbours": ("nearest_images", "nearest_neighbours", "neighbour_ratio"),
    "likelihood": ("bits_per_dim",),
    "classifier": ("Classifier", "train_classifier"),
    "protocol": ("Protocol", "ProtocolMismatch", "Result"),
    "evaluate": ("Evaluator", "anchors", "evaluate_samples"),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}
__all__ = sorted(_HOME)


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module 'tfgen.metrics' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(importlib.import_module(f"tfgen.metrics.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__():
    return __all__
