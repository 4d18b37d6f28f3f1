"""What the tests of learned compression share."""

import keras
import tensorflow as tf

from tfgen.layers import GDN
from tfgen.models import FactorizedPrior, ScaleHyperprior

MODELS = {"factorized": FactorizedPrior, "hyperprior": ScaleHyperprior}


def made(name, **kwargs):
    """A tiny model of random weights whose latents are not all zero."""
    keras.utils.set_random_seed(1)
    model = MODELS[name](**{"image_shape": (32, 32, 3), "width": 4, **kwargs})
    networks = [model.analysis] + ([model.hyper_analysis, model.hyper_synthesis] if name == "hyperprior" else [])
    for network, gain in zip(networks, (2.0, 3.0, 0.3), strict=False):
        kernel = network.layers[-1].kernel
        kernel.assign(gain * kernel)
    if name == "hyperprior":  # scales of the size of the latents
        model.hyper_synthesis.layers[-1].bias.assign(tf.fill([model.latent_shape[2]], 45.0))
    return model


def without_normalisation(model):
    for layer in model.analysis.layers + model.synthesis.layers:
        if isinstance(layer, GDN):
            layer.raw_gamma.assign(tf.zeros_like(layer.raw_gamma))
    return model
