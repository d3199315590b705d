import numpy as np
import pytest

from rt_engine.recording.layout import CHECKPOINT_HEAD, HEAD, Flag, Phase
from rt_engine.status import Status
from scheduler.replay_block import Use
from scheduler.replay_plan import Before, Why, plan
from scheduler.status import TaskStatus


def records(numbers, versions=1, **fields):
    """Records whose ticks are ten times their numbers."""
    found = np.zeros(len(numbers), HEAD)
    found["number"], found["version"], found["reads"] = numbers, versions, 4
    found["tick_ns"] = found["due_ns"] = 10 * found["number"]
    found["clock"][:, :4] = found["due_ns"][:, None]
    for name, values in fields.items():
        found[name] = values
    return found


def checkpoints(*rows):
    """(number, version, phase) of each."""
    found = np.zeros(len(rows), CHECKPOINT_HEAD)
    for row, (number, version, phase) in zip(found, rows, strict=True):
        row["number"], row["version"], row["phase"], row["tick_ns"] = number, version, phase, 10 * number
    return found


KNOWN = np.array([1, 2])
BEFORE, SWITCH, BACK = Phase.BEFORE_READ, Phase.AFTER_SWITCH, Phase.AFTER_TAKE_BACK


def runs_of(made):
    return [tuple(row) for row in made.runs.tolist()]


def uses_of(made):
    return [(int(row["index"]), Use(int(row["use"])), int(row["address"])) for row in made.checks]


def test_the_drawing_is_true():
    """Numbers 4 to 8, 12 to 16, and 17 of another version; checkpoints at 5, 7, 14, 17."""
    rows = records([4, 5, 6, 7, 8, 12, 13, 14, 15, 16, 17], [1] * 10 + [2])
    made = plan(rows, checkpoints((5, 1, BEFORE), (7, 1, BEFORE), (14, 1, BEFORE), (17, 2, BEFORE)), KNOWN)
    assert runs_of(made) == [(1, 5), (7, 10), (10, 11)]
    assert uses_of(made) == [(1, Use.BEGIN, 0), (3, Use.VERIFY, 1), (7, Use.BEGIN, 2), (10, Use.BEGIN, 3)]
    assert made.left_out == {Why.NO_CHECKPOINT: 3}
    assert made.after == Before(17, 2, True)
    assert made.cycles == 8


def test_a_piece_goes_on_from_the_one_before():
    """But not over a gap, nor to another version of whose states nothing is known."""
    rows, none = records([5, 6]), checkpoints()
    assert runs_of(plan(rows, none, KNOWN, Before(4, 1, True))) == [(0, 2)]
    for before in (Before(3, 1, True), Before(4, 2, True), Before(4, 1, False)):
        assert runs_of(plan(rows, none, KNOWN, before)) == []


@pytest.mark.parametrize(
    ("rows", "written", "runs", "left_out"),
    [
        ([1, 1, 2, 2], [(2, 2, SWITCH)], [(0, 4)], {}),
        ([1, 1, 2, 2], [], [(0, 2)], {Why.NEW_VERSION: 2}),
        ([1, 1, 3, 3], [(2, 3, SWITCH)], [(0, 2)], {Why.NO_MODEL: 2}),
        ([1, 1, 3, 1], [(2, 3, SWITCH), (3, 1, BEFORE)], [(0, 2), (3, 4)], {Why.NO_MODEL: 1}),
    ],
)
def test_another_version_goes_on_where_a_checkpoint_has_its_states(rows, written, runs, left_out):
    made = plan(records(range(4), rows), checkpoints((0, 1, BEFORE), *written), KNOWN)
    assert (runs_of(made), dict(made.left_out)) == (runs, left_out)


def test_a_tick_that_was_done_again_needs_its_checkpoint():
    rows = records(range(4), [2, 2, 1, 1], flags=[0, 0, Flag.TAKEN_BACK, 0])
    made = plan(rows, checkpoints((0, 2, BEFORE), (2, 1, BACK)), KNOWN)
    assert runs_of(made) == [(0, 4)]
    assert uses_of(made) == [(0, Use.BEGIN, 0), (2, Use.TAKE_BACK, 1)]
    made = plan(rows, checkpoints((0, 2, BEFORE), (3, 1, BEFORE)), KNOWN)
    assert (runs_of(made), dict(made.left_out)) == ([(0, 2), (3, 4)], {Why.NEW_VERSION: 1})


@pytest.mark.parametrize("fields", [{"flags": [0, Flag.HELD_BACK, 0]}, {"status": [0, TaskStatus.ROLLED_BACK, 0]}])
def test_what_was_held_back_ends_a_run(fields):
    made = plan(records(range(3), **fields), checkpoints((0, 1, BEFORE), (2, 1, BEFORE)), KNOWN)
    assert (runs_of(made), dict(made.left_out)) == ([(0, 1), (2, 3)], {Why.HELD_BACK: 1})


def test_where_another_model_becomes_one_that_is_not_there_it_ends():
    made = plan(records(range(6)), checkpoints((0, 1, BEFORE), (2, 1, BEFORE)), KNOWN, cuts=np.array([20]))
    assert (runs_of(made), dict(made.left_out)) == ([(0, 2)], {Why.NEW_VERSION: 4})


def test_of_no_records_nothing_is_planned():
    made = plan(records([]), checkpoints(), KNOWN, Before(3, 1, True))
    assert made.cycles == 0 and made.after == Before(3, 1, True)


def test_a_run_that_a_late_helper_ended_is_left_out_until_the_next_checkpoint():
    """What it had done to the states by then is not known."""
    status = [0, Status.HELPER_LATE, 0, 0, 0]
    made = plan(records(range(5), status=status), checkpoints((0, 1, BEFORE), (3, 1, BEFORE)), KNOWN)
    assert runs_of(made) == [(0, 1), (3, 5)]
    assert dict(made.left_out) == {Why.HELPER_LATE: 1, Why.NO_CHECKPOINT: 1}
