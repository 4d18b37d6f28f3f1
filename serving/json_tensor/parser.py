"""JSON as TensorFlow Serving reads it: RapidJSON 1.1.0 with NaN and Infinity allowed, text kept as bytes.

Differences from strict JSON, all kept here: NaN, Inf and Infinity (with an optional minus) are
numbers; a leading byte order mark is skipped; the text ends at the first NUL outside a string; bytes above 0x7f are not
checked to be UTF-8; a number that is not an integer of at most 64 bits is read with RapidJSON's fast arithmetic, which may
differ from the nearest double by a few units in the last place; errors name a byte offset.

Values are None, bool, int, float, bytes (strings), list (arrays) and `Object`.
"""

import math
import re

import grpc

from tfgen_serving.errors import ServingError

# TensorFlow has no tensors of more than 254 dimensions. RapidJSON recurses without a limit, so a deeper text crashes it;
# here it is a parse error.
MAX_DEPTH = 260

_SPACE = re.compile(rb"[ \t\n\r]*")
_NUMBER = re.compile(rb"-?(0|[1-9][0-9]*)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?")
_PLAIN_STRING = re.compile(rb'"([^"\\\x00-\x1f]*)"')
_PLAIN_RUN = re.compile(rb'[^"\\\x00-\x1f]*')
_HEX4 = re.compile(rb"[0-9a-fA-F]{4}")
_ESCAPES = {ord(a): b for a, b in zip('"\\/bfnrt', (b'"', b"\\", b"/", b"\b", b"\f", b"\n", b"\r", b"\t"), strict=True)}
_LITERALS = {ord("t"): (b"true", True), ord("f"): (b"false", False), ord("n"): (b"null", None)}
_POW10 = [float(f"1e{n}") for n in range(309)]
_INT53 = 2**53 - 1


class Object(list):
    """A JSON object: (key, value) pairs in the order of the text, with duplicates."""

    __slots__ = ()

    def get(self, key: bytes, default=None):
        """The value of the first member called `key`."""
        return next((value for name, value in self if name == key), default)

    def __contains__(self, key) -> bool:
        return any(name == key for name, _ in self)


def invalid(message: bytes | str) -> ServingError:
    """An INVALID_ARGUMENT error; bytes that are not UTF-8 become U+FFFD, so the reply is well formed."""
    if isinstance(message, bytes):
        message = message.decode("utf-8", "replace")
    return ServingError(grpc.StatusCode.INVALID_ARGUMENT, message)


def _parse_error(what: str, offset: int) -> ServingError:
    return invalid(f"JSON Parse error: {what} at offset: {offset}")


def parse(body: bytes):
    """The value of a JSON text.

    Takes time and memory proportional to the length, at any nesting. Raises ServingError (INVALID_ARGUMENT).
    """
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    text = bytes(body) + b"\0"  # as in RapidJSON, the text ends with a NUL, so no look-ahead passes the end
    pos = 0
    for mark in (0xEF, 0xBB, 0xBF):
        if text[pos] == mark:
            pos += 1
    space = _SPACE.match
    pos = space(text, pos).end()
    if text[pos] == 0:
        raise _parse_error("The document is empty.", pos)
    stack, keys = [], []  # the open arrays and objects, each with the key of the value that is being read
    while True:
        char = text[pos]
        if char == 0x5B or char == 0x7B:  # [ {
            container = [] if char == 0x5B else Object()
            pos = space(text, pos + 1).end()
            if text[pos] != char + 2:
                if len(stack) == MAX_DEPTH:
                    raise _parse_error(f"More than {MAX_DEPTH} levels of nesting.", pos)
                key, pos = (None, pos) if char == 0x5B else _key(text, pos)
                stack.append(container)
                keys.append(key)
                continue
            value, pos = container, pos + 1
        elif char == 0x22:
            value, pos = _string(text, pos)
        elif char in _LITERALS:
            word, value = _LITERALS[char]
            pos = _word(text, pos, word)
        else:
            value, pos = _number(text, pos)
        while stack:  # store the value, and close the arrays and objects that end after it
            pos = space(text, pos).end()
            char, top = text[pos], stack[-1]
            if type(top) is list:
                top.append(value)
                if char == 0x2C:
                    pos = space(text, pos + 1).end()
                    break
                if char != 0x5D:
                    raise _parse_error("Missing a comma or ']' after an array element.", pos)
            else:
                top.append((keys[-1], value))
                if char == 0x2C:
                    keys[-1], pos = _key(text, space(text, pos + 1).end())
                    break
                if char != 0x7D:
                    raise _parse_error("Missing a comma or '}' after an object member.", pos)
            pos += 1
            value = stack.pop()
            keys.pop()
        else:
            pos = space(text, pos).end()
            if text[pos] != 0:
                raise _parse_error("The document root must not be followed by other values.", pos)
            return value


def _key(text: bytes, pos: int) -> tuple[bytes, int]:
    if text[pos] != 0x22:
        raise _parse_error("Missing a name for object member.", pos)
    key, pos = _string(text, pos)
    pos = _SPACE.match(text, pos).end()
    if text[pos] != 0x3A:
        raise _parse_error("Missing a colon after a name of object member.", pos)
    return key, _SPACE.match(text, pos + 1).end()


