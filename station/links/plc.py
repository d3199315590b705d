"""Links of type "plc": tags that PLC clients write and read, through whatever servers there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from station.links import LinkTable
from station.terms.tables import Duration, TagTable

if TYPE_CHECKING:
    from fieldbus.plc.link import PlcLink as Called
    from fieldbus.tags import Tag

ORDER = 40


class PlcLink(LinkTable):
    """Tags that PLC clients write and read, through the servers. They need no address: `rt-engine symbols` lists them."""

    confirmed_by = "read by a PLC client"
    is_called = True

    type: Literal["plc"]
    timeout_ns: Duration = Field(  # type: ignore[assignment]
        "100 ms",
        alias="timeout",
        description="When no client has written any input for so long, all are bad; an output older than this is safe.",
    )

    @property
    def cycle_ns(self) -> int:
        """Clients write when they like."""
        return 0

    def describe(self) -> str:
        """Who calls it."""
        return "called by PLC clients"

    def address_faults(self, tag: TagTable) -> Iterator[str]:
        """There is none to be given."""
        if tag.address:
            yield "a tag of a plc link has no address of its own: `rt-engine symbols` lists where clients find it"

    def make(self, name: str, tags: Sequence[Tag], folder: Path) -> Called:
        """What servers write and read."""
        from fieldbus.plc.link import PlcLink as Called

        return Called(name, tags, self.timeout_s)


TABLES = (PlcLink,)
