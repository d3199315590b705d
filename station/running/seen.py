"""What recorded cycles are to the trends of a page: rows of numbers with the names of tags.

record of a task: values of each input channel, then what was published  -->  a column for each value
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rt_engine.recording.layout import Field, TaskLayout
from scheduler.trace import good_values
from station.page.trends import Column, Floats, Trends


def columns_of(name: str, count: int, unit: str) -> list[Column]:
    """The columns of a tag: one for each value."""
    names = [name] if count == 1 else [f"{name}[{i}]" for i in range(count)]
    return [Column(one, unit) for one in names]


class Cycles:
    """Hears the cycles of all tasks (`station.recorder.drain.Listener`) and gives them to trends.

    Args:
        units: tag -> unit, as the station file has it.
    """

    def __init__(self, trends: Trends, units: Mapping[str, str]) -> None:
        self._trends, self._units = trends, units

    def __call__(self, layout: TaskLayout, records: Any) -> None:
        """New cycles of a task."""
        self._trends.add(layout.task, lambda: self._columns(layout), records["tick_ns"], rows_of(layout, records))

    def _columns(self, layout: TaskLayout) -> list[Column]:
        fields = [tag for source in layout.sources for tag in source.tags] + list(layout.outputs)
        return [column for one in fields for column in self._of(one)]

    def _of(self, one: Field) -> list[Column]:
        return columns_of(one.name, one.count, one.unit or self._units.get(one.name, ""))


def rows_of(layout: TaskLayout, records: Any) -> Floats:
    """One row for each record: values as they came, NaN where their quality was BAD, then what was published."""
    parts = [good_values(layout, records, number) for number in range(len(layout.sources))]
    if layout.outputs:
        parts.append(layout.published(records))
    return np.concatenate(parts, axis=1) if parts else np.zeros((len(records), 0))
