"""What fires: each trigger where it begins, across looks of any size."""

import numpy as np
import pytest

from rt_engine.recording.layout import Field, Flag, SourceFields, TaskLayout
from scheduler.status import TaskStatus
from station.recorder.triggers import MOST_OF_A_LOOK, Triggers, assigned, places
from station.terms.expressions import Value, parse
from station.terms.recorder import KINDS
from tests.station.recorder.records import LAYOUT, MS, records

TAGS = {"speed": 1, "leg": 3, "force": 1, "lamp": 1, "other": 1}


def looked(triggers, made, sizes):
    """(number of the cycle, kind) of what fired, in looks of these sizes."""
    found, at = [], 0
    for size in sizes:
        found += [(fired.tick_ns // MS, fired.kind) for fired in triggers.look(made[at : at + size])]
        at += size
    return found


@pytest.mark.parametrize("sizes", [(100,), (1,) * 100, (49, 1, 50), (50, 0, 50)])
def test_a_fault_fires_where_it_begins_and_not_before_the_task_was_well(sizes):
    made = records(100)
    made["status"][:10] = TaskStatus.BAD_INPUT
    made["status"][50:60] = TaskStatus.NAN_INPUT
    made["status"][55] = 3
    made["status"][70] = TaskStatus.PAUSED
    assert looked(Triggers(LAYOUT, KINDS), made, sizes) == [(50, "fault")]


@pytest.mark.parametrize("sizes", [(100,), (1,) * 100])
def test_overruns_and_rollbacks(sizes):
    made = records(100)
    made["missed"][20:30] = 2
    made["flags"][40] = Flag.TAKEN_BACK
    made["flags"][50] = Flag.SECOND_SHADOW
    made["version"][60:80] = 2
    fired = [(20, "overrun"), (40, "rollback"), (80, "rollback")]
    assert looked(Triggers(LAYOUT, KINDS), made, sizes) == fired
    assert looked(Triggers(LAYOUT, ["overrun"]), made, sizes) == fired[:1]
    assert looked(Triggers(LAYOUT, []), made, sizes) == []


@pytest.mark.parametrize("sizes", [(100,), (1,) * 100, (30, 70)])
def test_conditions_on_inputs_elements_and_published_outputs(sizes):
    made = records(100)
    made["inputs"]["plant"]["speed"][30:40] = 5
    made["inputs"]["plant"]["leg"][35:60, 2] = 1
    made["published"]["lamp"][70:] = 1
    made["raw"]["lamp"][80:] = 7
    when = [parse(text, TAGS) for text in ("abs(speed) > 3", "speed > 3 and leg[2]", "lamp", "changed(force)")]
    fired = [(30, "when"), (35, "when"), (70, "when")]
    assert looked(Triggers(LAYOUT, (), when), made, sizes) == fired


def test_what_tasks_count_fires_at_the_newest_cycle():
    counts = {"monitor": 4, "disagreement": 0}
    triggers = Triggers(LAYOUT, KINDS, count=counts.__getitem__)
    assert triggers.look(records(10)) == []
    counts["disagreement"] = 3
    assert [(f.tick_ns // MS, f.kind) for f in triggers.look(records(10, 10))] == [(19, "disagreement")]
    counts["monitor"] = 5
    assert [(f.tick_ns // MS, f.kind) for f in triggers.look(records(10, 20))] == [(29, "monitor")]
    assert triggers.look(records(10, 30)) == []
    assert triggers.look(records(0)) == []


def test_one_look_tells_the_first_of_many():
    made = records(1000)
    made["inputs"]["plant"]["speed"][::2] = 1
    triggers = Triggers(LAYOUT, (), [parse("speed", TAGS)])
    fired = triggers.look(made)
    assert len(fired) == MOST_OF_A_LOOK and fired[0].text == "speed"
    assert len({one.tick_ns for one in triggers.look(records(1000, 1000))}) == 0


def test_where_values_lie():
    assert places(LAYOUT)[Value("leg", 2)] == ("source", 0, 3)
    assert places(LAYOUT)[Value("lamp")] == ("published", 0, 1)
    parts = TaskLayout("t", MS, (), (Field("leg[2]"), Field("leg[4:6]", 2), Field("lamp")))
    assert {(value.tag, value.cell): place[2] for value, place in places(parts).items()} == {
        ("leg", 2): 0,
        ("leg", 4): 1,
        ("leg", 5): 2,
        ("lamp", 0): 3,
    }


def test_a_condition_is_looked_for_in_the_first_task_that_has_its_tags():
    other = TaskLayout("other", MS, (SourceFields("plant", (Field("other"), Field("speed"))),), ())
    conditions = [parse(text, TAGS) for text in ("speed > 1", "speed > other", "leg[0] > other")]
    found = assigned(conditions, {"axis": LAYOUT, "other": other})
    assert found == {"axis": [conditions[0]], "other": [conditions[1]]}


def test_a_name_with_a_minus_is_found_by_its_tag():
    layout = TaskLayout("t", MS, (SourceFields("plant", (Field("x-y"),)),), ())
    made = np.zeros(3, layout.dtype)
    layout.values(made, 0)[1:] = 9
    assert [f.text for f in Triggers(layout, (), [parse("x-y > 1", {"x-y": 1})]).look(made)] == ["x-y > 1"]
