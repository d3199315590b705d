"""Which unit numbers answer on a line, behind a gateway, or of a device that does not look at them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from fieldbus.errors import ConnectionLostError, DeviceError, RefusedError
from fieldbus.modbus import protocol as p
from fieldbus.modbus.scan.asking import REPORT_SERVER, Asker

UNITS: Final = range(1, 248)
DIRECT: Final = (255, 0)
"""What a device in the network itself is called where it is not 1: MODBUS Messaging on TCP/IP V1.0b, 4.4.1.2."""
UNLIKELY: Final = (247, 173, 91)
"""Numbers that nobody gives to a device: one that answers to all of them answers to any."""
FEW: Final = 4
"""So few units are asked more thoroughly."""
LOW: Final = 16
"""Most devices have such numbers."""
_NOT_NOW_TRIES: Final = 2
_AT_ONCE_S: Final = 0.05
_ONE: Final = b"\0\0\0\1"


class Presence(Enum):
    """What is known of a unit after asking for it."""

    HERE = "answers"
    NOBODY = "the gateway says that it is not there"
    FAILING = "only exception 4: not there, or broken"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Units:
    """The unit numbers that answered; or one of them, of a device that answers to `any_number`."""

    here: tuple[int, ...]
    failing: tuple[int, ...] = ()
    any_number: bool = False
    is_gateway: bool = False


Tell = Callable[[str], object]


def find_units(asker: Asker, numbers: Sequence[int], is_shared_line: bool, tell: Tell = lambda text: None) -> Units:
    """Ask for each unit.

    Args:
        asker: connected.
        numbers: which.
        is_shared_line: a serial line, on which each device hears its own number alone.
        tell: is told what is asked.

    Ctrl-C ends it with the units that were found.

    Raises:
        ConnectionLostError: the way to the device is gone.
    """
    if not is_shared_line and len(numbers) > FEW and _answers_to_any(asker, tell):
        for first in (n for n in (1, *DIRECT, *UNLIKELY) if n in numbers):
            if presence(asker, first, True) is Presence.HERE:
                return Units((first,), any_number=True)
    found: dict[int, Presence] = {}
    try:
        _sweep(asker, numbers, found, tell)
    except KeyboardInterrupt:
        if Presence.HERE not in found.values():
            raise
    of = {kind: tuple(sorted(n for n, what in found.items() if what is kind)) for kind in Presence}
    return Units(of[Presence.HERE], of[Presence.FAILING], is_gateway=bool(of[Presence.NOBODY]))


def _sweep(asker: Asker, numbers: Sequence[int], found: dict[int, Presence], tell: Tell) -> None:
    """Ask one after the other; then, with more patience, for those whose answers came late."""
    for number in numbers:
        tell(f"unit {number}")
        found[number] = presence(asker, number, len(numbers) <= FEW)
        if found[number] is Presence.HERE and not asker.is_calibrated:
            asker.calibrate(number)
    for number in sorted(asker.wire.oddities.late_units & {n for n in numbers if found[n] is Presence.SILENT}):
        tell(f"unit {number}, which answered late")
        asker.timeout_s = max(asker.timeout_s, 1.0)
        found[number] = presence(asker, number, True)


def _answers_to_any(asker: Asker, tell: Tell) -> bool:
    for number in UNLIKELY:
        tell(f"unit {number}")
        if presence(asker, number, False) is not Presence.HERE:
            return False
        if not asker.is_calibrated:
            asker.calibrate(number)
    return True


def presence(asker: Asker, unit: int, thorough: bool) -> Presence:
    """Is there such a unit? Any answer but "nobody there" is one of it, also a refusal.

    `thorough`: a silent one is asked again, and for other things too.
    """
    functions: Iterable[tuple[int, bytes]] = (
        (p.READ_HOLDING_REGISTERS, _ONE),
        (p.READ_INPUT_REGISTERS, _ONE),
        (p.READ_COILS, _ONE),
        (REPORT_SERVER, b""),
    )
    kind = Presence.SILENT
    for function, body in functions:
        if function == REPORT_SERVER and kind is Presence.FAILING:  # some answer it for whatever unit
            break
        try:
            _ask(asker, unit, function, body, thorough)
        except ConnectionLostError:
            if thorough:
                raise
            asker.connect()
            return kind
        except RefusedError as error:
            if error.code in (p.Code.NO_PATH, p.Code.NO_TARGET):
                return Presence.NOBODY
            if error.code != p.Code.DEVICE_FAILURE:
                return Presence.HERE
            kind = Presence.FAILING
        except DeviceError:
            if not thorough:
                return kind
        else:
            return Presence.HERE
    return kind


def _ask(asker: Asker, unit: int, function: int, body: bytes, thorough: bool) -> None:
    """Ask; "nobody there" that came at once may mean "not now", and is asked again: a gateway that looked takes its time."""
    for _ in range(_NOT_NOW_TRIES if thorough or unit <= LOW else 0):
        try:
            asker.ask(unit, function, body, 2 if thorough else 1, 1)
            return
        except RefusedError as error:
            if error.code not in (p.Code.NO_PATH, p.Code.NO_TARGET) or asker.last_s > _AT_ONCE_S:
                raise
    asker.ask(unit, function, body, 2 if thorough else 1, 1)
