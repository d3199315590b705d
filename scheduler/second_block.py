"""What native code and Python agree on for a second version of a task's model (`scheduler.watch` lays it out):

    READER.watch --> SECOND --> inputs   COPY[n]     the active block's input tensors --> the second's
                       |     +> active_outputs, second_outputs   STATE[n]   output tensors, to be looked at for NaN and infinity
                       |     +> low, high            float64[]   limits of `raw` of the new version, in units of the outputs; or 0
                       |     +> live, other          float64[]   `raw` of the active version before the step, and of the second
                       |     +> differences          DIFFERENCE[number of outputs]
                       |     +> saved                SAVED[n]    what a tick changes between its inputs and its outputs
                       +------> execution, judged    histograms of the second's runs, and of those of a version on trial

A bin of |difference| is a sign-less float64 cut after the first bit of its mantissa: two bins for each power of two.
"""

import numpy as np

from rt_native.structs import words

BINS = 256
CUT = 51
"""Bits of a float64 that a bin knows nothing of."""
FIRST = (1023 - 64 << 1) - 1
"""A float64 so cut is in bin 0; the first edge above 0 is 2**-64, the last but one 2**63.5."""
EDGES = np.append(np.arange(FIRST, FIRST + BINS, dtype=np.int64) << CUT, 0).view(np.float64)
"""Bin i is from EDGES[i] to EDGES[i + 1]: of |difference|, in the unit of the output."""
EDGES[0], EDGES[-1] = 0.0, np.inf
EDGES.flags.writeable = False

SECOND = np.dtype(
    [
        *words("number", "second", "is_new", "base_ns", "need_ns", "budget_ns", "pending_ns"),
        *words("inputs", "input_count", "active_outputs", "second_outputs", "output_count"),
        *words("low", "high", "live", "other", "differences", "saved", "saved_count", "execution", "judged"),
        *words("ran", "skipped", "failed", "not_finite", "outside"),
    ]
)
"""A second version in one task. `number`: the task's, in the change. `is_new`: the limits are the second's, else the active one's.

`need_ns`: time that must be left for it to run: as long as it once took, and less each time that it is skipped, down to `base_ns`.
`pending_ns`: the tick whose inputs and live outputs wait for it, or 0.
"""

COPY = np.dtype(words("source", "to", "nbytes"))
"""Bytes to be copied."""

SAVED = np.dtype(words("place", "copy", "nbytes"))
"""Memory that is kept before a tick computes, and put back if the tick is done again."""

DIFFERENCE = np.dtype(
    [
        ("largest", "<f8"),
        *words("largest_tick_ns", "beyond", "not_finite"),
        ("tolerance", "<f8"),
        ("spare", "<i8", 3),
        ("bins", "<i8", BINS),
    ]
)
"""Of one output."""
