"""`parse_predict`: reads large bodies of plain numbers and strings with orjson and NumPy, all others with the exact parser.

The fast parser returns the same arrays, bit for bit, or leaves the body to the exact parser; it raises no errors.
"""

import itertools
import math
import re
from collections.abc import Callable

import numpy as np
import orjson
import tensorflow as tf

from tfgen_serving.errors import ServingError
from tfgen_serving.json_tensor.request import INT_RANGES, MAX_RANK, Request, input_dtypes, parse_exact, unescape_base64

# The fast parser is tried for bodies of at least this many bytes; for smaller bodies it saves no time.
FAST_BODY_BYTES = 2048

_ZERO_WITH_BIG_EXPONENT = re.compile(rb"0[eE]\+?0*[1-9][0-9]{2}")
_NUMBERS_TO_ZEROS = bytes.maketrans(b"123456789+-.eE", b"00000000000000")
_BRACKETS_TO_BLANKS = bytes.maketrans(b"[]", b"  ")


def parse_predict(body: bytes, signature_of: Callable[[str], object]) -> Request:
    """Parses the body of a predict request for the signature that it names.

    `signature_of(name)` returns the SignatureDef or raises ServingError; its argument is "serving_default" if the body names
    none, and it may be called twice. For any `body`, the only exception is ServingError. Integers for 8 and 16 bit inputs
    are accepted in the range of int32 and wrap. Numbers for float32 inputs beyond its range become infinite.
    """
    if len(body) >= FAST_BODY_BYTES:
        request = parse_fast(body, signature_of)
        if request is not None:
            return request
    return parse_exact(body, signature_of)


class _NotPlain(Exception):
    """The fast parser may differ from the exact parser, which must read this body."""


def parse_fast(body: bytes, signature_of) -> Request | None:
    """The request that `parse_exact` returns, if the body is plain and valid; None for any other body."""
    if b"\\" in body:  # so that every quotation mark starts or ends a string
        return None
    try:
        start, end = body.find(b"["), body.rfind(b"]") + 1
        shape = _shape_of_numbers(body[start:end])
        if shape is None:
            return _request(orjson.loads(body), signature_of, body, None)
        numbers = orjson.loads(b"[%s]" % body[start:end].translate(_BRACKETS_TO_BLANKS))
        return _request(orjson.loads(body[:start] + b"null" + body[end:]), signature_of, body, (shape, numbers))
    except (orjson.JSONDecodeError, ServingError, _NotPlain):
        return None


def _shape_of_numbers(text: bytes) -> list[int] | None:
    """The shape of the tensor if `text` is one array of numbers nested like a tensor, else None.

    With blanks for its brackets such a text is a flat list of numbers. Parsing it makes no list for each row, which would
    trigger Python's garbage collector.
    """
    if b'"' in text:
        return None
    spaced = any(space in text for space in (b" ", b"\n", b"\t", b"\r"))  # deleting bytes is slower than mapping them
    zeros = text.translate(_NUMBERS_TO_ZEROS, b" \n\t\r") if spaced else text.translate(_NUMBERS_TO_ZEROS)
    each = np.frombuffer(zeros, np.uint8)  # finds pairs of bytes several times faster than `in`
    if (((each[:-1] == 0x30) & (each[1:] == 0x5B)) | ((each[:-1] == 0x5D) & (each[1:] == 0x30))).any():
        return None  # "[1 [2]]": a number outside of the innermost lists
    skeleton = zeros.translate(None, b"0")
    rank = len(skeleton) - len(skeleton.lstrip(b"["))
    if not 0 < rank <= MAX_RANK:
        return None
    shape, part = [], b""
    for inner in range(rank):  # from the innermost dimension outwards: how often does `part` occur in the first list?
        end = skeleton.find(b"]" * (inner + 1))
        if end < 0:
            return None
        size = (end + inner - (rank - inner) + 1) // (len(part) + 1)
        part = b"[%s]" % b",".join([part] * size)
        shape.insert(0, size)
    return shape if part == skeleton else None


