"""Initialisers as configs, of which each layer makes an object of its own.

A Keras initialiser draws its seed when it is made, and the same numbers in every call: layers that share the object begin
with the same weights, as far as their shapes go.
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
