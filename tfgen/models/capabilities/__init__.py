"""Capabilities: mixins that define the uses of a trained model, with the methods and export signatures of each."""

from collections.abc import Iterable

from tfgen.models.capabilities.capability import Capability
from tfgen.models.capabilities.classifier import Classifier
from tfgen.models.capabilities.codec import Codec
from tfgen.models.capabilities.completer import Completer
from tfgen.models.capabilities.encoder import Encoder
from tfgen.models.capabilities.likelihood import Likelihood
from tfgen.models.capabilities.maximizer import Maximizer
from tfgen.models.capabilities.projector import Projector
from tfgen.models.capabilities.sampler import Sampler
from tfgen.models.capabilities.translator import Translator

CAPABILITIES = (Sampler, Encoder, Likelihood, Completer, Translator, Codec, Classifier, Projector, Maximizer)
PREDICTING = (Translator, Classifier, Encoder, Likelihood, Sampler, Projector)  # `predict` uses the first that a model has


def capabilities_of(signatures: Iterable[str]) -> tuple[type[Capability], ...]:
    """The capabilities of an export, from its signature names.

    Example:
        >>> [capability.NAME for capability in tfgen.models.capabilities.capabilities_of(["sample", "latents", "encode"])]
        ['sampler', 'encoder']

    Args:
        signatures: names of the export's signatures.

    Returns:
        Tuple of capability classes.
    """
    return tuple(capability for capability in CAPABILITIES if capability.SIGNATURE in signatures)


__all__ = ["CAPABILITIES", "PREDICTING", "Capability", "capabilities_of", *(cls.__name__ for cls in CAPABILITIES)]
