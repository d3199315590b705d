"""What native code and Python agree on where programs run, as NumPy dtypes: execution block, and who runs which of them.

block --> records[i] --> kernel(arena, record)
  |                        |
  +--> arena: header | tensors ...      header.weights --> weights of the program

block --> slices: how far a run has come that is spread over several cycles --> pieces: so many records at a time

reader --> active: the block that a task runs
  |   +--> arrangement --> active, second: blocks      mode: what the second is for
  +------> next: arrangement --> change: from which tick on it is taken, and what became of the version that it brings
"""

from enum import IntEnum

import numpy as np

from rt_native.structs import words

BLOCK = np.dtype(
    [
        ("arena", "<i8"),
        ("records", "<i8"),
        ("count", "<i8"),
        ("table", "<i8"),  # addresses of kernels
        ("status", "<i8"),  # of the last run
        ("node", "<i8"),  # where the last run stopped, when its status is not OK
        ("runs", "<i8"),
        ("version", "<i8"),
        ("tensors", "<i8"),  # table of int64: the address of each input, then of each output, in signature order
        ("states", "<i8"),  # int64 count, then STATE[count]; or 0
        ("good", "<i8"),  # address of room for a copy of all states, one behind the other; or 0
        ("needs_ns", "<i8"),  # what a run takes at most, as far as that is known; 0: it is not
        ("envelope", "<i8"),  # what training saw of the tensors (`scheduler.monitor_block`); or 0
        ("slices", "<i8"),  # SLICES of a context whose runs are spread over several cycles; or 0
        ("spare", "<i8", 2),
    ]
)
"""Execution block: one context of one program, as the cycle sees it. Whoever runs another version of a model finds that
version's tensors through the block, so bindings are made once, by position; what belongs to a version lies here too."""

SLICES = np.dtype(
    [
        *words("pieces", "count", "piece_of", "records"),
        *words("next", "is_under_way", "waited", "goes_on", "awaited", "late_in_row"),
        *words("ran_ns", "longest_ns", "behind_ns"),
    ]
)
"""A run piece by piece (`rt_engine.run.slices_native`). `piece_of`: int64 of each record, which piece begins there: where jumps go.

`next`: the piece that the run goes on with; `waited`: how often in a row that one was put off. `goes_on`: the record within it, 0: its
first; helpers still work on fan-out `awaited`, which is before that one, and were late with it in `late_in_row` slices.

`ran_ns`: what the run has taken so far, what lay between its slices not counted; `longest_ns`: of the longest piece of all runs.
`behind_ns`: what is left of the cycle behind the slice, for pieces whose helpers do not come."""

PIECE = np.dtype(words("first", "end", "most_ns", "base_ns", "alone_ns"))
"""Records in a row, as addresses. `most_ns`: what they took at most so far; `base_ns`: what they took when they were measured at load:
a piece that is put off forgets a part of what is beyond that, as a processor that was taken away for a while is no reason for ever.
`alone_ns`: what they take on one core."""

STATE = np.dtype([("address", "<i8"), ("nbytes", "<i8"), ("dtype", "<i8"), ("initial", "<i8")])
"""One state of a context. `dtype`: the number of its type where it has to stay finite (`rt_engine.run.state_native`), else 0."""

STATES_HEAD = 8
"""Bytes before the first STATE: how many there are."""

NEVER = (1 << 63) - 1


class Mode(IntEnum):
    """What a second version beside the active one is for."""

    PLAIN = 0
    """There is none, or it is kept without being run."""
    SHADOW = 1
    """The active version is the old one; the second is new, and runs when the outputs are out."""
    TRIAL = 2
    """The active version is new; the second is the old one, which takes over in the tick in which the new one is found bad."""


CHANGE = np.dtype(
    [
        ("activation_ns", "<i8"),  # ticks from this time on take what is offered; NEVER until all is offered
        ("verdict", "<i8"),  # the fate word: 0 until a version of the change is found bad; then why, once and for all
        ("tick_ns", "<i8"),  # in which tick; written after the verdict, and last
        ("task", "<i8"),  # number of the task that found it
        ("place", "<i8"),  # which of its outputs was it, -1: none of them
        ("spare", "<i8", 3),
    ]
)
"""Shared by all readers, of one slot or of several, that change at one tick and have one fate."""

ARRANGEMENT = np.dtype(
    [
        ("active", "<i8"),  # block that is run
        ("second", "<i8"),  # block beside it, or 0
        ("mode", "<i8"),
        ("carry_to", "<i8"),  # block that begins with the states of the one that ran before, or 0: it keeps its own
        ("fall_to", "<i8"),  # block that is active from the moment on that the change has a verdict, or 0
        ("change", "<i8"),
        ("watch", "<i8"),  # what whoever runs the blocks wants to have at hand with two of them, or 0
        ("spare", "<i8", 1),
    ]
)
"""What a reader runs: offered, taken at a tick, and not changed after."""

READER = np.dtype(
    [
        ("active", "<i8"),  # block that is run
        ("next", "<i8"),  # arrangement that waits for its time, or 0
        ("arrangement", "<i8"),  # that was taken last, 0 before the first
        ("watch", "<i8"),  # the arrangement's, 0 when its second version has taken over
        ("taken_ns", "<i8"),  # tick that took it
        ("switches", "<i8"),  # how often another block became the active one
        ("switched_ns", "<i8"),  # tick of the last switch
        ("dropped", "<i8"),  # 1: when it was taken the states did not go over, as they held NaN or infinity
    ]
)
"""One task's view of a model slot."""

MOVE = np.dtype([("array", "<i8"), ("tensor", "<i8"), ("bytes", "<i8")])
"""Of many samples: where the array is that holds them all, where the tensor of a context, how many bytes a sample has."""
