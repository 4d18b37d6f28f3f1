"""The exception of the server, and the HTTP status of its gRPC code (as in tensorflow/serving, http_server.cc)."""

from tfgen_serving.codes import StatusCode

_HTTP_STATUS = {
    StatusCode.OK: 200,
    StatusCode.CANCELLED: 499,
    StatusCode.UNKNOWN: 500,
    StatusCode.INVALID_ARGUMENT: 400,
    StatusCode.DEADLINE_EXCEEDED: 504,
    StatusCode.NOT_FOUND: 404,
    StatusCode.ALREADY_EXISTS: 409,
    StatusCode.PERMISSION_DENIED: 403,
    StatusCode.UNAUTHENTICATED: 401,
    StatusCode.RESOURCE_EXHAUSTED: 429,
    StatusCode.FAILED_PRECONDITION: 400,
    StatusCode.ABORTED: 409,
    StatusCode.OUT_OF_RANGE: 400,
    StatusCode.UNIMPLEMENTED: 501,
    StatusCode.INTERNAL: 500,
    StatusCode.UNAVAILABLE: 503,
    StatusCode.DATA_LOSS: 500,
}


class ServingError(Exception):
    """A request that cannot be answered: `code` is a `grpc.StatusCode`, `message` is the text for the client."""

    def __init__(self, code: StatusCode, message: str):
        if not isinstance(code, StatusCode):
            raise TypeError(f"code must be a grpc.StatusCode member, got {code!r}")
        super().__init__(message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}"

    def __reduce__(self):  # the default calls ServingError(message), without the code
        return type(self), (self.code, self.message)


def http_status(code: StatusCode) -> int:
    """The HTTP status for the gRPC code `code` (OK is 200, INVALID_ARGUMENT is 400, ...)."""
    return _HTTP_STATUS[code]
