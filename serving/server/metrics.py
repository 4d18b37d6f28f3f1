"""Counters and histograms under TensorFlow Serving's names, in Prometheus' text form.

https://prometheus.io/docs/instrumenting/exposition_formats/. Times are microseconds; buckets as upstream: 10 * 1.8**n.
"""

import bisect
import threading

BOUNDS = [10 * 1.8**n for n in range(32)]


class Metrics:
    """The metrics of one server. Thread-safe. Callers must pass only names of configured models, so the number of labels is
    bounded.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._counts = {}
        self._histograms = {}

    def count(self, name, **labels):
        """Adds 1 to the counter `name` with these labels."""
        key = name, tuple(labels.items())
        with self._lock:
            self._counts[key] = self._counts.get(key, 0) + 1

    def observe(self, name, micros, **labels):
        """Adds one duration, in microseconds, to the histogram `name` with these labels."""
        key = name, tuple(labels.items())
        with self._lock:
            buckets, total = self._histograms.get(key) or ([0] * (len(BOUNDS) + 1), 0.0)
            buckets[bisect.bisect_left(BOUNDS, micros)] += 1
            self._histograms[key] = buckets, total + micros

    def page(self):
        """All metrics as text."""
        with self._lock:
            counts = sorted(self._counts.items())
            histograms = sorted((key, (list(buckets), total)) for key, (buckets, total) in self._histograms.items())
        lines, seen = [], set()

        def head(name, kind):
            if name not in seen:
                seen.add(name)
                lines.append(f"# TYPE {name} {kind}")

        for (name, labels), value in counts:
            head(name, "counter")
            lines.append(f"{name}{{{_text(labels)}}} {value}")
        for (name, labels), (buckets, total) in histograms:
            head(name, "histogram")
            running = 0
            for bound, number in zip([*(f"{b:g}" for b in BOUNDS), "+Inf"], buckets, strict=True):
                running += number
                lines.append(f'{name}_bucket{{{_text(labels)},le="{bound}"}} {running}')
            lines.append(f"{name}_sum{{{_text(labels)}}} {total:g}")
            lines.append(f"{name}_count{{{_text(labels)}}} {running}")
        return "\n".join(lines) + "\n"

    def request(self, model, api, entrypoint, status, seconds):
        """Counts one answered request."""
        self.count(":tensorflow:serving:request_count", model_name=model, status=status)
        self.observe(
            ":tensorflow:serving:request_latency",
            seconds * 1e6,
            model_name=model,
            API=api,
            entrypoint=entrypoint,
            status=status,
        )


def _text(labels):
    return ",".join(f'{name}="{_escape(value)}"' for name, value in labels)


def _escape(value):
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
