"""A second version beside the one that is live: what it has to keep to, and what was seen of it.

    change = scheduler.change({slot: model, ...}, terms={"task": Terms(...)})     contexts prepared and warmed; nothing has changed
    change.shadow()        -> tuple[UpdateResult, ...]    the new versions compute beside the old ones, in all tasks of the slots
    change.trial()         -> tuple[UpdateResult, ...]    they are live, the old ones go on beside them; from STAGED or SHADOW
    change.commit()        -> tuple[UpdateResult, ...]    for good; from STAGED (a plain update), SHADOW or TRIAL
    change.roll_back()     the old ones are live at the next tick; from any state, COMMITTED too while no other change came
    change.state           ChangeState: STAGED, SHADOW, TRIAL, COMMITTED, REJECTED (was never live), ROLLED_BACK
    change.fate            rt_engine.slot_change.Fate(verdict, tick_ns, task, output) | None: set natively, in the tick in which a
                           version on trial was found bad; the tasks are back with the old versions by then, or at their next tick.
                           Call `roll_back()` to tidy up
    scheduler.second(task) SecondStats | None: of the newest shadow or trial of a task
    slot.previous          (model, version) that `roll_back` of the newest committed change brings back, or None

Each step is taken by all tasks of all slots at one tick, one fate for all; UpdateError: a task did not take it, and nothing has
changed. PLC clients that call a slot are answered by the committed version: a shadow or a trial is no matter of theirs.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from scheduler.second_block import EDGES
from scheduler.stats import Latency

__all__ = ["EDGES", "Difference", "SecondStats", "Terms"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a second version must keep to in one task; times as the gate measured them here. In units of the task's outputs.

    Args:
        new_ns: what the new version needs for a run. Less time left in a cycle: its shadow does not run, which is counted.
        old_ns: what the old one needs, likewise: as shadow, and to take over in a tick.
        budget_ns: a run of a version on trial that is longer is TOO_SLOW.
        low, high: tag -> limits of what the new version gives, before step and guard. One beyond them is OUT_OF_LIMITS.
        tolerance: a difference of more counts as beyond; one for all outputs, or tag -> tolerance.

    None: the scheduler measures (`new_ns`, `old_ns`), or what the period leaves (`budget_ns`).
    """

    new_ns: int | None = None
    old_ns: int | None = None
    budget_ns: int | None = None
    low: Mapping[str, float] = field(default_factory=dict)
    high: Mapping[str, float] = field(default_factory=dict)
    tolerance: float | Mapping[str, float] = math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How far two versions were apart in one output of a task, in its unit, before step and guard."""

    name: str
    """The tag."""
    histogram: NDArray[np.int64]
    """Cycles by |difference|; bin i is from `EDGES[i]` to `EDGES[i + 1]`."""
    largest: float
    largest_tick_ns: int
    """The tick of the largest."""
    tolerance: float
    beyond: int
    """Cycles with more than the tolerance between them."""
    not_finite: int
    """Cycles in which one of the two was NaN or infinite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondStats:
    """What was seen of a second version in one task, since its shadow or its trial began."""

    mode: str
    """`shadow`: the second is the new version; `trial`: it is the old one."""
    version: int
    """Of the second."""
    ran: int
    skipped: int
    """Cycles whose time left did not suffice for it."""
    failed: int
    """Runs that ended with a status other than 0."""
    not_finite: int
    """Runs that gave NaN or infinity in any of its outputs or states."""
    outside: int
    """Runs with an output outside of the limits of the terms."""
    need_ns: int
    """So much time must be left: as the terms say, or as long as it once took."""
    execution: Latency
    """Of the second."""
    judged: Latency
    """Of the version on trial; of none in a shadow."""
    differences: tuple[Difference, ...]
    """Of each output that the model gives, in the task's order."""
    never: str = ""
    """Why a run of the second never ends, and what helps; of slices that are too short. Empty: nothing known."""
