"""Plain topics with JSON, for whoever knows no Sparkplug: one topic a value, retained, so that a new subscriber has it at once.

    PREFIX/STATION/Tags/temperature   {"value": 21.5, "unit": "degC", "quality": "good", "time": "2026-01-31T10:15:00.123Z"}
    PREFIX/STATION/status             {"state": "online", "time": ...}; "offline" is the will
    PREFIX/STATION/set/Tags/setpoint  from others: 21.5, or {"value": 21.5}

What was kept while the broker was away comes with `"historical": true` and is not retained: the newest value stays. NaN and
infinity, which JSON has not, are null.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from plc_bindings.mqtt.broker import Message
from plc_bindings.mqtt.payload import CommandError, Latest, Order, Record, encoded
from plc_bindings.mqtt.points import Change, Points


class Plain:
    """One station's topics below `prefix`. `latest`: see there; its own loop's thread only."""

    qos = 1

    def __init__(
        self,
        prefix: str,
        points: Points,
        latest: Latest,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._prefix, self._points, self._latest, self._now_ms = prefix, points, latest, now_ms

    def topics(self) -> Mapping[str, int]:
        """Of commands."""
        return {f"{self._prefix}/set/#": 1}

    def will(self) -> Message:
        """The station is gone."""
        return self._status("offline", None)

    def death(self) -> Message:
        """It says so itself."""
        return self._status("offline", self._now_ms())

    def births(self, time_ms: int) -> list[Message]:
        """It is there, with all values."""
        records = [record for i in range(len(self._points.groups)) if (record := self._latest(i)) is not None]
        return [self._status("online", time_ms), *(m for record in records for m in self.data(record, False))]

    def data(self, record: Record, is_historical: bool) -> list[Message]:
        """One message for each value."""
        return [self._message(record, change, is_historical) for change in record.changes]

    def history_ends(self, time_ms: int) -> list[Message]:
        """Nothing: history is not retained."""
        return []

    def is_of_host(self, topic: str) -> bool:
        """There is none."""
        return False

    def command(self, message: Message) -> Order:
        """Of a topic below `set`; raises `CommandError`."""
        name = message.topic.removeprefix(f"{self._prefix}/set/").replace("/", ".")
        point = self._points.by_name.get(name.lower())
        if point is None:
            raise CommandError(f"there is no {name[:100]!r} among what is published")
        if message.retain:
            raise CommandError(f"{point.name}: a retained command is an old one; publish it without `retain`")
        try:
            value = json.loads(message.payload)
        except (ValueError, RecursionError) as error:
            raise CommandError(f"{point.name}: is no JSON: {error}") from error
        if isinstance(value, dict):
            value = value.get("value")
        if not isinstance(value, bool | int | float | str):
            raise CommandError(f'{point.name}: expected a value, or {{"value": ...}}')
        return Order(((point, encoded(point, value)),))

    def _message(self, record: Record, change: Change, is_historical: bool) -> Message:
        point, value = change
        said = {
            "value": None if isinstance(value, float) and not math.isfinite(value) else value,
            **({"unit": point.unit} if point.unit else {}),
            "quality": record.quality.name.lower(),
            "time": _iso(record.time_ms),
            **({"historical": True} if is_historical else {}),
        }
        topic = f"{self._prefix}/{point.name.replace('.', '/')}"
        return Message(topic, _json(said), self.qos, retain=not is_historical)

    def _status(self, state: str, time_ms: int | None) -> Message:
        said = {"state": state, **({"time": _iso(time_ms)} if time_ms is not None else {})}
        return Message(f"{self._prefix}/status", _json(said), 1, retain=True)


def _iso(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _json(said: Mapping[str, object]) -> bytes:
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()
