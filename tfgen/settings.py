"""Types of settings: what a parameter accepts is declared once, in its type hint, and checked here.

    def draw(num: PositiveInt, *, likelihood: Literal["bernoulli", "gaussian"], margin: PositiveFloat | None = None): ...

    settings.check(draw, num=0)  # ValueError: num must be an integer >= 1; received 0.

Constructors of models, training runs and options of commands use the same types. A bool is no number, an integer is also a
float, floats are finite, integers have at most 64 bits, a sequence is a tuple or a list. This module imports no TensorFlow.
"""

import collections.abc
import dataclasses
import difflib
import functools
import inspect
import math
import numbers
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal


@dataclasses.dataclass(frozen=True)
class Rule:
    """A condition on the values of a type, as in `Annotated[int, Rule(">= 1", lambda value: value >= 1)]`.

    Attributes:
        text: follows the name of the type in messages.
        holds: function of a value of the type -> bool.
    """

    text: str
    holds: Callable[[Any], bool]


def at_least(low: float) -> Rule:
    """Numbers >= `low`."""
    return Rule(f">= {low}", lambda value: value >= low)


def above(low: float) -> Rule:
    """Numbers > `low`."""
    return Rule(f"> {low}", lambda value: value > low)


def within(low: float, high: float) -> Rule:
    """Numbers in [low, high]."""
    return Rule(f"in [{low}, {high}]", lambda value: low <= value <= high)


def between(low: float, high: float) -> Rule:
    """Numbers in (low, high)."""
    return Rule(f"in ({low}, {high})", lambda value: low < value < high)


NOT_EMPTY = Rule("that is not empty", lambda sequence: len(sequence) > 0)
DIFFERENT = Rule("that are all different", lambda sequence: len(set(sequence)) == len(sequence))

# A larger image does not fit in memory: one of 8192 x 8192 pixels in colour has 805 MB in float32, and a step needs several
# such tensors.
MAX_SIDE = 8192
# Labels name their classes. The names of 2**20 classes have about 60 MB; those of a label of 2**40 would have 60 TB.
MAX_CLASSES = 2**20

PositiveInt = Annotated[int, at_least(1)]
Classes = Annotated[int, within(0, MAX_CLASSES)]  # 0: without labels
SomeClasses = Annotated[int, within(1, MAX_CLASSES)]
NaturalInt = Annotated[int, at_least(0)]
TwoOrMore = Annotated[int, at_least(2)]
Levels = Annotated[int, within(2, 256)]  # of 8-bit pixels
Count = Annotated[int, within(1, 1000)]  # of what is made one by one, such as layers
OddInt = Annotated[int, Rule(">= 1 that is odd", lambda value: value >= 1 and value % 2 == 1)]
PositiveFloat = Annotated[float, above(0)]
NonNegativeFloat = Annotated[float, at_least(0)]
Fraction = Annotated[float, within(0, 1)]
PositiveFraction = Annotated[float, Rule("in (0, 1]", lambda value: 0 < value <= 1)]
Rate = Annotated[float, Rule("in [0, 1)", lambda value: 0 <= value < 1)]  # of dropout, of an average
Seed = Annotated[int, within(0, 2**31 - 1)]
Text = Annotated[str, Rule("that is not empty", lambda text: bool(text.strip()) and "\0" not in text)]
Widths = Annotated[Sequence[PositiveInt], NOT_EMPTY]
Channels = Literal[1, 3]
Resize = Literal["center_crop", "pad", "stretch", "none"]
OnError = Literal["raise", "skip"]
Sha256 = Annotated[str, Rule("of 64 hexadecimal digits", lambda text: bool(re.fullmatch("[0-9a-fA-F]{64}", text)))]
Side = Annotated[int, within(1, MAX_SIDE)]
Size = Annotated[
    Side | tuple[Side, Side],
    f"an integer in [1, {MAX_SIDE}] or two, (height, width) ({MAX_SIDE} x {MAX_SIDE} x 3 float32 have 805 MB)",
]
ImageShape = Annotated[
    tuple[Side, Side, Annotated[int, within(1, 1024)]],
    f"(height, width, channels), integers >= 1, sides <= {MAX_SIDE} ({MAX_SIDE} x {MAX_SIDE} x 3 float32 have 805 MB)",
]


def check(function: Callable, /, **values) -> None:
    """Raises ValueError unless every value is of the type that the function, or dataclass, declares for the parameter.

    Example:
        >>> def draw(num: tfgen.settings.PositiveInt): pass
        >>> tfgen.settings.check(draw, num=True)
        Traceback (most recent call last):
        ValueError: num must be an integer >= 1; received True.
    """
    check_values(hints_of(function), values)


def check_values(hints: Mapping[str, object], values: Mapping[str, object], owner: str = "") -> None:
    """As `check`, with the types {name: type hint}. A value without a hint is not checked.

    Args:
        owner: of the settings, for the message.
    """
    for name, value in values.items():
        if name in hints and not fits(hints[name], value):
            raise ValueError(
                f"{owner}{': ' if owner else ''}{name} must be {wanted(hints[name])}; received {shown(value)}."
                f"{_meant_of(hints[name], value)}"
            )


