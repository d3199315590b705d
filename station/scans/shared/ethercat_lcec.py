"""LinuxCNC's `ethercat-conf.xml` (linuxcnc-ethercat) -> a bus.

    <masters> <master appTimePeriod> <slave idx type name vid pid configPdos>
        <dcConf/> <watchdog divider intervals/> <sdoConfig idx subIdx> <sdoDataRaw data/>
        <syncManager idx dir> <pdo idx> <pdoEntry idx subIdx bitLen halPin halType scale offset>

Indexes, subindexes, vendor and product are hexadecimal, all else is decimal (documentation/configuration-reference.md there).
A slave whose type is not "generic" has a driver inside LinuxCNC, which alone knows what it exchanges.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from xml.etree.ElementTree import Element

from fieldbus.ethercat.slaves.sii import SiiEntry, SiiPdo
from station.errors import ScanError
from station.scans.shared.ethercat_common import MOST_SLAVES, check_positions, exchanged, sdo_of, without_mapping
from station.scans.shared.ethercat_proposal import BusWanted, SdoWanted, SlaveWanted, with_names
from station.scans.shared.foreign_xml import bytes_of, number_of

_SIGNED: Final = {8: 0x02, 16: 0x03, 32: 0x04, 64: 0x15}
_UNSIGNED: Final = {8: 0x05, 16: 0x06, 32: 0x07, 64: 0x1B}
_TICK_NS: Final = 40
_LONG = (0, 0xFFFFFFFF)
_NOT_TAKEN: Final = {
    "idnConfig": "an IDN (SoE)",
    "initCmds": "start-up commands in another file",
    "modParam": "a parameter of LinuxCNC's driver",
}
"""Elements of a slave that nothing here can have."""


@dataclass(slots=True)
class _Pins:
    """What is gathered of a slave's entries: place -> (name, data type), and scale and offset."""

    known: dict[tuple[int, int], tuple[str, int]] = field(default_factory=dict)
    scales: dict[str, tuple[float, float]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def bus_of_lcec(root: Element, interface: str, made_by: str, master: int | None = None) -> BusWanted:
    """The slaves of a master; raises `ScanError`."""
    masters = {_number(m, "idx", "a master's idx", default="0"): m for m in root.findall("master")}
    if master is None and len(masters) != 1:
        raise ScanError(
            f"it has {len(masters)} masters, {', '.join(map(str, masters)) or 'none'}; say which one: --master"
        )
    chosen = next(iter(masters)) if master is None else master
    if chosen not in masters:
        raise ScanError(f"it has no master {chosen}; there are {', '.join(map(str, masters))}")
    found = masters[chosen]
    slaves = tuple(_slave(element) for element in found.findall("slave"))
    check_positions(slaves)
    cycle = found.get("appTimePeriod")
    return BusWanted(
        interface,
        with_names(slaves),
        made_by,
        cycle_ns=number_of(cycle, "appTimePeriod", 1, 10**10) if cycle else None,
        is_whole=False,
    )


def _slave(element: Element) -> SlaveWanted:
    position = _number(element, "idx", "a slave's idx", high=MOST_SLAVES)
    kind = element.get("type", "")
    name = element.get("name") or (kind if kind != "generic" else f"slave_{position}")
    where = f"slave {position} ({name})"
    pins = _Pins()
    pdos = list(_pdos(element, where, pins))
    entries, wanted = exchanged(pdos, pins.known)
    is_generic = kind.lower() == "generic"
    wanted = wanted if element.get("configPdos", "").lower() == "true" else ()
    return SlaveWanted(
        name,
        position,
        vendor=_number(element, "vid", where, 16, *_LONG) if is_generic and element.get("vid") else None,
        product=_number(element, "pid", where, 16, *_LONG) if is_generic and element.get("pid") else None,
        title="" if is_generic else kind,
        entries=entries,
        pdos=wanted,
        sdos=without_mapping(_sdos(element, where), wanted),
        watchdog_ns=_watchdog(element, where),
        scales=pins.scales,
        remarks=(*_remarks(element, kind, is_generic), *pins.remarks),
    )


def _remarks(element: Element, kind: str, is_generic: bool) -> Iterator[str]:
    if not is_generic:
        yield f"LinuxCNC's driver for {kind or 'it'} knows what it exchanges: rt-engine ethercat scan"
    for name, what in _NOT_TAKEN.items():
        if count := len(element.findall(name)):
            yield f"not taken over: {what}" + (f", {count} of them" if count > 1 else "")
    clock = element.find("dcConf")
    if clock is not None:
        said = ", ".join(f"{key} {value}" for key, value in clock.attrib.items())
        yield f"distributed clock: {said}"


def _sdos(element: Element, where: str) -> Iterator[SdoWanted]:
    for config in element.findall("sdoConfig"):
        place = f"{where}, sdoConfig"
        index = _number(config, "idx", place, 16, 1, 0xFFFF)
        complete = config.get("subIdx", "").lower() == "complete"
        subindex = 0 if complete else _number(config, "subIdx", place, 16, 0, 255, default="0")
        data = b"".join(bytes_of(raw.get("data", ""), f"{place} 0x{index:04X}") for raw in config.findall("sdoDataRaw"))
        yield sdo_of(index, subindex, data, complete)


def _watchdog(element: Element, where: str) -> int | None:
    found = element.find("watchdog")
    if found is None or not found.get("intervals"):
        return None
    divider = _number(found, "divider", f"{where}, watchdog", default="2498")
    return (divider + 2) * _TICK_NS * _number(found, "intervals", f"{where}, watchdog") or None


def _pdos(element: Element, where: str, pins: _Pins) -> Iterator[SiiPdo]:
    for manager in element.findall("syncManager"):
        number = _number(manager, "idx", f"{where}, syncManager", high=31)
        direction = manager.get("dir", "").lower()
        if direction not in ("in", "out"):
            raise ScanError(f'{where}, syncManager {number}: dir "{direction}" is neither in nor out')
        for pdo in manager.findall("pdo"):
            index = _number(pdo, "idx", f"{where}, pdo", 16)
            entries = tuple(_entry(entry, f"{where}, pdo 0x{index:04X}", pins) for entry in pdo.findall("pdoEntry"))
            yield SiiPdo(index, direction == "out", number, "", entries)


def _entry(element: Element, where: str, pins: _Pins) -> SiiEntry:
    index = _number(element, "idx", where, 16, default="0")
    subindex = _number(element, "subIdx", where, 16, 0, 255, default="0")
    place = f"0x{index:04X}:{subindex:02X}"
    bits = _number(element, "bitLen", f"{where}, {place}", 10, 1, 255)
    kind = element.get("halType", "").lower()
    pin = element.get("halPin", "")
    data_type = _data_type(kind, bits)
    if kind == "complex":
        parts = [f"{e.get('halPin') or 'gap'}: {e.get('bitLen', '?')}" for e in element.findall("complexEntry")]
        pins.remarks.append(f"{place} has parts, in bits: {', '.join(parts)}")
    scale, offset = (
        _real(element, key, default, f"{where}, {place}") for key, default in (("scale", 1.0), ("offset", 0.0))
    )
    if index:
        pins.known[index, subindex] = (pin, data_type)
        if (scale, offset) != (1.0, 0.0):
            pins.scales[place] = (scale, offset)
    return SiiEntry(index, subindex, bits, pin, data_type)


def _data_type(kind: str, bits: int) -> int:
    """The number of the data type that a pin's type and bits mean; 0: its bits say all."""
    if kind == "float-ieee":
        return 0x08
    if kind == "float-double-ieee":
        return 0x11
    return _SIGNED.get(bits, 0) if kind in ("s32", "float") else _UNSIGNED.get(bits, 0)


def _number(
    element: Element, key: str, where: str, base: int = 10, low: int = 0, high: int = 0xFFFF, default: str | None = None
) -> int:
    text = element.get(key, default)
    if text is None:
        raise ScanError(f"{where}: {key} is missing")
    return number_of(text, f"{where}, {key}", low, high, base)


def _real(element: Element, key: str, default: float, where: str) -> float:
    text = element.get(key)
    try:
        value = default if text is None else float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or (key == "scale" and value == 0.0):
        raise ScanError(f'{where}: {key} "{text}" is no number that a value can be scaled by')
    return value
