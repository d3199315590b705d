"""What native code and Python agree on for a model whose runs are spread over several cycles (`scheduler.slices_native`).

TASK.sliced --> SLICE                   of the task: how long a slice is, how far the run is in cycles
READER.active --> BLOCK.slices          of the version: its pieces, and how far its run is in them (`rt_engine.run.blocks.SLICES`)
"""

import numpy as np

from rt_native.structs import words

LIVE, GO_ON, END = -1, 0, 1

SLICE = np.dtype(
    words(
        *("execute", "slice_ns", "reserve_ns", "told"),
        *("begun_ns", "cycles", "last_cycles", "most_cycles", "last_ns", "most_ns", "longest_ns"),
    )
)
"""`execute`: address of `execute_slice`. `reserve_ns`: what is left of a cycle for all that comes behind the model. `told`:
LIVE: the clock says how far a slice goes; else a replay does: END: the run ends in this cycle; GO_ON: it does not.

`begun_ns`: the tick in which the newest run began; `cycles`: slices that it took so far. Since the counters' last reset:
`last_cycles`, `most_cycles`, `last_ns`, `most_ns`: of runs that are done; `longest_ns`: of all slices."""
