"""The models, one file per paper. `MODELS` maps the public name of each to its class."""

from tfgen.models.adversarial.dcgan import DCGAN
from tfgen.models.autoencoders.vae import VAE
from tfgen.models.base import GenerativeModel

MODELS = {cls.__name__: cls for cls in (VAE, DCGAN)}

__all__ = ["DCGAN", "MODELS", "VAE", "GenerativeModel"]
