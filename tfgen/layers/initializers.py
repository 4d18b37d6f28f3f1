"""Initialisers as configs, from which each layer makes its own object.

A Keras initialiser draws its seed when it is made, and then gives the same numbers in every call. Layers that share one
object would start with the same weights.
"""


def normal(stddev, mean=0.0):
    """N(mean, stddev^2)."""
    return {"class_name": "RandomNormal", "config": {"mean": mean, "stddev": stddev}}


def uniform(limit):
    """Uniform in (-limit, limit)."""
    return {"class_name": "RandomUniform", "config": {"minval": -limit, "maxval": limit}}


def glorot(gain=1.0):
    """Glorot's uniform initialisation times `gain`."""
    return {
        "class_name": "VarianceScaling", "config": {"scale": gain**2, "mode": "fan_avg", "distribution": "uniform"},
    }  # fmt: skip
