"""What a task's model was given in a cycle, copied from outside."""

import time
from dataclasses import dataclass
from itertools import count

import numpy as np
import pytest

import rt_engine
from scheduler import Scheduler
from scheduler.latching import REST_NS, latch
from tests.scheduler.models import scale
from tests.scheduler.test_scheduler import task, wait_for
from tests.scheduler.test_state import counter
from tests.waiting import PATIENCE_S

PERIOD = 1_000_000


@dataclass
class Told:
    """A task whose cycles the test makes, and a context; time is `now`. `on_copy` happens while its tensors are copied."""

    cycles: int = 1
    due_ns: int = PERIOD
    now: int = 0
    resets: int = 0
    version: int = 1
    has_state: bool = False
    on_copy: object = None

    def counters(self):
        self.now += 1
        names = {"state_resets": self.resets, "state_restores": 0, "version": self.version}
        return {"cycles": self.cycles, "due_ns": self.due_ns, **names}

    def now_ns(self):
        return self.now

    def cycle(self):
        self.cycles, self.due_ns, self.now = self.cycles + 1, self.due_ns + PERIOD, self.due_ns + 1

    @property
    def inputs(self):
        if self.on_copy:
            self.on_copy()
        return {"x": np.array([float(self.cycles)])}

    @property
    def outputs(self):
        return {"y": np.array([10.0 * self.cycles])}

    @property
    def state(self):
        return {"s": np.array([100.0 * self.cycles])} if self.has_state else {}

    def latch(self):
        return latch(lambda: self, self.counters, lambda: self.due_ns - PERIOD, self, PERIOD)


def values(found):
    return [float(array[0]) for views in (found.inputs, found.outputs, found.state) for array in views.values()]


def test_a_task_at_rest_is_copied_at_once():
    assert values(Told().latch()) == [1.0, 10.0]


def test_a_cycle_that_comes_while_it_is_copied_makes_the_copy_void():
    told, times = Told(), count()
    told.on_copy = lambda: told.cycle() if next(times) < 3 else None
    assert values(told.latch()) == [4.0, 40.0]


def test_time_that_passes_the_next_tick_makes_the_copy_void():
    """The cycle has begun, and not been counted yet."""
    told, times = Told(), count()

    def late():
        if next(times) == 0:
            told.now = told.due_ns + 1
        else:
            told.cycle()

    told.on_copy = late
    assert told.latch() is None


def test_a_task_that_never_rests_is_not_asked():
    told = Told(due_ns=REST_NS // 2)
    assert told.latch() is None


def test_the_state_is_that_before_the_cycle(monkeypatch):
    """Of two copies that follow each other; where a cycle lies between, or something was reset, others are taken."""
    told = Told(has_state=True)
    steps = iter([lambda: (told.cycle(), told.cycle()), lambda: (told.cycle(), setattr(told, "resets", 1)), told.cycle])
    monkeypatch.setattr("scheduler.latching._wait_for_next", lambda *_: next(steps)())
    assert values(told.latch()) == [5.0, 50.0, 400.0]


@pytest.mark.parametrize("state", [False, True])
def test_what_was_copied_gives_the_same_outputs_again(state):
    """From a task that runs, whose input changes in each cycle."""
    model = counter() if state else scale(2.0)
    t, x, _ = task("t", rt_engine.ModelSlot(model), 0.002)
    seen = 0
    with Scheduler([t]) as scheduler:
        wait_for(lambda: scheduler.stats()["t"].cycles > 5)
        until_s = time.monotonic() + PATIENCE_S
        for number in count():
            x.write([float(number)])
            found = scheduler.latched("t")
            if found is not None:  # else the computer is busy
                seen += 1
                assert outputs_of(model, found) == plain(found.outputs)
            if seen == 5 or time.monotonic() > until_s:
                break
    assert seen
    assert scheduler.latched("t") is None  # it does not run


def outputs_of(model, found):
    context = model.context()
    context.inputs = found.inputs
    context.restore(found.state)
    context.run()
    return plain(context.outputs)


def plain(arrays):
    return {name: array.tolist() for name, array in arrays.items()}
