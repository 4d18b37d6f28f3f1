"""Lines about long work: how many, and what they say."""

import logging

import pytest

from tfgen import progress


def test_lines_come_after_some_seconds_and_tell_the_time_left(monkeypatch):
    now, lines = [100.0], []
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    work = progress.Progress("images", 1000, lines.append)
    for _ in range(100):
        now[0] += 0.6
        work.add(10, ", loss 2")
    assert 11 <= len(lines) <= 12  # of 60 seconds
    assert lines[0] == "images: 90 of 1,000, about 55 s left, loss 2" and work.done == 1000
    unknown = progress.Progress("preparing", report=lines.append, every=0.0)
    unknown.add(12345)
    assert lines[-1] == "preparing: 12,345"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (42.4, "42 s"), (99.6, "2 min"), (3540, "59 min"), (12000, "3 h 20 min"),
     (2.5 * 86400, "2 d 12 h")],
)  # fmt: skip
def test_durations_are_words(seconds, words):
    assert progress.duration(seconds) == words


def test_lines_are_shown_where_somebody_asks_for_them(caplog):
    lines = []
    caplog.set_level(logging.INFO)
    with progress.shown(lines.append):
        progress.Progress("a", every=0.0).add()
    assert lines == ["a: 1"] and not caplog.records
    progress.Progress("b", every=0.0).add()
    assert lines == ["a: 1"] and [record.getMessage() for record in caplog.records] == ["b: 1"]
