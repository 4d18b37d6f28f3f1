"""Numbers, strings and whole values as TensorFlow Serving writes them in replies and quotes them in error messages."""

import fractions
import functools
import math
import re

import numpy as np

from tfgen_serving.json_tensor.parser import Object

# Error texts may quote the request. Upstream quotes all of it, with four blanks per level; here a quotation is cut after
# this many bytes.
MAX_QUOTED_BYTES = 65536

_SPECIAL = re.compile(rb'["\\\x00-\x1f]')
_SPECIAL_TEXT = {
    bytes([n]): b"\\" + {8: b"b", 9: b"t", 10: b"n", 12: b"f", 13: b"r", 34: b'"', 92: b"\\"}.get(n, b"u%04X" % n)
    for n in [*range(32), 34, 92]
}
_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def string_text(value: bytes) -> bytes:
    """`value` as a JSON string, without a check that it is UTF-8."""
    return b'"' + _SPECIAL.sub(lambda match: _SPECIAL_TEXT[match[0]], value) + b'"'


def decimal_texts(values: np.ndarray) -> list[str]:
    """float32 or float64 values [n] as in replies: 6 significant digits if they parse to the same value, else 9 or 17."""
    items = values.tolist()
    texts = [f"{value:g}" for value in items]
    with np.errstate(over="ignore"):
        back = np.array([float(text) for text in texts], np.float64).astype(values.dtype)
    digits = "9" if values.dtype == np.float32 else "17"
    for index in np.flatnonzero(back != values).tolist():
        texts[index] = f"{items[index]:.{digits}g}"
    return [text if "." in text or "e" in text else _NOT_FINITE.get(text) or text + ".0" for text in texts]


def decimal_text(value: float, single: bool) -> str:
    """The text of one value as float32 (`single`) or float64."""
    with np.errstate(over="ignore"):
        return decimal_texts(np.array([value], np.float64).astype(np.float32 if single else np.float64))[0]


def _writer_text(value: float) -> str:
    """A finite double as RapidJSON's own writer prints it (inside of quoted arrays and objects)."""
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    if value == 0:
        return sign + "0.0"
    digits, power = _grisu2(abs(value))
    point = len(digits) + power  # the decimal point is after this many digits
    if 0 <= power and point <= 21:
        return f"{sign}{digits}{'0' * power}.0"
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    return f"{sign}{digits[0]}{'.' + digits[1:] if len(digits) > 1 else ''}e{point - 1}"


def _grisu2(value: float) -> tuple[str, int]:
    """The digits and the power of ten of a positive double by Grisu2 (Loitsch 2010): they parse to `value`.

    They are nearly always the digits of `repr`. RapidJSON stops improving the last digit after nine fractional digits, so
    some texts of 16 and 17 digits differ.
    """
    fraction, exponent = math.frexp(value)
    exponent -= 53
    if exponent < -1074:  # subnormal
        fraction, exponent = math.ldexp(fraction, exponent + 1074), -1074
    significand = int(math.ldexp(fraction, 53))
    high, low = 2 * significand + 1, 2 * significand - 1  # the neighbours' boundaries, with one binary digit more
    shift = 64 - high.bit_length()
    high_f, low_f, scale = high << shift, low << shift, exponent - 1 - shift
    if significand == 1 << 52:
        low_f = (4 * significand - 1) << (shift - 1)
    w = significand << (64 - significand.bit_length())

    index = (math.ceil((-61 - scale) * 0.30102999566398114 + 347) >> 3) + 1
    power = -348 + 8 * index
    ten, ten_scale = _cached_power(power)
    scale += ten_scale + 64
    w, high_f, low_f = _product(w, ten), _product(high_f, ten) - 1, _product(low_f, ten) + 1
    delta, distance = high_f - low_f, high_f - w
    whole, part = high_f >> -scale, high_f & ((1 << -scale) - 1)

    digits, kappa = [], len(str(whole))
    for digit in str(whole):
        digits.append(int(digit))
        kappa -= 1
        rest = ((whole % 10**kappa) << -scale) + part
        if rest <= delta:
            unit = 10**kappa << -scale
            break
    else:
        unit = 1 << -scale
        while True:
            part, delta, kappa = part * 10, delta * 10, kappa - 1
            digits.append(part >> -scale)
            part &= unit - 1
            if part < delta:
                rest = part
                distance = distance * 10**-kappa if kappa > -9 else 0
                break
    while rest < distance and delta - rest >= unit and (rest + unit < distance or distance - rest > rest + unit - distance):
        digits[-1] -= 1
        rest += unit
    return "".join(map(str, digits)), kappa - power


def _product(a: int, b: int) -> int:
    """The upper 64 bits of a product of two 64 bit numbers, rounded."""
    return (a * b + (1 << 63)) >> 64


@functools.cache
def _cached_power(power: int) -> tuple[int, int]:
    """10**power as (64 bit significand, binary exponent)."""
    exact = fractions.Fraction(10) ** power
    scale = exact.numerator.bit_length() - exact.denominator.bit_length() - 64
    while not 1 << 63 <= (significand := round(exact / fractions.Fraction(2) ** scale)) < 1 << 64:
        scale += 1 if significand >= 1 << 64 else -1
    return significand, scale


def quote(value) -> bytes:
    """`value` as quoted in error messages: indented by four blanks, cut after MAX_QUOTED_BYTES.

    As upstream, the text ends before the first NaN or Infinity inside of an array or object.
    """
    if type(value) is float:
        return decimal_text(value, abs(value) <= 3.4028234e38).encode()
    parts, size = [], 0
    for part in _pretty(value):
        parts.append(part)
        size += len(part)
        if size > MAX_QUOTED_BYTES:
            return b"".join(parts)[:MAX_QUOTED_BYTES] + b"...TRUNCATED"
    return b"".join(parts)


def _pretty(value):
    stack = []  # iterators over the members of the open containers, each with its closing bracket
    while True:
        kind = type(value)
        if kind is list or kind is Object:
            brackets = b"[]" if kind is list else b"{}"
            yield brackets[:1]
            stack.append([iter(value), brackets[1:], kind is Object, True])
        elif kind is float:
            if not math.isfinite(value):
                return
            yield _writer_text(value).encode()
        elif kind is bytes:
            yield string_text(value)
        else:
            yield {None: b"null", True: b"true", False: b"false"}[value] if kind is not int else b"%d" % value
        while stack:
            members, closing, named, first = stack[-1]
            value = next(members, stack)  # `stack` itself: no member is left
            if value is not stack:
                stack[-1][3] = False
                yield (b"\n" if first else b",\n") + b"    " * len(stack)
                if named:
                    key, value = value
                    yield string_text(key) + b": "
                break
            stack.pop()
            yield closing if first else b"\n" + b"    " * len(stack) + closing
        else:
            return
