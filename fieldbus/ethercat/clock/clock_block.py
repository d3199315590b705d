"""What the controller of a distributed clock and Python agree on, as a NumPy dtype.

EXCHANGE.clock --> CLOCK --> offsets    a histogram: how far from the wanted phase frames were, once it was locked
"""

import numpy as np

from rt_native.structs import words

CLOCK = np.dtype(
    [
        # constants
        *words("cycle_ns", "target_ns", "is_short", "most_q", "horizon", "window_ns", "lost_ns", "offsets"),
        # what the newest frame told
        *words("is_new", "told_ns", "sent_ns", "heard_ns"),
        # the line: our time `at_ns` is `at_ns + base_ns + offset_q` on the bus
        *words("n", "base_ns", "offset_q", "rate", "at_ns", "usual_q", "far", "side", "late_q"),
        # the wake-up
        *words("rest_q", "error_ns", "calm", "is_locked", "was_locked", "is_lost"),
        # what is told
        *words("phase_ns", "heard", "refused", "jumps", "losses", "unlocks"),
    ]
)
"""`target_ns`: the phase at which frames pass the reference clock, on its own time, of a cycle of `cycle_ns`. `is_short`: it tells
32 bits. `most_q`: the longest slew of a cycle. `horizon`: pairs that the line is fitted over. `window_ns`: an error within it is
none. `lost_ns`: after so long without a believable pair the reference is lost.

`is_new`: a frame has told something since the newest step. `n`: how many pairs the line stands for, 0: there is none. `far`: pairs in
a row that were not believed; `side`: pairs in a row above the line, below it where negative. `late_q`: how long after its tick a
frame is sent, as a rule. `rest_q`: what is left of slews in parts of a nanosecond. `error_ns`: by how much the next frame would come
too late. `calm`: cycles in a row within the window. `phase_ns`: by how much the newest frame came too late. `heard`, `refused`: pairs
believed and not; `jumps` of the bus clock; `losses` of the reference; `unlocks`: how often the phase was lost.
"""
