"""Public functions and methods have annotations for their parameters and results."""

import functools
import importlib
import inspect
import typing

import pytest

from tfgen import losses, models, networks, random
from tfgen.data import modified
from tfgen.models.adversarial import base, ebgan
from tfgen.models.synthesis.parts import latent_generator
from tfgen.networks import common, patch_gan, weight_normed

MODULES = (
    "tfgen.data", "tfgen.distributions", "tfgen.export", "tfgen.features", "tfgen.fields", "tfgen.files", "tfgen.layers",
    "tfgen.losses", "tfgen.metrics", "tfgen.models.capabilities", "tfgen.models.compression.codec",
    "tfgen.models.compression.container", "tfgen.models.fixed", "tfgen.models.preset", "tfgen.networks", "tfgen.presets",
    "tfgen.random", "tfgen.sampling", "tfgen.settings", "tfgen.training", "tfgen.warmup", "tfgen_trainers.train",
    "tfgen_serving.client",
)  # fmt: skip
# All models, their families, mixins and capabilities.
MODELS = sorted(
    {cls for model in models.MODELS.values() for cls in model.__mro__ if cls.__module__.startswith("tfgen.")},
    key=lambda cls: cls.__qualname__,
)


def missing(function, has_self=False):
    """Names of parameters without an annotation, and "return"."""
    parameters = list(inspect.signature(function).parameters.values())[has_self:]
    named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    found = [p.name for p in named if p.annotation is p.empty]
    return found + ["return"] * (function.__name__ != "__init__" and "return" not in function.__annotations__)


def takes_the_types_of(member, overridden):
    """Whether a method has the same parameters as a method of a base class, which has all types."""
    functions = []
    for one in (member, overridden):
        function = getattr(one, "fget", None) or getattr(one, "func", None) or getattr(one, "__func__", one)
        if not inspect.isfunction(function):
            return False
        functions.append(function)
    mine, theirs = ([(p.name, p.kind) for p in inspect.signature(f).parameters.values()] for f in functions)
    return mine == theirs and not missing(functions[1], has_self=not isinstance(overridden, staticmethod))


def methods(cls):
    """(name, function, whether its first parameter is the object) of the methods that `cls` itself defines.

    Without those that override a method of Keras or TensorFlow Probability, and those that override a method of tfgen with
    the same parameters: their types are those of the base class.
    """
    foreign = [base for base in cls.__mro__[1:] if not base.__module__.startswith("tfgen")]
    own = [base for base in cls.__mro__[1:] if base.__module__.startswith("tfgen")]
    for name, member in vars(cls).items():
        if name.startswith("_") and name not in ("__init__", "__call__"):
            continue
        if name != "__init__" and any(name in vars(base) for base in foreign):
            continue
        overridden = [vars(base)[name] for base in own if name in vars(base)]
        if name != "__init__" and any(takes_the_types_of(member, one) for one in overridden):
            continue
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


@pytest.mark.parametrize("cls", MODELS, ids=lambda cls: cls.__name__)
def test_models_are_annotated(cls):
    assert not untyped(cls)


def test_all_models_are_looked_at():
    assert {models.TrainableModel, models.VAE, models.SNGAN, models.PixelCNNPP, models.DCIGN} < set(MODELS)
    assert {cls.__name__ for cls in MODELS} > {"AdversarialModel", "AutoregressiveModel", "SavingMixin", "Sampler"}


# A type checker reads names alone, so a type lists those of its table again.
@pytest.mark.parametrize("type_of_name, table", [
    (base.LatentDistribution, random.DISTRIBUTIONS), (common.Output, common.OUTPUTS), (ebgan.Energy, ebgan.ENERGIES),
    (latent_generator.Distribution, latent_generator.BOUNDS), (losses.objectives.ObjectiveName, losses.OBJECTIVES),
    (losses.penalties.PenaltyName, losses.PENALTIES), (losses.regularizers.RegularizerName, losses.REGULARIZERS),
    (modified.Modification, modified.MODIFICATIONS), (networks.NetworkKind, networks.NETWORKS),
    (patch_gan.ReceptiveField, patch_gan.RECEPTIVE_FIELDS), (weight_normed.WeightNormed, weight_normed.WEIGHT_NORMED),
])  # fmt: skip
def test_types_of_names_have_those_of_their_tables(type_of_name, table):
    assert typing.get_args(type_of_name) == tuple(table)


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

    class Base:
        def typed(self, size: int) -> int:
            pass

        def untyped(self, size):
            pass

    Base.__module__ = "tfgen.some"

    class Derived(Base):
        def typed(self, size):
            pass

        def untyped(self, size):
            pass

    class Wider(Base):
        def typed(self, size, other=0):
            pass

    assert [message.split(".")[-1] for message in untyped(Derived)] == ["untyped lacks size, return"]
    assert [message.split(".")[-1] for message in untyped(Wider)] == ["typed lacks size, other, return"]
    found = [message.split(".", maxsplit=4)[-1] for message in untyped(Some)]
    assert found == ["__init__ lacks size", "part lacks size, return", "of lacks size", "size lacks return"]
