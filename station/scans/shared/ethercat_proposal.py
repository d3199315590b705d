"""A station file for an EtherCAT bus: the link with its slaves, and a tag for each PDO entry that a tag can have.

[links.bus]           the interface, and how many slaves there are
[links.bus.slaves]    who they are, so that others in their place are refused; and how they are set up
[links.bus.drives]    axes of profile CiA 402, as comments
[tags]                what they send; what is sent to them, and what no tag can have, as comments
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from fieldbus.ethercat.slaves.entries import PdoEntry, SlaveFound
from rt_native.text import visible
from station.scans.shared.proposed import head_of, text_of_file
from station.scans.shared.toml_text import inline, text_of
from station.terms.durations import format_duration

REMARK: Final = "Inputs are tags. What is controlled is your decision: take the # from outputs that a task is to write; others are 0."
LONGEST_NAME: Final = 40
_AXES: Final = range(8)
_NEXT_AXIS: Final = 0x800
_TARGETS: Final = {"csp": 0x607A, "csv": 0x60FF, "cst": 0x6071}
_ACTUALS: Final = {"position": 0x6064, "velocity": 0x606C, "torque": 0x6077}
"""Objects of CiA 402 (IEC 61800-7-201): targets by mode, and what is read of an axis."""


@dataclass(frozen=True, slots=True)
class SdoWanted:
    """An object that is written before the slave leaves PRE-OP. `type`: of a tag, or "bytes", whose value is hexadecimal."""

    index: int
    subindex: int
    value: int | float | str
    type: str
    complete: bool = False
    comment: str = ""


@dataclass(frozen=True, slots=True)
class PdoWanted:
    """A PDO that is to be exchanged; with what is to be in it, (index, subindex, bits), or as it is."""

    index: int
    entries: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class SlaveWanted:
    """A slave of the proposal. `name`: letters, digits and "_"; `title`: for people. None: not looked at, or left as it is."""

    name: str
    position: int
    vendor: int | None = None
    product: int | None = None
    revision: int | None = None
    serial: int = 0
    title: str = ""
    entries: tuple[PdoEntry, ...] = ()
    sdos: tuple[SdoWanted, ...] = ()
    pdos: tuple[PdoWanted, ...] = ()
    watchdog_ns: int | None = None
    remarks: tuple[str, ...] = ()
    scales: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Place of an entry -> scale and offset of its tag."""


@dataclass(frozen=True, slots=True)
class BusWanted:
    """A bus of the proposal. `made_by`: the command, for people; `is_whole`: are all slaves of the bus there?"""

    interface: str
    slaves: tuple[SlaveWanted, ...]
    made_by: str
    cycle_ns: int | None = None
    is_whole: bool = True


def wanted_of(found: Sequence[SlaveFound]) -> tuple[SlaveWanted, ...]:
    """Slaves as they were found, each with a name of its own."""
    slaves = [
        SlaveWanted(
            name=f.name,
            position=f.position,
            vendor=f.vendor,
            product=f.product,
            revision=f.revision,
            serial=f.serial,
            title=f.title,
            entries=f.entries,
            remarks=f.doubts,
        )
        for f in found
    ]
    return with_names(slaves)


def with_names(slaves: Iterable[SlaveWanted]) -> tuple[SlaveWanted, ...]:
    """The same, with names that are unlike, and that keys and addresses of a station file can have."""
    taken: set[str] = set()
    named = []
    for slave in slaves:
        plain = re.sub(r"[^A-Za-z0-9]+", "_", slave.name).strip("_")[:LONGEST_NAME] or f"slave_{slave.position}"
        plain = f"slave_{plain}" if plain[0].isdigit() else plain
        name, number = plain, 2
        while name.lower() in taken:
            name, number = f"{plain}_{number}", number + 1
        taken.add(name.lower())
        named.append(replace(slave, name=name))
    return tuple(named)


def proposal(bus: BusWanted) -> str:
    """The station file's text."""
    lines = [
        *head_of(bus.made_by, REMARK),
        "[links.bus]",
        'type = "ethercat"',
        f"interface = {text_of(bus.interface)}",
        *([f"cycle = {text_of(format_duration(bus.cycle_ns))}"] if bus.cycle_ns else []),
        *([f"slave_count = {len(bus.slaves)}"] if bus.is_whole else []),
        "",
        *_slaves(bus.slaves),
        *_drives(bus.slaves),
        "[tags]",
        *_tags(bus.slaves),
    ]
    return text_of_file(lines)


def _slaves(slaves: Sequence[SlaveWanted]) -> Iterator[str]:
    plain = [slave for slave in slaves if not (slave.sdos or slave.pdos or slave.watchdog_ns is not None)]
    if plain:
        yield "[links.bus.slaves]"
    for slave in plain:
        keys = {key: _hex(value) for key, value in _identity(slave).items()}
        yield f"{slave.name} = {{ {', '.join(f'{key} = {value}' for key, value in keys.items())} }}{_about(slave)}"
        yield from _remarks(slave)
    for slave in (one for one in slaves if one not in plain):
        yield from ("", f"[links.bus.slaves.{slave.name}]{_about(slave)}")
        yield from _remarks(slave)
        yield from (f"{key} = {_hex(value)}" for key, value in _identity(slave).items())
        yield from _setting_up(slave)
    yield ""


