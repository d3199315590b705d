"""What the clock that plays a recording (`scheduler.replay_native`) and Python agree on, as NumPy dtypes.

REPLAY --> record   of this cycle       runs      RUN[n]      records in a row that can be repeated
       |                                checks    CHECK[n]    checkpoints, in the order of their records
       +-> task, stats, reader          sources   PLACE[n]    slots of the task's input channels
       |                                regions   REGION[n]   what a checkpoint's bytes are of
       +-> versions VERSION[n]          blocks of the versions that ran; others OTHER[n]: of its other models
       +-> kept                         a row for each record, as `kept_dtype` has it; or 0
"""

from enum import IntEnum
from typing import Any

import numpy as np

from rt_native.structs import words


class What(IntEnum):
    """What of a cycle is another than recorded; the first that applies. 0: nothing."""

    NOTHING = 0
    TICK = 1
    """The cycle served another tick, or none."""
    STATE = 2
    """What the task remembers, at a checkpoint."""
    RAW = 3
    """An output as given to the guard."""
    STATUS = 4
    ACTION = 5
    PUBLISHED = 6
    """An output after the guard."""
    MONITOR = 7
    """The value of the monitor."""
    MISSED = 8
    """How many ticks were lost after it."""


class Use(IntEnum):
    """What a checkpoint is used for."""

    BEGIN = 0
    """Before the cycle: the task remembers what it says, as cycles before it were not repeated."""
    VERIFY = 1
    """Before the cycle: what the task remembers is compared with it, then it is as for BEGIN."""
    SWITCH = 2
    """In the cycle, before inputs are read: the states of models are those of the version that became live."""
    TAKE_BACK = 3
    """In the cycle, before inputs are read: the task remembers what it says, but for the windows, which have the inputs."""


class Kind(IntEnum):
    """What a region is of."""

    OTHER = 0
    WINDOW = 1
    STATE = 2
    """Of a model."""
    FIXED = 3
    """Parameters that are the task's own: compared, never restored."""


REPLAY = np.dtype(
    [
        *words("is_begun", "is_in_cycle", "is_what_if", "remember_at", "inside", "inside_at"),
        *words("task", "stats", "reader", "late", "monitor", "period_ns"),
        *words("record", "index", "end", "records", "size"),
        *words("runs", "run", "run_count", "checks", "check", "check_count"),
        *words("sources", "source_count", "regions", "region_count", "versions", "version_count"),
        *words("others", "other_count"),
        *words("raw", "last", "count", "raw_at", "published_at"),
        *words("kept", "kept_size", "more"),
        *words("cycles", "equal", "differed"),
        *words("what", "place", "wanted", "got"),  # of the newest cycle
        *words("first_piece", "first_index", "first_what", "first_place", "first_wanted", "first_got", "piece"),
        *words("sliced"),
    ]
)
"""`is_in_cycle`: 1 from the moment that a record is put in place until its cycle is compared. `remember_at`: at which reading of
the clock, counted from 0, a checkpoint applies that was written in this cycle, -1: none; `inside`: its `Use`; `inside_at`: its
address. `index`, `end`: of the run. `more`: a function of Python's that brings the next piece of the recording, and gives 0 where
there is none. `cycles`: repeated; `equal`, `differed`: of those. `first_...`: of the first that did. `wanted`, `got`: as bits."""

RUN = np.dtype(words("first", "end"))
"""Records from `first` until `end`."""

CHECK = np.dtype(words("index", "use", "version", "epoch_ns", "address"))
"""A checkpoint: before (or in) which record it belongs, what for (`Use`), which version's states it has, tick 0
of the task, where its regions lie."""

PLACE = np.dtype(words("slot", "at", "nbytes"))
"""Bytes of a record, from `at` on, that go to a slot."""

REGION = np.dtype(words("kind", "address", "at", "nbytes", "copies", "needs_at", "is_compared", "name"))
"""A part of a checkpoint that lies in a row: `nbytes` from `at` of its regions on, `copies` times at `address`. `kind`: `Kind`; of
STATE, `address` is that of a reader, and `needs_at` where the checkpoint says how many bytes its block's states have. `name`: which
of the layout's regions it is of."""

VERSION = np.dtype(words("number", "block", "offer"))
"""A version that ran, the execution block of its context here, and an arrangement that makes it live."""


OTHER = np.dtype(words("reader", "at", "number", "block", "offer"))
"""The same of another model of the task; `at`: where in a checkpoint's regions the number of its version stands."""


def kept_dtype(outputs: int) -> np.dtype[Any]:
    """Of what is kept of a cycle, where somebody wants it: `what` is another than recorded (`What`), and what came out."""
    return np.dtype(
        [
            *words("what", "status", "action"),
            ("monitor", "<f8"),
            ("raw", "<f8", (outputs,)),
            ("published", "<f8", (outputs,)),
        ]
    )
