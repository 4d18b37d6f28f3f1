"""Distributions over images, as TensorFlow Probability distributions."""

from tfgen.distributions.deep_factorized import DeepFactorized
from tfgen.distributions.discretized_logistic import DiscretizedLogistic
from tfgen.distributions.noisy import NoisyNormal

__all__ = ["DeepFactorized", "DiscretizedLogistic", "NoisyNormal"]
