"""Converts TensorProto to and from NumPy, fast and with checks of the sent values.

`tf.make_ndarray` reads `float_val` number by number, and `tf.make_tensor_proto` writes `tensor_content`, while TensorFlow
Serving writes `float_val`. A serialized packed float field has the bytes of the array.
"""

import math

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.framework import types_pb2

from tfgen_serving.allowance import UNLIMITED
from tfgen_serving.errors import ServingError

# DataType -> (field, its number where its wire form is the array's little-endian bytes, else None)
_FIELDS = {
    types_pb2.DT_FLOAT: ("float_val", 5),
    types_pb2.DT_DOUBLE: ("double_val", 6),
    types_pb2.DT_COMPLEX64: ("scomplex_val", 9),
    types_pb2.DT_COMPLEX128: ("dcomplex_val", 12),
    types_pb2.DT_BOOL: ("bool_val", None),
    types_pb2.DT_INT64: ("int64_val", None),
    types_pb2.DT_UINT32: ("uint32_val", None),
    types_pb2.DT_UINT64: ("uint64_val", None),
    types_pb2.DT_STRING: ("string_val", None),
    types_pb2.DT_HALF: ("half_val", None),
    types_pb2.DT_BFLOAT16: ("half_val", None),
    **{
        kind: ("int_val", None)
        for kind in (
            types_pb2.DT_INT32, types_pb2.DT_INT16, types_pb2.DT_INT8, types_pb2.DT_UINT8, types_pb2.DT_UINT16
        )
    },
}  # fmt: skip
_NUMPY = {kind: np.dtype(tf.as_dtype(kind).as_numpy_dtype) for kind in _FIELDS}
_MAX_BYTES = 1 << 40  # a larger shape is an error, for any number of values sent
_LENGTH_DELIMITED, _FIXED = 2, {1: 8, 5: 4}


def dtype_name(kind):
    """ "float", "string", ... of a DataType value, as TensorFlow's messages spell it."""
    name = types_pb2.DataType.Name(kind) if kind in types_pb2.DataType.values() else f"DT_UNKNOWN_{kind}"
    return name[len("DT_") :].lower()


def to_proto(array, proto):
    """Writes an ndarray to an empty TensorProto: to `float_val`, `int_val`, ... like TensorFlow Serving.

    Raises:
        ServingError: UNIMPLEMENTED for a dtype that has no such field.
    """
    kind = types_pb2.DT_STRING if array.dtype.kind == "O" else tf.as_dtype(array.dtype).as_datatype_enum
    if kind not in _FIELDS:
        raise ServingError(grpc.StatusCode.UNIMPLEMENTED, f"A tensor of type {dtype_name(kind)} has no TensorProto field")
    proto.dtype = kind
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    proto.tensor_shape.SetInParent()
    field, number = _FIELDS[kind]
    if not array.size:
        return
    if number is not None:
        data = np.ascontiguousarray(array).tobytes()
        proto.MergeFromString(_varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(data)) + data)
    elif field == "half_val":
        proto.half_val.extend(np.ascontiguousarray(array).view(np.uint16).ravel().tolist())
    else:
        getattr(proto, field).extend(array.ravel().tolist())


def from_proto(proto, name, allowance=UNLIMITED):
    """Reads a TensorProto to an ndarray; strings become object arrays of bytes.

    If values are missing, the last one is repeated.

    Args:
        name: name of the input, for messages.
        allowance: the limits of the request, for the number and memory of values that are not sent but repeated.

    Raises:
        ServingError: INVALID_ARGUMENT if dtype, shape and values do not agree, and the errors of the allowance.
    """
    if proto.dtype not in _FIELDS:
        raise _bad(name, f"dtype {dtype_name(proto.dtype)}")
    dtype = _NUMPY[proto.dtype]
    shape = [d.size for d in proto.tensor_shape.dim]
    if proto.tensor_shape.unknown_rank or any(d < 0 for d in shape):
        raise _bad(name, "the shape must be known")
    count = math.prod(shape)
    # NumPy multiplies the sizes without the zeros.
    if len(shape) > 32 or math.prod(filter(None, shape)) * dtype.itemsize > _MAX_BYTES:
        raise _bad(name, f"shape {shape} is too large")
    if proto.tensor_content:
        if dtype.kind == "O" or len(proto.tensor_content) != count * dtype.itemsize:
            raise _bad(name, f"{len(proto.tensor_content)} bytes of tensor_content for {dtype} of shape {shape}")
        return np.frombuffer(proto.tensor_content, dtype).reshape(shape)
    values = _values(proto, dtype)
    if len(values) < count:
        allowance.check_elements(count)
        allowance.reserve(2 * count * dtype.itemsize)
        rest = np.zeros(1, dtype) if dtype.kind != "O" else np.array([b""], dtype=object)
        rest = values[-1:] if len(values) else rest
        values = np.concatenate([values, np.broadcast_to(rest, [count - len(values)])])
    return values[:count].reshape(shape)


def _values(proto, dtype):
    field, number = _FIELDS[proto.dtype]
    if number is not None:
        data = _packed(proto.SerializeToString(), number)
        return np.frombuffer(data[: len(data) // dtype.itemsize * dtype.itemsize], dtype)
    repeated = getattr(proto, field)
    if dtype.kind == "O":
        values = np.empty(len(repeated), object)
        values[:] = repeated
        return values
    if field == "half_val":
        return np.fromiter(repeated, np.int64, len(repeated)).astype(np.uint16).view(dtype)
    wide = np.uint64 if field == "uint64_val" else np.int64
    return np.fromiter(repeated, wide, len(repeated)).astype(dtype)


def _packed(data, number):
    """The bytes of one packed field of a serialized message, b"" if it is absent."""
    position = 0
    while position < len(data):
        key, position = _read_varint(data, position)
        if key & 7 == _LENGTH_DELIMITED:
            size, position = _read_varint(data, position)
        elif key & 7 in _FIXED:
            size = _FIXED[key & 7]
        else:  # a varint
            start = position
            _, position = _read_varint(data, position)
            size, position = position - start, start
        if key == (number << 3 | _LENGTH_DELIMITED):
            return data[position : position + size]
        position += size
    return b""


def _varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _read_varint(data, position):
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def _bad(name, why):
    return ServingError(grpc.StatusCode.INVALID_ARGUMENT, f"tensor parsing error: {name}: {why}")
