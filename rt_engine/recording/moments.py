"""When something was, in words: a tick, a time, a number, a trigger."""

import re
from datetime import UTC, datetime, timedelta

from rt_engine.errors import RecordingError
from rt_engine.recording.recording import Recording

_UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "": 10**9, "min": 60 * 10**9, "h": 3600 * 10**9}
_AFTER = re.compile(r"\+(?P<number>\d+(\.\d+)?) ?(?P<unit>ns|us|ms|s|min|h|)")
_FRACTION = re.compile(r"\.(\d{1,9})")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FORMS = "a tick (123456789), #NUMBER of a cycle, a time (2026-11-28T03:12:00.5Z), +12.5s since the begin, @N for the Nth trigger"


def utc_ns(recording: Recording, text: str, task: str | None = None) -> int:
    """When that was in UTC; ticks and numbers are a task's.

    Raises:
        RecordingError: it is none of `FORMS`, or there is no such thing in the recording.
    """
    if text.startswith("@"):
        return _trigger(recording, text[1:])
    if text.startswith("+"):
        return span(recording)[0] + duration_ns(text[1:])
    if re.fullmatch(r"#?\d+", text):
        cycles = recording.task(task)
        row = cycles.rows(int(text.lstrip("#")), by="number" if text[0] == "#" else "tick")[0]
        found = cycles.utc_ns(row, row + 1, "row")
        return int(found[0]) if len(found) else span(recording)[1] + 1
    return time_ns(text)


def duration_ns(text: str) -> int:
    """ "10 s", "500ms", "2 min"; without a unit seconds.

    Raises:
        RecordingError: it is none.
    """
    match = _AFTER.fullmatch(f"+{text}")
    if match is None:
        raise RecordingError(f"{text!r} is no duration; write for example 10s, 500ms, 2min")
    whole, _, part = str(match["number"]).partition(".")
    unit: int = _UNITS[match["unit"]]
    return int(whole) * unit + int(part or 0) * unit // int(10 ** len(part))


def span(recording: Recording) -> tuple[int, int]:
    """UTC of the first and of the last cycle; of a recording without cycles 0, 0."""
    spans = [task.span[2:] for name in recording.tasks if len(task := recording.task(name))]
    return min((first for first, _ in spans), default=0), max((last for _, last in spans), default=0)


def in_words(utc_ns: int) -> str:
    """As `utc_ns` reads it."""
    try:
        moment = _EPOCH + timedelta(seconds=utc_ns // 10**9)
    except OverflowError:
        return f"{utc_ns} ns"
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{utc_ns % 10**9:09d}Z"


def time_ns(text: str) -> int:
    """UTC of a time as ISO 8601 has it, to the nanosecond; without a zone it is UTC.

    Raises:
        RecordingError: it is none.
    """
    fraction = _FRACTION.search(text)
    try:
        moment = datetime.fromisoformat(_FRACTION.sub("", text, count=1))
    except ValueError:
        raise RecordingError(f"{text!r} says no moment; write {FORMS}") from None
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
    return (since.days * 86400 + since.seconds) * 10**9 + int(fraction[1].ljust(9, "0") if fraction else 0)


def _trigger(recording: Recording, number: str) -> int:
    triggers = [event for event in recording.events if event["kind"] == "trigger"]
    if not number.isdigit() or not 1 <= int(number) <= len(triggers):
        raise RecordingError(f"no trigger '@{number}': the recording has {len(triggers)}, from @1")
    return int(triggers[int(number) - 1]["utc_ns"])
