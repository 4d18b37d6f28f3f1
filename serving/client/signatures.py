"""The check of a request against the signatures of a model.

A signature is {"inputs": {name: tensor}, "outputs": {name: tensor}}, and a tensor {"dtype": name, "shape": sizes}. A free
size is None; the shape is None if the rank is free.
"""

import numpy as np

from tfgen_serving.codes import StatusCode
from tfgen_serving.errors import ServingError


def checked_inputs(name, signature, inputs):
    """The arrays of a request in the dtypes of the signature; strings are object arrays of bytes.

    Args:
        name: name of the signature and its model, for messages.
        inputs: {input name: ndarray}.

    Raises:
        ServingError: INVALID_ARGUMENT: an input is missing or unknown, or has another shape or dtype, or values that its
            dtype cannot hold.
    """
    wanted = signature["inputs"]
    if inputs.keys() != wanted.keys():
        takes = ", ".join(f"{key} {described(tensor)}" for key, tensor in sorted(wanted.items()))
        raise _refusal(f"{name} takes {takes}; received {', '.join(sorted(inputs))}")
    found, before = {}, f"{name.rstrip(',')}:"
    for key, array in inputs.items():
        tensor = wanted[key]
        if not _fits(array.shape, tensor["shape"]) or not _castable(array, tensor["dtype"]):
            received = f"{_dtype_name(array)} {list(array.shape)}"
            raise _refusal(f"{before} {key} must be {described(tensor)}; received {received}")
        found[key] = _cast(array, tensor["dtype"])
        if found[key] is None:
            raise _refusal(f"{before} {key} must be {described(tensor)}; received values that {tensor['dtype']} cannot hold")
    return found


def check_outputs(name, signature, outputs):
    """Raises ServingError (INVALID_ARGUMENT) if the signature lacks one of these outputs, or a name is repeated."""
    there = signature["outputs"]
    unknown = [output for output in outputs if output not in there]
    if unknown:
        raise _refusal(f"{name} has no output {', '.join(map(repr, unknown))}; it has {', '.join(sorted(there))}")
    if len(set(outputs)) < len(outputs):
        raise _refusal(f"outputs must be different names; received {', '.join(outputs)}")


def described(tensor):
    """A tensor as text, such as "float32 [n, 8, 8, 1]"."""
    shape = tensor["shape"]
    if shape is None:
        return f"{tensor['dtype']} of any shape"
    sizes = ["n" if i == 0 and size is None else "any" if size is None else str(size) for i, size in enumerate(shape)]
    return f"{tensor['dtype']} [{', '.join(sizes)}]"


def _refusal(message):
    return ServingError(StatusCode.INVALID_ARGUMENT, message)


def _fits(shape, wanted):
    return wanted is None or (
        len(shape) == len(wanted) and all(size in (None, n) for n, size in zip(shape, wanted, strict=True))
    )


def _is_text(array):
    if array.dtype.kind == "O":
        return all(isinstance(value, (bytes, str)) for value in array.ravel())
    return array.dtype.kind in "SU"


def _castable(array, dtype):
    if dtype == "string":
        return _is_text(array)
    try:
        target = np.dtype(dtype)
    except TypeError:  # bfloat16, resource, ...
        return False
    ranks = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}
    return target.kind in ranks and ranks.get(array.dtype.kind, 9) <= ranks[target.kind]


def _cast(array, dtype):
    """The array in a dtype of its kind or a wider kind; None if that cannot hold a value."""
    if dtype == "string":
        found = np.empty(array.shape, object)
        found.ravel()[:] = [value.encode() if isinstance(value, str) else bytes(value) for value in array.ravel().tolist()]
        return found
    target = np.dtype(dtype)
    if target.kind in "ui" and array.dtype.kind in "ui" and array.size:
        limits = np.iinfo(target)
        if int(array.min()) < limits.min or int(array.max()) > limits.max:
            return None
    with np.errstate(over="ignore"):
        found = array.astype(target, copy=False)
    if target.kind in "fc" and not np.array_equal(np.isfinite(found), np.isfinite(array)):
        return None
    return found


def _dtype_name(array):
    return "string" if _is_text(array) and array.size else array.dtype.name
