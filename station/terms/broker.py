"""Where an MQTT broker is, and who we are to it: for every table, of station files and of fleet files, that speaks to one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pydantic import Field

from station.terms.findings import Finding, Step, no_file
from station.terms.tables import Table

if TYPE_CHECKING:
    from plc_bindings.mqtt.broker import BrokerOptions

HERE: Final = ("localhost", "127.0.0.1", "::1")
"""Brokers on this computer."""


class BrokerTable(Table):
    """A broker."""

    broker: str = Field(description="The broker: its name or address.")
    port: int = Field(default=1883, ge=1, le=65535, description="Its TCP port; as a rule 8883 where it is encrypted.")
    tls: bool = Field(default=False, description="Encrypted; also where there is a `ca_file` or a `cert_file`.")
    user: str = Field(default="", description="This station's user at the broker.")
    password_file: str = Field(default="", description="File whose first line is the password.")
    ca_file: str = Field(default="", description="Certificate authority of the broker; left out: those of the system.")
    cert_file: str = Field(default="", description="This station's certificate for the broker, PEM.")
    key_file: str = Field(default="", description="Its key.")
    _broker_files: ClassVar = ("password_file", "ca_file", "cert_file", "key_file")

    @property
    def is_encrypted(self) -> bool:
        """Does it speak TLS?"""
        return self.tls or bool(self.ca_file or self.cert_file)

    @property
    def url(self) -> str:
        """`mqtts://broker.plant.example:8883`."""
        host = f"[{self.broker}]" if ":" in self.broker else self.broker
        return f"{'mqtts' if self.is_encrypted else 'mqtt'}://{host}:{self.port}"

    def broker_findings(self, path: tuple[Step, ...], folder: Path) -> Iterator[Finding]:
        """Do files, user and encryption fit together?"""
        for key in self._broker_files:
            yield from no_file((*path, key), folder, getattr(self, key))
        if bool(self.cert_file) != bool(self.key_file):
            missing = "key_file" if self.cert_file else "cert_file"
            yield Finding(path, f"needs the key {missing} too: a certificate and its key belong together")
        if self.password_file and not self.user:
            yield Finding((*path, "password_file"), "whose password is it? user")
        yield from _shared((*path, "password_file"), folder, self.password_file)
        if self.user and not self.is_encrypted and self.broker not in HERE:
            message = "the password travels unencrypted: who listens on the wire has it; tls = true"
            yield Finding((*path, "user"), message, "warning")

    def options(self, client_id: str, folder: Path, **more: Any) -> BrokerOptions:
        """Of the session; `more` of its options than the table has."""
        from plc_bindings.mqtt.broker import BrokerOptions

        password, ca, cert, key = (
            folder / text if (text := getattr(self, one)) else None for one in self._broker_files
        )
        return BrokerOptions(self.broker, self.port, client_id, self.user, password, self.tls, ca, cert, key, **more)


def _shared(path: tuple[Step, ...], folder: Path, file: str) -> Iterator[Finding]:
    """A password that others on this computer can read."""
    with suppress(OSError):
        if file and (folder / file).stat().st_mode & 0o077:
            yield Finding(path, f"{file} can be read by other users of this computer: chmod 600 {file}", "warning")
