"""`RepeatedWarning`: a warning about a condition that lasts."""

import logging
import time

LONGEST_PAUSE = 300.0  # seconds
_log = logging.getLogger("tfgen.serving")


class RepeatedWarning:
    """Logs a warning that recurs: at once, and then after pauses that double, up to five minutes."""

    def __init__(self, first_pause=1.0):
        self.text = None
        self._first_pause, self._pause, self._due, self._topic = first_pause, first_pause, 0.0, None

    def log(self, text, topic=""):
        """Logs `text`, except during a pause. A new topic is logged at once; a new text on the same topic is not."""
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
        """Ends the pause: the condition no longer holds."""
        self.text = self._topic = None
