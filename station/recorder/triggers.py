"""What fires a trigger: looked for in every cycle, in bulk.

Each fires where it begins to be so, not as long as it is so: a fault of an hour is one trigger. `monitor` and `disagreement` are
counts of the task's, that a look compares with the look before: their tick is that of the newest cycle.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rt_engine.recording.layout import Flag, TaskLayout
from scheduler.status import TaskStatus, describe
from station.recorder.episodes import Fired
from station.terms.expressions import Condition, Value
from station.terms.recorder import Kind

COUNTED: Final[tuple[Kind, ...]] = ("monitor", "disagreement")
MOST_OF_A_LOOK: Final = 20
"""Triggers of one kind and task; of more in one look the first are told."""
_NO_FAULT: Final = np.array(
    [
        int(status)
        for status in (
            *(TaskStatus.OK, TaskStatus.PAUSED, TaskStatus.OVERRUN),
            *(TaskStatus.STOPPED, TaskStatus.ROLLED_BACK, TaskStatus.MONITOR, TaskStatus.NO_RESULT),
        )
    ]
)
"""Statuses that are nobody's fault, or have a trigger of their own."""


_PART: Final = re.compile(r"(?P<tag>.+)\[(?P<first>\d+)(?::\d+)?\]")


def places(layout: TaskLayout) -> dict[Value, tuple[str, int, int]]:
    """Each value of a tag -> where a record has it: ("source" or "published", source, column)."""
    found: dict[Value, tuple[str, int, int]] = {}
    column = 0
    for output in layout.outputs:
        part = _PART.fullmatch(output.name)  # of a tag that is not driven whole: `name[3]`, `name[4:8]`
        tag, first = (part["tag"], int(part["first"])) if part else (output.name, 0)
        for cell in range(output.count):
            found.setdefault(Value(tag, first + cell), ("published", 0, column))
            column += 1
    for number, source in enumerate(layout.sources):
        column = 0
        for field_ in source.tags:
            for cell in range(field_.count):
                found[Value(field_.name, cell)] = "source", number, column
                column += 1
    return found


@dataclass(slots=True)
class Edge:
    """Where something begins to be so; `before`: was it so in the newest cycle of the last look?"""

    before: bool

    def rises(self, now: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The indices where it begins."""
        if not len(now):
            return np.zeros(0, np.int64)
        first = np.concatenate(([self.before], now[:-1]))
        self.before = bool(now[-1])
        return np.flatnonzero(now & ~first)


@dataclass(slots=True)
class _When:
    condition: Condition
    edge: Edge = field(default_factory=lambda: Edge(False))
    memory: dict[int, float] = field(default_factory=dict)


class Triggers:
    """The triggers of one task.

    Args:
        layout: of its records.
        on: kinds, of `KINDS`.
        when: conditions whose tags its records have.
        count: kind (of `COUNTED`) -> how often that has been, as the task counts.
    """

    def __init__(
        self,
        layout: TaskLayout,
        on: Iterable[str],
        when: Iterable[Condition] = (),
        count: Callable[[str], int] = lambda kind: 0,
    ) -> None:
        self._layout, self._places, self._count = layout, places(layout), count
        self._when = [_When(condition) for condition in when]
        self._on = frozenset(on)
        self._counts = {kind: count(kind) for kind in COUNTED if kind in self._on}
        self._fault, self._late, self._back = Edge(True), Edge(False), Edge(False)
        """Until its outputs are live for the first time, a task that starts has no fault."""
        self._version = 0

    def look(self, records: Any) -> list[Fired]:
        """What fired in the cycles that came since the last look, by tick."""
        if not len(records):
            return []
        ticks = records["tick_ns"]
        finds = {"fault": self._faults, "overrun": self._overruns, "rollback": self._rollbacks}
        looks = [(kind, find) for kind, find in finds.items() if kind in self._on] + [("when", self._conditions)]
        fired = [
            Fired(int(ticks[at]), kind, self._layout.task, text) for kind, find in looks for at, text in find(records)
        ]
        for kind, before in self._counts.items():
            self._counts[kind] = self._count(kind)
            if self._counts[kind] > before:
                fired.append(Fired(int(ticks[-1]), kind, self._layout.task, ""))
        return sorted(fired, key=lambda one: one.tick_ns)

    def _faults(self, records: Any) -> Iterator[tuple[int, str]]:
        status = records["status"]
        for at in self._fault.rises(~np.isin(status, _NO_FAULT))[:MOST_OF_A_LOOK]:
            yield int(at), describe(int(status[at]))

    def _overruns(self, records: Any) -> Iterator[tuple[int, str]]:
        missed = records["missed"]
        for at in self._late.rises(missed > 0)[:MOST_OF_A_LOOK]:
            yield int(at), f"{missed[at]} tick{'s' if missed[at] != 1 else ''} missed"

    def _rollbacks(self, records: Any) -> Iterator[tuple[int, str]]:
        """A version on trial was found bad in the cycle, or an older one than before ran in it."""
        flags, versions = records["flags"], records["version"]
        before = np.concatenate(([self._version or versions[0]], versions[:-1]))
        self._version = int(versions[-1])
        back = (flags & int(Flag.TAKEN_BACK | Flag.HELD_BACK) != 0) | (versions < before)
        for at in self._back.rises(back)[:MOST_OF_A_LOOK]:
            yield int(at), f"to version {versions[at]}"

    def _conditions(self, records: Any) -> Iterator[tuple[int, str]]:
        columns: dict[Value, NDArray[np.float64]] = {}

        def values(value: Value) -> NDArray[np.float64]:
            if value not in columns:
                columns[value] = self._column(records, value)
            return columns[value]

        for one in self._when:
            holds = one.condition.holds(values, len(records), one.memory)
            for at in one.edge.rises(holds)[:MOST_OF_A_LOOK]:
                yield int(at), one.condition.text

    def _column(self, records: Any, value: Value) -> NDArray[np.float64]:
        part, source, column = self._places[value]
        layout = self._layout
        block = layout.values(records, source) if part == "source" else layout.published(records)
        return block[:, column]


def assigned(when: Iterable[Condition], layouts: Mapping[str, TaskLayout]) -> dict[str, list[Condition]]:
    """Task -> the conditions that it looks for: each is looked for in the first task whose records have all its tags."""
    found: dict[str, list[Condition]] = {task: [] for task in layouts}
    have = {task: places(layout) for task, layout in layouts.items()}
    for condition in when:
        task = next((task for task, there in have.items() if all(value in there for value in condition.values)), None)
        if task is not None:
            found[task].append(condition)
    return found
