"""What a task remembers from one cycle to the next, laid out for checkpoints (drawn in `scheduler.tap_block`).

    kept = Kept(memory)            of the memory of a task (`scheduler.binding.TaskMemory`)
    kept.regions                   for a `TaskLayout`
    kept.keep()                    a copy of all regions, as bytes
    kept.put_back(regions)         the task goes on from there, bit for bit

Not kept: counters, histograms and the trace, which no output depends on; what each cycle computes anew; addresses.
"""

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.recording.layout import Regions
from rt_engine.recording.record_block import Phase
from rt_engine.run.blocks import BLOCK, READER, STATE, STATES_HEAD
from rt_native.memory import Block, offsets
from scheduler.binding import TaskMemory
from scheduler.fallback_block import FALLBACK, LATE
from scheduler.monitor_block import MONITOR
from scheduler.native import NATIVE
from scheduler.tap_block import ABOUT, DAMAGED, KEPT, MOVE, ROOM, Whose
from scheduler.task_block import INPUT, STATS, STEP_HEADER, TASK

LEAST_ROOM = 4096
"""Bytes for the states of a model that has less now: a version with more may come."""

_T, _N, _I, _M, _F = offsets(TASK), offsets(STATS), offsets(INPUT), offsets(MONITOR), offsets(FALLBACK)


@dataclass(frozen=True, slots=True)
class Move:
    """A part of a task's memory; see MOVE of `scheduler.tap_block`."""

    name: str
    address: int
    nbytes: int
    copies: int = 1
    is_window: bool = False
    window: int = 0


@dataclass(frozen=True, slots=True)
class Room:
    """Where the states go of whichever block a reader runs; see ROOM of `scheduler.tap_block`."""

    name: str
    reader: int
    nbytes: int
    whose: Whose


class Kept:
    """Of one task, whose memory it does not own; `address` is for native code (KEPT of `scheduler.tap_block`)."""

    def __init__(self, memory: TaskMemory) -> None:
        self._memory = memory
        moves = [move for move in _moves(memory) if move.nbytes > 0]
        rooms = [_room(reader, whose) for reader, whose in _readers(memory) if reader]
        self.moves, self.rooms = tuple(moves), tuple(rooms)
        self.regions: Regions = (
            ("about", ABOUT.itemsize),
            *((move.name, move.nbytes) for move in moves),
            *((room.name, room.nbytes) for room in rooms),
        )
        """(Name, bytes) of each, in order."""
        self.nbytes = sum(nbytes for _, nbytes in self.regions)
        rows, places = Block(MOVE.itemsize * max(len(moves), 1)), Block(ROOM.itemsize * max(len(rooms), 1))
        for row, move in zip(rows.view(MOVE, 0, len(moves)), moves, strict=True):
            row["address"], row["nbytes"], row["copies"] = move.address, move.nbytes, move.copies
            row["is_window"], row["window"] = move.is_window, move.window
        for row, room in zip(places.view(ROOM, 0, len(rooms)), rooms, strict=True):
            row["reader"], row["nbytes"], row["whose"] = room.reader, room.nbytes, room.whose
        block = Block(KEPT.itemsize)
        block.view(KEPT)[0] = rows.address, len(moves), places.address, len(rooms)
        self._parts, self.address = (rows, places, block), block.address
        self._keep, self._put_back = NATIVE.function("kept_keep"), NATIVE.function("kept_put_back")

    def keep(self) -> NDArray[np.uint8]:
        """A copy of all regions, one behind the other, of a task that does not cycle at this moment."""
        found = np.zeros(self.nbytes, np.uint8)
        self._keep(self.address, found.ctypes.data)
        return found

    def put_back(self, regions: NDArray[np.uint8], phase: Phase = Phase.BEFORE_READ) -> tuple[Whose, ...]:
        """The task, which does not cycle at this moment, goes on from there. Its readers run the blocks of the checkpoint.

        Gives whose states are not in the checkpoint, or are other ones than those of the block that runs: then nothing has changed.

        Raises:
            ValueError: the checkpoint is of another layout, or damaged.
        """
        regions = np.ascontiguousarray(regions, np.uint8)
        if regions.nbytes != self.nbytes:
            raise ValueError(
                f"a checkpoint of {regions.nbytes} bytes, where this task has {self.nbytes}: another layout"
            )
        wrong = int(self._put_back(self.address, regions.ctypes.data, int(phase)))
        if wrong & DAMAGED:
            raise ValueError("the checkpoint is damaged: it has a window begin where none can")
        return tuple(whose for whose in Whose if wrong >> whose & 1)


