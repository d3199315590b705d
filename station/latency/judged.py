"""The longest cycles of a task, when they were and probably why; and the counters that go with long ones. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np

from station.latency.causes import Counted, Scene, why
from station.latency.result import Long, Subject
from station.latency.ties import ties

MOST: Final = 10
"""So many of the longest are told, one of each interval at most."""


def judged(
    subject: Subject, ticks: Sequence[tuple[int, Any]], counted: Counted, is_last: bool = True, is_first: bool = True
) -> Subject:
    """The same task, with its longest and its ties.

    Args:
        ticks: of each stretch the wall clock less the monotonic one, and its rows (`scheduler.maxima_block.MAXIMUM`).
        counted: of all intervals of all stretches, in their order; of the places that concern this task.
        is_first: the tasks have real-time priority.
        is_last: look for ties too, which takes seconds for a day.
    """
    if not ticks or not counted.counters:
        return subject
    rows = np.concatenate([rows for _, rows in ticks])
    walls = np.concatenate([np.full(len(rows), wall, np.int64) for wall, rows in ticks])
    counted = Counted(counted.counters, counted.values[: len(rows)])
    some = rows["cycles"] > 0
    if not some.any():
        return subject
    reaction = rows["reaction_ns"]
    usual, middle = counted.usual(), float(np.median(reaction[some]))
    order = np.argsort(-reaction, kind="stable")[:MOST]
    longest = tuple(
        Long(
            at=_wall(int(rows["reaction_tick_ns"][i] + walls[i])),
            reaction_ns=int(reaction[i]),
            wakeup_ns=int(rows["wakeup_ns"][i]),
            execution_ns=int(rows["execution_ns"][i]),
            why=why(Scene(float(reaction[i]) - middle, counted.row(int(i)), usual, is_first)),
        )
        for i in order
        if rows["cycles"][i]
    )
    found = ties(reaction[some].astype(np.int64), Counted(counted.counters, counted.values[some])) if is_last else ()
    return replace(subject, longest=longest, ties=found)


def _wall(ns: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=ns // 1000)
