"""Where a tag lies on an EtherCAT bus."""

import re
from dataclasses import dataclass

from fieldbus.errors import AddressError
from fieldbus.tags import Address

_PLACE = re.compile(r"0[xX]([0-9A-Fa-f]{1,4}):(?:0[xX])?([0-9A-Fa-f]{1,2})")


@dataclass(frozen=True, slots=True)
class EthercatAddress(Address):
    """A PDO entry of a slave: `slave` is its name, or its position; the entry is told by index and subindex, or by its name."""

    slave: str
    index: int | None = None
    subindex: int | None = None
    entry: str = ""

    def __post_init__(self) -> None:
        if not self.slave or (self.index is None) == (not self.entry):
            raise AddressError(f"{self}: a slave, and either an entry's index and subindex or its name")
        if self.index is not None and not (0 < self.index <= 0xFFFF and 0 <= (self.subindex or 0) <= 0xFF):
            raise AddressError(f"{self}: an index is 0x0001 to 0xFFFF, a subindex 0 to 0xFF")

    @classmethod
    def parse(cls, text: str) -> "EthercatAddress":
        """From `drive:0x6041:00`, `drive:statusword`, `1:0x6000:01`; raises `AddressError`."""
        slave, colon, entry = text.partition(":")
        if not colon or not slave.strip() or not entry.strip():
            raise AddressError(
                f"{text!r}: write \"SLAVE:ENTRY\", the slave's name or its position, and the entry's 0xINDEX:SUB or name"
            )
        place = _PLACE.fullmatch(entry.strip())
        if place:
            return cls(slave.strip(), int(place[1], 16), int(place[2], 16))
        if entry.strip().lower().startswith("0x"):
            raise AddressError(f"{text!r}: {entry.strip()!r} is no entry; both numbers are hexadecimal: 0x6041:00")
        return cls(slave.strip(), entry=entry.strip())

    @property
    def wanted(self) -> str:
        """The entry as a slave is asked for it: `0x6041:00`, or its name."""
        return self.entry or f"0x{self.index:04X}:{self.subindex or 0:02X}"

    @property
    def place(self) -> str:
        """`drive:0x6041:00`."""
        return f"{self.slave}:{self.wanted}"
