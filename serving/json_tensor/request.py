"""Parses the body of a REST predict request to NumPy arrays, exactly as TF Serving does (util/json_tensor.cc)."""

import binascii
import re
from typing import NamedTuple

import grpc
import numpy as np
import tensorflow as tf

from tfgen_serving.allowance import UNLIMITED, Allowance
from tfgen_serving.errors import ServingError
from tfgen_serving.json_tensor.parser import Object, invalid, parse
from tfgen_serving.json_tensor.text import quote

MAX_RANK = 32  # of NumPy arrays

INT_RANGES = {  # dtype -> (smallest, largest) accepted value; narrow integers are read as int32 and wrap, as in TensorProto
    tf.int8: (-(2**31), 2**31 - 1),
    tf.int16: (-(2**31), 2**31 - 1),
    tf.int32: (-(2**31), 2**31 - 1),
    tf.uint8: (-(2**31), 2**31 - 1),
    tf.int64: (-(2**63), 2**63 - 1),
    tf.uint32: (0, 2**32 - 1),
    tf.uint64: (0, 2**64 - 1),
}
_KINDS = {type(None): "Null", bool: "Bool", Object: "Object", list: "Array", bytes: "String", int: "Number", float: "Number"}
_NO_PADDING = re.compile(rb"([A-Za-z0-9+/]*)([=.]*)")


class Request(NamedTuple):
    """A parsed predict request. `row`: whether it had `instances` and not `inputs`. DT_STRING inputs are object arrays of
    bytes.
    """

    signature_name: str
    inputs: dict[str, np.ndarray]
    row: bool


def parse_exact(body: bytes, signature_of, allowance: Allowance = UNLIMITED) -> Request:
    """`parse_predict` for any body."""
    doc = parse(body, allowance)
    if type(doc) is not Object:
        raise invalid(b"JSON Value: %s Is not object" % quote(doc))
    name = read_signature_name(doc)
    dtypes = input_dtypes(signature_of(name or "serving_default"), name)
    row = b"instances" in doc
    if row and b"inputs" in doc:
        raise invalid(
            b"JSON Value: %s Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist "
            % quote(doc)
        )
    if row:
        instances = doc.get(b"instances")
        if type(instances) is not list:
            raise invalid(b"JSON Value: %s Expecting 'instances' to be an list/array" % quote(doc))
        if not instances:
            raise invalid(b"JSON Value: %s No values in 'instances' array" % quote(doc))
        inputs = _read_rows(instances, dtypes, allowance)
    elif b"inputs" in doc:
        inputs = _read_columns(doc.get(b"inputs"), dtypes, allowance)
    else:
        raise invalid("Missing 'inputs' or 'instances' key")
    return Request(name or "serving_default", inputs, row)


def read_signature_name(doc: Object) -> str:
    """`signature_name` of a request, or ""."""
    name = doc.get(b"signature_name", b"")
    if type(name) is not bytes:
        raise invalid(b"JSON Value: %s not formatted correctly. 'signature_name' key must be a string value." % quote(doc))
    return name.decode("utf-8", "replace")


def input_dtypes(signature, name: str) -> dict[str, tf.DType]:
    """The dtype of each input, sorted by name: the first of several wrong inputs is reported (upstream: in hash order)."""
    if not signature.inputs:
        raise invalid(f"Failed to get input map for signature: {name or 'DEFAULT'}")
    return {key: tf.as_dtype(signature.inputs[key].dtype) for key in sorted(signature.inputs)}


def _read_columns(value, dtypes: dict[str, tf.DType], allowance: Allowance) -> dict[str, np.ndarray]:
    if type(value) is not Object or is_base64(value):
        if len(dtypes) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required "
                "as per tensorinfo_map"
            )
        members = dict.fromkeys(dtypes, value)
    else:
        members = {}
        for key, item in value:
            members.setdefault(key.decode("utf-8", "surrogateescape"), item)
    inputs = {}
    for name, dtype in dtypes.items():
        if name not in members:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
        shape, values = _shape(members[name]), []
        _fill(members[name], 0, shape, dtype, values, allowance)
        inputs[name] = _array(values, shape, dtype)
    return inputs


def _read_rows(instances: list, dtypes: dict[str, tf.DType], allowance: Allowance) -> dict[str, np.ndarray]:
    if len(dtypes) > 1 and type(instances[0]) is not Object:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple input tensors required "
            "as per tensorinfo_map"
        )
    named = _is_named(instances[0])
    single = next(iter(dtypes))
    shapes, sizes, values = {}, {}, {name: [] for name in dtypes}

    def add(name, item):
        if name not in dtypes:
            raise invalid(f"JSON object: does not have named input: {name}")
        before = len(values[name])
        shape = _shape(item)
        _fill(item, 0, shape, dtypes[name], values[name], allowance)
        size = len(values[name]) - before
        if shapes.setdefault(name, shape) == shape and sizes.setdefault(name, size) == size:
            return
        if sizes[name] != size:
            raise invalid(f"Expecting tensor size: {sizes[name]} but got: {size}")
        raise invalid(f"Expecting shape {_shape_text(shapes[name])} but got: {_shape_text(shape)}")

    for index, item in enumerate(instances):
        allowance.check_time()
        if named and not _is_named(item):
            raise invalid(f"Expecting object but got list at item {index} of input list")
        if not named and _is_named(item):
            raise invalid(f"Expecting value/list but got object at item {index} of input list")
        name = None
        try:
            if not named:
                add(single, item)
                continue
            for key, value in item:  # a repeated key adds its values too, and the surplus is dropped, as upstream
                name = key.split(b"\0")[0].decode("utf-8", "replace")
                add(name, value)
        except ServingError as error:
            where = f"{index} of" if name is None else f"{index} key: {name} of"
            raise invalid(f"Failed to process element: {where} 'instances' list. Error: {error}") from None
        if {key.split(b"\0")[0].decode("utf-8", "replace") for key, _ in item} != dtypes.keys():
            raise invalid(
                b"Failed to process element: %d of 'instances' list. JSON object: %s keys must be equal to: %s"
                % (index, quote(item), ",".join(sorted(dtypes)).encode())
            )
    # As upstream, b64 objects for a signature of several inputs fill only the first input; running the signature then fails.
    return {name: _array(values[name], [len(instances), *shape], dtypes[name]) for name, shape in shapes.items()}


