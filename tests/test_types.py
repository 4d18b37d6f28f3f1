"""Public functions and methods have annotations for their parameters and results."""

import functools
import importlib
import inspect

import pytest

from tfgen.models import DCGAN, GAN, SNGAN, VAE, WGAN, WGANGP, GatedPixelCNN, PixelCNN, TrainableModel
from tfgen.models.adversarial.base import AdversarialModel
from tfgen.models.adversarial.passes import PassMixin
from tfgen.models.adversarial.sampler import AdversarialSampler
from tfgen.models.autoencoders.base import AutoencodingModel, LatentVariableModel
from tfgen.models.autoregressive.base import AutoregressiveModel
from tfgen.models.batches import BatchMixin
from tfgen.models.classification.base import ClassifierModel
from tfgen.models.compression.base import CompressionModel
from tfgen.models.config import ConfigMixin
from tfgen.models.evaluation import EvaluationMixin
from tfgen.models.saving import SavingMixin

MODULES = (
    "tfgen.data", "tfgen.export", "tfgen.features", "tfgen.fields", "tfgen.losses", "tfgen.models.capabilities",
    "tfgen.presets", "tfgen.sampling", "tfgen.training", "tfgen_trainers.train", "tfgen_serving.client",
)  # fmt: skip
BASES = (
    TrainableModel, AdversarialModel, AutoencodingModel, LatentVariableModel, AutoregressiveModel, ClassifierModel,
    CompressionModel, ConfigMixin, BatchMixin, EvaluationMixin, SavingMixin, PassMixin, AdversarialSampler,
)  # fmt: skip
CONSTRUCTORS = (DCGAN, GAN, SNGAN, VAE, WGAN, WGANGP, GatedPixelCNN, PixelCNN)


def missing(function, has_self=False):
    """Names of parameters without an annotation, and "return"."""
    parameters = list(inspect.signature(function).parameters.values())[has_self:]
    named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    found = [p.name for p in named if p.annotation is p.empty]
    return found + ["return"] * (function.__name__ != "__init__" and "return" not in function.__annotations__)


def methods(cls):
    """(name, function, whether its first parameter is the object) of the methods that `cls` itself defines."""
    foreign = [base for base in cls.__mro__[1:] if not base.__module__.startswith("tfgen")]
    for name, member in vars(cls).items():
        if name.startswith("_") and name not in ("__init__", "__call__"):
            continue
        if name != "__init__" and any(name in vars(base) for base in foreign):
            continue  # the signature is Keras' own
        if isinstance(member, property):
            yield name, member.fget, True
        elif isinstance(member, functools.cached_property):
            yield name, member.func, True
        elif isinstance(member, (classmethod, staticmethod)):
            yield name, member.__func__, isinstance(member, classmethod)
        elif inspect.isfunction(member):
            yield name, member, True


def public(module):
    module = importlib.import_module(module)
    names = getattr(module, "__all__", None) or [
        name for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]  # fmt: skip
    return [getattr(module, name) for name in names]


def untyped(value):
    """Messages about a function or class."""
    if inspect.isclass(value):
        found = [(f"{value.__qualname__}.{name}", missing(f, bound)) for name, f, bound in methods(value)]
    elif inspect.isfunction(value):
        found = [(value.__qualname__, missing(value))]
    else:
        found = []
    return [f"{value.__module__}: {name} lacks {', '.join(names)}" for name, names in found if names]


@pytest.mark.parametrize("module", MODULES)
def test_public_functions_and_methods_are_annotated(module):
    values = public(module)
    assert any(inspect.isfunction(value) or inspect.isclass(value) for value in values)
    assert not [message for value in values for message in untyped(value)]


@pytest.mark.parametrize("cls", BASES, ids=lambda cls: cls.__name__)
def test_models_are_annotated(cls):
    assert not untyped(cls)


def test_what_counts_as_untyped():
    class Some:
        def __init__(self, size):
            pass

        def whole(self, size: int, *args, **kwargs) -> int:
            pass

        def part(self, size, other: int = 0):
            pass

        @classmethod
        def of(cls, size) -> "Some":
            pass

        @property
        def size(self):
            pass

        def _private(self, size):
            pass

    found = [message.split(".", maxsplit=4)[-1] for message in untyped(Some)]
    assert found == ["__init__ lacks size", "part lacks size, return", "of lacks size", "size lacks return"]


@pytest.mark.parametrize("cls", CONSTRUCTORS, ids=lambda cls: cls.__name__)
def test_constructors_are_annotated(cls):
    assert not missing(cls.__init__, has_self=True)
