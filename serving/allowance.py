"""`Allowance`: the limits of one request."""

import time

import grpc

from tfgen_serving.errors import ServingError
from tfgen_serving.memory_budget import MemoryBudget


class Allowance:
    """Limits of one request: elements, memory and time. It is released once, when the request is answered.

    Args:
        budget: the memory of all requests; None: no limit.
        max_elements: maximum number of values, lists and objects in a JSON body, and of values of a tensor that are not
            sent but repeated; None: no limit.
        deadline: a time of `time.monotonic()`; None: no limit.
    """

    def __init__(self, *, budget: MemoryBudget | None = None, max_elements: int | None = None, deadline=None):
        self.max_elements, self.deadline = max_elements, deadline
        self._budget, self._held = budget, 0

    def check_elements(self, count: int) -> None:
        """Raises ServingError (INVALID_ARGUMENT) for more elements than the limit."""
        if self.max_elements is not None and count > self.max_elements:
            raise ServingError(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"The request has {count} or more elements; this server takes at most {self.max_elements}",
            )

    def check_time(self) -> None:
        """Raises ServingError (DEADLINE_EXCEEDED) after the deadline."""
        if self.deadline is not None and time.monotonic() >= self.deadline:
            raise ServingError(grpc.StatusCode.DEADLINE_EXCEEDED, "Timed out before the request was read")

    def reserve(self, count: int) -> None:
        """Takes `count` bytes of the budget until `release`. Raises ServingError (RESOURCE_EXHAUSTED)."""
        if self._budget is not None:
            self._budget.take(count, self._held)
            self._held += count

    def release(self) -> None:
        """Gives all bytes of the request back to the budget; a second call does nothing."""
        if self._budget is not None:
            self._budget.give_back(self._held)
            self._held = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.release()


UNLIMITED = Allowance()
