"""Which slot of a station the model of a recorded task is, and how the station file has it loaded: before anything is set up again."""

from __future__ import annotations

import tomllib
from typing import Any

from rt_engine.binding import Binding
from rt_engine.errors import EngineError
from rt_engine.recording import Recording
from scheduler.errors import ReplayError


def slot_of(recording: Recording, task: str) -> str | None:
    """The slot of the model that a task runs as its own; None: it has none. Raises ReplayError."""
    table = _table(_tables(recording), "tasks", task)
    if table is None:
        raise ReplayError(f"the station file in the recording has no task '{task}'")
    model = table.get("model")
    return model if isinstance(model, str) else None


def binding_of(recording: Recording, slot: str) -> Binding:
    """Of a slot; nothing, where the file says nothing that can be used. Raises ReplayError."""
    table = _table(_tables(recording), "models", slot) or {}
    try:
        return Binding.from_json(table)
    except (EngineError, TypeError):
        return Binding()


def _tables(recording: Recording) -> dict[str, Any]:
    if not recording.station_text:
        raise ReplayError("the recording has no station file in it: how its tasks are made is not known")
    try:
        return tomllib.loads(recording.station_text)
    except (ValueError, RecursionError) as error:
        raise ReplayError(f"the station file in the recording cannot be read: {error}") from error


def _table(data: dict[str, Any], section: str, name: str) -> dict[str, Any] | None:
    tables = data.get(section)
    table = tables.get(name) if isinstance(tables, dict) else None
    return table if isinstance(table, dict) else None
