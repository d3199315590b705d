"""What the thread that runs a model and its helpers agree on, as NumPy dtypes. One TEAM for each context or task that has helpers.

    line 0   claims    generation << 16 | low << 8 | high     pieces low to high - 1 of this fan-out are nobody's yet
    line 1   the fan-out: whose arena, where its pieces are
    line 2   constants, and what helpers are told
    line 3   what was counted, by the thread that runs the model
    then     HELPER[MOST], two lines each

One that runs a model takes pieces from below, helpers take them from above: each works on what lies together, and finds in its caches
what it wrote before. A piece is taken by one compare-and-exchange of the word of claims, which never has a value twice: who looked
before a fan-out ended, and comes back when it is over, takes nothing.

A helper says that it is busy before it takes a piece, and that it is not behind its last one. So when no piece is left, whoever is
busy with this generation has something that is waited for.
"""

import numpy as np

from rt_native.structs import words

MOST = 7
"""Helpers."""
MOST_PIECES = 255

TEAM = np.dtype(
    [
        *words("claims"),
        ("line_0", "<i8", 7),
        *words("arena", "pieces", "left_ns", "until_ns"),
        ("line_1", "<i8", 4),
        *words("helpers", "patience_ns", "stop", "due_ns", "clock", "clock_sleep", "clock_now", "awake_ns"),
        *words("fan_outs", "taken_back", "alone", "late", "resting", "waits", "wake", "awaited"),
    ]
)
"""`patience_ns`: how long pieces that helpers have begun are awaited in a run, together; `left_ns`: what is left of that; `until_ns`:
on CLOCK_MONOTONIC, when none is awaited any more: of a run in slices, where the rest of the cycle is needed. `stop`: helpers end.
`due_ns`: in a task, when its next cycle is due on its clock; helpers sleep until then. `awake_ns`: how long they look for pieces at
most before they sleep again.

`fan_outs`: how many there were. `alone`: of those, how many no helper came to; `taken_back`: pieces of the helpers that the thread did
itself then. `late`: how often a piece was begun and not done in time, which ended the run.
`resting`: a bit for each helper that still has one. `awaited`: the fan-out of a piece that was late last; 0: of a run before.
`waits`: address of a histogram, nanoseconds that were waited for pieces of helpers. `wake`: address of a function that wakes helpers,
0 in tasks.
"""

HELPER = np.dtype(
    [
        *words("busy", "arena", "failed", "asleep", "pieces"),
        ("line_0", "<i8", 3),
        ("semaphore", "<i8", 4),
        ("line_1", "<i8", 4),
    ]
)
"""`busy`: the generation of the piece that it has, 0: none; `arena`: of whom. `failed`: generation << 16 | a piece's status that was
not 0. `asleep`: it waits for `semaphore`, outside of tasks. `pieces`: how many it has done."""
