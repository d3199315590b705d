"""What station files and fleet files say alike: the broker of the fleet, and how files are got."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field

from station.terms.broker import BrokerTable
from station.terms.findings import Finding, Step, no_file
from station.terms.tables import Array

if TYPE_CHECKING:
    from plc_bindings.mqtt.broker import BrokerOptions
    from station.fleet.web import Login

MOST_PACKET: Final = 72 << 10
"""Bytes: a document (`sealed.MOST_BYTES`) and its topic."""


class FleetBrokerTable(BrokerTable):
    """A fleet's broker, encrypted if nothing else is said, and whom files are got from."""

    port: int = Field(default=8883, ge=1, le=65535, description="Its TCP port.")
    tls: bool = Field(
        default=True, description="Encrypted. Without, documents are signed all the same, and others can read them."
    )
    topic: str = Field(
        default="rt-engine", pattern=r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$", description="What all topics begin with."
    )
    source_user: str = Field(default="", description="User at the servers of files, where they ask.")
    source_password_file: str = Field(default="", description="File with the password.")
    source_ca_file: str = Field(default="", description="Certificate authority of these, beside those of the system.")
    source_token_hosts: Annotated[tuple[str, ...], Array] = Field(
        default=(),
        description='Other hosts that may be shown the password, for tokens of a registry: "auth.docker.io".',
    )

    def broker_findings(self, path: tuple[Step, ...], folder: Path) -> Iterator[Finding]:
        """Also: are the files for servers of files there?"""
        yield from super().broker_findings(path, folder)
        for key in ("source_password_file", "source_ca_file"):
            yield from no_file((*path, key), folder, getattr(self, key))

    def options(self, client_id: str, folder: Path, **more: Any) -> BrokerOptions:
        """Of the session."""
        return super().options(client_id, folder, most_bytes=MOST_PACKET, **more)

    def login(self, folder: Path) -> Login:
        """What servers of files are shown. Raises OSError."""
        from station.fleet.web import Login

        hosts = tuple(host.lower() for host in self.source_token_hosts)
        if not self.source_password_file:
            return Login(self.source_user, token_hosts=hosts)
        text = (folder / self.source_password_file).read_text(encoding="utf-8")
        return Login(self.source_user, text.partition("\n")[0].strip(), hosts)

    def source_ca(self, folder: Path) -> str:
        """Path of the certificate authority of servers of files; empty: the system's alone."""
        return str(folder / self.source_ca_file) if self.source_ca_file else ""
