"""What a recording's file says besides its cycles, and under which names: metadata, channels, events, attachments.

metadata  "rt-engine"           format, software, created_ns, offset_ns, boot_id, and what the recorder adds (machine, why, ...)
          "rt-engine/layouts"   task -> layout (`TaskLayout.to_json`)
          "rt-engine/versions"  "versions" -> [{task, number, sha256, model}...]: those known when the file was begun
          "rt-engine/station"   "text" -> the station file
channel   /tasks/NAME              cycles        cdr, ros2msg   metadata: task, kind = "records"
          /tasks/NAME/checkpoints  checkpoints   cdr, ros2msg   metadata: task, kind = "checkpoints"
          /events                  events        json, jsonschema          kind = "events"
attached  models/SHA256.onnx, other files by their names
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from rt_engine.errors import RecordingError

ABOUT, LAYOUTS, VERSIONS, STATION = "rt-engine", "rt-engine/layouts", "rt-engine/versions", "rt-engine/station"
ARITHMETIC = "arithmetic"
"""In `ABOUT`: how the machine added products (`rt_native.machine.ARITHMETICS`); recordings that do not say it are of `fused`."""
RECORDS, CHECKPOINTS, EVENTS = "records", "checkpoints", "events"
FORMAT = "1"
EVENTS_TOPIC = "/events"
EVENT_SCHEMA = json.dumps(
    {
        "title": "rt_engine.Event",
        "type": "object",
        "properties": {
            "tick_ns": {"type": "integer", "description": "on the clock of the tasks"},
            "kind": {"type": "string", "description": "trigger, version, dropped, salvage, offset, ..."},
            "task": {"type": "string"},
            "text": {"type": "string"},
        },
        "required": ["tick_ns", "kind"],
    }
)
MODELS = "models/"
"""What the names of attached models begin with; their SHA-256 follows."""

MOST_NS = 1 << 62
"""Of a tick: with its offset it stays a number of 64 bits."""
MOST_VERSION = (1 << 63) - 1
"""Of a version: a record has 64 bits for it."""

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Version:
    """Which model a number in `version` of a task's records means.

    Args:
        task: whose records.
        number: in them.
        sha256: of the model file, in hex.
        model: its name in the station file.
    """

    task: str
    number: int
    sha256: str
    model: str = ""


def topic(task: str, kind: str) -> str:
    """The name of a task's channel."""
    return f"/tasks/{task}" + ("/checkpoints" if kind == CHECKPOINTS else "")


def versions_to_json(versions: Iterable[Version]) -> str:
    """As metadata."""
    return json.dumps([asdict(version) for version in versions])


def versions_from_json(text: str) -> tuple[Version, ...]:
    """What `versions_to_json` wrote.

    Raises:
        RecordingError: it cannot be read.
    """
    try:
        return tuple(_version(plain) for plain in json.loads(text))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise RecordingError(f"its list of versions cannot be read: {type(error).__name__}: {error}") from None


def version_of(event: Event) -> Version | None:
    """The version that an event of kind "version" tells of, else None."""
    if event.get("kind") != "version":
        return None
    try:
        return _version(event)
    except (TypeError, KeyError):
        return None


def _version(plain: Any) -> Version:
    task, number, sha256, model = plain["task"], plain["number"], plain["sha256"], plain.get("model", "")
    if not (isinstance(task, str) and isinstance(number, int) and isinstance(sha256, str) and isinstance(model, str)):
        raise TypeError("task, sha256 and model are texts, number is a number")
    if not 0 <= number <= MOST_VERSION:
        raise TypeError("a version is a number of 63 bits")
    return Version(task, number, sha256, model)


def event_from_json(data: bytes) -> Event:
    """An event's message.

    Raises:
        RecordingError: it is no JSON object with `tick_ns` and `kind`.
    """
    try:
        event = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RecordingError(f"an event that is no JSON: {error}") from None
    if (
        not isinstance(event, dict)
        or not isinstance(event.get("tick_ns"), int)
        or not isinstance(event.get("kind"), str)
    ):
        raise RecordingError("an event without 'tick_ns' and 'kind'")
    if not -MOST_NS <= event["tick_ns"] <= MOST_NS:
        raise RecordingError("an event with a tick that is none")
    return event
