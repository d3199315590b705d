"""What records and checkpoints begin with, as NumPy dtypes: for native code too, so this module imports nothing that changes often.

Where they lie, and what follows them: `rt_engine.recording.layout`.
"""

from enum import IntEnum, IntFlag

import numpy as np

from rt_native.structs import words

CLOCKS = 8
"""Readings of the clock that a record has room for."""

HEAD = np.dtype(
    [
        *words("tick_ns", "number", "due_ns", "version", "status", "action", "blame", "missed", "flags"),
        *words("wakeup_ns", "execution_ns"),
        ("monitor", "<f8"),
        *words("turn", "reads"),
        ("clock", "<i8", CLOCKS),
    ]
)
"""What each record begins with.

`tick_ns`: the tick of the cycle, on the clock of the task. `number`: cycles of the task since its start: a gap is seen by it.
`due_ns`: the tick that was waited for. `version`: of the model's block that ran. `status`, `action`: numbers of
`scheduler.status`; `blame`: where the fault was. `missed`: ticks lost after this one. `flags`: `Flag`. `wakeup_ns`: from `due_ns`
to waking; `execution_ns`: from there to the end. `monitor`: score of the monitor, 0 without one. `turn`: tick of the newest turn of
a model that runs every so many cycles, else 0. `reads`: how often the cycle asked its clock; `clock`: what it was told, in order,
as many as there is room for, 0 in the rest.
"""

SOURCE_HEAD = np.dtype(words("timestamp_ns", "counter", "quality", "arrived_ns"))
"""Of an input channel, as latched in this cycle: the first words of `fieldbus.image.image_layout.SLOT`; values follow."""

CHECKPOINT_HEAD = np.dtype(words("tick_ns", "number", "version", "phase", "epoch_ns", "due_ns"))
"""`number`: of the cycle that it comes before; `tick_ns`: that cycle's tick, as far as known, else the newest's.
`version`: of the block that runs. `phase`: `Phase`. `epoch_ns`, `due_ns`: of the task."""


class Flag(IntFlag):
    """What HEAD.flags says of a cycle."""

    RENEWED = 1
    """The model's and the step's states were reset in it."""
    TAKEN_BACK = 2
    """The version on trial was found bad; the old one did the tick again."""
    HELD_BACK = 4
    """The version on trial was found bad, and there was no time for the old one."""
    SECOND_SHADOW = 8
    """A second version ran beside it, in shadow."""
    SECOND_TRIAL = 16
    """A second version was on trial, or the loser of a trial ran beside it."""
    SMALLER = 32
    """A smaller model computed, as too little time was left: what the other needs was measured on the machine."""
    RUN_ENDED = 64
    """A run ended in it that was spread over several cycles: how far each came, the machine's clock decided."""
    RUN_DROPPED = 128
    """Such a run was given up as a version was found bad that the task uses: other tasks may have found it."""


class Phase(IntEnum):
    """When a checkpoint was written."""

    BEFORE_READ = 0
    """When its cycle began: what the cycle before left."""
    AFTER_TAKE_BACK = 1
    """In the cycle, after a trial was taken back: the windows have this cycle's inputs already."""
    AFTER_SWITCH = 2
    """In the cycle, before its inputs were read, as another version became live in it: the states of models are those that it
    begins with. Of all else, the cycle has changed some."""
