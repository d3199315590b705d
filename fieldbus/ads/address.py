"""Where a tag lies in an ADS device."""

from dataclasses import dataclass

from fieldbus.errors import AddressError
from fieldbus.tags import Address


@dataclass(frozen=True, slots=True)
class AdsAddress(Address):
    """Where a tag lies in an ADS device: a symbol's name, or its index group and offset."""

    symbol: str = ""
    group: int | None = None
    offset: int | None = None

    def __post_init__(self) -> None:
        by_number = self.group is not None and self.offset is not None
        if bool(self.symbol) == by_number or (self.group is None) != (self.offset is None):
            raise AddressError(f"{self}: give either a symbol's name, or both index group and index offset")
