"""Servers of type "ads": for TwinCAT, and everything else that speaks ADS."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from fieldbus.ads.protocol import PLC_PORT, TCP_PORT
from station.servers import Columns, IpAddress, Listing, NetworkServerTable, Offer
from station.terms.findings import Finding, Step
from station.terms.tables import NET_ID_FORM, Array

if TYPE_CHECKING:
    from plc_bindings.ads.server import AdsServer
    from plc_bindings.data.database import Database
    from plc_bindings.data.models import Models
    from plc_bindings.security.access import Access, Limits, Record
    from plc_bindings.st.project import Ads, Project

ORDER = 10


class AdsServerTable(NetworkServerTable):
    """An ADS server, for TwinCAT and everything else that speaks ADS."""

    forms: ClassVar[Mapping[str, str]] = {"ams_net_id": NET_ID_FORM}
    takes_uploads = True
    columns = Columns(
        ("ads_group", "ads_offset"), ("ADS group, offset",), lambda values: ("{} {:>4}".format(*values),), "bytes"
    )
    flavour = "twincat"

    type: Literal["ads"]
    port: int = Field(
        default=TCP_PORT, ge=0, le=65535, description="TCP port; AdsLib's clients know no other than 48898."
    )
    ams_net_id: str = Field(
        default="",
        pattern=r"^(\d{1,3}(\.\d{1,3}){5})?$",
        description="AMS NetId of this server; left out: `host` and .1.1.",
    )
    ams_port: int = Field(
        default=PLC_PORT, ge=1, le=65535, description="AMS port of the symbols, as of a PLC's run time."
    )
    allow_net_ids: Annotated[tuple[str, ...], Array] = Field(
        default=(), description="AMS NetIds of those who may ask; left out: any from an allowed address."
    )
    handles: int = Field(default=10_000, ge=1, le=1_000_000, description="Of one client, at most.")
    notifications: int = Field(default=500, ge=0, le=100_000, description="Of one client, at most.")

    @property
    def net_id(self) -> str:
        """The AMS NetId that clients ask for; empty where it depends on the address that they connect to."""
        return self.ams_net_id or ("" if self.host in ("0.0.0.0", "::") else f"{self.host}.1.1")

    def place(self) -> str:
        """`ads at 192.168.10.2:48898, AMS NetId 192.168.10.2.1.1, AMS port 851`."""
        net_id = self.net_id or "the address that a client connects to and .1.1"
        return f"ads at {self.address}, AMS NetId {net_id}, AMS port {self.ams_port}"

    def address_findings(self, path: tuple[Step, ...], ip: IpAddress) -> Iterator[Finding]:
        """AMS NetIds: its own, and those of who may ask; an AMS port where the TCP port belongs."""
        if self.port == PLC_PORT:
            message = f"{self.port} is an AMS port (ams_port); this is the TCP port, as a rule {TCP_PORT}"
            yield Finding((*path, "port"), message, "warning")
        if not self.ams_net_id and ip.version == 6:
            yield Finding(path, 'an IPv6 address makes no AMS NetId: ams_net_id = "192.168.10.2.1.1"')
        if any(int(number) > 255 for number in self.ams_net_id.split(".") if number):
            yield Finding((*path, "ams_net_id"), f'"{self.ams_net_id}" has a number above 255')
        for index, net_id in enumerate(self.allow_net_ids):
            if not _is_net_id(net_id):
                message = (
                    f'"{net_id}" is no AMS NetId, so it would let nobody in; write six numbers, "192.168.10.5.1.1"'
                )
                yield Finding((*path, "allow_net_ids", index), message)

    def limits(self) -> Limits:
        """How much one client may have."""
        return replace(super().limits(), handles=self.handles, notifications=self.notifications)

    def access(self, audit: Record) -> Access:
        """Who may come, and how much."""
        from plc_bindings.security.access import Access

        return Access(self.allow, self.allow_net_ids, (), self.writable, self.limits(), audit)

    def make(self, offer: Offer) -> AdsServer:
        """An ADS server."""
        from plc_bindings.ads.device import AdsOptions
        from plc_bindings.ads.server import AdsServer

        return AdsServer(
            offer.database,
            offer.models,
            AdsOptions(self.host, self.port, self.ams_net_id, self.ams_port, offer.station),
            self.access(offer.audit),
            attributes=offer.attributes,
            uploads=offer.uploads.client if offer.uploads is not None else None,
        )

    @classmethod
    def listing(cls, database: Database, models: Models) -> Listing:
        """Index group and offset; of calls the two halves of one ReadWrite."""
        from plc_bindings.ads.groups import AREA, PREDICT
        from plc_bindings.data.models import call_leaves

        places = {
            name: (f"0x{AREA + symbol.area:08X}", str(leaf.offset))
            for symbol in database.symbols
            for name, leaf in symbol.leaves()
        }
        calls = {
            name: (f"0x{PREDICT:08X}", str(served.number)) for served in models.all for name, *_ in call_leaves(served)
        }
        return Listing(places | calls)

    def callee(self, offer: Callable[[], Offer], models: Collection[str]) -> Ads:
        """NetId and port: models have names."""
        from plc_bindings.st.project import Ads

        return Ads(self.net_id, self.ams_port)

    def blocks(self, project: Project, callee: Ads) -> dict[str, str]:
        """For TwinCAT."""
        from plc_bindings.st.write import twincat_files

        return twincat_files(project, callee)

    def unreachable(self) -> str:
        """Why a PLC elsewhere does not reach it by what its blocks know; empty: it does."""
        host = ip_address(self.host)
        if host.is_unspecified and not self.ams_net_id:
            return (
                f"the server listens at {host}, so NET_ID is empty, which is the PLC itself: "
                "give the server an `ams_net_id`"
            )
        if self.port != TCP_PORT:
            return f"the server listens at port {self.port}: a TwinCAT router connects to {TCP_PORT}, and to no other"
        return super().unreachable()


def _is_net_id(text: str) -> bool:
    """Six numbers up to 255, as a client's NetId is shown."""
    numbers = text.split(".")
    return len(numbers) == 6 and all(n.isascii() and n.isdigit() and str(int(n)) == n and int(n) < 256 for n in numbers)


TABLES = (AdsServerTable,)
