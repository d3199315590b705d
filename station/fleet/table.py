"""What station files and fleet files say alike: where the broker is, and how files are got."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from station.terms.findings import Finding, Step, no_file
from station.terms.tables import Table

if TYPE_CHECKING:
    from plc_bindings.mqtt.broker import BrokerOptions
    from station.fleet.web import Login


class BrokerTable(Table):
    """A broker, and whom files are got from."""

    broker: str = Field(description="The MQTT 5 broker: its name or address.")
    port: int = Field(default=8883, ge=1, le=65535, description="Its TCP port.")
    tls: bool = Field(
        default=True, description="Encrypted. Without, documents are signed all the same, and others can read them."
    )
    user: str = Field(default="", description="User at the broker.")
    password_file: str = Field(default="", description="File with the password.")
    ca_file: str = Field(default="", description="Certificate authority of the broker; left out: those of the system.")
    cert_file: str = Field(default="", description="Certificate for the broker, PEM.")
    key_file: str = Field(default="", description="Its key.")
    topic: str = Field(
        default="rt-engine", pattern=r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$", description="What all topics begin with."
    )
    source_user: str = Field(default="", description="User at the servers of files, where they ask.")
    source_password_file: str = Field(default="", description="File with the password.")
    source_ca_file: str = Field(default="", description="Certificate authority of these, beside those of the system.")
    _files: ClassVar = ("password_file", "ca_file", "cert_file", "key_file", "source_password_file", "source_ca_file")

    @property
    def encrypted(self) -> bool:
        """Does it speak TLS?"""
        return self.tls or bool(self.ca_file or self.cert_file)

    def broker_findings(self, path: tuple[Step, ...], folder: Path) -> Iterator[Finding]:
        """Are files there, and do they belong together?"""
        for key in self._files:
            yield from no_file((*path, key), folder, getattr(self, key))
        if bool(self.cert_file) != bool(self.key_file):
            missing = "key_file" if self.cert_file else "cert_file"
            yield Finding(path, f"needs the key {missing} too: a certificate and its key belong together")
        if self.user and not self.encrypted:
            message = "the password travels unencrypted: who listens on the wire has it; tls = true"
            yield Finding((*path, "user"), message, "warning")

    def options(self, client_id: str, folder: Path) -> BrokerOptions:
        """Of the broker."""
        from plc_bindings.mqtt.broker import BrokerOptions

        password, ca, cert, key = (
            folder / text if (text := getattr(self, one)) else None
            for one in ("password_file", "ca_file", "cert_file", "key_file")
        )
        options = (self.broker, self.port, client_id, self.user, password, self.tls, ca, cert, key)
        return BrokerOptions(*options, most_bytes=256 << 10)

    def login(self, folder: Path) -> Login:
        """What servers of files are shown. Raises OSError."""
        from station.fleet.web import Login

        if not self.source_password_file:
            return Login(self.source_user)
        text = (folder / self.source_password_file).read_text(encoding="utf-8")
        return Login(self.source_user, text.partition("\n")[0].strip())

    def source_ca(self, folder: Path) -> str:
        """Path of the certificate authority of servers of files; empty: the system's alone."""
        return str(folder / self.source_ca_file) if self.source_ca_file else ""
