"""Links of type "opcua": OPC UA servers, for slow tags."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from fieldbus.errors import AddressError
from station.links import DeviceLinkTable
from station.links.shared.hosts import no_host, plain_host
from station.links.shared.next_steps import OPCUA
from station.links.shared.urls import opcua_keys
from station.terms.findings import Finding, no_file
from station.terms.tables import Duration, TagTable

if TYPE_CHECKING:
    from fieldbus.opcua.address import NodeAddress
    from fieldbus.opcua.link import OpcUaLink as OpcUaDevice
    from fieldbus.tags import Tag

ORDER = 28
PORT = 4840
INSTALL = "OPC UA needs the package asyncua: pip install 'rt-engine[opcua]'"
POLICIES = ("Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss", "none")
MODES = ("sign-and-encrypt", "sign")
_URL = re.compile(r"opc\.tcp://(?P<host>[^/:@\s]+|\[[0-9a-fA-F:.]+\])(?::(?P<port>\d{1,5}))?(?P<path>/\S*)?")


class OpcUaLink(DeviceLinkTable):
    """An OPC UA server, by subscription: for values that may be a tenth of a second old. A task never waits for it."""

    address_form = '"nsu=URI;s=NAME" or "ns=2;s=NAME"'
    next_steps = OPCUA
    first = ('url = "opc.tcp://192.168.10.5:4840"', "ns=2;s=Line.{0}")
    scheme = "opc.tcp"
    forms: ClassVar[Mapping[str, str]] = {"url": "opc.tcp://HOST:PORT/PATH"}

    @classmethod
    def of_url(cls, rest: str) -> str:
        """`HOST[:PORT][/PATH]`."""
        return opcua_keys(rest)

    type: Literal["opcua"]
    url: str = Field(description="Where the server is: opc.tcp://HOST:PORT, and a path if it has one.")
    security: Literal["Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss", "none"] = Field(
        default="Basic256Sha256",
        description='Security policy; "none": anybody on the way can read and change everything.',
    )
    mode: Literal["sign-and-encrypt", "sign"] = Field(
        default="sign-and-encrypt", description="Is what travels signed alone, or encrypted as well?"
    )
    certificates: str = Field(
        default="opcua",
        description="Folder of our own certificate and of those that are trusted; `rt-engine opcua certificate` makes it.",
    )
    user: str = Field(default="", description="User at the server; left out: anonymous.")
    password_file: str | None = Field(
        default=None, description="File whose first line is the user's password; for its owner alone."
    )
    cycle_ns: Duration = Field(  # type: ignore[assignment]
        default="100 ms",
        alias="cycle",
        description="How often the server tells what has changed, and how often outputs that have changed are written.",
    )
    sampling_ns: Duration | None = Field(
        default=None, alias="sampling", description="How often the server looks at its values; left out: every `cycle`."
    )
    timeout_ns: Duration = Field(  # type: ignore[assignment]
        "2 s",
        alias="timeout",
        description="A server that does not even say that nothing changes is lost after so long; an output older than this is sent "
        "as its safe value.",
    )

    def describe(self) -> str:
        """`opcua opc.tcp://192.168.10.5:4840`."""
        return f"opcua {self.url}"

    def findings(self, name: str, tags: Mapping[str, TagTable], folder: Path) -> Iterator[Finding]:
        """A URL that is none, security that is not there, a password that everybody can read."""
        here = ("links", name)
        if find_spec("asyncua") is None:
            yield Finding((*here, "type"), INSTALL)
        if why := wrong_url(self.url):
            yield Finding((*here, "url"), why)
        if self.password_file is not None:
            yield from no_file((*here, "password_file"), folder, self.password_file)
        if (self.password_file is None) != (not self.user):
            key = "password_file" if self.user else "user"
            yield Finding((*here, key), "user and password_file go together: name both, or none")
        if self.security == "none":
            if self.user:
                yield Finding((*here, "security"), '"none" would show the password to everybody on the way')
            yield Finding((*here, "security"), '"none": anybody on the way can read and change values', "warning")
        elif why := _without_certificate(folder / self.certificates):
            yield Finding((*here, "certificates"), why, "warning")

    def address_faults(self, tag: TagTable) -> Iterator[str]:
        """A text that is no node."""
        try:
            self.address(tag)
        except AddressError as error:
            yield str(error)

    def place(self, tag: TagTable) -> tuple[Hashable, range] | None:
        """Elements of a node."""
        address = self.address(tag)
        first = address.index or 0
        return (self._server(), address.namespace, address.kind, address.identifier), range(first, first + tag.count)

    def device_names(self, tags: Iterable[TagTable]) -> list[str]:
        """`opcua 192.168.10.5:4840`."""
        return [f"opcua {self._server()}"]

    def address(self, tag: TagTable) -> NodeAddress:
        """A node."""
        from fieldbus.opcua.address import parse

        return parse(tag.address)

    def _server(self) -> str:
        found = _URL.fullmatch(self.url)
        return f"{plain_host(found['host'])}:{found['port'] or PORT}" if found else self.url

    def make(self, name: str, tags: Sequence[Tag], folder: Path) -> OpcUaDevice:
        """An OPC UA client."""
        from fieldbus.opcua.link import OpcUaLink as OpcUaDevice
        from fieldbus.opcua.session import Where

        where = Where(
            self.url,
            self.security,
            self.mode,
            folder / self.certificates,
            self.user,
            folder / self.password_file if self.password_file is not None else None,
        )
        sampling_s = None if self.sampling_ns is None else self.sampling_ns / 1e9
        return OpcUaDevice(name, tags, where, self.cycle_s, self.timeout_s, sampling_s)


def wrong_url(url: str) -> str:
    """Why this is not where a server is; empty: it is."""
    found = _URL.fullmatch(url)
    if found is None:
        hint = "; user and password have keys of their own" if "@" in url else ""
        return f'"{url}" has not the form opc.tcp://HOST:PORT{hint}'
    if int(found["port"] or PORT) > 65535:
        return f'"{url}": ports end at 65535'
    return no_host(found["host"].strip("[]"))


def _without_certificate(folder: Path) -> str:
    from fieldbus.errors import ConfigurationError
    from fieldbus.opcua.certificates import Certificates

    try:
        Certificates(folder).own()
    except ConfigurationError as error:
        return str(error)
    return ""


TABLES = (OpcUaLink,)
