"""Recorded cycles as rows of numbers with names."""

import math

import numpy as np

from fieldbus.tags import Quality
from rt_engine.recording.layout import Field, SourceFields, TaskLayout
from station.page.trends import Trends
from station.running.seen import Cycles, rows_of

LAYOUT = TaskLayout(
    "axis", 1_000_000, (SourceFields("sim", (Field("a", 1, "mm"), Field("v", 2))),), (Field("force", 1, "N"),)
)


def records(*cells, quality=Quality.GOOD):
    made = np.zeros(len(cells), LAYOUT.dtype)
    LAYOUT.values(made, 0)[:] = cells
    LAYOUT.published(made)[:] = 7.0
    LAYOUT.source_heads(made, 0)["quality"] = quality
    made["tick_ns"] = np.arange(len(cells)) * 1_000_000
    return made


def test_a_row_has_what_came_and_what_was_published():
    np.testing.assert_array_equal(rows_of(LAYOUT, records([1, 2, 3], [4, 5, 6])), [[1, 2, 3, 7], [4, 5, 6, 7]])


def test_values_that_are_bad_are_no_numbers_and_stale_ones_are():
    found = rows_of(LAYOUT, records([1, 2, 3], quality=Quality.BAD))[0].tolist()
    assert all(map(math.isnan, found[:3])) and found[3] == 7.0
    np.testing.assert_array_equal(rows_of(LAYOUT, records([1, 2, 3], quality=Quality.STALE)), [[1, 2, 3, 7]])


def test_a_task_without_inputs_and_outputs_has_empty_rows():
    layout = TaskLayout("bare", 1_000_000, (), ())
    assert rows_of(layout, np.zeros(3, layout.dtype)).shape == (3, 0)


def test_columns_have_the_names_and_units_of_tags():
    """A unit that the recording has not is that of the station file."""
    now = [0, 0]
    trends = Trends(lambda: tuple(now))
    hear = Cycles(trends, {"v": "rpm", "a": "other"})
    hear(LAYOUT, records([1, 2, 3]))
    made = records([1, 2, 3])
    made["tick_ns"] = 6_000_000
    hear(LAYOUT, made)
    found = trends.read(["a", "v[1]", "force", "b"], 5, -1)
    assert {tag: (of["unit"], of["low"][-1]) for tag, of in found["tags"].items()} == {
        "a": ("mm", 1.0), "v[1]": ("rpm", 3.0), "force": ("N", 7.0)
    }  # fmt: skip
    assert found["missing"] == ["b"]
