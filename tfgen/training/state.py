"""Names the variables of a model by paths of attributes and explicit layer names."""

import functools
import re

import keras

FORMAT = 2  # format of checkpoints. Format 1 numbered the variables, so two swapped layers loaded without an error.


def named_variables(layer):
    """{path: variable} of all variables of a layer or model, without metrics.

    A path is made of attribute names, the explicit names of layers in lists and in Sequential or functional models, and the
    variable's own name, such as "decoder/hidden_0/kernel". A layer without an explicit name in such a list is named by its
    position, because the number in Keras' name depends on other layers in the process. A variable with several paths gets
    the first one.

    Raises:
        ValueError: two variables have the same path, or no attribute leads to a variable of the layer.
    """
    found: dict[str, keras.Variable] = {}
    seen: set[int] = set()
    _visit(layer, "", found, seen)
    reached = {id(v) for v in found.values()}
    metrics = {id(v) for metric in getattr(layer, "metrics", ()) for v in metric.variables}
    lost = [v.path for v in layer.variables if id(v) not in reached | metrics]
    if lost:
        raise ValueError(f"No attribute of {layer.name!r} leads to its variables {lost}: assign their layers to attributes.")
    return found


def named_optimizer_variables(optimizer, variables):
    """{path: variable} of an optimiser that was built with `variables`, {path: variable}, in the order of the dict.

    An optimiser with loss scaling has the names of its inner optimiser, and "loss_scale/..." for its own variables.
    """
    inner = getattr(optimizer, "inner_optimizer", None)
    found = {} if inner is None else named_optimizer_variables(inner, variables)
    own = "" if inner is None else "loss_scale/"
    known = {id(v) for v in found.values()}
    prefixes = [(path, v.path.replace("/", "_") + "_") for path, v in variables.items()]
    for variable in optimizer.variables:
        if id(variable) in known:
            continue
        # The name of a slot is the path of its variable and the slot's own name. The slots of variables with equal path, or
        # equal beginning, come in the order of the variables.
        choices = [f"{variable.name[len(prefix):]}/{path}" for path, prefix in sorted(prefixes, key=lambda p: -len(p[1]))
                   if variable.name.startswith(prefix)]  # fmt: skip
        key = next((choice for choice in choices if choice not in found), own + variable.name)
        if key in found:
            raise ValueError(f"Two variables of {type(optimizer).__name__} are called {key!r}.")
        found[key] = variable
    return found


def fixed_networks(model):
    """{attribute: `tfgen.models.fixed.Fixed` or feature network} of the networks that a model uses and does not train."""
    return {name: value for name, value in vars(model).items() if isinstance(getattr(value, "fingerprint", None), str)}


def _visit(layer, path, found, seen):
    if id(layer) in seen:
        return
    seen.add(id(layer))
    taken = {id(v) for v in found.values()}
    for variable in [*layer._trainable_variables, *layer._non_trainable_variables]:
        if id(variable) not in taken:
            key = f"{path}{variable.name}"
            if key in found:
                raise ValueError(f"Two variables are called {key!r}; give the variables or their layers different names.")
            found[key] = variable
            taken.add(id(variable))
    for i, generator in enumerate(layer._seed_generators):
        found.setdefault(f"{path}seed_{i}", generator.state)
    for name, child in _children(layer):
        _visit(child, f"{path}{name}/", found, seen)


def _children(layer):
    """(name, layer) of all layers that `layer` holds itself."""
    if layer._obj_type() in ("Sequential", "Functional"):
        yield from _listed("", layer.layers)
    for name, value in vars(layer).items():
        if name not in _keras_attributes() and not name.startswith("_self_"):  # TensorFlow's own
            yield from _held(name, value)


def _held(name, value):
    if isinstance(value, keras.metrics.Metric):
        return
    if isinstance(value, keras.layers.Layer):
        yield name, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _held(f"{name}/{key}", item)
    elif isinstance(value, (list, tuple)):
        yield from _listed(f"{name}/", value)


def _listed(prefix, items):
    for i, item in enumerate(items):
        if isinstance(item, keras.layers.Layer):
            yield f"{prefix}{i if is_numbered(item) else item.name}", item
        elif isinstance(item, (list, tuple, dict)):
            yield from _held(f"{prefix}{i}", item)


def is_numbered(layer):
    """Whether the layer has no explicit name, but one that Keras made from its class."""
    words = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", type(layer).__name__))
    words = re.sub("([a-z])([A-Z])", r"\1_\2", words).lower()
    return re.fullmatch(rf"{words}(_\d+)?", layer.name) is not None


@functools.lru_cache(maxsize=1)
def _keras_attributes():
    return frozenset({*vars(keras.Model()), "optimizer", "trackers", "_functional", "_layers"})
