"""Changes of models, as people see them."""

import json
from dataclasses import replace

import pytest
from rich.console import Console

from plc_bindings.data.changes import ChangeView, Difference
from rt_engine.change import ChangeState as S
from rt_engine.change import Verdict
from station.show.changes import change_row, changes_sheet, difference, difference_picture, duration, notes, seen
from station.show.snapshot import Snapshot
from tests.station.examples_of import snapshot

FAR = Difference("axis", "force", 5000, 0.75, 7, 0.5, 214, 0, (0.0, 0.25, 0.5), (10, 4776, 214))
NEAR = Difference("axis", "speed", 5000, 1e-6, 7, None, 0, 2, (1e-7,), (4998,))
SHADOW = ChangeView(
    "policy",
    S.SHADOW,
    3,
    4,
    1.0,
    "it passed the gate",
    (NEAR, FAR),
    "better.onnx",
    "ab" * 32,
    "7",
    "anna",
    61_000_000_000,
)
NONE = ChangeView("forest")


def shown(changes):
    console = Console(width=200)
    with console.capture() as captured:
        console.print(changes_sheet(changes))
    return captured.get()


def test_a_slot_without_a_change_is_not_shown():
    assert seen((NONE, SHADOW)) == (SHADOW,)
    assert "forest" not in shown((NONE, SHADOW))


def test_a_change_travels_whole():
    """Through the JSON of a snapshot, which any reader of JSON takes."""
    whole = replace(snapshot(), changes=(NONE, SHADOW))
    text = json.dumps(whole.to_json(), allow_nan=False)
    assert Snapshot.from_json(json.loads(text)).changes == (NONE, SHADOW)


def test_the_table_has_state_time_and_the_output_that_lies_furthest_apart():
    """Values that are not finite come before all."""
    text = shown((SHADOW,))
    assert all(word in text for word in ("policy v3", "better.onnx", "in shadow", "1.02 min", "speed 1e-06"))
    assert list(notes((SHADOW,))) == [("policy", "better.onnx is in shadow: it passed the gate")]


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (FAR, "force lay up to 0.75 apart (tolerance 0.5; 214 of 5,000 values beyond)"),
        (NEAR, "speed lay up to 1e-06 apart (of 5,000 values), and in 2 cycles one of the two was not finite"),
    ],
)
def test_a_difference_in_words(one, text):
    assert difference(one) == text


@pytest.mark.parametrize("one", [FAR, NEAR, Difference("axis", "x", 0, 0.0, 0, None, 0, 0)])
def test_a_picture_has_a_bar_for_each_bin_and_a_line_for_the_tolerance(one):
    """What lay exactly together stands at the left; without anything compared there is no picture."""
    svg = difference_picture(one)
    assert svg.count('class="bar"') == len(one.edges)
    assert svg.count('class="mark"') == (one.tolerance is not None and bool(one.edges))


def test_a_verdict_is_told_with_task_and_tick():
    view = ChangeView(
        *("policy", S.ROLLED_BACK, 3, 4, 1.0, "<bad>"),
        verdict=Verdict.TOO_SLOW,
        verdict_task="axis",
        verdict_ns=5_000_000,
    )
    row = change_row(view)
    assert row[4] == "&lt;bad&gt;"
    assert row[-1] == "it took longer than its budget, in task axis, tick 0.005000 s"


@pytest.mark.parametrize(("ns", "text"), [(5e8, "500 ms"), (9e10, "1.5 min"), (3.6e12, "1 h"), (2e14, "2.31 days")])
def test_a_time_in_its_largest_unit(ns, text):
    assert duration(ns) == text
