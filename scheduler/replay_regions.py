"""Where the parts of a checkpoint lie in the memory of a task that repeats a recording."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.recording.layout import CHECKPOINT_HEAD, Records, TaskLayout
from rt_native.memory import offsets
from scheduler.errors import ReplayError
from scheduler.kept import Kept, Move, Room
from scheduler.monitor_block import MONITOR
from scheduler.replay_block import REGION, Kind
from scheduler.tap_block import ABOUT, Whose
from scheduler.task_block import TASK

WORD = 8
_T, _M, _A = offsets(TASK), offsets(MONITOR), offsets(ABOUT)
NOT_COMPARED = {"task": _T.came_ns - _T.tick_ns, "monitor": _M.largest - _M.value}
"""Region -> the byte of its word that may be another: when inputs came, of a run's first cycle, in which all count as new; the largest
value since counters were reset, which nobody records."""


def region_rows(kept: Kept, layout: TaskLayout, fixed: int = 0) -> NDArray[np.void]:
    """A row for each part that lies in a row.

    Args:
        fixed: bytes of parameters that the state of the task's step begins with (`Step.fixed`).

    Raises:
        ReplayError: the recorded checkpoints have other regions; it says which.
    """
    if not layout.regions:
        return np.zeros(0, REGION)
    recorded, mine = dict(layout.regions), dict(kept.regions)
    rooms = {room.name for room in kept.rooms}  # those are as large as the first version's states wanted
    wrong = [name for name in {**mine, **recorded} if name not in rooms and mine.get(name) != recorded.get(name)]
    if wrong or [*mine] != [name for name, _ in layout.regions]:  # each once: checked is what native code takes
        raise ReplayError(
            f"task {layout.task!r} remembers something else than was recorded: {', '.join(wrong or recorded)}. Is it another "
            "station file, or another version of rt-engine?"
        )
    found, at = list[Any](), ABOUT.itemsize
    parts: tuple[Move | Room, ...] = (*kept.moves, *kept.rooms)
    for number, part in enumerate(parts, 1):
        nbytes = recorded[part.name]
        if isinstance(part, Move):
            found += [(*row[:-1], 0, row[-1], number) for row in _of_move(part, at, fixed)]
        else:
            found.append((Kind.STATE, part.reader, at, nbytes, 1, _A.needs + WORD * part.whose, 1, number))
        at += nbytes
    return np.array(found, REGION)


def _of_move(move: Move, at: int, fixed: int) -> Iterator[tuple[int, int, int, int, int, int]]:
    """(kind, address, at, bytes, copies, is compared) of its parts: all of it, but for what is another matter."""
    kind, word = Kind.WINDOW if move.is_window else Kind.OTHER, NOT_COMPARED.get(move.name)
    parts = [(0, move.nbytes, kind, 1)]
    if word is not None:
        parts = [(0, word, kind, 1), (word, word + WORD, kind, 0), (word + WORD, move.nbytes, kind, 1)]
    elif move.name == "step":
        parts = [(0, fixed, Kind.FIXED, 1), (fixed, move.nbytes, kind, 1)]
    for first, end, of, is_compared in parts:
        if end > first:
            yield of, move.address + first, at + first, end - first, move.copies, is_compared


def are_sound(checkpoints: Records, kept: Kept, layout: TaskLayout, has_turns: bool) -> NDArray[np.bool_]:
    """Of each checkpoint: can it be one of this task? It has the states of all models, in the room that there is for them, its
    windows lie within their rings, and no turn is to come of a model that runs in each cycle (`has_turns`: every so many)."""
    windows = {move.name: move.window for move in kept.moves if move.window}
    rooms = {room.name: room.whose for room in kept.rooms}
    sound = np.ones(len(checkpoints), np.bool_)
    at = CHECKPOINT_HEAD.itemsize
    for number, (name, nbytes) in enumerate(layout.regions):
        if number == 0:
            sound &= _words(checkpoints, at + _A.lacking, 1)[:, 0] == 0
        if name == "turns" and not has_turns:
            sound &= _words(checkpoints, at, 1)[:, 0] == 0
        if name in rooms:
            sound &= _words(checkpoints, CHECKPOINT_HEAD.itemsize + _A.needs + WORD * rooms[name], 1)[:, 0] <= nbytes
        if name in windows:
            filled, position = _words(checkpoints, at, 2).T
            sound &= (filled >= 0) & (filled <= windows[name]) & (position >= 0) & (position < windows[name])
        at += nbytes
    return sound


def are_known(checkpoints: Records, layout: TaskLayout, known: Mapping[str, Collection[int]]) -> NDArray[np.bool_]:
    """Of each checkpoint: are the versions of the task's other models among those that are there? `known`: by whose they are."""
    found = np.ones(len(checkpoints), np.bool_)
    for whose, numbers in known.items() if layout.regions else ():
        at = CHECKPOINT_HEAD.itemsize + _A.versions + WORD * Whose[whose.upper()]
        found &= np.isin(_words(checkpoints, at, 1)[:, 0], list(numbers))
    return found


def versions_of(checkpoints: Records, layout: TaskLayout) -> NDArray[np.int64]:
    """Of each checkpoint: which version's states it has, of the model that the task has."""
    if not layout.regions:
        return np.zeros(len(checkpoints), np.int64)
    return _words(checkpoints, CHECKPOINT_HEAD.itemsize + _A.versions, 1)[:, 0]


def _words(rows: Records, at: int, count: int) -> NDArray[np.int64]:
    """`count` words from byte `at` on of each row."""
    part = np.dtype({"names": ["w"], "formats": [("<i8", (count,))], "offsets": [at], "itemsize": rows.dtype.itemsize})
    words: NDArray[np.int64] = rows.view(part)["w"]
    return words
