"""Links of type "ads": TwinCAT PLCs."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from fieldbus.ads.protocol import PLC_PORT
from station.links import PORTS, DeviceLinkTable
from station.terms.findings import Finding
from station.terms.tables import NET_ID_FORM, TagTable

if TYPE_CHECKING:
    from fieldbus.ads.address import AdsAddress
    from fieldbus.ads.link import AdsLink as AdsDevice
    from fieldbus.tags import Tag

ORDER = 20


class AdsLink(DeviceLinkTable):
    """A TwinCAT PLC, over ADS."""

    address_form = "the symbol's name"
    forms: ClassVar[Mapping[str, str]] = {"ams_net_id": NET_ID_FORM}
    stand_ins: ClassVar[Mapping[str, object]] = {"ams_net_id": "0.0.0.0.0.0"}

    first = ('ams_net_id = "192.168.10.5.1.1"', "MAIN.{0}")

    type: Literal["ads"]
    ams_net_id: str = Field(
        pattern=r"^\d{1,3}(\.\d{1,3}){5}$", description="AMS NetId of the PLC, for example 5.12.34.56.1.1."
    )
    host: str = Field(default="", description="Name or address of the PLC; left out: the NetId's first four numbers.")
    port: int = Field(default=PLC_PORT, ge=1, le=65535, description="AMS port of the PLC's run time.")
    mode: Literal["read", "notify"] = Field(
        default="read", description="Inputs: one sum read per cycle, or the PLC notifies of what changes."
    )

    def describe(self) -> str:
        """`ads 5.12.34.56.1.1:851`."""
        return f"ads {self.ams_net_id}:{self.port}"

    def findings(self, name: str, tags: Mapping[str, TagTable], folder: Path) -> Iterator[Finding]:
        """A TCP port where the AMS port belongs."""
        if self.port in PORTS:
            message = f"{self.port} is the TCP port of {PORTS[self.port]}; this is the AMS port of the run time, as a rule {PLC_PORT}"
            yield Finding(("links", name, "port"), message, "warning")

    def held_alone(self) -> Hashable | None:
        """The route to the controller."""
        return "ads", self.ams_net_id

    def place(self, tag: TagTable) -> tuple[Hashable, range] | None:
        """A symbol, whose letters may be capital or not."""
        return (self.ams_net_id, self.port, tag.address.lower()), range(1)

    def device_name(self) -> str:
        """`ads 5.12.34.56.1.1:851`."""
        return f"ads {'.'.join(str(int(number)) for number in self.ams_net_id.split('.'))}:{self.port}"

    def address(self, tag: TagTable) -> AdsAddress:
        """A symbol."""
        from fieldbus.ads.address import AdsAddress

        return AdsAddress(tag.address)

    def make(self, name: str, tags: Sequence[Tag], folder: Path) -> AdsDevice:
        """An ADS client."""
        from fieldbus.ads.link import AdsLink as AdsDevice

        where = self.ams_net_id, self.port, self.host
        return AdsDevice(name, tags, *where, self.cycle_s, self.timeout_s, mode=self.mode)


TABLES = (AdsLink,)
