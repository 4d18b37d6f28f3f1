"""`parse_predict`: reads large bodies of plain numbers and strings with orjson and NumPy, all others with the exact parser.

The fast parser returns the same arrays, bit for bit, or leaves the body to the exact parser; it raises no errors.
"""

import itertools
import math
import re
from collections.abc import Callable

import grpc
import numpy as np
import orjson
import tensorflow as tf

from tfgen_serving.allowance import UNLIMITED, Allowance
from tfgen_serving.errors import ServingError
from tfgen_serving.json_tensor.numbers import doubles
from tfgen_serving.json_tensor.parser import VALUE_BYTES, count_elements
from tfgen_serving.json_tensor.request import INT_RANGES, MAX_RANK, Request, input_dtypes, parse_exact, unescape_base64

# The fast parser is tried for bodies of at least this many bytes; for smaller bodies it saves no time.
FAST_BODY_BYTES = 2048

_ZERO_WITH_BIG_EXPONENT = re.compile(rb"0[eE]\+?0*[1-9][0-9]{2}")
_NUMBERS_TO_ZEROS = bytes.maketrans(b"123456789+-.eENaInfity", b"0" * 22)
_BRACKETS_TO_BLANKS = bytes.maketrans(b"[]", b"  ")
_NOT_FINITE = re.compile(rb"(?<![^\s,])-?(?:NaN|Inf(?:inity)?)(?![^\s,])")
_PART_BYTES = 1 << 16  # of a text of numbers that is parsed at once, so that few of them are Python objects at a time
_TEXT_COPIES = 6  # of a body, at most, while a text of numbers is parsed


def parse_predict(body: bytes, signature_of: Callable[[str], object], allowance: Allowance = UNLIMITED) -> Request:
    """Parses the body of a predict request for the signature that it names.

    `signature_of(name)` returns the SignatureDef or raises ServingError; its argument is "serving_default" if the body names
    none, and it may be called twice. For any `body`, the only exception is ServingError, also beyond the limits of
    `allowance`. Integers for 8 and 16 bit inputs are accepted in the range of int32 and wrap. Numbers for float32 inputs
    beyond its range become infinite.
    """
    allowance.check_elements(count_elements(body))
    if len(body) >= FAST_BODY_BYTES:
        request = parse_fast(body, signature_of, allowance)
        if request is not None:
            return request
    return parse_exact(body, signature_of, allowance)


class _NotPlain(Exception):
    """The fast parser may differ from the exact parser, which must read this body."""


def parse_fast(body: bytes, signature_of, allowance: Allowance = UNLIMITED) -> Request | None:
    """The request that `parse_exact` returns, if the body is plain and valid; None for any other body."""
    if b"\\" in body:  # so that every quotation mark starts or ends a string
        return None
    start, end = body.find(b"["), body.rfind(b"]") + 1
    allowance.reserve(_TEXT_COPIES * len(body))
    shape = _shape_of_numbers(body[start:end])
    try:
        if shape is None:
            allowance.reserve(VALUE_BYTES * count_elements(body))
            return _request(orjson.loads(body), signature_of, body, None, allowance)
        doc = orjson.loads(body[:start] + b"null" + body[end:])
        return _request(doc, signature_of, body, (shape, body[start:end]), allowance)
    except (orjson.JSONDecodeError, _NotPlain):
        return None
    except ServingError as error:
        if error.code in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED):
            raise
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


def _request(doc, signature_of, body: bytes, tensor, allowance: Allowance) -> Request:
    """The request of a body that orjson parsed to `doc`; `tensor`: shape and text at the place where `doc` has null."""
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
        if tensor is not None:
            shape, text = tensor
            array, seen = _read_numbers(text, math.prod(shape), dtype, allowance), 0
        else:
            shape, flat = _flatten(members[key])
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


def _read_numbers(text: bytes, count: int, dtype: tf.DType, allowance: Allowance) -> np.ndarray:
    """The numbers [count] of a text that is one array of numbers, nested like a tensor."""
    allowance.reserve(count * dtype.size)
    array, done, start = np.empty(count, dtype.as_numpy_dtype), 0, 0
    text = text.translate(_BRACKETS_TO_BLANKS)
    while start <= len(text):
        allowance.check_time()
        end = text.find(b",", start + _PART_BYTES)
        end = len(text) if end < 0 else end
        part = _read_part(text[start:end], dtype)
        if done + len(part) > count:
            raise _NotPlain
        array[done : done + len(part)] = part
        done, start = done + len(part), end + 1
    return array[:done]


def _read_part(text: bytes, dtype: tf.DType) -> np.ndarray:
    """The numbers of a text, which are separated by commas."""
    others = {}
    if dtype in (tf.float32, tf.float64) and (b"N" in text or b"I" in text):
        for match in _NOT_FINITE.finditer(text):
            others[match.start()] = math.nan if b"N" in match[0] else float(match[0])  # RapidJSON's NaN has no sign
        text = _NOT_FINITE.sub(lambda match: b"0".ljust(len(match[0])), text)
    numbers = orjson.loads(b"[%s]" % text)
    if dtype not in (tf.float32, tf.float64):
        return _plain_array(numbers, dtype, text)[0]
    if not set(map(type, numbers)) <= {float, int}:
        raise _NotPlain
    values = np.array(numbers, np.float64)
    uncertain = np.flatnonzero(_may_differ(values, text)) if dtype == tf.float32 else np.arange(len(values))
    if len(uncertain):
        tokens = text.translate(None, b" \t\n\r").split(b",")
        values[uncertain] = doubles([tokens[index] for index in uncertain.tolist()])
    if others:
        commas = np.flatnonzero(np.frombuffer(text, np.uint8) == 0x2C)
        values[np.searchsorted(commas, list(others))] = list(others.values())
    with np.errstate(over="ignore"):
        return values.astype(dtype.as_numpy_dtype)


def _plain_array(flat: list, dtype: tf.DType, body: bytes) -> tuple[np.ndarray, int]:
    """The tensor of leaves from orjson, and the number of strings (including keys) in it."""
    kinds = set(map(type, flat))
    strings = 0
    if dtype == tf.float32 and kinds <= {float, int}:
        array = np.array(flat, np.float64)
        if _may_differ(array, body).any():
            raise _NotPlain
        array = array.astype(np.float32)
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


def _may_differ(doubles: np.ndarray, text: bytes) -> np.ndarray:
    """bool [n]: where numbers from orjson may give another float32 than with RapidJSON's fast arithmetic.

    The two readings of a number differ by at most 6 units in the last place of a double, as long as neither the 20 digits
    of a 64 bit integer nor the smallest doubles are involved. So they round to the same float32 unless a boundary between
    two float32 values is that near; the 29 bits that rounding drops show this. `text` holds the numbers.
    """
    size, zero = np.abs(doubles), doubles == 0
    dropped = doubles.view(np.int64) & (2**29 - 1)
    unsure = (size >= 2.0**63) | ((size < 2.0**-126) & ~zero) | (np.abs(dropped - 2**28) <= 8)
    # "0e400" is zero for orjson and too big for RapidJSON
    if zero.any() and (b"0e" in text or b"0E" in text) and _ZERO_WITH_BIG_EXPONENT.search(text):
        unsure |= zero
    return unsure