def _request(doc, signature_of, body: bytes, tensor) -> Request:
    """The request of a body that orjson parsed to `doc`; `tensor`: shape and numbers at the place where `doc` has null."""
    if type(doc) is not dict or not doc.keys() <= {"signature_name", "instances", "inputs"}:
        raise _NotPlain
    name = doc.pop("signature_name", None)
    if not isinstance(name, str | None) or len(doc) != 1:
        raise _NotPlain
    strings = 1 if name is None else 3  # number of keys and string values: a larger number in the text means a repeated key
    dtypes = input_dtypes(signature_of(name or "serving_default"), name or "")
    ((place, value),) = doc.items()
    row = place == "instances"
    first = value[0] if row and type(value) is list and value else value
    if type(first) is not dict or first.keys() == {"b64"}:
        if len(dtypes) > 1 or (row and type(value) is not list and tensor is None):
            raise _NotPlain
        members = dict.fromkeys(dtypes, value)
    elif not row:
        if value.keys() != dtypes.keys():
            raise _NotPlain
        strings += len(value)
        members = value
    else:
        if set(map(type, value)) != {dict} or any(item.keys() != dtypes.keys() for item in value):
            raise _NotPlain
        strings += len(value) * len(dtypes)
        members = {name: [item[name] for item in value] for name in dtypes}
    if tensor is not None and (len(dtypes) > 1 or next(iter(members.values())) is not None):
        raise _NotPlain
    inputs = {}
    for key, dtype in dtypes.items():
        shape, flat = tensor or _flatten(members[key])
        array, seen = _plain_array(flat, dtype, body)
        if array.size != math.prod(shape):  # "[]" has the brackets of "[1]"
            raise _NotPlain
        inputs[key] = array.reshape(shape)
        strings += seen
    if body.count(b'"') != 2 * strings:
        raise _NotPlain
    return Request(name or "serving_default", inputs, row)


def _flatten(value) -> tuple[list[int], list]:
    """Shape and leaves of nested lists of one shape."""
    shape, flat = [], [value]
    while type(flat[0]) is list:
        sizes = set(map(len, flat)) if set(map(type, flat)) == {list} else ()
        if len(sizes) != 1 or 0 in sizes:
            raise _NotPlain
        shape += sizes
        flat = flat[0] if len(flat) == 1 else list(itertools.chain.from_iterable(flat))
    if len(shape) > MAX_RANK:
        raise _NotPlain
    return shape, flat


def _plain_array(flat: list, dtype: tf.DType, body: bytes) -> tuple[np.ndarray, int]:
    """The tensor of leaves from orjson, and the number of strings (including keys) in it."""
    kinds = set(map(type, flat))
    strings = 0
    if dtype == tf.float32 and kinds <= {float, int}:
        array = _plain_float32(np.array(flat, np.float64), body)
    elif dtype in INT_RANGES and kinds == {int}:
        low, high = INT_RANGES[dtype]
        if min(flat) < low or max(flat) > high:
            raise _NotPlain
        array = np.array(flat, np.uint64 if dtype == tf.uint64 else np.int64).astype(dtype.as_numpy_dtype)
    elif dtype == tf.bool and kinds == {bool}:
        array = np.array(flat, bool)
    elif dtype == tf.string and kinds <= {str, dict}:
        array = np.empty(len(flat), object)
        for index, item in enumerate(flat):
            if type(item) is str:
                strings += 1
                array[index] = item.encode()
            else:
                strings += 2
                if item.keys() != {"b64"} or type(item["b64"]) is not str:
                    raise _NotPlain
                array[index] = unescape_base64(item["b64"].encode())
                if array[index] is None:
                    raise _NotPlain
    else:
        raise _NotPlain
    return array, strings


def _plain_float32(doubles: np.ndarray, body: bytes) -> np.ndarray:
    """float32 of numbers from orjson, if RapidJSON's fast arithmetic must give the same float32.

    The two readings of a number differ by at most 6 units in the last place of a double, as long as neither the 20 digits
    of a 64 bit integer nor the smallest doubles are involved. So they round to the same float32 unless a boundary between
    two float32 values is that near; the 29 bits that rounding drops show this.
    """
    size = np.abs(doubles)
    zero = size == 0
    if not (size < 2.0**63).all() or ((size < 2.0**-126) & ~zero).any():
        raise _NotPlain
    dropped = doubles.view(np.int64) & (2**29 - 1)
    if (np.abs(dropped - 2**28) <= 8).any():
        raise _NotPlain
    # "0e400" is zero for orjson and too big for RapidJSON
    if zero.any() and (b"0e" in body or b"0E" in body) and _ZERO_WITH_BIG_EXPONENT.search(body):
        raise _NotPlain
    return doubles.astype(np.float32)
