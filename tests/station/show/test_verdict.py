"""The verdict on a run: the worst of deadlines, outputs, links and the end."""

from dataclasses import replace

from station.show.snapshot import Snapshot
from station.show.verdict import LATE_NS, Remark, judge, unwell
from tests.station.examples_of import snapshot


def run_of(task=None, link=None, counters=None) -> Snapshot:
    """A run of one task and one link, by default without a flaw; `counters` are added to the task's."""
    whole = snapshot()
    clean = replace(whole.tasks[0], overruns=0, counters=counters or {}, **(task or {}))
    return replace(whole, tasks=(clean,), links=(whole.links[0].model_copy(update=link),))


def test_a_good_run_is_green():
    """Every cycle in time, outputs live, the link up: one good remark."""
    assert judge(run_of()) == (Remark("ok", "All 20,000 cycles met their deadline"),)


def test_outputs_that_were_never_live_are_bad():
    """Cycles that met their deadline are no good news when all outputs were safe."""
    first, second = judge(run_of(counters={"safe": 20_000, "bad_inputs": 20_000}))
    assert first == Remark("bad", "axis_x: outputs were safe in all 20,000 cycles: inputs bad")
    assert second.level == "ok"


def test_outputs_that_were_safe_or_held_meanwhile_are_a_warning():
    """How often, of how many, why."""
    remark, _ = judge(run_of(counters={"safe": 30, "held": 2, "bad_inputs": 30, "nan_inputs": 2}))
    assert remark.level == "warn"
    assert remark.text == (
        "axis_x: outputs were safe in 30 and held in 2 of 20,000 cycles: inputs bad, an input is NaN or infinite"
    )


def test_safe_outputs_at_the_start_are_no_fault():
    """Until the inputs were good for the first time outputs are safe: that is how every run begins."""
    counters = {"safe": 30, "bad_inputs": 30}
    assert [r.level for r in judge(run_of(task={"starting": 30}, counters=counters))] == ["ok"]
    assert "(29 of them at the start)" in judge(run_of(task={"starting": 29}, counters=counters))[0].text


def test_missed_ticks_are_a_warning():
    """Ticks that no cycle served count, also when every cycle that ran was in time."""
    run = run_of(counters={"missed": 48})
    (remark,) = judge(replace(run, rights=()))
    assert remark == Remark("warn", "48 of 20,048 ticks did not run; 0 overruns")


def test_missed_ticks_name_the_rights_that_lacked():
    """Those that cost ticks, not others: what `rt-engine doctor` tells how to get."""
    rights = (
        "locked memory: NOT granted: no",
        "no CPU quota: NOT granted: 0.3 cores",
        "SCHED_FIFO 80, 70: NOT granted: no",
    )
    (remark,) = judge(replace(run_of(counters={"missed": 48}), rights=rights))
    assert remark.text.endswith("0 overruns; not granted: no CPU quota, SCHED_FIFO 80, 70")


def test_links():
    """Never up is bad, lost is a warning, both with the newest error."""
    dead = {"reads": 0, "writes": 0, "last_error": "refused"}
    assert judge(run_of(link=dead))[0] == Remark("bad", "plant was never up: refused")
    assert judge(run_of(link=dead | {"is_called": True}))[0] == Remark("warn", "plant: no PLC client has called")
    assert judge(run_of(link={"reconnects": 3}))[0] == Remark("warn", "plant was lost 3 times")


def test_safe_values_that_were_not_confirmed_are_bad():
    """An actuator may still be on."""
    assert judge(run_of(link={"safe_confirmed": False}))[0] == Remark("bad", "Safe values NOT confirmed by: plant")
    assert judge(run_of(link={"safe_confirmed": True}))[0].level == "ok"


def test_a_task_that_does_not_tick_is_not_well():
    """Before its first cycle, and when it is late by more than two periods: whatever its outputs were then."""
    due_ns = run_of().tasks[0].due_ns
    assert list(unwell(run_of(), due_ns + LATE_NS)) == []
    assert list(unwell(run_of(task={"cycles": 0}), due_ns)) == ["axis_x: no cycle yet"]
    assert list(unwell(run_of(), due_ns + 2 * LATE_NS)) == ["axis_x: its cycle is 4 s late"]
    slow = run_of(task={"cycle_ns": 60_000_000_000})
    assert list(unwell(slow, due_ns + 119_000_000_000)) == []
    assert list(unwell(slow, due_ns + 121_000_000_000)) == ["axis_x: its cycle is 120 s late"]
