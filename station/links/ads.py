"""Links of type "ads": TwinCAT PLCs."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from fieldbus.ads.protocol import PLC_PORT, TCP_PORT
from station.links import PORTS, DeviceLinkTable, NativeLinkTable
from station.links.shared.hosts import plain_host
from station.links.shared.next_steps import ADS
from station.links.shared.urls import ads_keys
from station.terms.findings import Finding
from station.terms.tables import NET_ID_FORM, TagTable

if TYPE_CHECKING:
    from fieldbus.ads.address import AdsAddress
    from fieldbus.ads.link import AdsLink as AdsDevice
    from fieldbus.tags import Tag

ORDER = 20


class AdsLink(NativeLinkTable, DeviceLinkTable):
    """A TwinCAT PLC, over ADS."""

    address_form = "the symbol's name"
    is_shared = False
    next_steps = ADS
    forms: ClassVar[Mapping[str, str]] = {"ams_net_id": NET_ID_FORM, "local_net_id": NET_ID_FORM}
    stand_ins: ClassVar[Mapping[str, object]] = {"ams_net_id": "0.0.0.0.0.0"}

    first = ('ams_net_id = "192.168.10.5.1.1"', "MAIN.{0}")
    scheme = "ads"

    @classmethod
    def of_url(cls, rest: str) -> str:
        """`NETID[@HOST][:PORT]`, or an address of four numbers, whose NetId as a rule is that and .1.1."""
        return ads_keys(rest)

    type: Literal["ads"]
    ams_net_id: str = Field(
        pattern=r"^\d{1,3}(\.\d{1,3}){5}$", description="AMS NetId of the PLC, for example 5.12.34.56.1.1."
    )
    host: str = Field(default="", description="Name or address of the PLC; left out: the NetId's first four numbers.")
    port: int = Field(default=PLC_PORT, ge=1, le=65535, description="AMS port of the PLC's run time.")
    tcp_port: int = Field(
        default=TCP_PORT, ge=1, le=65535, description="TCP port; another one for a gateway in between."
    )
    local_net_id: str = Field(
        default="",
        pattern=r"^(\d{1,3}(\.\d{1,3}){5})?$",
        description="AMS NetId of this computer, to which the PLC has a route; left out: its address, and .1.1.",
    )
    local_host: str = Field(
        default="", description="Address of this computer that the connection comes from; left out: the system chooses."
    )
    mode: Literal["read", "notify"] = Field(
        default="read", description="Inputs: one sum read per cycle, or the PLC notifies of what changes."
    )

    watch_state: bool = Field(
        default=True,
        description="Inputs are bad unless the PLC is in RUN; false: for a device whose ADS state says nothing.",
    )

    def describe(self) -> str:
        """`ads 5.12.34.56.1.1:851`."""
        return f"ads {self.ams_net_id}:{self.port}"

    def findings(self, name: str, tags: Mapping[str, TagTable], folder: Path) -> Iterator[Finding]:
        """A TCP port where the AMS port belongs."""
        if self.port in PORTS:
            message = f"{self.port} is the TCP port of {PORTS[self.port]}; this is the AMS port of the run time, as a rule {PLC_PORT}"
            yield Finding(("links", name, "port"), message, "warning")

    def address_faults(self, tag: TagTable) -> Iterator[str]:
        """A number is no symbol."""
        if tag.address.isdecimal():
            yield f'"{tag.address}" is no symbol; write its name, with that of its program: "MAIN.fSpeed"'

    held_words = (
        "of which TwinCAT takes one connection from each computer: the two would close each other's, again and again"
    )

    def held_alone(self) -> Hashable | None:
        """The connection from this computer's address to the controller's."""
        host = self.host or ".".join(str(int(number)) for number in self.ams_net_id.split(".")[:4])
        return "ads", plain_host(host), self.tcp_port, self.local_host

    def place(self, tag: TagTable) -> tuple[Hashable, range] | None:
        """A symbol, whose letters may be capital or not."""
        return (self.ams_net_id, self.port, tag.address.lower()), range(1)

    def device_names(self, tags: Iterable[TagTable]) -> list[str]:
        """`ads 5.12.34.56.1.1:851`."""
        return [f"ads {'.'.join(str(int(number)) for number in self.ams_net_id.split('.'))}:{self.port}"]

    def address(self, tag: TagTable) -> AdsAddress:
        """A symbol."""
        from fieldbus.ads.address import AdsAddress

        return AdsAddress(tag.address)

    def make(self, name: str, tags: Sequence[Tag], folder: Path) -> AdsDevice:
        """An ADS client."""
        from fieldbus.ads.link import AdsLink as AdsDevice

        return AdsDevice(
            name,
            tags,
            self.ams_net_id,
            self.port,
            self.host,
            self.cycle_s,
            self.timeout_s,
            mode=self.mode,
            port=self.tcp_port,
            local_net_id=self.local_net_id,
            local_host=self.local_host,
            is_state_watched=self.watch_state,
            exchange=self.exchange,
        )


TABLES = (AdsLink,)