def _moves(memory: TaskMemory) -> list[Move]:
    task, stats, at = memory.task, int(memory.task["stats"][0]), memory.address
    outputs = 8 * int(task["raw_count"][0])
    found = [
        Move("task", at + _T.tick_ns, _T.inputs_seen - _T.tick_ns),
        Move("holds", at + _T.held_since_ns, _T.every_ns - _T.held_since_ns),
        Move("turns", at + _T.next_turn_ns, _T.flags - _T.next_turn_ns),
        Move("due", stats + _N.due_ns, 16),
        Move("newest", stats + _N.status, 16),
        Move("raw", int(task["raw"][0]), outputs),
        Move("last", int(task["last"][0]), outputs),
    ]
    if task["sliced"][0]:
        found.append(Move("way", at + _T.way_ns, 8))
    if task["every_ns"][0]:
        found += [Move(name, int(task[name][0]), outputs) for name in ("ramp_from", "ramp_to")]
    if state := int(task["step_state"][0]):
        found.append(Move("step_tick", state - STEP_HEADER.itemsize + offsets(STEP_HEADER).tick_ns, 8))
        found.append(Move("step", state, int(task["step_bytes"][0])))
    return [*found, *_windows(memory), *_instead(memory, outputs)]


def _windows(memory: TaskMemory) -> list[Move]:
    found, at = [], int(memory.task["inputs"][0])
    for number, row in enumerate(memory.inputs):
        if not row["is_direct"]:
            place = at + number * INPUT.itemsize + _I.filled
            found.append(
                Move(f"window_{number}", place, _I.is_direct - _I.filled, is_window=True, window=int(row["window"]))
            )
            samples = 8 * int(row["window"]) * int(row["count"])
            found.append(Move(f"samples_{number}", int(row["ring"]), samples, copies=2, is_window=True))
    return found


def _instead(memory: TaskMemory, outputs: int) -> list[Move]:
    found, task = [], memory.task
    if monitor := int(task["monitor"][0]):
        found.append(Move("monitor", monitor + _M.value, _M.looked_at - _M.value))
    if fallback := int(task["fallback"][0]):
        found.append(Move("fallback", fallback + _F.stands, FALLBACK.itemsize - _F.stands))
        bumps = memory.instead.fallback
        assert bumps is not None
        found.append(Move("bumps", int(bumps["bumps"][0]), outputs))
    if late := int(task["late"][0]):
        found.append(Move("late", late + offsets(LATE).is_late, 8))
    return found


def _readers(memory: TaskMemory) -> list[tuple[int, Whose]]:
    """The reader of each model of the task, 0 where it has none."""
    found = [(int(memory.task["reader"][0]), Whose.TASK)]
    instead = memory.instead
    for whose, struct in (
        (Whose.MONITOR, instead.monitor),
        (Whose.FALLBACK, instead.fallback),
        (Whose.LATE, instead.late),
    ):
        if struct is not None:
            found.append((int(struct["reader"][0]), whose))
    return found


def _room(reader: int, whose: Whose) -> Room:
    need = states_bytes(int(_at(READER, reader)["active"]))
    name = "states" if whose is Whose.TASK else f"{whose.name.lower()}_states"
    return Room(name, reader, max(2 * need, LEAST_ROOM), whose)


def states_bytes(block: int) -> int:
    """Of all states of an execution block."""
    states = int(_at(BLOCK, block)["states"])
    if not states:
        return 0
    count = ctypes.c_int64.from_address(states).value
    return sum(int(_at(STATE, states + STATES_HEAD + STATE.itemsize * i)["nbytes"]) for i in range(count))


def _at(dtype: np.dtype[Any], address: int) -> Any:
    """A struct at an address, copied."""
    return np.frombuffer(ctypes.string_at(address, dtype.itemsize), dtype)[0]
