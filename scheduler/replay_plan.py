"""Which records of a piece of a recording can be repeated, in which runs, and which checkpoints serve them. Pure.

    number      4  5  6  7  8  |  12 13 14 15 16 |  17  (version 2)
    checkpoint     C     C     |         C       |  C
    run            [--------)  |         [-------)  [----
    left out    4              |  12 13          |

A run begins at a checkpoint and ends where the next record does not follow from what the task remembers: cycles are missing between
them, a cycle was held back, another version runs and no checkpoint says what it begins with.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from rt_engine.recording.layout import CLOCKS, Flag, Phase, Records
from rt_engine.status import Status
from scheduler.replay_block import CHECK, RUN, Use
from scheduler.status import TaskStatus

NO_CUTS: NDArray[np.int64] = np.zeros(0, np.int64)
LEAST_READS = 4
"""A cycle asks its clock when it wakes, before it reads, when its outputs are there, and at its end."""
LATEST_NS = 1 << 62


class Why(Enum):
    """Why a cycle that was recorded is not repeated."""

    NO_CHECKPOINT = (
        "what the task remembered is not known: before the first checkpoint, or from a gap until the next one"
    )
    NEW_VERSION = "after another version of the model became live, until the next checkpoint"
    NO_MODEL = "the model of its version is missing"
    HELD_BACK = "a version on trial was found bad in it, and its outputs were held: which of its numbers were there is not known"
    HELPER_LATE = "a helper core was late in it: where that ended the run of the model, only that machine's clock knew"
    BROKEN = "its record cannot be one of a cycle: no clock says what it has"


@dataclass(frozen=True, slots=True)
class Before:
    """The record before the first one of a piece; `is_repeated`: the task remembers what came after it."""

    number: int = 0
    version: int = 0
    is_repeated: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What can be done with a piece. `runs`, `checks`: see `scheduler.replay_block`; `after`: for the next piece."""

    runs: NDArray[np.void]
    checks: NDArray[np.void]
    left_out: Mapping[Why, int] = field(default_factory=dict)
    after: Before = Before()

    @property
    def cycles(self) -> int:
        """How many records are repeated."""
        return int((self.runs["end"] - self.runs["first"]).sum())


def plan(
    records: Records,
    checkpoints: Records,
    known: NDArray[np.int64],
    before: Before = Before(),
    cuts: NDArray[np.int64] = NO_CUTS,
) -> Plan:
    """The runs of a piece.

    Args:
        records: of a task, in their order; all of one boot of its machine.
        checkpoints: of the same; those of no record of the piece are not used.
        known: the versions of which there is a model.
        before: `after` of the piece before, if this one goes on from it.
        cuts: ticks at which another model of the task became one that is not there.
    """
    count = len(records)
    if count == 0:
        return Plan(np.zeros(0, RUN), np.zeros(0, CHECK), {}, before)
    number, version, flags = (records[name].astype(np.int64) for name in ("number", "version", "flags"))
    checks = _checks_of(records["tick_ns"].astype(np.int64), checkpoints, known)
    is_back = flags & Flag.TAKEN_BACK != 0
    is_held = (flags & Flag.HELD_BACK != 0) | (records["status"] == TaskStatus.ROLLED_BACK)
    is_other = np.diff(version, prepend=before.version if before.is_repeated else version[0]) != 0
    whole = checks[Phase.BEFORE_READ]
    begins_as = np.where(whole >= 0, checkpoints["version"][whole], version) if len(checkpoints) else version
    is_cut = np.isin(records["tick_ns"], cuts)
    is_begin = (whole >= 0) & ~is_cut & ((begins_as == version) | is_back | (checks[Phase.AFTER_SWITCH] >= 0))
    left_out, is_bad = _left_out(
        {
            Why.BROKEN: ~_are_possible(records),
            Why.NO_MODEL: ~np.isin(version, known),
            Why.HELD_BACK: is_held,
            Why.HELPER_LATE: records["status"] == Status.HELPER_LATE,
            Why.NEW_VERSION: is_back & (checks[Phase.AFTER_TAKE_BACK] < 0),
        }
    )
    is_cut |= is_other & ~is_back & (checks[Phase.AFTER_SWITCH] < 0)
    is_gap = np.diff(number, prepend=before.number) != 1
    is_gap[0] |= not before.is_repeated
    begins = is_gap | is_cut | is_bad
    begins[1:] |= is_bad[:-1]
    starts, first, ends = _groups(begins, is_begin)
    is_run = ~is_bad[starts] & (first < ends)
    runs = np.zeros(int(is_run.sum()), RUN)
    runs["first"], runs["end"] = first[is_run], ends[is_run]
    waited = np.where(is_bad[starts], 0, np.minimum(first, ends) - starts)
    of_version = is_cut[starts] & ~is_gap[starts]
    left_out[Why.NO_CHECKPOINT] = int(waited[~of_version].sum())
    left_out[Why.NEW_VERSION] += int(waited[of_version].sum())
    after = Before(int(number[-1]), int(version[-1]), bool(len(runs) and runs["end"][-1] == count))
    begun = runs["first"] if begins[0] or not len(runs) else runs["first"][1:]
    used = _uses(runs, begun, checks, checkpoints, is_back)
    return Plan(runs, used, {why: n for why, n in left_out.items() if n}, after)


