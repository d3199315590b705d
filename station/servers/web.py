"""Servers of type "web": the page of the running station, for browsers; and `GET /metrics`, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from station.servers import Offer
from station.servers.shared.web import HttpTable
from station.terms.findings import Finding, Step, unknown
from station.terms.tables import Array

if TYPE_CHECKING:
    from station.page.server import PageServer

ORDER = 40
Command = Literal["record", "commit", "rollback", "reset-state"]


class WebServerTable(HttpTable):
    """A page that shows the running station, and what it measures for Prometheus. Read-only unless `commands` says who may what."""

    wants_records = True

    type: Literal["web"]
    port: int = Field(default=8080, ge=0, le=65535, description="TCP port; below 1024 it needs a right.")
    commands: dict[str, Annotated[tuple[Command, ...], Array]] = Field(
        default={},
        description='Who may do what: `{ anna = ["record", "commit", "rollback", "reset-state"] }`, by the name of a token; without '
        "tokens, by the common name or SHA-256 fingerprint of a client's certificate. Nobody by default.",
    )
    connections: int = Field(
        default=128, ge=1, le=1000, description="At the same time, at most; a browser takes up to six."
    )
    requests_per_second: int = Field(default=100, ge=1, le=1_000_000, description="Of one connection, at most.")

    def place(self) -> str:
        """`web at https://192.168.10.2:8443/`."""
        return f"web at {self.url}"

    def findings(self, name: str, folder: Path) -> Iterator[Finding]:
        """Also: do tokens and commands fit together?"""
        path = ("servers", name)
        yield from super().findings(name, folder)
        yield from self._command_findings(path)
        if self.writable:
            message = 'a page writes no values; what it may do: commands = { anna = ["record"] }'
            yield Finding((*path, "writable"), message)

    def _command_findings(self, path: tuple[Step, ...]) -> Iterator[Finding]:
        for who in self.commands:
            if self.tokens and who not in self.tokens:
                yield Finding((*path, "commands", who), unknown("name of a token", who, self.tokens))
            elif not self.tokens and not self.ca_file:
                message = f"nobody can show that he is {who}: give him a token (`rt-engine token {who}`), or a certificate (ca_file)"
                yield Finding((*path, "commands", who), message)

    def make(self, offer: Offer) -> PageServer:
        """The page's server."""
        from station.page.server import PageOptions, PageServer

        options = PageOptions(self.listens(offer.folder), self.names, self.tokens, self.commands)
        return PageServer(options, offer.page, self.access(offer.audit))


TABLES = (WebServerTable,)
