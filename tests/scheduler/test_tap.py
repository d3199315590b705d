import json
import math
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.many_tags import fast_clock
from fieldbus.image.image import Channel, ProcessImage
from fieldbus.tags import Quality, Tag
from rt_engine.recording.layout import Field, Flag, Phase, SourceFields
from rt_native.memory import Block
from scheduler import Action, Guard, Input, Output, Scheduler, Task, TaskStatus, Trigger
from scheduler.errors import RingError
from scheduler.native import NATIVE
from scheduler.ring import Ring
from scheduler.runner import TaskRunner
from scheduler.tap import Tap, TapTerms, layout_of
from scheduler.task_block import Control
from tests.counting import grown
from tests.scheduler.fakes import ANY_AGE, EPOCH, PERIOD, Bench, bench, channel
from tests.scheduler.models import scale
from tests.scheduler.versions import Trial, Versions, tells
from tests.waiting import wait_for


def test_a_layout_has_the_tags_of_the_channels_that_a_task_reads_and_of_the_values_that_it_drives():
    """Channels whole, in the order of their latching; outputs by tag, or by the part of it that is driven."""
    image = ProcessImage()
    x = image.channel(
        "x", [Tag("speed", "float32", "in", unit="m/s"), Tag("f", "float64", "in", count=3)], writer="plc", reader="t"
    )
    go = image.channel("go", [Tag("go", "bool", "in")], writer="panel", reader="t")
    tags = [Tag("valve", "float64", "out"), Tag("heat", "float64", "out", count=4, unit="W")]
    y = image.channel("y", tags, writer="t", reader="plc")
    task = Task(
        name="axis",
        period_s=0.002,
        inputs=(Input(tensor=None, channel=x, cell=2, count=2),),
        outputs=tuple(
            Output(tensor=None, channel=y, cell=cell, count=count) for cell, count in ((0, 5), (2, 2), (4, 1))
        ),
        reset=Trigger(channel=go),
    )
    layout = layout_of(task, (("states", 8),))
    assert (layout.task, layout.period_ns, layout.regions) == ("axis", 2_000_000, (("states", 8),))
    assert layout.sources == (
        SourceFields("plc", (Field("speed", 1, "m/s"), Field("f", 3))),
        SourceFields("panel", (Field("go"),)),
    )
    assert layout.outputs == (
        Field("valve"),
        Field("heat", 4, "W"),
        Field("heat[1:3]", 2, "W"),
        Field("heat[3]", 1, "W"),
    )
    assert layout.output_count == sum(entry.count for entry in task.outputs)


# --- records ----------------------------------------------------------------------------------------------------------


def tapped(b: Bench, folder: Path, **terms: Any) -> Ring:
    """The bench's task with a tap."""
    given = {"capacity": 1000, "checkpoints": 64, "checkpoint_ns": 1 << 60} | terms
    b.runner.tap = Tap(b.task, b.runner.memory, TapTerms(path=folder / f"{id(b)}", **given))
    return b.runner.tap.ring


def test_a_record_says_what_came_in_what_went_out_and_when(tmp_path):
    """Values as latched, raw before the guard, published after it, times, faults, what the clock said."""
    b = bench(output={"high": 5.0}, guard=Guard(max_age_s=1.0))
    ring = tapped(b, tmp_path)

    def before(k):
        b.clock.latency_ns = 1000 * k
        b.put([1.0, 4.0, math.nan, 3.0][k], quality=Quality.BAD if k == 3 else Quality.GOOD)

    b.run(4, before)
    r, layout = ring.records(), ring.layout
    assert r["number"].tolist() == [0, 1, 2, 3]
    assert r["tick_ns"].tolist() == r["due_ns"].tolist() == [EPOCH + k * PERIOD for k in range(4)]
    assert r["inputs"]["w"]["x"][:2].tolist() == [1.0, 4.0]
    assert math.isnan(r["inputs"]["w"]["x"][2])
    assert r["inputs"]["w"]["quality"].tolist() == [0, 0, 0, 2]
    assert r["inputs"]["w"]["counter"].tolist() == [1, 2, 3, 4]
    assert layout.raw(r)[:2, 0].tolist() == [2.0, 8.0]
    assert layout.published(r)[:, 0].tolist() == [2.0, 5.0, 5.0, -1.0]
    assert r["status"].tolist() == [0, 0, TaskStatus.NAN_INPUT, TaskStatus.BAD_INPUT]
    assert r["action"].tolist() == [Action.LIVE, Action.LIVE, Action.HOLD, Action.SAFE]
    assert r["blame"].tolist() == [-1, -1, 0, 0]
    assert r["wakeup_ns"].tolist() == [0, 1000, 2000, 3000]
    assert r["reads"].tolist() == [4, 4, 4, 4]
    assert (r["clock"][:, :4] == (r["due_ns"] + r["wakeup_ns"])[:, None]).all()
    assert not r["clock"][:, 4:].any()


