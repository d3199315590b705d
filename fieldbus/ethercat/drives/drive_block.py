"""What the native half of drives (`fieldbus.ethercat.drives.drives_native`) and Python agree on: a DRIVE for each axis, in a row."""

import numpy as np

from rt_native.structs import words

NO_CELL = -1
"""The slave does not map it."""

DRIVE = np.dtype(
    [
        # constants of a connection: cells of the exchange, and the transaction that brings the status word
        *words("row", "statusword_cell", "shown_mode_cell", "position_cell", "error_cell", "state_cell", "fault_cell"),
        *words("controlword_cell", "mode_cell", "wire_cell", "target_cell", "enable_cell", "reset_cell"),
        *words("mode", "is_mode_checked", "handover_ns", "stop_ns", "longest_ns"),
        ("max_rate", "<f8"),
        # handed over by Python, atomically
        *words("reset_asked"),
        # the runner's own
        *words("state", "goal", "controlword", "statusword", "shown_mode", "is_heard", "lacks_target"),
        *words("enabled_ns", "stopping_ns", "reset_ns", "reset_wanted", "reset_tag", "before_ns"),
        ("commanded", "<f8"),
        ("gap", "<f8"),
        # what has been
        *words("fault", "last_fault", "faults", "resets"),
    ]
)
"""`wire_cell` is the target as the drive gets it, `target_cell` the one that a task gives; `commanded` is what was sent last.

`lacks_target`: it is wanted, and its target is no number. `longest_ns`: more than that does not count as the time between two
steps, so that after a pause the target does not leap.
`enabled_ns`, `stopping_ns`, `reset_ns` are since when the drive is enabled, in quick stop, and told to reset its fault; 0: it is not.
`fault` is the error code of a drive in FAULT, 0: in none; `last_fault` the newest that there was. `reset_tag` is 1 while the tag is.
"""
