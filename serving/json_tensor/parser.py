"""JSON as TensorFlow Serving reads it: RapidJSON 1.1.0 with NaN and Infinity allowed, text kept as bytes.

Differences from strict JSON, all kept here: NaN, Inf and Infinity (with an optional minus) are
numbers; a leading byte order mark is skipped; the text ends at the first NUL outside a string; bytes above 0x7f are not
checked to be UTF-8; a number that is not an integer of at most 64 bits is read with RapidJSON's fast arithmetic, which may
differ from the nearest double by a few units in the last place; errors name a byte offset.

Values are None, bool, int, float, bytes (strings), list (arrays) and `Object`.
"""

import re

from tfgen_serving.allowance import UNLIMITED, Allowance
from tfgen_serving.json_tensor.numbers import number, read_run, word
from tfgen_serving.json_tensor.parse_errors import invalid, parse_error

# TensorFlow has no tensors of more than 254 dimensions. RapidJSON recurses without a limit, so a deeper text crashes it;
# here it is a parse error.
MAX_DEPTH = 260
CHECK_BYTES = 16384  # bytes between two checks of the time
VALUE_BYTES = 192  # memory of a parsed value, at most, with its place in a list or an object

_SPACE = re.compile(rb"[ \t\n\r]*")
_PLAIN_STRING = re.compile(rb'"([^"\\\x00-\x1f]*)"')
_PLAIN_RUN = re.compile(rb'[^"\\\x00-\x1f]*')
_HEX4 = re.compile(rb"[0-9a-fA-F]{4}")
_ESCAPES = {ord(a): b for a, b in zip('"\\/bfnrt', (b'"', b"\\", b"/", b"\b", b"\f", b"\n", b"\r", b"\t"), strict=True)}
_LITERALS = {ord("t"): (b"true", True), ord("f"): (b"false", False), ord("n"): (b"null", None)}


class Object(list):
    """A JSON object: (key, value) pairs in the order of the text, with duplicates."""

    __slots__ = ()

    def get(self, key: bytes, default=None):
        """The value of the first member called `key`."""
        return next((value for name, value in self if name == key), default)

    def __contains__(self, key) -> bool:
        return any(name == key for name, _ in self)


def count_elements(body: bytes) -> int:
    """About the number of values, lists and objects in a JSON text."""
    return 1 + body.count(b",") + body.count(b"[") + body.count(b"{")


def parse(body: bytes, allowance: Allowance = UNLIMITED):
    """The value of a JSON text.

    Takes time and memory proportional to the length, at any nesting. Raises ServingError (INVALID_ARGUMENT), and the errors
    of the request's allowance.
    """
    allowance.reserve(len(body) + VALUE_BYTES * count_elements(body))
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
        raise parse_error("The document is empty.", pos)
    stack, keys = [], []  # the open arrays and objects, each with the key of the value that is being read
    check_at = 0
    while True:
        if pos >= check_at:
            allowance.check_time()
            check_at = pos + CHECK_BYTES
        char = text[pos]
        if char == 0x5B or char == 0x7B:  # [ {
            container = [] if char == 0x5B else Object()
            pos = space(text, pos + 1).end()
            if text[pos] != char + 2:
                if len(stack) == MAX_DEPTH:
                    raise parse_error(f"More than {MAX_DEPTH} levels of nesting.", pos)
                key, pos = (None, pos) if char == 0x5B else _key(text, pos)
                stack.append(container)
                keys.append(key)
                continue
            value, pos = container, pos + 1
        elif char == 0x22:
            value, pos = _string(text, pos)
        elif char in _LITERALS:
            letters, value = _LITERALS[char]
            pos = word(text, pos, letters)
        else:
            value, pos = number(text, pos)
        while stack:  # store the value, and close the arrays and objects that end after it
            pos = space(text, pos).end()
            char, top = text[pos], stack[-1]
            if type(top) is list:
                top.append(value)
                if char == 0x2C:
                    pos = space(text, pos + 1).end()
                    if type(value) is float or type(value) is int:
                        values, pos = read_run(text, pos)
                        top += values
                    break
                if char != 0x5D:
                    raise parse_error("Missing a comma or ']' after an array element.", pos)
            else:
                top.append((keys[-1], value))
                if char == 0x2C:
                    keys[-1], pos = _key(text, space(text, pos + 1).end())
                    break
                if char != 0x7D:
                    raise parse_error("Missing a comma or '}' after an object member.", pos)
            pos += 1
            value = stack.pop()
            keys.pop()
        else:
            pos = space(text, pos).end()
            if text[pos] != 0:
                raise parse_error("The document root must not be followed by other values.", pos)
            return value


def _key(text: bytes, pos: int) -> tuple[bytes, int]:
    if text[pos] != 0x22:
        raise parse_error("Missing a name for object member.", pos)
    key, pos = _string(text, pos)
    pos = _SPACE.match(text, pos).end()
    if text[pos] != 0x3A:
        raise parse_error("Missing a colon after a name of object member.", pos)
    return key, _SPACE.match(text, pos + 1).end()


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
            raise parse_error("Missing a closing quotation mark in string.", pos)
        if char != 0x5C:
            raise parse_error("Invalid escape character in string.", pos)
        if text[pos + 1] in _ESCAPES:
            parts.append(_ESCAPES[text[pos + 1]])
            pos += 2
        elif text[pos + 1] == 0x75:
            start = pos
            code, pos = _hex4(text, pos + 2, start)
            if 0xD800 <= code <= 0xDBFF:
                if text[pos : pos + 2] != b"\\u":
                    raise parse_error("The surrogate pair in string is invalid.", start)
                low, pos = _hex4(text, pos + 2, start)
                if not 0xDC00 <= low <= 0xDFFF:
                    raise parse_error("The surrogate pair in string is invalid.", start)
                code = (((code - 0xD800) << 10) | (low - 0xDC00)) + 0x10000
            parts.append(chr(code).encode("utf-8", "surrogatepass"))  # a lone low surrogate is accepted, as upstream
        else:
            raise parse_error("Invalid escape character in string.", pos)


def _hex4(text: bytes, pos: int, start: int) -> tuple[int, int]:
    match = _HEX4.match(text, pos)
    if not match:
        raise parse_error("Incorrect hex digit after \\u escape in string.", start)
    return int(match[0], 16), match.end()
