"""The errors of parsing JSON."""

import grpc

from tfgen_serving.errors import ServingError


def invalid(message: bytes | str) -> ServingError:
    """An INVALID_ARGUMENT error; bytes that are not UTF-8 become U+FFFD, so the reply is well formed."""
    if isinstance(message, bytes):
        message = message.decode("utf-8", "replace")
    return ServingError(grpc.StatusCode.INVALID_ARGUMENT, message)


def parse_error(what: str, offset: int) -> ServingError:
    return invalid(f"JSON Parse error: {what} at offset: {offset}")
