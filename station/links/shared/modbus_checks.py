"""What is wrong, or odd, with the places of a Modbus link's tags: overlaps, words of many owners, broadcasts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

from station.links.shared.modbus_addresses import Address, as_in_manuals
from station.terms.findings import Finding
from station.terms.spans import sharing
from station.terms.tables import TagTable

Placed = Mapping[str, tuple[TagTable, Address]]
"""Tag -> its table, and its address with the unit."""

ALL_BITS: Final = 0xFFFF
BROADCAST: Final = 0


def as_manuals_count(placed: Placed) -> Iterator[Finding]:
    """Numbers that look as manuals count."""
    for name, (_, address) in placed.items():
        if hint := as_in_manuals(address):
            yield Finding(("tags", name, "address"), hint, "warning")


def overlaps(placed: Placed) -> Iterator[Finding]:
    """Two tags may not share a register; only an input may read back exactly what an output writes."""
    tables: dict[tuple[int | None, str], list[str]] = defaultdict(list)
    for name, (_, address) in placed.items():
        tables[address.unit, address.table].append(name)
    for names in tables.values():
        spans = [placed[name][1].span(placed[name][0].type, placed[name][0].count) for name in names]
        for first, second in sharing(spans):
            name, other_name = names[first], names[second]
            (tag, address), (other, other_address) = placed[name], placed[other_name]
            same = spans[first] == spans[second] and tag.type == other.type
            if not (same and tag.direction != other.direction):  # else it is read back
                here, there = other_address.text(other.type, other.count), address.text(tag.type, tag.count)
                yield Finding(("tags", other_name, "address"), f"{here} overlaps {there} of tag {name}")


def words_of_many(placed: Placed) -> Iterator[tuple[str, Address]]:
    """(first tag, its address) of each register of which outputs are some bits only."""
    first: dict[tuple[int | None, int], str] = {}
    bits: dict[tuple[int | None, int], int] = defaultdict(int)
    for name, (tag, address) in placed.items():
        if tag.direction == "out" and address.bit is not None:
            where = address.unit, address.register
            first.setdefault(where, name)
            bits[where] |= 1 << address.bit
    for where, name in first.items():
        if bits[where] != ALL_BITS:
            yield name, placed[name][1]


def kept_words(link: str, placed: Placed) -> Iterator[Finding]:
    """Bits that are kept by reading and writing back: a change in between is lost, and nobody would see why."""
    for name, address in words_of_many(placed):
        message = (
            f"the other bits of {address.table} {address.register} are read and written back: what the device does to them "
            f"in between is undone; write mask_writes = true in [links.{link}] if it has function code 22, "
            'other_bits = "keep" if nobody else writes that register, or "zero" if nobody uses its other bits'
        )
        yield Finding(("tags", name, "address"), message, "warning")


def broadcasts(placed: Placed, keeps_bits: bool) -> Iterator[Finding]:
    """Of a serial line: what nobody answers cannot be read, nor its bits be kept."""
    for name, (tag, address) in placed.items():
        if address.unit == BROADCAST and tag.direction == "in":
            message = "unit 0 of a serial line is every device at once, and none answers: an input needs the number of one, 1 to 247"
            yield Finding(("tags", name, "address"), message)
    for name, address in words_of_many(placed):
        if keeps_bits and address.unit == BROADCAST:
            message = (
                "the other bits of this word cannot be read from unit 0, every device at once: write mask_writes = true if "
                'they have function code 22, or other_bits = "zero" if nobody uses these bits'
            )
            yield Finding(("tags", name, "address"), message)