def _left_out(reasons: Mapping[Why, NDArray[np.bool_]]) -> tuple[dict[Why, int], NDArray[np.bool_]]:
    """How many records each reason leaves out, the first that applies to one; and which records those are."""
    counts, is_bad = dict[Why, int](), np.zeros_like(next(iter(reasons.values())))
    for why, found in reasons.items():
        counts[why] = int((found & ~is_bad).sum())
        is_bad |= found
    return counts, is_bad


def _groups(
    begins: NDArray[np.bool_], is_begin: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Records in rows that follow from each other: where each row starts, where in it a run can begin, and where it ends.

    The first goes on from the piece before, if it does not begin anew; of a row without a checkpoint a run begins behind its end.
    """
    count = len(begins)
    starts = np.flatnonzero(begins) if begins[0] else np.concatenate([[0], np.flatnonzero(begins)])
    first = np.minimum.reduceat(np.where(is_begin, np.arange(count), count), starts)
    if not begins[0]:
        first[0] = 0
    return starts, first, np.append(starts[1:], count)


def _are_possible(records: Records) -> NDArray[np.bool_]:
    """Of each record: can a cycle have asked its clock so often, and been told that? It never wakes before its tick is due."""
    reads, due, clock, late = records["reads"], records["due_ns"], records["clock"], records["wakeup_ns"]
    is_told = np.arange(CLOCKS) < reads[:, np.newaxis]
    is_time = ((clock >= 0) & (clock < LATEST_NS)) | ~is_told
    possible: NDArray[np.bool_] = (reads >= LEAST_READS) & (reads <= CLOCKS) & is_time.all(axis=1)
    return possible & (due >= 0) & (due < LATEST_NS) & (late >= 0) & (late < LATEST_NS)


def _checks_of(
    ticks: NDArray[np.int64], checkpoints: Records, known: NDArray[np.int64]
) -> dict[Phase, NDArray[np.int64]]:
    """Of each record, by phase, which checkpoint belongs to it; or -1. Not those with the states of a version without a model."""
    found = {}
    for phase in Phase:
        mine = np.flatnonzero((checkpoints["phase"] == phase) & np.isin(checkpoints["version"], known))
        marks, rows = np.unique(checkpoints["tick_ns"][mine], return_index=True)
        found[phase] = np.full(len(ticks), -1, np.int64)
        if len(marks):
            at = np.minimum(np.searchsorted(marks, ticks), len(marks) - 1)
            found[phase] = np.where(marks[at] == ticks, mine[rows[at]], -1)
    return found


def _uses(
    runs: NDArray[np.void],
    begun: NDArray[np.int64],
    checks: dict[Phase, NDArray[np.int64]],
    checkpoints: Records,
    is_back: NDArray[np.bool_],
) -> NDArray[np.void]:
    """A row for each checkpoint that is used; `address` is which one, until it lies in memory. `begun`: where runs begin anew."""
    edges = np.zeros(len(is_back) + 1, np.int64)
    np.add.at(edges, runs["first"], 1)
    np.add.at(edges, runs["end"], -1)
    is_in = np.cumsum(edges[:-1]) > 0
    whole = np.where(np.isin(np.arange(len(is_in)), begun), Use.BEGIN, Use.VERIFY)
    found = []
    for phase, uses, where in (
        (Phase.BEFORE_READ, whole, is_in),
        (Phase.AFTER_SWITCH, np.full(len(is_in), Use.SWITCH), is_in & ~is_back),
        (Phase.AFTER_TAKE_BACK, np.full(len(is_in), Use.TAKE_BACK), is_in & is_back),
    ):
        index = np.flatnonzero(where & (checks[phase] >= 0))
        rows = np.zeros(len(index), CHECK)
        rows["index"], rows["use"], rows["address"] = index, uses[index], checks[phase][index]
        for name in ("version", "epoch_ns"):
            rows[name] = checkpoints[name][rows["address"]]
        found.append(rows)
    return np.sort(np.concatenate(found), order=["index", "use"])
