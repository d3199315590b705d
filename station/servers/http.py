"""Servers of type "http": the models as a service, in the Open Inference Protocol of Triton and KServe."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from station.servers import Offer
from station.servers.shared.web import HttpTable
from station.terms.findings import Finding
from station.terms.tables import Array, Duration

if TYPE_CHECKING:
    from plc_bindings.http.server import HttpServer
    from plc_bindings.security.access import Limits

ORDER = 70


class HttpServerTable(HttpTable):
    """The models as a service: the Open Inference Protocol, version 2, over HTTP, as tritonclient and KServe speak it."""

    type: Literal["http"]
    port: int = Field(default=8000, ge=0, le=65535, description="TCP port; below 1024 it needs a right.")
    models: Annotated[tuple[str, ...], Array] = Field(
        default=("*",), description='Which models may be called: names, `*` for any part: "policy", "press_*".'
    )
    connections: int = Field(default=64, ge=1, le=1000, description="At the same time, at most.")
    batch: int = Field(default=256, ge=1, le=65536, description="Runs of a model in one call, at most.")
    body_bytes: int = Field(
        default=16 << 20, ge=1024, le=1 << 30, description="Of one request, as it came and unpacked, at most."
    )
    body_timeout_ns: Duration = Field(  # type: ignore[assignment]
        alias="body_timeout", default="10 s", description="The body of a request has to be there so soon."
    )

    def place(self) -> str:
        """`http at https://192.168.10.2:8000/`."""
        return f"http at {self.url}"

    def findings(self, name: str, folder: Path) -> Iterator[Finding]:
        """Also: it writes nothing."""
        yield from super().findings(name, folder)
        if self.writable:
            message = "this server computes what models give for its clients' inputs, and writes no values"
            yield Finding(("servers", name, "writable"), message)

    @property
    def model_patterns(self) -> tuple[str, ...]:
        """`models`."""
        return self.models

    def limits(self) -> Limits:
        """How much one client may have."""
        return replace(super().limits(), batch=self.batch, frame_bytes=self.body_bytes)

    def make(self, offer: Offer) -> HttpServer:
        """The server."""
        from plc_bindings.http.server import HttpOptions, HttpServer

        options = HttpOptions(
            self.listens(offer.folder),
            offer.station,
            self.names,
            self.tokens,
            self.models,
            self.body_bytes,
            self.body_timeout_ns / 1e9,
        )

        def avoid() -> Collection[int]:
            return offer.page.avoid if offer.page is not None else frozenset()

        return HttpServer(offer.models, options, self.access(offer.audit), avoid)


TABLES = (HttpServerTable,)
