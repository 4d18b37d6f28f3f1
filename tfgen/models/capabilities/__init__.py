"""The capabilities: what a trained model can do, each with its verbs and the signatures of its export."""

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
# The first of these that a model has does `model.predict`.
PREDICTING = (Translator, Classifier, Encoder, Likelihood, Sampler, Projector)


def capabilities_of(signatures: Iterable[str]) -> tuple[type[Capability], ...]:
    """The capabilities, a tuple of classes, of an export with these signature names."""
    return tuple(capability for capability in CAPABILITIES if capability.SIGNATURE in signatures)


__all__ = ["CAPABILITIES", "PREDICTING", "Capability", "capabilities_of", *(cls.__name__ for cls in CAPABILITIES)]
