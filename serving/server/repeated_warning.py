"""`RepeatedWarning`: a warning that is true for a long time."""

import logging
import time

LONGEST_PAUSE = 300.0  # seconds
_log = logging.getLogger("tfgen.serving")


class RepeatedWarning:
    """Logs a warning that is raised again and again: at once, and then after pauses that double, up to five minutes."""

    def __init__(self, first_pause=1.0):
        self.text = None
        self._first_pause, self._pause, self._due, self._topic = first_pause, first_pause, 0.0, None

    def say(self, text, topic=""):
        """Logs `text`, unless it is in a pause. Another topic is logged at once; another text on the topic is not."""
        now, self.text = time.monotonic(), text
        if topic != self._topic:
            self._topic, self._pause = topic, self._first_pause
        elif now < self._due:
            return
        else:
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
        self._due = now + self._pause
        _log.warning("%s", text)

    def clear(self):
        """The warning is no longer true."""
        self.text = self._topic = None