def _word(text: bytes, pos: int, word: bytes) -> int:
    for char in word:
        if text[pos] != char:
            raise _parse_error("Invalid value.", pos)
        pos += 1
    return pos


def _string(text: bytes, pos: int) -> tuple[bytes, int]:
    match = _PLAIN_STRING.match(text, pos)
    if match:
        return match[1], match.end()
    parts = []
    pos += 1
    while True:
        match = _PLAIN_RUN.match(text, pos)
        parts.append(match[0])
        pos = match.end()
        char = text[pos]
        if char == 0x22:
            return b"".join(parts), pos + 1
        if char == 0:
            raise _parse_error("Missing a closing quotation mark in string.", pos)
        if char != 0x5C:
            raise _parse_error("Invalid escape character in string.", pos)
        if text[pos + 1] in _ESCAPES:
            parts.append(_ESCAPES[text[pos + 1]])
            pos += 2
        elif text[pos + 1] == 0x75:
            start = pos
            code, pos = _hex4(text, pos + 2, start)
            if 0xD800 <= code <= 0xDBFF:
                if text[pos : pos + 2] != b"\\u":
                    raise _parse_error("The surrogate pair in string is invalid.", start)
                low, pos = _hex4(text, pos + 2, start)
                if not 0xDC00 <= low <= 0xDFFF:
                    raise _parse_error("The surrogate pair in string is invalid.", start)
                code = (((code - 0xD800) << 10) | (low - 0xDC00)) + 0x10000
            parts.append(chr(code).encode("utf-8", "surrogatepass"))  # a lone low surrogate is accepted, as upstream
        else:
            raise _parse_error("Invalid escape character in string.", pos)


def _hex4(text: bytes, pos: int, start: int) -> tuple[int, int]:
    match = _HEX4.match(text, pos)
    if not match:
        raise _parse_error("Incorrect hex digit after \\u escape in string.", start)
    return int(match[0], 16), match.end()


def _number(text: bytes, pos: int) -> tuple[int | float, int]:
    match = _NUMBER.match(text, pos)
    minus = text[pos] == 0x2D
    if not match:
        pos += minus
        if text[pos] == 0x4E:
            return math.nan, _word(text, pos, b"NaN")
        pos = _word(text, pos, b"Inf")
        if text[pos] == 0x69:
            pos = _word(text, pos, b"inity")
        return (-math.inf if minus else math.inf), pos
    integer, fraction, exponent = match.groups()
    end = match.end()
    if exponent is None:
        if text[end] == 0x2E and fraction is None:
            raise _parse_error("Miss fraction part in number.", end + 1)
        if text[end] in b"eE":
            raise _parse_error("Miss exponent in number.", end + 1 + (text[end + 1] in b"+-"))
        if fraction is None and len(integer) <= 20:
            value = int(integer)
            if value <= (1 << 63 if minus else (1 << 64) - 1):
                return (-value if minus else value), end
    value = _double(integer, fraction or b"", exponent, 1 << 63 if minus else (1 << 64) - 1)
    if value is None:
        raise _parse_error("Number too big to be stored in double.", pos)
    return (-value if minus else value), end


def _double(integer: bytes, fraction: bytes, exponent: bytes | None, int_max: int) -> float | None:
    """The magnitude of a decimal, computed like RapidJSON's `StrtodNormalPrecision`; None: too big."""
    power = 0
    if (
        len(integer) + len(fraction) <= 16
    ):  # the common case: the whole significand is below 10 * 2^53 before the last digit
        value = float(int(integer + fraction))
        power = -len(fraction)
    else:
        digits = len(integer) - 1  # number of digits counted, of the 17 that are read
        significand, rest = int(integer[:20]), integer[20:]
        if significand > int_max:
            significand, rest = int(integer[:19]), integer[19:]
            if significand > int_max:  # only for -9223372036854775809 and below
                significand, rest = int(integer[:18]), integer[18:]
        if rest:
            digits -= len(rest)
            value = float(significand)
            for digit in rest:
                if value >= 1.7976931348623157e307:
                    return None
                value = value * 10 + (digit - 48)
        else:
            used = 0
            if significand == 0:
                used = len(fraction) - len(fraction.lstrip(b"0"))
            while used < len(fraction) and significand <= _INT53:
                significand = significand * 10 + (fraction[used] - 48)
                used += 1
                digits += significand != 0
            value = float(significand)
            power = -used
            fraction = fraction[used:]
        for digit in fraction[: max(0, 17 - digits)]:
            value = value * 10.0 + (digit - 48)
            power -= 1
    if exponent is not None:
        negative = exponent.startswith(b"-")
        exponent = exponent.lstrip(b"+-").lstrip(b"0")
        size = int(exponent[:10] or b"0")  # exponents of ten digits are outside the range of a double
        if not negative and size > 308 - power:
            return None
        power += -size if negative else size
    if power >= 0:
        return value * _POW10[min(power, 308)]
    if power >= -308:
        return value / _POW10[-power]
    return value / _POW10[308] / _POW10[-power - 308] if power >= -616 else 0.0
