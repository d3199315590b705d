"""What the native step of a simulated slave and Python agree on, as NumPy dtypes.

SLAVE --> outputs  MOVE[]   bits of the outputs' image -> words of the dictionary
  |       inputs   MOVE[]   words of the dictionary -> bits of the inputs' image
  |       words    int64[]  the numbers of the object dictionary
  +-----> application(app, now_ns, why, slave, words): what the device does with them
"""

import numpy as np

from rt_native.structs import words

SLAVE = np.dtype(
    words(
        "words", "outputs", "output_count", "inputs", "input_count", "input_bytes",
        "application",  # address of a native function; 0: none
        "app",  # address of its state
        "is_clocked",  # outputs are taken at SYNC0, not when they come
        "zeroes",  # outside of OP its outputs are 0
        "came",  # outputs that have come
        "came_before",  # at the SYNC0 before
        "missed",  # SYNC0s without new outputs: 3 for each, 1 less for each with (ETG.1020, 21.4)
        "missed_most",  # more end OP; 0: they are not counted
        "steps",
        "pulses",  # SYNC0s since SAFEOP
    )
)  # fmt: skip
"""The head of a slave's block."""

MOVE = np.dtype(words("bit", "bits", "cell", "is_signed"))
"""One entry of a PDO: `bit` of the image, `cell` is the address of its word."""

MOST_MOVES = 64
"""Entries of all PDOs of one direction."""

CHANNEL = np.dtype(
    [
        *words("source", "underrange", "overrange", "limit_1", "limit_2", "error", "state", "toggle", "value"),
        *words("watches_1", "watches_2", "bound_1", "bound_2", "offset", "gain", "is_broken"),
        ("volts", "<f8"), ("full_scale", "<f8"), ("lowest", "<f8"),
    ]
)  # fmt: skip
"""One analogue input: `source` is the address of a float64 (volts), 0: `volts`; the others up to `gain` are addresses of words."""

WIRE = np.dtype([*words("source", "target", "is_volts"), ("scale", "<f8")])
"""A wire from a word to a word; `is_volts`: to a float64, multiplied with `scale`."""
