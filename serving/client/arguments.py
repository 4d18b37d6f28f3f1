"""Checks of the arguments of calls: arrays in the dtypes of requests, or a ValueError."""

import numpy as np


def positive(timeout):
    """The timeout as float, in seconds."""
    if not timeout > 0:
        raise ValueError(f"timeout must be a positive number of seconds; received {timeout!r}.")
    return float(timeout)


def integers(values, name, dtype, rank=1):
    """[n, ...] of `dtype` and this rank; ValueError names the argument `name`."""
    array = np.asarray(values)
    if array.ndim != rank or not array.size or not np.issubdtype(array.dtype, np.integer):
        what = "a list of at least one integer" if rank == 1 else f"integers with {rank} axes"
        raise ValueError(f"{name} must be {what}; received {array.dtype} of shape {array.shape}.")
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    if int(array.min()) < low or int(array.max()) > high:
        raise ValueError(
            f"{name} must fit {np.dtype(dtype)}; received up to {int(array.max())}, down to {int(array.min())}."
        )
    return array.astype(dtype)


def floats(values, name, axes):
    """float32 with the axes named in `axes`, finite; ValueError names the argument `name`."""
    array = np.asarray(values)
    if array.ndim != len(axes) or not array.size or not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"{name} must be float [{', '.join(axes)}]; received {array.dtype} of shape {array.shape}.")
    array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite; received NaN or infinity.")
    return array


def texts_of(values):
    """Object array [n] of a list of texts."""
    array = np.asarray(values, object)
    if array.ndim != 1 or not array.size or not all(isinstance(one, str) for one in array):
        raise ValueError(f"text must be a list of at least one text; received {values!r}.")
    return array


def images_of(values):
    return floats(values, "images", ("n", "H", "W", "C"))


def seeds_of(seeds):
    return {"seeds": integers(seeds, "seeds", np.int64)}


def truncation_of(values, num):
    """Finite numbers float32 [n] of a list, or of one number for `num` rows."""
    array = np.asarray(values)
    if array.ndim == 0 and np.issubdtype(array.dtype, np.number):
        array = np.full(num, array, np.float32)
    return floats(array, "truncation", ("n",))


def layers_of(layers, num_rows, num_layers):
    """int32 [num_rows, num_layers], 1 at the layers of a list of numbers in [0, num_layers)."""
    array = np.asarray(layers)
    whole = array.ndim == 1 and (not array.size or np.issubdtype(array.dtype, np.integer))
    if not whole or (array.size and (array.min() < 0 or array.max() >= num_layers)):
        raise ValueError(f"layers must be a list of whole numbers in [0, {num_layers}); received {layers!r}.")
    return np.repeat(np.isin(np.arange(num_layers), array).astype(np.int32)[None], num_rows, axis=0)


def decode_inputs(latents, **conditions):
    return with_conditions({"latent": floats(latents, "latents", ("n", "Z"))}, **conditions)


def with_conditions(inputs, **conditions):
    """The inputs and conditions, arrays [n, ...]: whole numbers are int32, others float32; None is left out."""
    inputs = dict(inputs)
    for name, values in conditions.items():
        if values is None:
            continue
        array = np.asarray(values)
        if name == "labels" or (array.ndim and np.issubdtype(array.dtype, np.integer)):
            inputs[name] = integers(array, name, np.int32, rank=1 if name == "labels" else array.ndim)
        else:
            inputs[name] = floats(values, name, ("n", *["..."] * (array.ndim - 1)) if array.ndim else ("n",))
    return same_rows(inputs)


def same_rows(inputs):
    """The inputs; ValueError if their first axes differ."""
    rows = {name: len(value) for name, value in inputs.items()}
    if len(set(rows.values())) > 1:
        raise ValueError(f"All arguments must have the same number of rows, one for each image; received {rows}.")
    return inputs
