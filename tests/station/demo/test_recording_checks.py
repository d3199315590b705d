"""The demo's claims of recordings: each comes true on good facts, and fails on facts in which the thing did not happen."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from station.demo import recording_checks as checks
from station.demo.recording_checks import Again, Moved, Otherwise, Reasons, Saved
from tests.station.demo.test_checks import look

MS = 1_000_000
SEEN = look(5_000)
SAVED = {
    task.name: Saved(task.cycles - 100, task.cycles + 1, 0, task.due_ns + task.cycle_ns) for task in SEEN.station.tasks
}
X = SAVED["x"]
GOOD = Again("x", 5_000, 5_000, 0.004, 5.0, True, {})
Y = Again("y", 2_500, 2_500, 0.001, 5.0, True, {})
BIASED = Otherwise("x.force_command", "N", 5_000, 0.9999, 0.5, 4_990)
WHY = Reasons("x.force_command", "N", 8.2, 0.09, True, (Moved("x.angular_velocity", 0.4, "rad/s", 6.3),))


@pytest.mark.parametrize(
    ("saved", "ok"),
    [
        (SAVED, True),
        (SAVED | {"x": replace(X, last=SEEN.task("x").cycles - 2)}, True),
        (SAVED | {"x": replace(X, last=SEEN.task("x").cycles - 3)}, False),
        (SAVED | {"x": replace(X, lost=1)}, False),
        (SAVED | {"x": replace(X, last_ns=9_000 * MS)}, False),
        ({name: one for name, one in SAVED.items() if name != "y"}, False),
        ({}, False),
    ],
    ids=["to the end", "one under way", "too short", "a hole", "of a later process", "a task is missing", "nothing"],
)
def test_saved_to_the_end(saved: dict[str, Saved], ok: bool) -> None:
    """Of every task, without a hole, up to the cycles that were counted before the kill, and of that process."""
    assert checks.saved_to_the_end(SEEN, saved, 5_001 * MS, 6_000 * MS).ok is ok


@pytest.mark.parametrize(
    ("again", "ok"),
    [
        ([GOOD, Y], True),
        ([replace(GOOD, repeated=4_000, equal=4_000, left_out={"no checkpoint": 1_000}), Y], True),
        ([replace(GOOD, equal=4_999), Y], False),
        ([replace(GOOD, at_tick=False), replace(Y, at_tick=False)], False),
        ([GOOD, replace(Y, repeated=0, equal=0)], False),
        ([GOOD, replace(Y, why="the model is not found")], False),
        ([], False),
    ],
    ids=["all", "left out, and said", "one differs", "of another time", "one not at all", "cannot be", "nothing"],
)
def test_same_bits(again: list[Again], ok: bool) -> None:
    """Every cycle that can be repeated is equal, in every task; and what is claimed of a moment has that moment in it."""
    assert checks.same_bits(again).ok is ok


def test_speed_is_against_life() -> None:
    """Tasks ran beside each other in life, and run one after the other now."""
    evidence = checks.same_bits([GOOD, Y]).evidence
    assert evidence.startswith("7,500 cycles of x, y in 5 ms, 1,000 times life")
    both = [replace(one, left_out={"cold": 1_000}) for one in (GOOD, Y)]
    assert checks.same_bits(both).evidence.endswith("2,000 cycles not repeated: cold")


@pytest.mark.parametrize(
    ("found", "ok"),
    [
        (BIASED, True),
        (replace(BIASED, beyond=0, largest=0.0), False),
        (replace(BIASED, compared=0, beyond=0), False),
        ("it does not fit", False),
    ],
    ids=["differs", "the same", "nothing compared", "cannot be"],
)
def test_would_have_differed(found: Otherwise | str, ok: bool) -> None:
    """A network that gives the same is no news."""
    assert checks.would_have_differed(found, "biased").ok is ok


@pytest.mark.parametrize(
    ("found", "ok"),
    [
        (WHY, True),
        (replace(WHY, same=False), False),
        (replace(WHY, moved=()), False),
        (replace(WHY, moved=(replace(WHY.moved[0], effect=0.0),)), False),
        (replace(WHY, moved=(replace(WHY.moved[0], effect=math.inf),)), False),
        ("no cycle", False),
    ],
    ids=["explained", "of another run", "no input", "without effect", "not finite", "cannot be"],
)
def test_explained(found: Reasons | str, ok: bool) -> None:
    """The run explained is that of the cycle, and an input moved the output."""
    assert checks.explained(found).ok is ok