def test_a_late_cycle_says_what_it_missed(tmp_path):
    b = bench()
    ring = tapped(b, tmp_path)

    def before(k):
        b.clock.latency_ns = PERIOD * 5 // 2 if k == 1 else 0
        b.put(1.0)

    b.run(4, before)
    r = ring.records()
    assert ((r["tick_ns"] - r["tick_ns"][0]) // PERIOD).tolist() == [0, 3, 4, 5]
    assert ((r["tick_ns"] - r["due_ns"]) // PERIOD).tolist() == [0, 2, 0, 0]


def test_a_slow_reader_costs_whole_cycles_and_the_next_begins_with_a_checkpoint(tmp_path):
    """Numbers have a gap, the drops are counted, and what was recorded is untouched."""
    b = bench()
    ring = tapped(b, tmp_path, capacity=3)
    seen = []

    def before(k):
        b.put(float(k))
        if k == 7:
            seen.append(ring.records())
            ring.release(2)

    b.run(12, before)
    assert ring.dropped == 12 - 5
    assert seen[0]["number"].tolist() == [0, 1, 2]
    r = ring.records()
    assert r["number"].tolist() == [2, 7, 8]
    assert r["inputs"]["w"]["x"].tolist() == [2.0, 7.0, 8.0]
    checkpoints = ring.checkpoints()
    assert checkpoints["number"].tolist() == [0, 7]
    assert set(checkpoints["phase"].tolist()) == {Phase.BEFORE_READ}


def test_a_checkpoint_that_finds_no_room_is_made_as_soon_as_there_is(tmp_path):
    b = bench()
    ring = tapped(b, tmp_path, checkpoints=1, checkpoint_ns=3 * PERIOD)

    def before(k):
        b.put(1.0)
        if k == 5:
            ring.release_checkpoints(1)

    b.run(8, before)
    assert [c["number"] for c in ring.checkpoints()] == [5]
    assert ring.checkpoint_head == 2
    assert ring.refused == 2
    assert ring.dropped == 0


def test_checkpoints_come_at_their_interval_and_at_each_start(tmp_path):
    b = bench()
    ring = tapped(b, tmp_path, checkpoint_ns=4 * PERIOD)
    for _ in range(2):
        b.run(9, lambda k: b.put(1.0))
        b.runner.tell(Control.RUN)
        b.runner.tap.begin()
    assert ring.checkpoints()["number"].tolist() == [0, 4, 8, 0, 4, 8]
    assert ring.records()["number"].tolist() == [*range(9), *range(9)]


def test_flags_say_of_a_reset_and_a_pause_is_in_the_status(tmp_path):
    b = bench()
    ring = tapped(b, tmp_path)

    def before(k):
        b.put(1.0)
        if k == 2:
            b.runner.memory.task["reset_state"] = 1
        b.runner.tell(Control.PAUSE if k == 3 else Control.RUN)

    b.run(5, before)
    assert ring.records()["flags"].tolist() == [0, 0, Flag.RENEWED, 0, 0]
    assert ring.records()["status"].tolist() == [0, 0, 0, TaskStatus.PAUSED, 0]


# --- two versions -----------------------------------------------------------------------------------------------------


def tapped_trial(folder: Path, *computes: Any) -> tuple[Trial, Ring]:
    t = Trial(Versions(*computes))
    runner = t.runners[0]
    runner.tap = Tap(runner.task, runner.memory, TapTerms(path=folder / "ring", capacity=100))
    return t, runner.tap.ring


def states_of(ring: Ring, checkpoint: Any) -> float:
    """The state of the task's model in a checkpoint."""
    return float(checkpoint["states"][:4].view(np.float32)[0])


def test_a_switch_has_a_checkpoint_of_the_states_that_the_new_version_begins_with(tmp_path):
    """A trial's version begins with those of its shadow."""
    t, ring = tapped_trial(tmp_path, tells, lambda run: tells(run) or run.state.__iadd__(100) is None)
    t.run(8, {2: "shadow", 5: "trial"})
    r = ring.records()
    assert r["version"].tolist() == [1] * 5 + [2] * 3
    assert r["flags"].tolist() == [0, 0, *[Flag.SECOND_SHADOW] * 3, *[Flag.SECOND_TRIAL] * 3]
    switch = ring.checkpoints()[1]
    assert (switch["number"], switch["phase"], switch["version"]) == (5, Phase.AFTER_SWITCH, 2)
    assert states_of(ring, switch) == 305.0  # 2 of the live one, then 3 of its own, each 101


def test_a_tick_that_is_done_again_says_so_and_has_a_checkpoint_of_the_old_version(tmp_path):
    """It is the state that the old one had before the tick."""

    def bad(run):
        tells(run)
        run.y[0] = math.nan if run.state[0] >= 5 else 0.0

    t, ring = tapped_trial(tmp_path, tells, bad)
    t.run(8, {2: "trial"})
    r = ring.records()
    assert r["version"].tolist() == [1, 1, 2, 2, 1, 1, 1, 1]
    assert (r["flags"][4] & ~Flag.SECOND_TRIAL, r["status"][4]) == (Flag.TAKEN_BACK, 0)
    assert ring.layout.published(r)[:, 0].tolist() == [1001, 1002, 0, 0, 1005, 1006, 1007, 1008]
    back = [c for c in ring.checkpoints() if c["phase"] == Phase.AFTER_TAKE_BACK]
    assert [(c["number"], c["version"], states_of(ring, c)) for c in back] == [(4, 1, 4.0)]
    assert ring.checkpoints()["number"].tolist()[-1] == 5
    assert r["reads"].tolist() == [4] * 8


# --- the scheduler ----------------------------------------------------------------------------------------------------


def doubles(name: str, x: Channel, y: Channel) -> Task:
    inputs, outputs = (Input(tensor="x", channel=x),), (Output(tensor="y", channel=y),)
    return Task(name=name, model=scale(2.0), period_s=0.001, inputs=inputs, outputs=outputs, guard=ANY_AGE)


def test_a_scheduler_records_the_tasks_that_it_is_told_to(tmp_path):
    """On a real thread; what is left is there when it has closed."""
    x, y = channel(["x"], "in"), channel(["y"], "out")
    tasks = [doubles("a", x, y), doubles("b", channel(["p"], "in"), channel(["q"], "out"))]
    x.write([3.0])
    scheduler = Scheduler(tasks, taps={"a": TapTerms(path=tmp_path / "a", capacity=5000)})
    with scheduler:
        wait_for(lambda: scheduler.rings["a"].head >= 20)
    ring = scheduler.rings["a"]
    r = ring.records()
    assert list(scheduler.rings) == ["a"]
    assert r["number"].tolist() == list(range(len(r)))
    assert len(r) == scheduler.stats()["a"].cycles
    assert set(ring.layout.raw(r)[:, 0].tolist()) == {6.0}
    assert any("ring" in grant.name for grant in scheduler.rights)
    scheduler.close()
    assert len(Ring.open(tmp_path / "a").records()) == len(r)


def test_a_ring_that_cannot_be_made_leaves_none_behind(tmp_path):
    """A scheduler that is made without it runs."""
    tasks = [Task(name=name, period_s=0.001) for name in "ab"]
    taps = {"a": TapTerms(path=tmp_path / "a", capacity=10), "b": TapTerms(path=tmp_path / "none" / "b", capacity=10)}
    with pytest.raises(RingError, match="no ring can be made"):
        Scheduler(tasks, taps=taps)
    assert list(tmp_path.iterdir()) == []
    with Scheduler(tasks):
        pass


def test_a_process_that_is_killed_loses_the_cycle_that_it_was_in_and_nothing_else(tmp_path):
    """Four processes, killed in their cycles or soon after; `python -m tests.scheduler.kill_campaign` kills as many as one likes."""
    what = ["-m", "tests.scheduler.kill_campaign", "--rounds", "2", "--values", "8", "500", "--folder", str(tmp_path)]
    done = subprocess.run([sys.executable, *what], capture_output=True, text=True, check=True)
    for found in json.loads(done.stdout):
        assert found["records"] >= 10
        wrong = ("lost", "gaps", "halves", "old_ticks", "bad_checkpoints")
        assert {name: found[name] for name in wrong} == dict.fromkeys(wrong, 0)


# --- what is promised -------------------------------------------------------------------------------------------------


def fast(folder: Path, capacity: int, cycles: int) -> tuple[Any, Ring, Any]:
    """A task with a tap on a clock that does not wait: a function that runs so many cycles natively, its ring, its counters."""
    x, y = channel(["x"], "in"), channel(["y"], "out")
    x.write([3.0])
    clock, state = fast_clock()
    inputs, outputs = (Input(tensor=None, channel=x),), (Output(tensor=None, channel=y),)
    task = Task(name="t", period_s=0.001, inputs=inputs, outputs=outputs, guard=ANY_AGE)
    terms = TapTerms(path=folder / "ring", capacity=capacity, checkpoint_ns=100 * PERIOD, checkpoints=1000)
    runner = TaskRunner(task, None, clock, terms=terms)
    assert runner.tap
    run, table = NATIVE.function("tasks_run"), Block(8)
    table.view(np.int64)[0] = runner.memory.address

    def go() -> None:
        state[:] = 1, cycles + 1, runner.memory.address
        runner.memory.task["control"] = 0
        run(table.address, 1)

    return go, runner.tap.ring, runner


def test_recording_allocates_nothing_and_faults_never(tmp_path):
    """A hundred thousand cycles: recorded, and then dropped, as nobody takes them; counted by the C library and by the kernel."""
    go, ring, _ = fast(tmp_path, 100_000, 50_000)
    assert grown(go) == (0, 0)
    for _ in range(4):
        go()
    assert ring.head == 100_000
    assert grown(go) == (0, 0)
    assert ring.dropped >= 100_000


def test_a_reader_beside_a_tap_at_full_speed_sees_whole_cycles_only(tmp_path):
    """Every word of a record is of one cycle; what is missing was dropped, and counted."""
    go, ring, runner = fast(tmp_path, 64, 50_000)
    cycling = threading.Thread(target=go)
    cycling.start()
    taken, last = 0, -1
    while cycling.is_alive() or ring.head > ring.tail:
        r = ring.records()
        if not len(r):
            continue
        ticks = (r["tick_ns"] - r["tick_ns"][0]) // PERIOD + r["number"][0]
        assert r["number"].tolist() == ticks.tolist()
        assert (np.diff(r["number"], prepend=last) > 0).all()
        assert (r["clock"][:, : r["reads"][0]] == r["due_ns"][:, None]).all()
        assert set(r["inputs"]["w"]["x"].tolist()) == {3.0}
        taken, last = taken + len(r), int(r["number"][-1])
        ring.release(len(r))
        ring.release_checkpoints(ring.checkpoint_head - ring.checkpoint_tail)
    cycling.join()
    assert taken + ring.dropped == runner.stats().cycles >= 49_000
    assert ring.dropped > 0
