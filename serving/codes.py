"""`StatusCode`: the one of grpcio, or, if that is not installed (REST does not need it), an enum with the same names."""

import enum

try:
    from grpc import StatusCode
except ModuleNotFoundError:
    StatusCode = enum.Enum(
        "StatusCode",
        "OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED "
        "RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS "
        "UNAUTHENTICATED",
        start=0,
    )

__all__ = ["StatusCode"]
