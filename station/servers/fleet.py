"""Servers of type "fleet": the station's agent, which takes orders from a broker and reports what runs (docs/rollout.md)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from station.servers import Offer, ServerTable
from station.terms.findings import Finding, no_file
from station.terms.tables import Array, Duration

if TYPE_CHECKING:
    from plc_bindings.mqtt.broker import BrokerOptions
    from station.fleet.driver import FleetAgent

ORDER = 60


class FleetServerTable(ServerTable):
    """A member of a fleet: a broker brings it signed orders, it takes versions by its own gate, shadow and trial, and reports."""

    takes_uploads = True

    type: Literal["fleet"]
    broker: str = Field(description="The MQTT 5 broker: its name or address.")
    port: int = Field(default=8883, ge=1, le=65535, description="Its TCP port.")
    tls: bool = Field(
        default=True, description="Encrypted. Without, orders are signed all the same, and others can read."
    )
    user: str = Field(default="", description="This station's user at the broker.")
    password_file: str = Field(default="", description="File with the password.")
    ca_file: str = Field(default="", description="Certificate authority of the broker; left out: those of the system.")
    cert_file: str = Field(default="", description="This station's certificate for the broker, PEM.")
    key_file: str = Field(default="", description="Its key.")
    topic: str = Field(
        default="rt-engine", pattern=r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$", description="What its topics begin with."
    )
    labels: dict[str, str] = Field(
        default={}, description='What it can be selected by: `{ line = "4", plant = "ulm" }`.'
    )
    keys: Annotated[tuple[str, ...], Array] = Field(
        default=(), description="Public keys (`rt-engine keygen`) of those who may give orders."
    )
    sources: Annotated[tuple[str, ...], Array] = Field(
        default=(),
        description='Where models may come from, and all below: "https://models.plant.example/policy", "oci://registry.plant.example/plant".',
    )
    source_user: str = Field(default="", description="User at these, where they ask.")
    source_password_file: str = Field(default="", description="File with the password.")
    source_ca_file: str = Field(default="", description="Certificate authority of these, beside those of the system.")
    reaction_ns: Duration | None = Field(
        default=None,
        alias="reaction",
        description="So long may 99 of 100 reactions take, from inputs to outputs: a rollout stops where they take longer.",
    )
    folder: str = Field(
        default="fleet", description="Folder of its memory, its own key and its files, relative to this file."
    )
    _files: ClassVar = ("password_file", "ca_file", "cert_file", "key_file", "source_password_file", "source_ca_file")

    def place(self) -> str:
        """`fleet at mqtts://broker.plant.example:8883/rt-engine`."""
        return f"fleet at {'mqtts' if self._encrypted else 'mqtt'}://{self.broker}:{self.port}/{self.topic}"

    @property
    def _encrypted(self) -> bool:
        return self.tls or bool(self.ca_file or self.cert_file)

    def findings(self, name: str, folder: Path) -> Iterator[Finding]:
        """Do keys, sources and files say what is needed?"""
        from plc_bindings.errors import SigningError
        from plc_bindings.security.signing import PublicKey
        from station.fleet.web import objection

        path = ("servers", name)
        for key in self._files:
            yield from no_file((*path, key), folder, getattr(self, key))
        if bool(self.cert_file) != bool(self.key_file):
            missing = "key_file" if self.cert_file else "cert_file"
            yield Finding(path, f"needs the key {missing} too: a certificate and its key belong together")
        for needed, words in (("keys", "who may give it orders"), ("sources", "where models may come from")):
            if not getattr(self, needed):
                yield Finding(path, f"needs the key {needed}: {words}")
        for index, text in enumerate(self.keys):
            try:
                PublicKey.parse(text)
            except SigningError as error:
                yield Finding((*path, "keys", index), str(error))
        for index, source in enumerate(self.sources):
            if why := objection(source):
                yield Finding((*path, "sources", index), why)
        if self.user and not self._encrypted:
            yield Finding(
                (*path, "user"),
                "the password travels unencrypted: who listens on the wire has it; tls = true",
                "warning",
            )
        if self.writable:
            yield Finding((*path, "writable"), "orders write no values: a fleet changes models alone")

    def options(self, station: str, folder: Path) -> BrokerOptions:
        """Of the broker."""
        from plc_bindings.mqtt.broker import BrokerOptions

        password, ca, cert, key = (
            folder / text if (text := getattr(self, one)) else None
            for one in ("password_file", "ca_file", "cert_file", "key_file")
        )
        who = f"{self.topic.replace('/', '-')}-{station}"
        return BrokerOptions(
            self.broker, self.port, who, self.user, password, self.tls, ca, cert, key, most_bytes=256 << 10
        )

    def make(self, offer: Offer) -> FleetAgent:
        """The agent."""
        from plc_bindings.security.signing import PublicKey
        from station.fleet.driver import FleetAgent, FleetOptions
        from station.fleet.plant import StationPlant

        password = self.source_password_file
        options = FleetOptions(
            station=offer.station,
            broker=self.options(offer.station, offer.folder),
            folder=offer.folder / self.folder,
            keys=tuple(PublicKey.parse(text) for text in self.keys),
            sources=self.sources,
            labels=self.labels,
            topic=self.topic,
            source_user=self.source_user,
            source_password_file=offer.folder / password if password else None,
            source_ca_file=str(offer.folder / self.source_ca_file) if self.source_ca_file else "",
        )
        plant = StationPlant(offer.page, offer.uploads, self.reaction_ns or 0)
        return FleetAgent(options, plant, offer.audit, offer.record_change)


TABLES = (FleetServerTable,)
