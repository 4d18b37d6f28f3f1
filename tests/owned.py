"""Every variable that an object owns, found by walking its attributes: an oracle that asks no model what its state is."""

import collections.abc
import contextlib
import functools
import types

import keras
import numpy as np
import tensorflow as tf

ENDS = (str, bytes, int, float, complex, bool, type(None), type, np.ndarray, np.generic, tf.Tensor, tf.DType, tf.TensorShape,
        types.ModuleType)  # fmt: skip


def owned(thing):
    """{path: `keras.Variable` or `tf.Variable`} of all that can be reached from `thing`; each once, by its shortest path.

    The walk goes through attributes, lists, tuples, sets and dicts, and through what functions and methods hold. It passes
    over metrics, which are running means that Keras begins anew with every epoch, and over TensorFlow's own objects
    (functions that were traced, strategies), which refer to variables but own none.
    """
    found, seen = {}, {id(thing)}
    todo = collections.deque([("", thing)])
    while todo:
        path, here = todo.popleft()
        for name, value in _parts(here):
            is_variable = isinstance(value, (keras.Variable, tf.Variable))
            identity = id(getattr(value, "_value", value) if is_variable else value)  # Keras' own hold one of TensorFlow
            if identity in seen or isinstance(value, ENDS) or _passed_over(value):
                continue
            seen.add(identity)
            if is_variable:
                found[path + name] = value
            else:
                todo.append((path + name, value))
    return found


def owned_variables(thing):
    """{path: NumPy array} of the variables of `owned`."""
    return {path: keras.ops.convert_to_numpy(variable) for path, variable in owned(thing).items()}


def _parts(thing):
    """(name, part) of all that `thing` holds, in an order that does not depend on what was set first."""
    if isinstance(thing, collections.abc.Mapping):
        return [(f"[{key!r}]", value) for key, value in thing.items()]
    if isinstance(thing, (list, tuple, set, frozenset, collections.deque)):
        return [(f"[{i}]", value) for i, value in enumerate(thing)]
    if isinstance(thing, types.MethodType):
        return [(".__self__", thing.__self__), (".__func__", thing.__func__)]
    if isinstance(thing, functools.partial):
        return [(".func", thing.func), (".args", thing.args), (".keywords", thing.keywords)]
    parts = dict(getattr(thing, "__dict__", {}))
    for cls in type(thing).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for name in [slots] if isinstance(slots, str) else slots:
            if hasattr(thing, name):
                parts[name] = getattr(thing, name)
    for i, cell in enumerate(getattr(thing, "__closure__", None) or ()):
        with contextlib.suppress(ValueError):  # an empty cell
            parts[f"__closure__[{i}]"] = cell.cell_contents
    return [(f".{name}", parts[name]) for name in sorted(parts)]


def _passed_over(value):
    if isinstance(value, keras.metrics.Metric):
        return True
    of_tensorflow = type(value).__module__.split(".")[0] == "tensorflow"
    return of_tensorflow and not isinstance(value, (tf.Variable, tf.Module, list, tuple, dict))
