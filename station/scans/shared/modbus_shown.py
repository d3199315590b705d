"""What a scan of a Modbus device found, for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from fieldbus.modbus.scan.blocks import Table
from rt_native.terminal import Column, Sheet
from station.scans.shared.modbus_results import Device, Hit
from station.scans.shared.modbus_search import ranges, settings_text

MOST_BLOCKS: Final = 12
MOST_HITS: Final = 15


def units_sheet(device: Device) -> Sheet:
    """Each table of each unit."""
    title = f"{device.target}" + (f", {settings_text(device.settings)}" if device.settings else "")
    sheet = Sheet(
        (
            Column("unit", right=True),
            Column("table"),
            Column("can be read", folds=True),
            Column("addresses", 1, right=True),
            Column("at most\na request", 2, right=True),
        ),
        title=title,
    )
    for unit in device.units:
        for index, table in enumerate(unit.tables):
            number = str(unit.number) if index == 0 else ""
            most = f"{table.most}" if table.is_limited else ""
            sheet.add(
                number,
                table.name,
                blocks_text(table),
                str(table.count or ""),
                most,
                style="" if table.blocks else "dim",
            )
    return sheet


def blocks_text(table: Table) -> str:
    """`0..9, 100..139`, or why there is nothing."""
    blocks = [f"{b.start}..{b.end - 1}" if len(b.values) > 1 else str(b.start) for b in table.blocks]
    text = ", ".join(blocks[:MOST_BLOCKS]) or table.why
    if len(blocks) > MOST_BLOCKS:
        text += f" and {len(blocks) - MOST_BLOCKS} more blocks"
    return (
        text
        + {"": "", "stopped": " (stopped here)", "too many holes": " (and more: --addresses says where to look)"}[
            table.cut
        ]
    )


def remarks(device: Device) -> Iterator[str]:
    """What is odd, or good to know."""
    m, numbers = device.manners, device.numbers
    for unit in device.units:
        if str(unit.identity):
            yield f"unit {unit.number} says that it is: {unit.identity}"
    if numbers.any_number:
        yield f"it answers whatever the unit number: {numbers.here[0]} will do"
    if numbers.is_gateway:
        yield "a gateway: for other unit numbers it says that nobody is there"
    if numbers.failing:
        yield f"units {ranges(numbers.failing)} answer with exception 4 only: not there, or broken"
    if m.max_read or m.max_bits:
        limits = [f"{n} {what}" for n, what in ((m.max_read, "registers"), (m.max_bits, "bits")) if n]
        yield f"it gives at most {' and '.join(limits)} a request"
    if m.pause_s:
        yield f"it loses questions that come at once: {m.pause_s * 1000:g} ms between them helped"
    if m.deaf_s:
        yield f"after connecting it heard nothing for up to {m.deaf_s * 1000:.0f} ms"
    if m.busy:
        yield f"{m.busy} times it was busy, or the gateway did not reach it, and answered when it was asked again"
    if m.any_transaction_id:
        yield "its answers have transaction numbers of their own"
    if m.any_unit:
        yield "its answers have another unit number than was asked"
    if m.echo:
        yield "the adapter hears what it sends"
    if m.hung:
        yield "it stopped answering after a question that it does not know, until it had rested and was connected anew"


def hits_sheet(device: Device, sought: str) -> Sheet:
    """The places of a value, the plainest first."""
    sheet = Sheet(
        (
            *((Column("unit", right=True),) if len(device.units) > 1 else ()),
            Column("address"),
            Column("type"),
            Column("order", 1),
            Column("scale", right=True),
            Column("offset", 1, right=True),
            Column("gives", right=True),
        ),
        title=f"Where {sought} lies",
        caption=f"and {len(device.hits) - MOST_HITS} less likely places" if len(device.hits) > MOST_HITS else "",
    )
    for hit in device.hits[:MOST_HITS]:
        sheet.add(*([str(hit.unit)] if len(device.units) > 1 else []), *_cells(hit))
    return sheet


def _cells(hit: Hit) -> Sequence[str]:
    place = hit.found.place
    kind = f"{place.type} or u{place.type}" if hit.found.maybe_unsigned else place.type
    swapped = place.order if place.width > 1 or place.order != "ABCD" else ""
    offset = f"{place.offset:g}" if place.offset else ""
    return f"{place.table} {place.register}", kind, swapped, f"{place.scale:g}", offset, f"{hit.found.value:.7g}"