@functools.cache
def hints_of(function: Callable) -> dict[str, object]:
    """{parameter: type hint} of a function, a dataclass, or the constructor of a class and those that it passes **kwargs to.

    A hint of a class goes before those of its bases. Hints that cannot be resolved are left out.
    """
    if not inspect.isclass(function) or dataclasses.is_dataclass(function):
        return _resolved(function)
    found: dict[str, object] = {}
    for constructor in (vars(base)["__init__"] for base in function.__mro__ if "__init__" in vars(base)):
        found = {**_resolved(constructor), **found}
        if all(p.kind is not p.VAR_KEYWORD for p in inspect.signature(constructor).parameters.values()):
            break
    return found


def _resolved(function):
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except NameError:  # as of names that are imported for type checkers alone
        return {}
    return {name: hint for name, hint in hints.items() if name != "return"}


def fits(hint: Any, value: Any) -> bool:
    """Whether a value is of a type."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        rules = [rule for rule in arguments[1:] if isinstance(rule, Rule)]
        return fits(arguments[0], value) and all(rule.holds(value) for rule in rules)
    if origin in (typing.Union, types.UnionType):
        return any(fits(one, value) for one in arguments)
    if origin is Literal:
        return any(fits(type(one), value) and value == one for one in arguments)
    if hint in (typing.Any, object):
        return True
    if hint in (None, types.NoneType):
        return value is None
    if hint is int:
        return isinstance(value, numbers.Integral) and not isinstance(value, bool) and -(2**63) <= int(value) < 2**63
    if hint is float:
        real = isinstance(value, numbers.Real) and not isinstance(value, bool)
        return real and (fits(int, value) if isinstance(value, numbers.Integral) else math.isfinite(value))
    if origin in (tuple, list, collections.abc.Sequence):
        if not is_sequence(value):
            return False
        if origin is tuple and Ellipsis not in arguments:
            return len(value) == len(arguments) and all(map(fits, arguments, value))
        return all(fits(arguments[0], one) for one in value)
    if origin in (dict, collections.abc.Mapping):
        key, item = arguments
        return isinstance(value, Mapping) and all(fits(key, k) and fits(item, v) for k, v in value.items())
    if collections.abc.Callable in (hint, origin):
        return callable(value)
    return isinstance(value, origin or hint)


def is_sequence(value: object) -> bool:
    """Whether a value is a tuple, a list, or like one, such as `tf.TensorShape` or an array."""
    kind = type(value)
    return hasattr(kind, "__len__") and hasattr(kind, "__getitem__") and not isinstance(value, (str, bytes, Mapping))


_NAMES = {int: ("an integer", "integers"), float: ("a number", "numbers"), str: ("a string", "strings"),
          bool: ("True or False", "True or False"), dict: ("a dict", "dicts"), types.NoneType: ("None", "None")}  # fmt: skip


def wanted(hint: Any, many: bool = False) -> str:
    """A type in words, such as "an integer >= 1 or None"; with `many` in the plural."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        whole = [rule for rule in arguments[1:] if isinstance(rule, str)]
        return whole[0] if whole else " ".join([wanted(arguments[0], many), *(rule.text for rule in arguments[1:])])
    if origin in (typing.Union, types.UnionType):
        return " or ".join(wanted(one, many) for one in arguments)
    if origin is Literal:
        texts = [repr(one) for one in arguments]
        return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} or {texts[-1]}"
    if origin is tuple and Ellipsis not in arguments:
        return f"({', '.join(wanted(one) for one in arguments)})"
    if origin in (tuple, list, collections.abc.Sequence):
        return f"a sequence of {wanted(arguments[0], many=True)}"
    if (origin or hint) in _NAMES:
        return _NAMES[origin or hint][many]
    if collections.abc.Callable in (hint, origin):
        return "a function"
    kind = origin or hint
    return f"a {kind.__module__.partition('.')[0]}.{kind.__name__}"


def shown(value: object) -> str:
    """A received value in one line of at most 200 characters."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 200 else f"{text[:190]} ..."


def reader(hint: object, error: type = ValueError) -> Callable[[str], object]:
    """A function that reads a value of a type from a word of a command line.

    Integers are decimal digits with an optional sign, numbers are those of `float`, choices are as written. The function
    raises `error`, such as `argparse.ArgumentTypeError`, with the text that it received and what was expected.

    Example:
        >>> tfgen.settings.reader(tfgen.settings.PositiveInt)("100")
        100
    """

    def read(text):
        for value in _values_of(text):
            if fits(hint, value):
                return value
        received = text if re.fullmatch(r"[!-~]{1,200}", text) else shown(text)
        raise error(f"got {received}, expected {wanted(hint)}{_meant_of(hint, text)}")

    return read


def _values_of(text):
    """The values that a text can stand for."""
    if re.fullmatch("[+-]?[0-9]{1,20}", text):
        yield int(text)
    elif re.fullmatch(r"[+-]?[0-9.eE+-]{1,100}", text):
        try:
            yield float(text)
        except ValueError:
            pass
    yield text


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """" Did you mean 'x'?" with the most similar of the known names, or "" if none is similar."""
    close = difflib.get_close_matches(name, list(known), 1)
    return f" Did you mean {close[0]!r}?" if close else ""


def _meant_of(hint, value):
    def choices(hint):
        if typing.get_origin(hint) is Literal:
            yield from (one for one in typing.get_args(hint) if isinstance(one, str))
        elif typing.get_origin(hint) in (typing.Union, types.UnionType):
            for one in typing.get_args(hint):
                yield from choices(one)

    return did_you_mean(value, choices(hint)) if isinstance(value, str) else ""