def _identity(slave: SlaveWanted) -> dict[str, int]:
    """What must be so; a newer revision does as a rule, so it is only told."""
    said = {"position": slave.position, "vendor": slave.vendor, "product": slave.product}
    return {key: value for key, value in said.items() if value is not None}


def _hex(value: int) -> str:
    return str(value) if value < 256 else f"0x{value:08X}"


def _about(slave: SlaveWanted) -> str:
    revision = f"revision 0x{slave.revision:08X}" if slave.revision is not None else ""
    serial = f"serial {slave.serial}" if slave.serial else ""
    words = ", ".join(filter(None, (slave.title, revision, serial)))
    return f"   # {visible(words)}" if words else ""


def _remarks(slave: SlaveWanted) -> Iterator[str]:
    yield from (f"# {visible(remark)}" for remark in slave.remarks)


def _setting_up(slave: SlaveWanted) -> Iterator[str]:
    if slave.watchdog_ns is not None:
        yield f"watchdog = {text_of(format_duration(slave.watchdog_ns))}"
    if slave.pdos:
        yield "pdos = ["
        yield from (f"  {_pdo(pdo)}," for pdo in slave.pdos)
        yield "]"
    if slave.sdos:
        yield "sdos = ["
        yield from (f"  {_sdo(sdo)}," + (f"   # {visible(sdo.comment)}" if sdo.comment else "") for sdo in slave.sdos)
        yield "]"


def _pdo(pdo: PdoWanted) -> str:
    if not pdo.entries:
        return f"0x{pdo.index:04X}"
    entries = ", ".join(f'"0x{index:04X}:{subindex:02X}:{bits}"' for index, subindex, bits in pdo.entries)
    return f"{{ index = 0x{pdo.index:04X}, entries = [{entries}] }}"


def _sdo(sdo: SdoWanted) -> str:
    keys = [f"index = 0x{sdo.index:04X}"]
    keys += [f"subindex = {sdo.subindex}"] if sdo.subindex else []
    keys += [f"value = {text_of(sdo.value)}", f"type = {text_of(sdo.type)}"]
    keys += ["complete = true"] if sdo.complete else []
    return f"{{ {', '.join(keys)} }}"


def _drives(slaves: Sequence[SlaveWanted]) -> Iterator[str]:
    """A table for each axis of profile CiA 402, as comments."""
    axes = [
        (slave, axis)
        for slave in slaves
        for axis in _AXES
        if _has(slave, "out", 0x6040, axis) and _has(slave, "in", 0x6041, axis)
    ]
    if axes:
        yield "# Drives of profile CiA 402. Without the # a state machine enables, moves and stops them: tags NAME.target ..."
    for slave, axis in axes:
        mode = next((mode for mode, index in _TARGETS.items() if _has(slave, "out", index, axis)), None)
        inputs = [name for name, index in _ACTUALS.items() if _has(slave, "in", index, axis)]
        if mode is None:
            continue
        yield f"# [links.bus.drives.{slave.name}_axis{axis or ''}]"
        yield f"# slave = {text_of(slave.name)}"
        yield from ([f"# axis = {axis}"] if axis else [])
        yield f"# mode = {text_of(mode)}"
        yield f"# inputs = [{', '.join(map(text_of, inputs))}]"
        yield ""


def _has(slave: SlaveWanted, direction: str, index: int, axis: int) -> bool:
    return any(
        e.direction == direction and (e.index, e.subindex) == (index + _NEXT_AXIS * axis, 0) for e in slave.entries
    )


def _tags(slaves: Sequence[SlaveWanted]) -> Iterator[str]:
    """Inputs, as tags; then outputs, as comments."""
    for direction in ("in", "out"):
        lines = [line for slave in slaves for line in _tags_of(slave, direction)]
        if lines and direction == "out":
            yield from ("", "# Outputs:")
        yield from lines


def _tags_of(slave: SlaveWanted, direction: str) -> Iterator[str]:
    seen: set[str] = set()
    for entry in slave.entries:
        if entry.is_gap or entry.direction != direction:
            continue
        place = f"{slave.name}:{entry.place}"
        name = f"{slave.name}_{entry.name.lstrip('_')}"
        label = f" ({visible(entry.label)})" if entry.label else ""
        if entry.refusal:
            yield f"# {name}: {place}{label}: {entry.refusal}"
        elif entry.place in seen:
            yield f"# {name}: {place} is exchanged twice; the first one is a tag"
        else:
            hidden = "# " if direction == "out" else ""
            about = f"   # {visible(entry.label)}" if entry.label else ""
            yield f"{hidden}{name} = {inline(_keys(entry, place, slave.scales))}{about}"
        seen.add(entry.place)


def _keys(entry: PdoEntry, place: str, scales: Mapping[str, tuple[float, float]]) -> dict[str, object]:
    scale, offset = scales.get(entry.place, (1.0, 0.0))
    return {
        **({"direction": "out"} if entry.direction == "out" else {}),
        "type": entry.type,
        "address": place,
        **({"count": entry.count} if entry.count > 1 else {}),
        **({"scale": scale} if scale != 1.0 else {}),
        **({"offset": offset} if offset else {}),
    }
