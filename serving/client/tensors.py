"""Arrays to and from the message `Tensor`."""

import math

import numpy as np

from tfgen_serving.client import messages
from tfgen_serving.codes import StatusCode
from tfgen_serving.errors import ServingError

# {number of the DataType: name of the dtype}
DTYPES = {
    1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 7: "string", 8: "complex64", 9: "int64",
    10: "bool", 14: "bfloat16", 17: "uint16", 18: "complex128", 19: "float16", 22: "uint32", 23: "uint64",
}  # fmt: skip
_NUMBERS = {name: number for number, name in DTYPES.items()}
_BYTES = {"float32": "float_val", "float64": "double_val", "complex64": "scomplex_val", "complex128": "dcomplex_val"}
_FIELDS = {
    **dict.fromkeys(("int32", "int16", "int8", "uint8", "uint16"), "int_val"), "int64": "int64_val", "bool": "bool_val",
    "uint32": "uint32_val", "uint64": "uint64_val", "float16": "half_val",
}  # fmt: skip


def to_proto(array, dtype):
    """A `Tensor` from an ndarray that already has this dtype; for "string", from an object array of bytes."""
    tensor = messages.Tensor(dtype=_NUMBERS[dtype])
    tensor.tensor_shape.SetInParent()
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    if dtype == "string":
        tensor.string_val.extend(array.ravel().tolist())
    else:
        tensor.tensor_content = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    return tensor


def from_proto(tensor, name):
    """The ndarray of a `Tensor`, an object array of bytes for strings. If values are missing, the last one is repeated.

    Raises:
        ServingError: INTERNAL if values and shape do not agree; UNIMPLEMENTED if NumPy lacks this dtype.
    """
    dtype = DTYPES.get(tensor.dtype, f"type {tensor.dtype}")
    if dtype not in _BYTES and dtype not in _FIELDS and dtype != "string":
        raise ServingError(StatusCode.UNIMPLEMENTED, f"The output {name!r} is {dtype}, which the client cannot read")
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    values, count = _values(tensor, dtype), math.prod(shape)
    if len(values) < count and len(values) and not tensor.tensor_content:
        values = np.concatenate([values, np.broadcast_to(values[-1:], [count - len(values)])])
    if len(values) != count or min(shape, default=0) < 0:
        message = f"The output {name!r} has {len(values)} values for the shape {shape}"
        raise ServingError(StatusCode.INTERNAL, message)
    return values.reshape(shape)


def _values(tensor, dtype):
    if dtype == "string":
        values = np.empty(len(tensor.string_val), object)
        values[:] = tensor.string_val
        return values
    native = np.dtype(dtype)
    if tensor.tensor_content or dtype in _BYTES:
        data = tensor.tensor_content or b"".join(getattr(tensor, _BYTES[dtype]))
        whole = len(data) // native.itemsize * native.itemsize
        return np.frombuffer(data[:whole], native.newbyteorder("<")).astype(native, copy=False)
    if dtype == "float16":  # the bits
        return np.array(tensor.half_val, np.uint16).view(np.float16)
    return np.array(getattr(tensor, _FIELDS[dtype]), native)
