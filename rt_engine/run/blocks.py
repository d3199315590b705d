"""What native code and Python agree on where programs run, as NumPy dtypes: execution block, slot, slot reader.

block --> records[i] --> kernel(arena, record)
  |                        |
  +--> arena: header | tensors ...      header.weights --> weights of the program
"""

import numpy as np

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
        ("spare", "<i8", 3),
    ]
)
"""Execution block: one context of one program, as the cycle sees it. Whoever runs another version of a model finds that
version's tensors through the block, so bindings are made once, by position; what belongs to a version lies here too."""

STATE = np.dtype([("address", "<i8"), ("nbytes", "<i8"), ("dtype", "<i8"), ("initial", "<i8")])
"""One state of a context. `dtype`: the number of its type where it has to stay finite (`rt_engine.run.state_native`), else 0."""

STATES_HEAD = 8
"""Bytes before the first STATE: how many there are."""

NEVER = (1 << 63) - 1

SLOT = np.dtype([("activation_ns", "<i8"), ("spare", "<i8", 7)])
"""Shared by all readers of a model slot. `activation_ns` is when a pending version is taken; NEVER when none is."""

READER = np.dtype(
    [
        ("slot", "<i8"),
        ("active", "<i8"),  # block that is run
        ("next", "<i8"),  # block that waits for its time, or 0
        ("taken_ns", "<i8"),  # tick time of the last switch
        ("switches", "<i8"),
        ("carry", "<i8"),  # 1: the version that waits has the same states, which go over; 0: it begins anew
        ("dropped", "<i8"),  # 1: at the last switch they did not go over, as they held NaN or infinity
        ("spare", "<i8", 1),
    ]
)
"""One task's view of a model slot."""

MOVE = np.dtype([("array", "<i8"), ("tensor", "<i8"), ("bytes", "<i8")])
"""Of many samples: where the array is that holds them all, where the tensor of a context, how many bytes a sample has."""
