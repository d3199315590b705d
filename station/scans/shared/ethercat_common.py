"""What the readers of other masters' files have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from fieldbus.ethercat.slaves.entries import Known, PdoEntry, entries_of
from fieldbus.ethercat.slaves.sii import SiiPdo
from station.errors import ScanError
from station.scans.shared.ethercat_proposal import PdoWanted, SdoWanted, SlaveWanted

FIRST_DATA_MANAGER: Final = 2
"""Of a slave with a mailbox; one without has its data from 0 on, no CoE, and cannot be told what to exchange."""
MOST_SLAVES: Final = 65_535
_MAPPING: Final = (range(0x1600, 0x1800), range(0x1A00, 0x1C00), range(0x1C10, 0x1C30))
"""What PDOs there are, what is in them, which sync manager exchanges them."""
_NUMBERS: Final = {1: "uint8", 2: "uint16", 4: "uint32", 8: "uint64"}


def sdo_of(index: int, subindex: int, data: bytes, complete: bool, comment: str = "") -> SdoWanted:
    """An object written with these bytes: a number where they can be one."""
    kind = "" if complete else _NUMBERS.get(len(data), "")
    value: int | str = int.from_bytes(data, "little") if kind else data.hex()
    return SdoWanted(index, subindex, value, kind or "bytes", complete, comment)


def without_mapping(sdos: Iterable[SdoWanted], pdos: Sequence[PdoWanted]) -> tuple[SdoWanted, ...]:
    """Those that do not say again what is exchanged; all of them, where no PDO says it."""
    return tuple(sdo for sdo in sdos if not pdos or not any(sdo.index in some for some in _MAPPING))


def exchanged(
    pdos: Sequence[SiiPdo], known: Known, fixed: frozenset[int] = frozenset()
) -> tuple[tuple[PdoEntry, ...], tuple[PdoWanted, ...]]:
    """The entries of a slave, and what it has to be told for that; `fixed`: PDOs whose entries cannot be chosen."""
    entries = entries_of(pdos, known)
    if any((pdo.sync_manager or 0) < FIRST_DATA_MANAGER for pdo in pdos):
        return entries, ()
    wanted = (
        PdoWanted(p.index, () if p.index in fixed else tuple((e.index, e.subindex, e.bits) for e in p.entries))
        for p in pdos
    )
    return entries, tuple(wanted)


def check_positions(slaves: Sequence[SlaveWanted]) -> None:
    """Each place is one slave's; raises `ScanError`."""
    taken: dict[int, str] = {}
    for slave in slaves:
        if slave.position in taken:
            raise ScanError(
                f"slaves {taken[slave.position]!r} and {slave.name!r} are both at position {slave.position}"
            )
        taken[slave.position] = slave.name
