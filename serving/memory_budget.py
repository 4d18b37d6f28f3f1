"""`MemoryBudget`: memory that all requests of a server share."""

import threading

import grpc

from tfgen_serving.errors import ServingError


class MemoryBudget:
    """Counts the bytes that requests hold, up to `size` for all of them together. Thread-safe.

    The bytes are estimates: of bodies, of what is parsed from them, and of input tensors. A request that does not fit is
    refused at once and does not wait, so that large requests cannot occupy all threads.
    """

    def __init__(self, size: int):
        self.size = size
        self._held = 0
        self._lock = threading.Lock()

    @property
    def held(self) -> int:
        """Bytes that requests hold now."""
        return self._held

    def take(self, count: int, held: int = 0) -> None:
        """Adds `count` bytes of a request that has `held`. Raises ServingError (RESOURCE_EXHAUSTED) if they do not fit."""
        with self._lock:
            if self._held + count <= self.size:
                self._held += count
                return
        if held + count > self.size:
            why = f"The request needs about {held + count} bytes of memory; all requests together may take {self.size}"
        else:
            why = "Running requests use all of the memory that the server has for requests; try again later"
        raise ServingError(grpc.StatusCode.RESOURCE_EXHAUSTED, why)

    def give_back(self, count: int) -> None:
        """Subtracts `count` bytes that a request took and no longer needs."""
        with self._lock:
            self._held -= count
