"""The tables of a task's monitor, fallback and smaller model -> what a scheduler's task is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from rt_engine import ModelSlot
from scheduler.envelope import Envelope
from scheduler.instead import Fallback, Monitor, OfTheTask, OnLate
from station.terms.instead import ENVELOPE, SLOT, FallbackTable, MonitorTable, OnLateTable

NS = 1_000_000_000


def monitor_of(table: MonitorTable | None, slots: Mapping[str, ModelSlot]) -> Monitor | None:
    """The monitor of a table that was checked."""
    if table is None:
        return None
    return Monitor(
        model=Envelope(table.quantile) if table.model == ENVELOPE else slots[table.model],
        limit=table.limit_or_usual,
        delay_s=(table.delay_ns or 0) / NS,
        hysteresis=table.hysteresis,
        output=table.output,
    )


def fallback_of(table: FallbackTable | None, slots: Mapping[str, ModelSlot]) -> Fallback | None:
    """The fallback of a table that was checked."""
    if table is None:
        return None
    is_slot = table.use.startswith(SLOT)
    return Fallback(
        use=slots[table.use.removeprefix(SLOT)] if is_slot else cast(OfTheTask, table.use),
        hold_at_most_s=None if table.hold_at_most_ns is None else table.hold_at_most_ns / NS,
        blend_s=(table.blend_ns or 0) / NS,
    )


def on_late_of(table: OnLateTable | None, slots: Mapping[str, ModelSlot]) -> OnLate | None:
    """The smaller model of a table that was checked."""
    if table is None:
        return None
    needs_s = None if table.needs_ns is None else table.needs_ns / NS
    return OnLate(model=slots[table.model], needs_s=needs_s, reserve_s=(table.reserve_ns or 0) / NS)
