"""Distributions over images, as TensorFlow Probability distributions."""

from tfgen.distributions.discretized_logistic import DiscretizedLogistic

__all__ = ["DiscretizedLogistic"]
