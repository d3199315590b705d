"""Servers of type "web": the page of the running station, for browsers; and `GET /metrics`, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from station.servers import IpAddress, NetworkServerTable, Offer
from station.terms.findings import Finding, Step, no_file, unknown
from station.terms.tables import Array

if TYPE_CHECKING:
    from plc_bindings.security.access import Access, Record
    from station.page.server import PageServer

ORDER = 40
Command = Literal["record", "commit", "rollback", "reset-state"]


class WebServerTable(NetworkServerTable):
    """A page that shows the running station, and what it measures for Prometheus. Read-only unless `commands` says who may what."""

    wants_records = True

    type: Literal["web"]
    port: int = Field(default=8080, ge=0, le=65535, description="TCP port; below 1024 it needs a right.")
    names: Annotated[tuple[str, ...], Array] = Field(
        default=(),
        description='Names by which browsers ask for it, beside addresses and localhost: "press.plant.example".',
    )
    tokens: dict[str, str] = Field(
        default={},
        description='Who may look: `{ anna = "sha256:..." }`, as `rt-engine token anna` prints it. '
        "Left out: everybody who may connect.",
    )
    commands: dict[str, Annotated[tuple[Command, ...], Array]] = Field(
        default={},
        description='Who may do what: `{ anna = ["record", "commit", "rollback", "reset-state"] }`, by the name of a token; without '
        "tokens, by the common name or SHA-256 fingerprint of a client's certificate. Nobody by default.",
    )
    cert_file: str = Field(default="", description="Certificate of this server, PEM: with it the page is encrypted.")
    key_file: str = Field(default="", description="Its key.")
    ca_file: str = Field(
        default="", description="Certificate authority that signs clients' certificates: with it each needs one."
    )
    allow_certificates: Annotated[tuple[str, ...], Array] = Field(
        default=(),
        description="SHA-256 fingerprints or common names of the clients' certificates; left out: any that `ca_file` signed.",
    )
    connections: int = Field(
        default=128, ge=1, le=1000, description="At the same time, at most; a browser takes up to six."
    )
    requests_per_second: int = Field(default=100, ge=1, le=1_000_000, description="Of one connection, at most.")
    _files: ClassVar = ("cert_file", "key_file", "ca_file")

    def place(self) -> str:
        """`web at https://192.168.10.2:8443/`."""
        return f"web at {'https' if self.cert_file else 'http'}://{self.address}/"

    def findings(self, name: str, folder: Path) -> Iterator[Finding]:
        """Also: do files, tokens and commands fit together?"""
        path = ("servers", name)
        yield from super().findings(name, folder)
        for key in self._files:
            yield from no_file((*path, key), folder, getattr(self, key))
        yield from self._tls_findings(path)
        yield from self._people_findings(path)
        if self.writable:
            message = 'a page writes no values; what it may do: commands = { anna = ["record"] }'
            yield Finding((*path, "writable"), message)

    def _tls_findings(self, path: tuple[Step, ...]) -> Iterator[Finding]:
        if bool(self.cert_file) != bool(self.key_file):
            missing = "key_file" if self.cert_file else "cert_file"
            yield Finding(path, f"needs the key {missing} too: a certificate and its key belong together")
        if self.ca_file and not self.cert_file:
            yield Finding((*path, "ca_file"), "clients show certificates only in TLS: cert_file, key_file")
        if self.allow_certificates and not self.ca_file:
            yield Finding((*path, "allow_certificates"), "who has signed them? ca_file")

    def _people_findings(self, path: tuple[Step, ...]) -> Iterator[Finding]:
        from station.page.people import is_hash

        names: set[str] = set()
        for who, text in self.tokens.items():
            if who.lower() in names:
                yield Finding(
                    (*path, "tokens", who), "is the name of another token too: names are compared in lower case"
                )
            names.add(who.lower())
            if not is_hash(text):
                message = (
                    f"is no hash of a token: `rt-engine token {who}` makes both; the token itself does not belong here"
                )
                yield Finding((*path, "tokens", who), message)
        for who in self.commands:
            if self.tokens and who not in self.tokens:
                yield Finding((*path, "commands", who), unknown("name of a token", who, self.tokens))
            elif not self.tokens and not self.ca_file:
                message = f"nobody can show that he is {who}: give him a token (`rt-engine token {who}`), or a certificate (ca_file)"
                yield Finding((*path, "commands", who), message)

    def address_findings(self, path: tuple[Step, ...], ip: IpAddress) -> Iterator[Finding]:
        """A token that travels where others listen."""
        if not ip.is_loopback and self.tokens and not self.cert_file:
            message = "tokens travel unencrypted: who listens on the wire has them; encrypt with cert_file, key_file"
            yield Finding((*path, "tokens"), message, "warning")

    def access(self, audit: Record) -> Access:
        """Who may come, and how much."""
        from plc_bindings.security.access import Access

        return Access(self.allow, (), self.allow_certificates, (), self.limits(), audit)

    def make(self, offer: Offer) -> PageServer:
        """The page's server."""
        from station.page.server import PageOptions, PageServer

        files = {key: str(offer.folder / text) if (text := getattr(self, key)) else "" for key in self._files}
        options = PageOptions(
            self.host,
            self.port,
            self.names,
            self.tokens,
            self.commands,
            certificate=files["cert_file"],
            key=files["key_file"],
            ca=files["ca_file"],
        )
        return PageServer(options, offer.page, self.access(offer.audit))


TABLES = (WebServerTable,)
