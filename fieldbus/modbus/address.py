"""Where a tag lies in a Modbus device."""

from dataclasses import dataclass, replace
from typing import Literal

from fieldbus.errors import AddressError
from fieldbus.modbus.protocol import ADDRESSES
from fieldbus.tags import Address, Order


@dataclass(frozen=True, slots=True)
class ModbusAddress(Address):
    """Where a tag lies in a Modbus device.

    `address` counts from 0, as on the wire (register "40001" of a manual is `holding`, 0). `order` is the tag's own,
    since devices mix them. `bit` (0 = least significant) makes a bool tag one bit of a register; the other bits of a
    register that is *written* this way are those of other tags, or 0. A bool without `bit` in a register is "not zero",
    written 1 or 0.
    """

    table: Literal["coil", "discrete", "holding", "input"]
    address: int
    order: Order = Order.ABCD
    unit: int = 1
    bit: int | None = None

    def __post_init__(self) -> None:
        if self.table not in ("coil", "discrete", "holding", "input"):
            raise AddressError(f"table {self.table!r}: Modbus has 'coil', 'discrete', 'holding' and 'input'")
        if not 0 <= self.address < ADDRESSES:
            raise AddressError(
                f"{self.table} {self.address}: Modbus addresses go from 0 to {ADDRESSES - 1}, counted from 0"
            )
        if not 0 <= self.unit <= 255:
            raise AddressError(f"{self.table} {self.address}: unit {self.unit} is not in 0 to 255")
        if self.bit is not None and (self.table in ("coil", "discrete") or not 0 <= self.bit <= 15):
            raise AddressError(
                f"{self.table} {self.address}: bit {self.bit}: a bit (0 to 15) is part of a register only"
            )
        object.__setattr__(self, "order", Order(self.order))

    @property
    def place(self) -> str:
        """`holding 40`."""
        return f"{self.table} {self.address}"

    @property
    def byte_order(self) -> Order:
        """Devices differ in it."""
        return self.order

    def moved(self, count: int) -> "ModbusAddress | None":
        """The register, or bit, so many later; None: beyond the table's ends."""
        to = self.address + count
        return replace(self, address=to) if 0 <= to < ADDRESSES else None
