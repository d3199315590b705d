"""What the simulated drive's native step and Python agree on: numbers of CiA 402, words of its dictionary, its own state."""

from enum import IntEnum
from types import SimpleNamespace

import numpy as np

from rt_native.structs import words


class DriveState(IntEnum):
    """The states of a drive (IEC 61800-7-201, figure 2)."""

    NOT_READY = 0
    SWITCH_ON_DISABLED = 1
    READY_TO_SWITCH_ON = 2
    SWITCHED_ON = 3
    OPERATION_ENABLED = 4
    QUICK_STOP_ACTIVE = 5
    FAULT_REACTION = 6
    FAULT = 7


STATE_BITS = (0x00, 0x40, 0x21, 0x23, 0x27, 0x07, 0x0F, 0x08)
"""Bits 0 to 6 of the status word for each state, without 4, voltage (IEC 61800-7-201, table 30)."""


class Mode(IntEnum):
    """Modes of operation, object 0x6060: those that the drive has."""

    NONE = 0
    CSP = 8
    CSV = 9
    CST = 10


class Ramp(IntEnum):
    """How the drive stops: not, with the deceleration of quick stop, with that of the profile, as hard as it can."""

    NONE = 0
    QUICK = 1
    SLOW = 2
    HARDEST = 3


class Error(IntEnum):
    """Error codes, object 0x603F (IEC 61800-7-201, annex B), that the drive finds by itself."""

    SPEED = 0x8400
    FOLLOWING = 0x8611
    SYNC = 0x8700
    CONNECTION = 0x8130


CELLS = (
    "controlword", "statusword", "mode", "mode_display", "target_position", "target_velocity", "target_torque",
    "position", "velocity", "torque", "error", "quick_stop_option", "shutdown_option", "disable_option", "fault_option",
    "halt_option", "connection_option", "window", "window_ms", "following_error", "most_torque", "quick_deceleration",
    "deceleration", "velocity_offset", "torque_offset", "interpolation", "interpolation_exponent", "demand",
    "most_speed", "digital_inputs",
)  # fmt: skip
"""The first words of a drive's dictionary."""
CELL = SimpleNamespace(**{name: 8 * i for i, name in enumerate(CELLS)})
"""Byte offsets of these words."""

DRIVE = np.dtype(
    [
        *words(
            "state", "before", "last_ns", "due_ns", "brake_ns", "brake_until_ns", "is_braked", "follows",
            "ramp", "ramp_to", "over_since_ns", "faults", "asked_fault", "held_fault", "from_ns", "segment_ns",
            "was_operational", "is_limited", "is_jammed", "halts",
        ),
        *[(name, "<f8") for name in (
            "position", "velocity", "torque", "integral", "demand", "segment_from", "segment_to", "feed", "wanted_velocity",
            "per_torque",  # counts/s^2 for each Nm
            "viscous",  # Nm for each count/s
            "coulomb", "brake_torque", "load", "rated",  # Nm
            "position_gain",  # 1/s
            "velocity_gain",  # Nm for each count/s
            "integral_gain",  # Nm for each count
            "lag_s",  # of the current loop
            "counts",  # for each turn
        )],
    ]
)  # fmt: skip
"""The drive and the axis: positions in counts of the encoder, velocities in counts/s, torques in Nm."""
