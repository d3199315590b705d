"""ENI, the EtherCAT Network Information that configuration tools export (ETG.2100) -> a bus.

    <EtherCATConfig> <Config> <Slave>
        <Info> Name AutoIncAddr VendorId ProductCode RevisionNo SerialNo
        <ProcessData> <RxPdo Sm Fixed> Index Name <Entry> Index SubIndex BitLen Name DataType      <Send> BitStart
        <Mailbox> <CoE> <InitCmds> <InitCmd CompleteAccess> Transition Index SubIndex Data Comment Disabled
        <DC> CycleTime0 ShiftTime
    <Cyclic> CycleTime            <ProcessImage> <Inputs> <Variable> Name BitSize BitOffs

Commands that assign PDOs (0x1C12, 0x1C13, 0x16xx, 0x1Axx) are left out where the PDOs are told too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from xml.etree.ElementTree import Element

from fieldbus.ethercat.slaves.datatypes import DATA_TYPES
from fieldbus.ethercat.slaves.sii import SiiEntry, SiiPdo
from station.errors import ScanError
from station.scans.shared.ethercat_common import check_positions, exchanged, sdo_of, without_mapping
from station.scans.shared.ethercat_proposal import BusWanted, SdoWanted, SlaveWanted, with_names
from station.scans.shared.foreign_xml import bytes_of, number_of, text_in

_NUMBERS: Final = {data_type.name: number for number, data_type in reversed(DATA_TYPES.items())}
_UP: Final = frozenset({"IP", "PS"})
"""Transitions in which objects are written on the way up, before process data."""

Variables = dict[tuple[bool, int], str]
"""(is it an output?, first bit in the process image) -> name."""


def bus_of_eni(root: Element, interface: str, made_by: str) -> BusWanted:
    """The bus; raises `ScanError`."""
    config = root.find("Config")
    if config is None:
        raise ScanError("<EtherCATConfig> has no <Config>")
    variables = _variables(config)
    slaves = tuple(_slave(element, i, variables) for i, element in enumerate(config.findall("Slave")))
    check_positions(slaves)
    cycles = [
        number_of(text, "CycleTime", 1, 10**7) for c in config.findall("Cyclic") if (text := text_in(c, "CycleTime"))
    ]
    return BusWanted(interface, with_names(slaves), made_by, cycle_ns=1000 * min(cycles) if cycles else None)


def _variables(config: Element) -> Variables:
    found: Variables = {}
    for part, is_output in (("Inputs", False), ("Outputs", True)):
        for variable in config.findall(f"ProcessImage/{part}/Variable"):
            name, at = text_in(variable, "Name"), text_in(variable, "BitOffs")
            if name and at:
                found[is_output, number_of(at, f"variable {name}, BitOffs", 0, 1 << 24)] = name
    return found


def _slave(element: Element, i: int, variables: Variables) -> SlaveWanted:
    info = element.find("Info")
    if info is None:
        raise ScanError(f"slave {i} has no <Info>")
    title = text_in(info, "Name") or ""
    where = f"slave {i} ({title})"
    places = text_in(info, "AutoIncAddr")
    position = -number_of(places, f"{where}, AutoIncAddr", 0, 0xFFFF) & 0xFFFF if places else i
    known: dict[tuple[int, int], tuple[str, int]] = {}
    pdos = list(_pdos(element, where, known, variables))
    fixed = frozenset(pdo.index for pdo, is_fixed in pdos if is_fixed)
    entries, wanted = exchanged([pdo for pdo, _ in pdos], known, fixed)
    wanted = wanted if element.find("Mailbox/CoE") is not None else ()
    return SlaveWanted(
        _short(title) or f"slave_{i}",
        position,
        vendor=_identity(info, "VendorId", where),
        product=_identity(info, "ProductCode", where),
        revision=_identity(info, "RevisionNo", where),
        title=title,
        entries=entries,
        pdos=wanted,
        sdos=without_mapping(_sdos(element, where), wanted),
        remarks=tuple(_remarks(element)),
    )


def _short(title: str) -> str:
    """`Term 2 (EL2008)` -> `EL2008`."""
    found = re.fullmatch(r".*\(([^()]+)\)\s*", title)
    return found[1] if found else title


def _identity(info: Element, name: str, where: str) -> int | None:
    text = text_in(info, name)
    return number_of(text, f"{where}, {name}", 0, 0xFFFFFFFF) if text else None


def _remarks(element: Element) -> Iterator[str]:
    clock = element.find("DC")
    if clock is not None and (cycle := text_in(clock, "CycleTime0")):
        yield f"distributed clock: SYNC0 every {cycle} ns, shift {text_in(clock, 'ShiftTime') or 0} ns"
    for name in ("SoE", "AoE", "EoE", "FoE", "VoE"):
        if element.find(f"Mailbox/{name}/InitCmds/InitCmd") is not None:
            yield f"not taken over: start-up commands of {name}"


def _sdos(element: Element, where: str) -> Iterator[SdoWanted]:
    for command in element.findall("Mailbox/CoE/InitCmds/InitCmd"):
        transitions = {(t.text or "").strip() for t in command.findall("Transition")}
        index = number_of(text_in(command, "Index") or "", f"{where}, an InitCmd's Index", 0, 0xFFFF)
        is_off = (text_in(command, "Disabled") or "").lower() in ("1", "true")
        if is_off or not transitions & _UP:
            continue
        place = f"{where}, InitCmd 0x{index:04X}"
        subindex = number_of(text_in(command, "SubIndex") or "0", place, 0, 255)
        data = bytes_of(text_in(command, "Data") or "", place)
        complete = command.get("CompleteAccess", "").lower() in ("1", "true")
        yield sdo_of(index, subindex, data, complete, text_in(command, "Comment") or "")


def _pdos(
    element: Element, where: str, known: dict[tuple[int, int], tuple[str, int]], variables: Variables
) -> Iterator[tuple[SiiPdo, bool]]:
    """The PDOs that are assigned, and whether their entries are fixed."""
    for tag, start, is_output in (("RxPdo", "Send", True), ("TxPdo", "Recv", False)):
        at = number_of(text_in(element, f"ProcessData/{start}/BitStart") or "0", f"{where}, BitStart", 0, 1 << 24)
        for pdo in element.findall(f"ProcessData/{tag}"):
            if pdo.get("Sm") is None:
                continue
            index = number_of(text_in(pdo, "Index") or "", f"{where}, {tag}", 0, 0xFFFF)
            known[index, -1] = (text_in(pdo, "Name") or "", 0)
            entries = []
            for entry in pdo.findall("Entry"):
                entries.append(_entry(entry, f"{where}, PDO 0x{index:04X}", variables.get((is_output, at), "")))
                if entries[-1].index:
                    known[entries[-1].index, entries[-1].subindex] = (entries[-1].name, entries[-1].data_type)
                at += entries[-1].bits
            manager = number_of(pdo.get("Sm", ""), f"{where}, PDO 0x{index:04X}, Sm", 0, 31)
            yield SiiPdo(index, is_output, manager, "", tuple(entries)), pdo.get("Fixed", "").lower() in ("1", "true")


def _entry(element: Element, where: str, variable: str) -> SiiEntry:
    index = number_of(text_in(element, "Index") or "0", f"{where}, an Entry's Index", 0, 0xFFFF)
    subindex = number_of(text_in(element, "SubIndex") or "0", f"{where}, 0x{index:04X}", 0, 255)
    bits = number_of(text_in(element, "BitLen") or "", f"{where}, 0x{index:04X}, BitLen", 0, 0xFFFF)
    name = text_in(element, "Name") or variable.rpartition(".")[2]
    data_type = _NUMBERS.get((text_in(element, "DataType") or "").upper(), 0)
    return SiiEntry(index, subindex, bits, name, data_type)
