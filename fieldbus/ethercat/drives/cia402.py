"""CiA 402 (IEC 61800-7-201): the states of a drive and what takes it from one to the next. Pure: native code and tests share it.

    power on                        shutdown          switch on        enable operation
    NOT READY --> SWITCH ON DISABLED --2--> READY TO SWITCH ON --3--> SWITCHED ON --4--> OPERATION ENABLED
      (1: by itself)  ^   ^   ^              |  ^                       |   |  ^               |  |
                      |   |   +------7-------+  +----------6------------+   |  +-------5-------+  | quick stop (11)
                      |   +----------------------- 8, 9, 10, 12 ------------+                     v
                      | fault reset (15)                                         QUICK STOP ACTIVE
                    FAULT <--14-- FAULT REACTION ACTIVE <--13-- any state

A drive is brought towards a goal one state at a time, each command being sent until the drive shows the next state:

    state               ENABLE                     DISABLE             STOP         LEAVE
    NOT READY           nothing                    nothing             quick stop   quick stop
    SWITCH ON DISABLED  shutdown                   nothing             quick stop   quick stop
    READY               switch on                  disable voltage     quick stop   quick stop
    SWITCHED ON         enable, if mode is right   shutdown            quick stop   quick stop
    OPERATION ENABLED   enable                     disable operation   quick stop   quick stop
    QUICK STOP ACTIVE   until it stands quick stop, then disable voltage; STOP: quick stop for ever
    FAULT, its reaction nothing                    nothing             nothing      nothing

A quick stop that is sent to a drive that is not enabled takes it to SWITCH ON DISABLED.
"""

from enum import IntEnum


class Mode(IntEnum):
    """Modes of operation in which the target comes in every cycle (object 0x6060)."""

    CSP = 8
    """Cyclic synchronous position."""
    CSV = 9
    """Cyclic synchronous velocity."""
    CST = 10
    """Cyclic synchronous torque."""


class DriveState(IntEnum):
    """A drive's state; the number is what the tag `AXIS.state` has."""

    NOT_READY = 0
    SWITCH_ON_DISABLED = 1
    READY_TO_SWITCH_ON = 2
    SWITCHED_ON = 3
    OPERATION_ENABLED = 4
    QUICK_STOP_ACTIVE = 5
    FAULT_REACTION_ACTIVE = 6
    FAULT = 7
    UNKNOWN = 8
    """A status word that the standard does not have."""


class Goal(IntEnum):
    """Where a drive is brought to."""

    STOP = 0
    """To a standstill at once, by the drive's quick stop: nobody answers for its target."""
    DISABLE = 1
    """To SWITCH ON DISABLED, by the drive's own ramp: it is not wanted."""
    ENABLE = 2
    """To OPERATION ENABLED."""
    LEAVE = 3
    """As STOP, and then without power: the master leaves the bus."""


class Bit(IntEnum):
    """Bits of the status word (object 0x6041)."""

    VOLTAGE = 4
    """High voltage is applied to the power stage."""
    NO_QUICK_STOP = 5
    WARNING = 7
    REMOTE = 9
    """The control word counts."""
    TARGET_REACHED = 10
    """In QUICK STOP ACTIVE: the axis stands."""
    INTERNAL_LIMIT = 11
    FOLLOWS = 12
    """In csp, csv, cst: the target is followed."""
    FOLLOWING_ERROR = 13
    """In csp."""


NOTHING, DISABLE_VOLTAGE, QUICK_STOP, SHUTDOWN, SWITCH_ON, DISABLE_OPERATION, ENABLE_OPERATION, FAULT_RESET = (
    0x00, 0x00, 0x02, 0x06, 0x07, 0x07, 0x0F, 0x80
)  # fmt: skip
"""Control words (object 0x6040). A fault is reset by the rising edge of its bit."""

_NOT_READY, _OFF, _READY, _ON, _ENABLED, _STOPPING, _REACTING, _FAULT, _UNKNOWN = (int(state) for state in DriveState)
_STOP, _DISABLE, _ENABLE, _LEAVE = (int(goal) for goal in Goal)
_STANDS = 1 << Bit.TARGET_REACHED
_YES = 0.5


def state_of(statusword: int) -> int:
    """The state that a status word shows (IEC 61800-7-201, table 30).

    Bit 5 tells OPERATION ENABLED from QUICK STOP ACTIVE. The standard has it at 1 in READY TO SWITCH ON and SWITCHED ON as well;
    there it is not looked at, for drives that leave it at 0 until they are enabled.
    """
    low = statusword & 0x4F
    if low == 0x07:
        return _ENABLED if statusword & 0x20 != 0 else _STOPPING
    if low == 0x00:
        return _NOT_READY
    if low == 0x40:
        return _OFF
    if low == 0x01:
        return _READY
    if low == 0x03:
        return _ON
    if low == 0x0F:
        return _REACTING
    return _FAULT if low == 0x08 else _UNKNOWN


def goal_of(is_heard: int, is_right: int, order: float, has_target: int, is_leaving: int) -> int:
    """Where the drive is brought to.

    Args:
        is_heard: its inputs are not older than the timeout.
        is_right: it is not at work in another mode than the one asked for.
        order: the tag `AXIS.enable`: 1, 0, or -1, its safe value, which is what a driver's that is BAD or too old becomes.
        has_target: the target is a number.
        is_leaving: the link is stopping.
    """
    if is_leaving != 0:
        return _LEAVE
    if is_heard == 0 or order < -_YES or is_right == 0:
        return _STOP
    if order > _YES:
        return _ENABLE if has_target != 0 else _STOP
    return _DISABLE


def controlword_for(state: int, goal: int, stands: int, may_enable: int) -> int:
    """The control word that brings a drive one step nearer to the goal, as the table above has it."""
    if state in (_FAULT, _REACTING):
        return NOTHING
    if goal == _STOP or state == _UNKNOWN:
        return QUICK_STOP
    if state == _STOPPING:
        return DISABLE_VOLTAGE if stands != 0 else QUICK_STOP
    if goal == _LEAVE:
        return QUICK_STOP
    if state == _ENABLED:
        return ENABLE_OPERATION if goal == _ENABLE else DISABLE_OPERATION
    if state == _ON:
        if goal == _DISABLE:
            return SHUTDOWN
        return ENABLE_OPERATION if may_enable != 0 else SWITCH_ON
    if state == _READY:
        return SWITCH_ON if goal == _ENABLE else DISABLE_VOLTAGE
    return SHUTDOWN if state == _OFF and goal == _ENABLE else NOTHING


def stands(statusword: int, stopping_ns: int, stop_ns: int) -> int:
    """Has a quick stop that began `stopping_ns` ago come to its end? A drive that does not say so has `stop_ns` for it."""
    return 1 if statusword & _STANDS != 0 or stopping_ns >= stop_ns else 0


def handed_over(target: float, gap: float, since_ns: int, handover_ns: int) -> float:
    """The target, `since_ns` after the drive was enabled: `gap`, where it was less the target at that time, fades to 0."""
    if since_ns >= handover_ns:
        return target
    return target + gap * (1.0 - since_ns / handover_ns)


def moved(before: float, wanted: float, reach: float) -> float:
    """`wanted`, but no further than `reach` from `before`; a reach that is no number is none."""
    if wanted > before + reach:
        return before + reach
    return before - reach if wanted < before - reach else wanted