def is_base64(value) -> bool:
    """Whether a value is `{"b64": "..."}` with no other member."""
    return type(value) is Object and len(value) == 1 and value[0][0] == b"b64" and type(value[0][1]) is bytes


def decode_base64(value: Object) -> bytes:
    """The bytes of `{"b64": "..."}`: white space may be anywhere, padding is '=' or '.' or absent."""
    if not is_base64(value):
        raise invalid(b"JSON Value: %s not formatted correctly for base64 data" % quote(value))
    data = unescape_base64(value[0][1])
    if data is None:
        raise invalid("Unable to base64 decode")
    return data


def unescape_base64(text: bytes) -> bytes | None:
    """Decodes like Abseil's Base64Unescape; None for text that is not base64."""
    match = _NO_PADDING.fullmatch(text.translate(None, b" \t\n\v\f\r"))
    if not match or len(match[1]) % 4 == 1 or len(match[2]) not in (0, -len(match[1]) % 4):
        return None
    return binascii.a2b_base64(match[1] + b"=" * (-len(match[1]) % 4))


def _is_named(item) -> bool:
    return type(item) is Object and not is_base64(item)


def _shape(value) -> list[int]:
    shape = []
    while type(value) is list:
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return shape


def _shape_text(shape: list[int]) -> str:
    return f"[{','.join(map(str, shape))}]"


def kind_of(value) -> str:
    """RapidJSON's name for the type of a value."""
    return str(value) if type(value) is bool else _KINDS[type(value)]


def _fill(value, level: int, shape: list[int], dtype: tf.DType, values: list, allowance: Allowance) -> None:
    """Checks level, size and type of each leaf of `value` and appends it to `values`."""
    if type(value) is not list:
        if level != len(shape):
            raise invalid(
                b"JSON Value: %s found at incorrect level: %d in the JSON DOM. Expected at level: %d"
                % (quote(value), level + 1, len(shape))
            )
        values.append(_leaf(value, dtype))
        return
    if level >= len(shape):
        raise invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise invalid(f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}")
    allowance.check_time()
    if dtype in (tf.float32, tf.float64) and level + 1 == len(shape) and set(map(type, value)) <= {float, int}:
        values.extend(map(float, value))
        return
    for item in value:
        _fill(item, level + 1, shape, dtype, values, allowance)


def _leaf(value, dtype: tf.DType):
    kind = type(value)
    if dtype == tf.string:
        if kind is bytes:
            return value
        if kind is Object:
            return decode_base64(value)
    elif kind is Object:
        pass
    elif dtype in (tf.float32, tf.float64):
        if kind is float or kind is int:
            return float(value)
    elif dtype in INT_RANGES:
        low, high = INT_RANGES[dtype]
        if kind is int and low <= value <= high:
            return value
    elif dtype == tf.bool:
        if kind is bool:
            return value
    else:
        text = quote(value).decode("utf-8", "replace")
        raise ServingError(grpc.StatusCode.UNIMPLEMENTED, f"Conversion of JSON Value: {text} to type: {_name(dtype)}")
    raise invalid(
        b"JSON Value: %s Type: %s is not of expected type: %s"
        % (quote(value), kind_of(value).encode(), _name(dtype).encode())
    )


def _name(dtype: tf.DType) -> str:
    return {tf.float32: "float", tf.float64: "double", tf.float16: "half"}.get(dtype, dtype.name)


def _array(values: list, shape: list[int], dtype: tf.DType) -> np.ndarray:
    """The tensor of the first values, in `shape`."""
    if len(shape) > MAX_RANK:
        raise invalid(f"A tensor of rank {len(shape)} was given; this server takes at most {MAX_RANK} dimensions")
    del values[int(np.prod(shape, dtype=np.int64)) :]
    if dtype == tf.string:
        array = np.empty(len(values), object)
        array[:] = values
    elif dtype == tf.float32:
        with np.errstate(over="ignore"):
            array = np.array(values, np.float64).astype(np.float32)
    elif dtype in (tf.int8, tf.int16, tf.uint8):
        array = np.array(values, np.int32).astype(dtype.as_numpy_dtype)
    else:
        array = np.array(values, dtype.as_numpy_dtype)
    return array.reshape(shape)
