"""A task that is put back to a checkpoint goes on as the one that it was taken of: bit for bit, whatever it remembers."""

import ctypes
import math
import random
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import rt_engine
from fieldbus.tags import Quality
from rt_engine.recording.layout import CHECKPOINT_HEAD, Phase
from scheduler import Fallback, Guard, Input, Monitor, OnLate, Output, Task, Trigger
from scheduler.kept import Kept
from scheduler.runner import TaskRunner
from scheduler.tap import Tap, TapTerms
from scheduler.tap_block import ABOUT, ROOM, Whose
from scheduler.task_block import Control
from tests.scheduler.fakes import EPOCH, PERIOD, FakeClock, channel, step_of

CYCLES = 120


def leaky(factor: float, output: str = "y") -> rt_engine.Model:
    """float32[1, 3]: x; a state that is `factor` of itself, and the sum of x; the output is that."""
    consts = [
        numpy_helper.from_array(np.array([factor], np.float32), "f"),
        numpy_helper.from_array(np.array([1]), "one"),
    ]
    nodes = [
        helper.make_node("ReduceSum", ["x", "one"], ["sum"], keepdims=1),
        helper.make_node("Mul", ["s", "f"], ["less"]),
        helper.make_node("Add", ["less", "sum"], ["after"]),
        helper.make_node("Identity", ["after"], [output]),
    ]
    kinds = (("x", 3), ("s", 1), (output, 1), ("after", 1))
    v = {n: helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, w]) for n, w in kinds}
    graph = helper.make_graph(nodes, "g", [v["x"], v["s"]], [v[output], v["after"]], consts)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return rt_engine.load(model, state={"after": "s"})


def sums(inputs: Any, outputs: Any, state: int) -> int:
    """A step that remembers."""
    total = ctypes.c_double.from_address(state)
    total.value = 0.9 * total.value + outputs[0]
    outputs[0] += 0.125 * total.value
    return 0


MONITORED: dict[str, Any] = {
    "monitor": Monitor(model=leaky(0.5, "score"), limit=6.0, delay_s=0.002, hysteresis=1.0),
    "fallback": Fallback(use=leaky(0.25), blend_s=0.004),
}
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "step": {"step": step_of(sums, 13)},
    "every": {"every": 4, "output": {"between": "linear"}, "step": step_of(sums)},
    "rates": {"output": {"max_rate": 300.0}, "guard": {"on_bad_input": "hold", "max_hold_s": 0.003}, "overrun": "hold"},
    "watchdog": {"watchdog": 2, "overrun": "safe", "guard": {"on_bad_state": "restore", "on_nan": "pass"}},
    "monitor": MONITORED,
    "late": {"on_late": OnLate(model=leaky(0.75), needs_s=400e-6)},
    "all": {
        **MONITORED,
        "every": 3,
        "on_late": OnLate(model=leaky(0.75), needs_s=400e-6),
        "step": step_of(sums),
        "reset": True,
    },
}


@dataclass(frozen=True)
class Cycle:
    """What a cycle is given."""

    value: float
    quality: Quality
    button: float
    latency_ns: int


