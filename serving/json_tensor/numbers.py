"""Decimals with the arithmetic of RapidJSON: one by `number`, many at once by `read_run` and `doubles`.

`doubles` makes the steps of `number` for all numbers together, digit by digit, with NumPy.
"""

import itertools
import math
import re

import numpy as np

from tfgen_serving.errors import ServingError
from tfgen_serving.json_tensor.parse_errors import parse_error

_NUMBER = re.compile(rb"-?(0|[1-9][0-9]*)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?")
_POW10 = [float(f"1e{n}") for n in range(309)]
_POW10_ARRAY = np.array(_POW10)
_INT53 = 2**53 - 1
_MAX_LENGTH, _MAX_INTEGER_DIGITS = 40, 18  # of numbers in `doubles`; it leaves others to `number`
_MAX_EXPONENT = 10**9  # larger exponents give the same numbers
_RUN = re.compile(rb"(?:-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?[ \t\n\r]*,[ \t\n\r]*){1,4096}")
_AFTER_NUMBER = re.compile(rb"[ \t\n\r]*,[ \t\n\r]*")
_LONG_RUN = 64  # numbers; for fewer NumPy saves no time


def number(text: bytes, pos: int) -> tuple[int | float, int]:
    """The number at `pos` of a text that ends with NUL, and the position after it."""
    match = _NUMBER.match(text, pos)
    minus = text[pos] == 0x2D
    if not match:
        pos += minus
        if text[pos] == 0x4E:
            return math.nan, word(text, pos, b"NaN")
        pos = word(text, pos, b"Inf")
        if text[pos] == 0x69:
            pos = word(text, pos, b"inity")
        return (-math.inf if minus else math.inf), pos
    integer, fraction, exponent = match.groups()
    end = match.end()
    if exponent is None:
        if text[end] == 0x2E and fraction is None:
            raise parse_error("Miss fraction part in number.", end + 1)
        if text[end] in b"eE":
            raise parse_error("Miss exponent in number.", end + 1 + (text[end + 1] in b"+-"))
        if fraction is None and len(integer) <= 20:
            value = int(integer)
            if value <= (1 << 63 if minus else (1 << 64) - 1):
                return (-value if minus else value), end
    value = _double(integer, fraction or b"", exponent, 1 << 63 if minus else (1 << 64) - 1)
    if value is None:
        raise parse_error("Number too big to be stored in double.", pos)
    return (-value if minus else value), end


def _double(integer: bytes, fraction: bytes, exponent: bytes | None, int_max: int) -> float | None:
    """The magnitude of a decimal, computed like RapidJSON's `StrtodNormalPrecision`; None: too big."""
    power = 0
    if len(integer) + len(fraction) <= 16:  # the common case: the whole significand is below 10 * 2^53 before the last digit
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


def word(text: bytes, pos: int, letters: bytes) -> int:
    """The position after `letters`, which must be at `pos`."""
    for char in letters:
        if text[pos] != char:
            raise parse_error("Invalid value.", pos)
        pos += 1
    return pos


def read_run(text: bytes, pos: int) -> tuple[list[int | float], int]:
    """The numbers from `pos` on, up to 4096, that are each followed by a comma, and the position after the last comma."""
    match = _RUN.match(text, pos)
    if match is None:
        return [], pos
    tokens = match[0].translate(None, b" \t\n\r").split(b",")[:-1]
    try:
        if len(tokens) < _LONG_RUN:
            return list(map(_one, tokens)), match.end()
        integers = [b"." not in token and b"e" not in token and b"E" not in token for token in tokens]
        if all(integers):
            short = max(map(len, tokens)) <= _MAX_INTEGER_DIGITS
            return list(map(int if short else _one, tokens)), match.end()
        values = doubles(tokens).tolist()
        for index in itertools.compress(range(len(tokens)), integers):
            values[index] = _one(tokens[index])
        return values, match.end()
    except ServingError:
        while True:  # the same error again, with its place in the text
            pos = _AFTER_NUMBER.match(text, number(text, pos)[1]).end()


def _one(token: bytes) -> int | float:
    return int(token) if len(token) <= _MAX_INTEGER_DIGITS and token.lstrip(b"-").isdigit() else number(token + b"\0", 0)[0]


def doubles(tokens: list[bytes]) -> np.ndarray:
    """float64 [n] of valid JSON numbers, bit for bit as `number` reads them. Raises ServingError if one is too big."""
    text = np.frombuffer(b",".join([*tokens, b""]), np.uint8)
    ends = np.flatnonzero(text == 0x2C)
    starts = np.concatenate([[0], ends[:-1] + 1])
    odd = ends - starts > _MAX_LENGTH
    # One row for each place in a number, one column for each number; zeros follow the shorter ones.
    places = starts + np.arange(min((ends - starts).max(initial=1), _MAX_LENGTH))[:, None]
    places = np.where(places < ends, text[np.minimum(places, len(text) - 1)], np.uint8(0))
    significand = np.zeros(len(tokens), np.uint64)
    value = np.zeros(len(tokens))
    integer_digits, power, digits, exponent = (np.zeros(len(tokens), np.int64) for _ in range(4))
    negative, small, fraction, after_e, rounded = (np.zeros(len(tokens), bool) for _ in range(5))
    for place in places:
        digit_value = place - np.uint8(48)  # wraps, so that all characters but digits become 10 or larger
        digit = digit_value < 10
        if not digit.all():
            minus = place == 0x2D
            small |= minus & after_e
            negative |= minus & ~after_e
            fraction |= place == 0x2E
            after_e |= (place | 0x20) == 0x65  # e or E
        if after_e.any():
            longer = np.minimum(exponent * 10 + digit_value, _MAX_EXPONENT)
            exponent = np.where(digit & after_e, longer, exponent)
            digit &= ~after_e
        full = fraction & (significand > np.uint64(_INT53))  # these continue as float64, with up to 17 digits
        exact = digit & ~full
        significand = np.where(exact, significand * np.uint64(10) + digit_value, significand)
        integer_digits += digit & ~fraction
        digits += exact & (~fraction | (significand != 0))
        power -= exact & fraction
        full &= digit
        if full.any():
            value = np.where(full & ~rounded, significand.astype(np.float64), value)
            rounded |= full
            full &= digits < 17 + 1  # the first digit does not count
            value = np.where(full, value * 10.0 + digit_value, value)
            digits += full
            power -= full
    value = np.where(rounded, value, significand.astype(np.float64))
    odd |= (integer_digits > _MAX_INTEGER_DIGITS + (~negative).astype(np.int64)) | (~small & (exponent > 308 - power))
    power += np.where(small, -exponent, exponent)
    scale = _POW10_ARRAY[np.minimum(np.abs(power), 308)]
    with np.errstate(over="ignore"):
        result = np.where(power >= 0, value * scale, value / scale)
    tiny = power < -308
    if tiny.any():
        rest = _POW10_ARRAY[np.clip(-power - 308, 0, 308)]
        result = np.where(tiny, np.where(power >= -616, result / rest, 0.0), result)
    negative &= fraction | after_e | (result != 0)  # -0 is an integer and has no sign
    result = np.where(negative, -result, result)
    for index in np.flatnonzero(odd).tolist():
        result[index] = number(tokens[index] + b"\0", 0)[0]
    return result
