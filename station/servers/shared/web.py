"""What tables of servers of HTTP have in common: names, tokens, certificates."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from station.servers import IpAddress, NetworkServerTable
from station.servers.shared.certificates import certificate_findings
from station.servers.shared.tokens import token_findings
from station.terms.findings import Finding, Step, no_file
from station.terms.tables import Array

if TYPE_CHECKING:
    from plc_bindings.security.access import Access, Record
    from plc_bindings.web.apart import Place


class HttpTable(NetworkServerTable):
    """A server that HTTP clients reach, with tokens or certificates."""

    names: Annotated[tuple[str, ...], Array] = Field(
        default=(),
        description='Names by which browsers ask for it, beside addresses and localhost: "press.plant.example".',
    )
    tokens: dict[str, str] = Field(
        default={},
        description='Who may ask: `{ anna = "sha256:..." }`, as `rt-engine token anna` prints it. '
        "Left out: everybody who may connect.",
    )
    cert_file: str = Field(default="", description="Certificate of this server, PEM: with it all is encrypted.")
    key_file: str = Field(default="", description="Its key.")
    ca_file: str = Field(
        default="", description="Certificate authority that signs clients' certificates: with it each needs one."
    )
    allow_certificates: Annotated[tuple[str, ...], Array] = Field(
        default=(),
        description="SHA-256 fingerprints or common names of the clients' certificates; left out: any that `ca_file` signed.",
    )
    _files: ClassVar = ("cert_file", "key_file", "ca_file")

    @property
    def url(self) -> str:
        """`https://192.168.10.2:8443/`."""
        return f"{'https' if self.cert_file else 'http'}://{self.address}/"

    @property
    def encrypts(self) -> bool:
        """With a certificate."""
        return bool(self.cert_file)

    @property
    def asks_who(self) -> bool:
        """With tokens, or certificates of clients."""
        return bool(self.tokens or self.ca_file)

    def findings(self, name: str, folder: Path) -> Iterator[Finding]:
        """Also: do files and tokens fit together?"""
        path = ("servers", name)
        yield from super().findings(name, folder)
        for key in self._files:
            yield from no_file((*path, key), folder, getattr(self, key))
        yield from self._tls_findings(path)
        yield from certificate_findings(path, folder, self.cert_file, self.key_file, self.ca_file)
        yield from token_findings(path, self.tokens)

    def _tls_findings(self, path: tuple[Step, ...]) -> Iterator[Finding]:
        if bool(self.cert_file) != bool(self.key_file):
            missing = "key_file" if self.cert_file else "cert_file"
            yield Finding(path, f"needs the key {missing} too: a certificate and its key belong together")
        if self.ca_file and not self.cert_file:
            yield Finding((*path, "ca_file"), "clients show certificates only in TLS: cert_file, key_file")
        if self.allow_certificates and not self.ca_file:
            yield Finding((*path, "allow_certificates"), "who has signed them? ca_file")

    def address_findings(self, path: tuple[Step, ...], ip: IpAddress) -> Iterator[Finding]:
        """A token that travels where others listen."""
        if not ip.is_loopback and self.tokens and not self.cert_file:
            message = "tokens travel unencrypted: who listens on the wire has them; encrypt with cert_file, key_file"
            yield Finding((*path, "tokens"), message, "warning")

    def access(self, audit: Record) -> Access:
        """Who may come, and how much."""
        from plc_bindings.security.access import Access

        return Access(self.allow, (), self.allow_certificates, (), self.limits(), audit)

    def listens(self, folder: Path) -> Place:
        """Where it listens, with which certificates."""
        from plc_bindings.web.apart import Place

        cert, key, ca = (str(folder / text) if (text := getattr(self, name)) else "" for name in self._files)
        return Place(self.host, self.port, cert, key, ca)
