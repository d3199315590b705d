"""Tags that somebody watches: least and greatest value seen, as a table on a terminal, as lines elsewhere. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from rt_native.terminal import Column, Sheet
from station.show.tags import TagView, cells, number_text

_COLUMNS: Final = (
    Column("tag"),
    Column("in,\nout", rank=5),
    Column("value", right=True),
    Column("unit"),
    Column("raw", rank=1),
    Column("quality"),
    Column("age", rank=2, right=True),
    Column("least\nseen", rank=3, right=True),
    Column("greatest\nseen", rank=3, right=True),
    Column("address", rank=4),
)


class Watched:
    """What was seen of some tags so far. NaN is in no range, nor is what a link had without ever reading it."""

    def __init__(self) -> None:
        self._tags: tuple[TagView, ...] = ()
        self._ranges: dict[str, tuple[float, float]] = {}
        self._told: dict[str, tuple[object, ...]] = {}

    def see(self, tags: tuple[TagView, ...]) -> None:
        """The tags now."""
        self._tags = tags
        for tag in tags:
            seen = [value for value in tag.values if not math.isnan(value)] if tag.age_ns is not None else []
            if seen:
                least, greatest = self._ranges.get(tag.name, (math.inf, -math.inf))
                self._ranges[tag.name] = min(least, *seen), max(greatest, *seen)

    def table(self, most: int) -> Sheet:
        """The first so many tags, with what was seen of them."""
        left = len(self._tags) - most
        sheet = Sheet(_COLUMNS, caption=f"and {left:,} more tags: name those to watch" if left > 0 else "")
        for tag in self._tags[:most]:
            sheet.add(*cells(tag, *self._seen(tag)))
        return sheet

    def lines(self, when: datetime) -> Iterator[str]:
        """A line for each tag whose value, bytes or quality have changed since its last line."""
        width = max((len(tag.name) for tag in self._tags), default=0)
        for tag in self._tags:
            now = tuple(map(str, tag.values)), tag.raw, tag.quality
            if self._told.get(tag.name) == now:
                continue
            self._told[tag.name] = now
            value = f"{tag.value} {tag.unit}".rstrip()
            raw = f"  raw {tag.raw_bytes}" if tag.raw else ""
            least, greatest = self._seen(tag)
            seen = f"  seen {least} to {greatest}" if least != greatest else ""
            yield (
                f"{when:%H:%M:%S}.{when.microsecond // 1000:03}  {tag.name:{width}}  {value}{raw}  {tag.quality}  "
                f"age {tag.age}{seen}"
            )

    def _seen(self, tag: TagView) -> tuple[str, str]:
        least, greatest = self._ranges.get(tag.name, (math.nan, math.nan))
        return ("-", "-") if math.isnan(least) else (number_text(least), number_text(greatest))
