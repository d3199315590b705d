"""What was found on an EtherCAT bus, as tables and as plain values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from fieldbus.ethercat.health import FULL, Finding, Health, Port
from fieldbus.ethercat.protocol import state_in_words
from fieldbus.ethercat.slaves.datatypes import DATA_TYPES
from fieldbus.ethercat.slaves.entries import PdoEntry, SlaveFound
from rt_native.terminal import Column, Sheet


def slaves_sheet(slaves: Sequence[SlaveFound]) -> Sheet:
    """A row for each slave."""
    columns = [
        Column("slave", right=True), Column("name"), Column("vendor:product:revision", rank=2), Column("serial", rank=3, right=True),
        Column("alias", rank=3, right=True), Column("out\nbytes", rank=1, right=True), Column("in\nbytes", rank=1, right=True),
        Column("has", rank=4), Column("called", rank=5, folds=True),
    ]  # fmt: skip
    sheet = Sheet(columns)
    for s in slaves:
        has = " ".join(
            word for word, is_so in (("CoE", s.has_coe), ("DC", s.has_dc), ("no-LRW", not s.has_lrw)) if is_so
        )
        sheet.add(
            str(s.position), s.name, f"{s.vendor:08X}:{s.product:08X}:{s.revision:08X}", str(s.serial or ""), str(s.alias or ""),
            str(s.nbytes("out") or ""), str(s.nbytes("in") or ""), has, s.title if s.title != s.name else "",
        )  # fmt: skip
    return sheet


def entries_sheet(slaves: Sequence[SlaveFound]) -> Sheet:
    """A row for each PDO entry; what no tag can have says why instead of its type."""
    columns = [
        Column("slave", right=True), Column("direction"), Column("entry"), Column("name", folds=True), Column("type", folds=True),
        Column("bits", rank=1, right=True), Column("PDO", rank=2), Column("byte.bit", rank=3, right=True),
    ]  # fmt: skip
    sheet = Sheet(columns)
    for slave in slaves:
        for e in slave.entries:
            kind = f"{e.type}, {e.count} of them" if e.count > 1 else e.type or f"- {e.refusal}"
            where = f"{e.bit_offset // 8}.{e.bit_offset % 8}"
            style = "" if e.type else "dim"
            place = "gap" if e.is_gap else e.place
            sheet.add(
                str(slave.position), e.direction, place, e.name, kind, str(e.bits), f"0x{e.pdo:04X}", where, style=style
            )
    return sheet


def slaves_as_dicts(slaves: Sequence[SlaveFound]) -> list[dict[str, Any]]:
    """Plain values, for programs."""
    return [
        {**asdict(s), "state_words": state_in_words(s.state), "entries": [_entry(e) for e in s.entries]} for s in slaves
    ]


def _entry(entry: PdoEntry) -> dict[str, Any]:
    data_type = DATA_TYPES.get(entry.data_type)
    return {
        **asdict(entry),
        "entry": entry.place,
        "count": entry.count,
        "data_type": data_type.name if data_type else "",
    }


def health_sheet(slaves: Sequence[Health]) -> Sheet:
    """A row for each slave: states, and what was counted at its ports, from port 0 on; a port without a link is a dash."""
    columns = [
        Column("slave", right=True), Column("alias", rank=3, right=True), Column("state"), Column("AL status", folds=True),
        Column("damaged\nat ports"), Column("lost links\nat ports"), Column("watchdog", rank=1), Column("expired", rank=1, right=True),
        Column("clock off\nns", rank=2, right=True), Column("delay\nns", rank=4, right=True), Column("SYNC0", rank=2),
    ]  # fmt: skip
    sheet = Sheet(columns)
    for s in slaves:
        clock = s.clock
        sheet.add(
            str(s.position), str(s.alias or ""), s.state_words, s.code_words,
            _ports(s, lambda p: p.invalid_frames + p.symbol_errors), _ports(s, lambda p: p.lost_links),
            f"{s.watchdog_ms:g} ms" if s.watchdog_ms else "off", str(s.watchdog_expired or ""),
            f"{clock.difference_ns:+,}" if clock else "", f"{clock.delay_ns:,}" if clock else "",
            (f"{clock.cycle_ns / 1e3:g} us" if clock.is_pulsing else "off") if clock else "no clock",
            style="red" if s.code_words else "",
        )  # fmt: skip
    return sheet


def _ports(slave: Health, count: Callable[[Port], int]) -> str:
    return " ".join(_number(count(port)) if port.has_link or count(port) else "-" for port in slave.ports)


def _number(count: int) -> str:
    return f"{FULL}+" if count >= FULL else str(count)


def health_as_dict(slaves: Sequence[Health], found: Sequence[Finding]) -> dict[str, Any]:
    """Plain values, for programs."""
    return {"slaves": [s.as_dict() for s in slaves], "findings": [asdict(f) for f in found]}
