"""Modbus on a serial line: times of the wire, questions that tell late answers from newer ones, and what came in words. Pure."""

from collections.abc import Iterator, Sequence
from typing import Final

from fieldbus.codec import WORD_BYTES
from fieldbus.exchange.plan import Fence, Line, Transaction
from fieldbus.modbus import protocol as p
from fieldbus.modbus.crc import with_crc
from fieldbus.modbus.habits import Habits
from fieldbus.modbus.plan import BIT_TABLES
from fieldbus.modbus.requests import READ_FUNCTION, TABLE_OF, MaskWrite, Read, ReadWrite, Request
from fieldbus.modbus.transactions import bare_read

NS: Final = 1_000_000_000
START_AND_DATA: Final = 9
QUIET_CHARACTERS: Final = 3.5
"""MODBUS over Serial Line V1.02, 2.5.1.1: "message frames are separated by a silent interval of at least 3.5 character times"."""
QUIET_ABOVE_19200_NS: Final = 1_750_000
"""The same: "for baud rates greater than 19200 Bps [..] a value of [..] 1.750ms for inter-frame delay (t3.5)"."""
LIMIT_BAUD: Final = 19200
MOST_VARIANTS: Final = 8
ENOUGH_VARIANTS: Final = 3
SHOWN_BYTES: Final = 24
CHECKED_BYTES: Final = 4


def line_of(baudrate: int, parity: str, stopbits: int, habits: Habits) -> Line:
    """The times of a line."""
    bits = START_AND_DATA + (parity != "N") + stopbits
    byte_ns = -(-bits * NS // baudrate)
    quiet_ns = QUIET_ABOVE_19200_NS if baudrate > LIMIT_BAUD else round(QUIET_CHARACTERS * byte_ns)
    return Line(byte_ns=byte_ns, quiet_ns=quiet_ns, broadcast_ns=round(habits.broadcast_pause_s * NS), echo=habits.echo)


# --- fences -------------------------------------------------------------------------------------------------------------


def fences(requests: Sequence[Request], any_unit: bool) -> tuple[Fence, ...]:
    """For each unit that answers: reads of so many registers, or coils, as no request reads."""
    units: dict[int, list[int]] = {}
    for i, request in enumerate(requests):
        if request.answered:
            units.setdefault(0 if any_unit else request.unit, []).append(i)
    return tuple(Fence(frozenset(of), _variants([requests[i] for i in of], any_unit)) for of in units.values())


def _variants(requests: Sequence[Request], any_unit: bool) -> tuple[Transaction, ...]:
    """Reads of other lengths than the unit's requests have, of addresses that are read anyway where that is possible."""
    parts = [request.read if isinstance(request, ReadWrite) else request for request in requests]
    base = max(parts, key=lambda part: (isinstance(part, Read), part.count))
    function, table = _read_function(base)
    taken = {_nbytes(table, part.count) for part in parts if isinstance(part, Read) and part.function == function}
    counts = [n for n in _counts(table) if base.address + n <= p.ADDRESSES and _nbytes(table, n) not in taken]
    known = [n for n in counts if n <= base.count]
    chosen = (known if len(known) >= ENOUGH_VARIANTS else counts)[:MOST_VARIANTS]
    return tuple(
        bare_read(base.unit, function, (base.address, n), _nbytes(table, n), any_unit=any_unit) for n in chosen
    )


def _read_function(request: Request) -> tuple[int, str]:
    table = "holding" if isinstance(request, MaskWrite | ReadWrite) else TABLE_OF[request.function]
    return READ_FUNCTION[table], table


def _counts(table: str) -> Iterator[int]:
    """So many registers, or coils, that each takes another number of bytes."""
    yield from range(1, 8 * p.READ_REGISTERS, 8) if table in BIT_TABLES else range(1, p.READ_REGISTERS)


def _nbytes(table: str, count: int) -> int:
    return -(-count // 8) if table in BIT_TABLES else WORD_BYTES * count


# --- in words -----------------------------------------------------------------------------------------------------------


def heard(request: bytes, came: bytes, echo: bool) -> str:
    """What it means that this came, and no answer to the request; `echo`: the request comes back first. Empty: nothing came."""
    echoed = echo and came.startswith(request)
    came = came[len(request) :] if echoed else came
    shown = came[:SHOWN_BYTES].hex(" ") + (f" ... ({len(came)} bytes)" if len(came) > SHOWN_BYTES else "")
    if not came:
        return ""
    if request and came.startswith(request) and not echo:
        return "the adapter hears what it sends: set echo = true"
    if len(came) < CHECKED_BYTES:
        return f"half an answer: {shown} in time"
    if with_crc(came[:-2]) != came:
        return f"half an answer, or a disturbed one (its checksum is wrong): {shown}"
    if echo and not echoed:
        return (
            f"an answer, but no echo before it: if the adapter does not hear what it sends, set echo = false: {shown}"
        )
    if came[0] != request[0]:
        return f"an answer of unit {came[0]} came where unit {request[0]} was asked: {shown}"
    if came[1] & ~p.REFUSED != request[1]:
        return f"asked with FC {request[1]}, answered with FC {came[1]}: {shown}"
    return f"not the answer that was expected: {shown}"
