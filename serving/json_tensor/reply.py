"""The reply to a REST predict request, and error replies (tensorflow/serving, util/json_tensor.cc)."""

import base64
import itertools

import numpy as np
import orjson

from tfgen_serving.json_tensor.parser import invalid
from tfgen_serving.json_tensor.text import decimal_texts, string_text

# Replies with more numbers than this are written by orjson: with the shortest digits and no white space inside of a tensor,
# but the same values. Small replies have the same text as upstream.
FAST_REPLY_VALUES = 2048

_NAMES = {"float16": "half"}
_FAST_KINDS = "fiub"


def format_predict(outputs: dict[str, np.ndarray], row: bool) -> bytes:
    """The body of a reply: `predictions` for `row`, else `outputs`.

    A single output is printed as it is, several as an object in the order of `outputs`. Raises ServingError
    (INVALID_ARGUMENT) for an output without a batch dimension or with a batch size that differs from the first output's
    (`row` only), and for dtypes without a JSON form (float16, bfloat16, uint16, complex).
    """
    if not outputs:
        raise invalid("Cannot convert empty tensor map to JSON")
    outputs = {name: np.asarray(array) for name, array in outputs.items()}
    numbers = sum(array.size for array in outputs.values() if array.dtype.kind in _FAST_KINDS)
    writers = {name: _Writer(name, array, numbers > FAST_REPLY_VALUES) for name, array in outputs.items()}
    if not row:
        if len(writers) == 1:
            return b'{\n    "outputs": %s\n}' % next(iter(writers.values())).text(1, single_line=False)
        members = (_key(name, 2) + writer.text(2, single_line=False) for name, writer in writers.items())
        return b'{\n    "outputs": {%s\n    }\n}' % b",".join(members)
    batch = None
    for name, array in outputs.items():
        if array.ndim == 0:
            raise invalid(f"Tensor name: {name} has no shape information ")
        if batch not in (None, len(array)):
            raise invalid(f"Tensor name: {name} has inconsistent batch size: {len(array)} expecting: {batch}")
        batch = len(array)
    if batch == 0:
        return b'{\n    "predictions": []\n}'
    if len(writers) == 1:
        (writer,) = writers.values()
        if writer.fast and writer.array.ndim > 1:
            return b'{\n    "predictions": %s\n}' % writer.text(1, single_line=True)
        return b'{\n    "predictions": [%s\n    ]\n}' % b", ".join(writer.items(2))
    columns = [[_key(name, 3) + text for text in writer.items(3)] for name, writer in writers.items()]
    rows = (b"\n        {%s\n        }" % b",".join(members) for members in zip(*columns, strict=True))
    return b'{\n    "predictions": [%s\n    ]\n}' % b",".join(rows)


def format_error(message: str) -> bytes:
    """The body of an error reply. Invalid Unicode in the message is replaced, so clients can always parse the reply."""
    return b'{\n    "error": %s\n}' % string_text(message.encode("utf-8", "replace"))


def _key(name: str, depth: int) -> bytes:
    return b"\n" + b"    " * depth + string_text(name.encode()) + b": "


class _Writer:
    """Writes one output, as a whole or item by item."""

    def __init__(self, name: str, array: np.ndarray, fast: bool):
        self.array = array
        self.as_bytes = name.endswith("_bytes")
        self.fast = fast and array.dtype.kind in _FAST_KINDS and array.dtype not in (np.float16, np.uint16)

    def text(self, depth: int, single_line: bool) -> bytes:
        """The whole tensor, at nesting depth `depth`."""
        if self.fast:
            return _fast_text(self.array)
        return _nested(_leaf_texts(self.array, self.as_bytes, depth + self.array.ndim), self.array.shape, depth, single_line)

    def items(self, depth: int) -> list[bytes]:
        """The tensors along the first dimension, each on a single line at nesting depth `depth`."""
        if self.fast and self.array.ndim > 1:
            return [_fast_text(item) for item in self.array]
        shape = self.array.shape[1:]
        leaves = _leaf_texts(self.array, self.as_bytes, depth + len(shape))
        return [_nested(leaves, shape, depth, True) for _ in range(len(self.array))]


def _fast_text(array: np.ndarray) -> bytes:
    """A numeric tensor of any rank in compact JSON. orjson prints NaN and infinities as null; these are replaced."""
    text = orjson.dumps(np.ascontiguousarray(array).reshape(array.shape), option=orjson.OPT_SERIALIZE_NUMPY)
    if array.dtype.kind == "f" and b"null" in text:
        odd = (text.encode() for text in decimal_texts(array[~np.isfinite(array)]))
        parts = text.split(b"null")
        text = b"".join(itertools.chain.from_iterable(zip(parts, [*odd, b""], strict=True)))
    return text


def _leaf_texts(array: np.ndarray, as_bytes: bool, depth: int):
    """An iterator over the texts of a tensor's values, at nesting depth `depth`."""
    kind = array.dtype.kind
    flat = array.reshape(-1)
    if array.dtype in (np.float32, np.float64):
        return iter([text.encode() for text in decimal_texts(flat)])
    if kind == "b":
        return iter([b"true" if value else b"false" for value in flat.tolist()])
    if kind in "iu" and array.dtype != np.uint16:
        return iter([b"%d" % value for value in flat.tolist()])
    if kind in "OSU":
        values = [value.encode() if isinstance(value, str) else bytes(value) for value in flat.tolist()]
        if not as_bytes:
            return iter(list(map(string_text, values)))
        indent = b"\n" + b"    " * depth
        return iter([b'{%s    "b64": "%s"%s}' % (indent, base64.b64encode(value), indent) for value in values])
    if array.size:
        name = array.dtype.name
        raise invalid(f"Failed to write JSON value for tensor type: {_NAMES.get(name, name)}")
    return iter(())


def _nested(leaves, shape: tuple[int, ...], depth: int, single_line: bool) -> bytes:
    if not shape:
        return next(leaves)
    if shape[0] == 0:
        return b"[]"
    parts = [_nested(leaves, shape[1:], depth + 1, single_line) for _ in range(shape[0])]
    if single_line:
        return b"[%s]" % b", ".join(parts)
    indent = b"\n" + b"    " * (depth + 1)
    return b"[%s%s%s]" % (indent, (b"," + indent).join(parts), indent[:-4])