def script() -> list[Cycle]:
    """Values, now and then NaN, bad, late, or with a button pressed."""
    chance = random.Random(7)
    cycles, late = [], 0
    for _ in range(CYCLES):
        value = math.nan if chance.random() < 0.04 else chance.uniform(-2, 4)
        quality = Quality.BAD if chance.random() < 0.05 else Quality.GOOD
        if chance.random() < 0.5:
            late = chance.choice([0, 300_000, 700_000, PERIOD * 3 // 2])
        cycles.append(Cycle(value, quality, float(chance.random() < 0.03), late))
    return cycles


SCRIPT = script()


class Run:
    """A task that cycles in the calling thread, on a clock of the test's own."""

    def __init__(self, kind: dict[str, Any], path: Any) -> None:
        more = dict(kind)
        output, guard = more.pop("output", {}), more.pop("guard", {})
        self.x, self.button, y = channel(["x"], "in"), channel(["button"], "in"), channel(["y"], "out", safe=-1.0)
        if more.pop("reset", False):
            more["reset"] = Trigger(channel=self.button)
        self.clock = FakeClock()
        self.slot = rt_engine.ModelSlot(leaky(0.5))
        task = Task(
            name="t",
            model=self.slot,
            period_s=PERIOD / 1e9,
            inputs=(Input(tensor="x", channel=self.x, window=3, stride=2),),
            outputs=(Output(tensor="y", channel=y, **output),),
            guard=Guard(max_age_s=math.inf, **guard),
            **more,
        )
        self.runner = TaskRunner(task, self.slot, self.clock.clock)
        self.runner.set_epoch(EPOCH)
        terms = TapTerms(path=path, capacity=1000, checkpoints=64, checkpoint_ns=4 * PERIOD)
        self.tap = self.runner.tap = Tap(task, self.runner.memory, terms)

    def go(self, cycles: list[Cycle], begin_ns: int, restore: Any = None) -> None:
        """These cycles, the first of which waits for `begin_ns`."""
        self.clock.now_ns = begin_ns - PERIOD // 2
        done = 0

        def on_sleep(until_ns: int) -> None:
            nonlocal done
            if done == len(cycles):
                self.runner.tell(Control.STOP)
                return
            if done == 0 and restore is not None:
                restore()
            now = cycles[done]
            self.clock.latency_ns = now.latency_ns
            self.x.write([now.value], now.quality, self.clock.now_ns)
            self.button.write([now.button], Quality.GOOD, self.clock.now_ns)
            done += 1

        self.clock.on_sleep = on_sleep
        self.runner.memory.clear()
        self.runner.run_here()
        if self.clock.failure:
            raise self.clock.failure


def comparable(records: Any) -> bytes:
    """All of them, but for how many cycles there were before and what a link counts."""
    records = records.copy()
    records["number"] = 0
    for name in records.dtype["inputs"].names:
        records["inputs"][name]["counter"] = 0
        records["inputs"][name]["timestamp_ns"] = 0
    return bytes(records.tobytes())


@pytest.mark.parametrize("kind", KINDS)
def test_from_each_checkpoint_on_every_record_is_the_same(tmp_path, kind):
    """Of a fresh task, on a fresh clock, that is put back there and given the same."""
    first = Run(KINDS[kind], tmp_path / "first")
    first.go(SCRIPT, EPOCH)
    records, checkpoints = first.tap.ring.records(), first.tap.ring.checkpoints()
    assert len(records) == CYCLES
    assert len(np.unique(records["status"])) > 2
    assert len(checkpoints) > 8
    for checkpoint in checkpoints[1:]:
        number = int(checkpoint["number"])
        again = Run(KINDS[kind], tmp_path / f"{number}")
        kept, regions = (
            Kept(again.runner.memory),
            np.frombuffer(checkpoint.tobytes(), np.uint8)[CHECKPOINT_HEAD.itemsize :],
        )
        assert checkpoint["phase"] == Phase.BEFORE_READ
        again.go(SCRIPT[number:], int(checkpoint["due_ns"]), lambda k=kept, r=regions: k.put_back(r))
        assert comparable(again.tap.ring.records()) == comparable(records[number:])
        again.tap.ring.remove()


@pytest.mark.parametrize(
    ("kind", "regions"),
    [
        ("all", "states window_0 samples_0 step turns last due monitor monitor_states fallback_states"),
        ("every", "ramp_from ramp_to newest"),
        ("rates", "holds"),
        ("monitor", "bumps fallback"),
        ("late", "late late_states"),
        ("watchdog", "task"),
    ],
)
def test_a_region_that_is_not_put_back_is_seen(tmp_path, kind, regions):
    """Each of them matters, somewhere."""
    first = Run(KINDS[kind], tmp_path / "first")
    first.go(SCRIPT, EPOCH)
    records, checkpoints = first.tap.ring.records(), first.tap.ring.checkpoints()
    wanted = set(regions.split())
    for checkpoint in checkpoints[3:]:
        number = int(checkpoint["number"])
        for name in sorted(wanted):
            again = Run(KINDS[kind], tmp_path / f"{name} {number}")
            changed = np.frombuffer(checkpoint.tobytes(), checkpoint.dtype).copy()
            changed[name] ^= 3 if name != "window_0" else 0
            changed["window_0"][0, 0] ^= name == "window_0"
            changed_regions = np.frombuffer(changed.tobytes(), np.uint8)[CHECKPOINT_HEAD.itemsize :]
            restore = partial(Kept(again.runner.memory).put_back, changed_regions)
            again.go(SCRIPT[number : number + 30], int(checkpoint["due_ns"]), restore)
            if comparable(again.tap.ring.records()) != comparable(records[number : number + 30]):
                wanted.remove(name)
            again.tap.ring.remove()
    assert not wanted


def test_states_that_have_no_room_are_named_and_nothing_is_put_back(tmp_path):
    """None of them is in the checkpoint then, and it says so."""
    run = Run(KINDS["plain"], tmp_path / "ring")
    kept = Kept(run.runner.memory)
    run.go(SCRIPT[:20], EPOCH)
    good = kept.keep()
    kept._parts[1].view(ROOM)["nbytes"] = 2
    lacking, about = kept.keep(), good[: ABOUT.itemsize].view(ABOUT)[0]
    assert (about["lacking"], about["needs"][Whose.TASK], about["versions"][Whose.TASK]) == (0, 4, 1)
    assert lacking[: ABOUT.itemsize].view(ABOUT)["lacking"] == 1 << Whose.TASK
    run.runner.memory.task["tick_ns"] = 5
    assert kept.put_back(lacking) == (Whose.TASK,)
    assert run.runner.memory.task["tick_ns"] == 5
    assert kept.put_back(good) == ()
    assert run.runner.memory.task["tick_ns"] != 5
    with pytest.raises(ValueError, match="another layout"):
        kept.put_back(lacking[:-1])


@pytest.mark.parametrize(("word", "value"), [(0, -1), (0, 4), (1, -1), (1, 3), (1, 1 << 62)])
def test_a_damaged_window_is_refused_and_nothing_is_put_back(tmp_path, word, value):
    """It would be read, and written, beyond its end."""
    run = Run(KINDS["plain"], tmp_path / "ring")
    kept = run.tap.kept
    run.go(SCRIPT[:20], EPOCH)
    regions, before = kept.keep(), run.runner.memory.task.tobytes()
    at = sum(nbytes for _, nbytes in kept.regions[: [name for name, _ in kept.regions].index("window_0")])
    regions[at : at + 24].view(np.int64)[word] = value
    regions[ABOUT.itemsize] ^= 1
    with pytest.raises(ValueError, match="damaged"):
        kept.put_back(regions)
    assert run.runner.memory.task.tobytes() == before


def test_a_checkpoint_holds_no_address(tmp_path):
    """Two tasks that have done the same have the same checkpoints, wherever their memory lies."""
    runs = [Run(KINDS["all"], tmp_path / name) for name in "ab"]
    for run in runs:
        run.go(SCRIPT, EPOCH)
    a, b = (run.tap.ring.checkpoints() for run in runs)
    assert a.tobytes() == b.tobytes()
    assert runs[0].tap.ring.layout == runs[1].tap.ring.layout
