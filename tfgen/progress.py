"""Lines about long work, at most one in some seconds, such as "real images: 2,560 of 60,000, about 3 min left".

They go to the logger `tfgen.progress`, at the level INFO: the command and the pipeline show them, and scripts do with
`logging.basicConfig(level=logging.INFO)`. Importing this module does not import TensorFlow.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator

LOGGER = logging.getLogger("tfgen.progress")
EVERY = 5.0  # seconds


class Progress:
    """Reports how far a long work is; short work says nothing. Several threads may share one.

    Example:
        >>> lines = []
        >>> progress = Progress("images", 4, lines.append, every=0.0)
        >>> progress.add(1); progress.add(3)
        >>> lines[1]
        'images: 4 of 4'

    Args:
        what: the beginning of each line.
        total: how much there is to do; None: unknown.
        report: function of a line; default: the logger `tfgen.progress`.
        every: seconds between two lines, and before the first; None: `EVERY`.
    """

    def __init__(
        self, what: str, total: int | None = None, report: Callable[[str], object] | None = None, *,
        every: float | None = None,
    ):  # fmt: skip
        self.what, self.total, self.every, self.done = what, total, EVERY if every is None else every, 0
        self.report = LOGGER.info if report is None else report
        self._lock, self._said = threading.Lock(), time.monotonic()
        self._first: tuple[int, float] | None = None

    def add(self, number: int = 1, more: str = "") -> None:
        """Counts what has been done; `more`: the end of the line."""
        with self._lock:
            self.done += number
            now = time.monotonic()
            # The first part takes longer than the others: it traces graphs.
            self._first = first, since = self._first or (self.done, now)
            if now - self._said < self.every:
                return
            self._said = now
            line = f"{self.what}: {self.done:,}"
            if self.total is not None:
                line += f" of {self.total:,}"
                if first < self.done < self.total:
                    left = (self.total - self.done) * (now - since) / (self.done - first)
                    line += f", about {duration(left)} left"
        self.report(line + more)


def duration(seconds: float) -> str:
    """A time as people say it: "0.4 s", "50 s", "12 min", "3 h 20 min", "2 d 4 h"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24} h"


@contextlib.contextmanager
def shown(show: Callable[[str], object]) -> Iterator[None]:
    """A context in which `show` is called with each line, and the loggers above do not see them."""
    handler = logging.Handler()
    handler.emit = lambda record: show(record.getMessage())  # type: ignore[method-assign, assignment]
    before = LOGGER.level, LOGGER.propagate
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)
        LOGGER.setLevel(before[0])
        LOGGER.propagate = before[1]
