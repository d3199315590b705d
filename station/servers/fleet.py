"""Servers of type "fleet": the station's agent, which takes orders from a broker and reports what runs (docs/rollout.md)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from station.fleet.table import FleetBrokerTable
from station.servers import Offer
from station.servers.shared.broker import BrokerServerTable
from station.terms.findings import Finding
from station.terms.tables import Array, Duration, Labels

if TYPE_CHECKING:
    from station.fleet.driver import FleetAgent

ORDER = 60


class FleetServerTable(FleetBrokerTable, BrokerServerTable):
    """A member of a fleet: a broker brings it signed orders, it takes versions by its own gate, shadow and trial, and reports."""

    takes_uploads = True

    type: Literal["fleet"]
    labels: Labels = Field(default={}, description='What it can be selected by: `{ line = "4", plant = "ulm" }`.')
    keys: Annotated[tuple[str, ...], Array] = Field(
        default=(), description="Public keys (`rt-engine keygen`) of those who may give orders."
    )
    sources: Annotated[tuple[str, ...], Array] = Field(
        default=(),
        description='Where models may come from, and all below: "https://models.plant.example/policy", "oci://registry.plant.example/plant".',
    )
    reaction_ns: Duration | None = Field(
        default=None,
        alias="reaction",
        description="So long may 99 of 100 reactions take, from inputs to outputs: a rollout stops where they take longer.",
    )
    folder: str = Field(
        default="fleet", description="Folder of its memory, its own key and its files, relative to this file."
    )

    @property
    def asks_who(self) -> bool:
        """Yes: what anybody says counts only if a key of `keys` signed it."""
        return True

    def place(self) -> str:
        """`fleet at mqtts://broker.plant.example:8883/rt-engine`."""
        return f"fleet at {self.url}/{self.topic}"

    def findings(self, name: str, folder: Path) -> Iterator[Finding]:
        """Do keys, sources and files say what is needed?"""
        from plc_bindings.errors import SigningError
        from plc_bindings.security.signing import ED25519, PublicKey
        from station.fleet.web import objection

        path = ("servers", name)
        yield from super().findings(name, folder)
        for needed, words in (("keys", "who may give it orders"), ("sources", "where models may come from")):
            if not getattr(self, needed):
                yield Finding(path, f"needs the key {needed}: {words}")
        for index, text in enumerate(self.keys):
            try:
                if PublicKey.parse(text).kind != ED25519:
                    yield Finding((*path, "keys", index), "orders are signed with an Ed25519 key: `rt-engine keygen`")
            except SigningError as error:
                yield Finding((*path, "keys", index), str(error))
        for index, source in enumerate(self.sources):
            if why := objection(source):
                yield Finding((*path, "sources", index), why)
        if self.writable:
            yield Finding((*path, "writable"), "orders write no values: a fleet changes models alone")

    def name_findings(self, name: str, station: str, models: Collection[str]) -> Iterator[Finding]:
        """Do they fit into what a fleet tells?"""
        from station.fleet.documents import MOST_NAME, MOST_SLOTS, NAMES_FIT

        places = {("station", "name"): station, **{("models", model): model for model in models}}
        for path, text in places.items():
            if len(text) > MOST_NAME:
                yield Finding(
                    path, f"its name has {len(text)} letters; {NAMES_FIT}: a shorter name, or no [servers.{name}]"
                )
        if len(models) > MOST_SLOTS:
            yield Finding(("servers", name), f"there are {len(models)} models; {NAMES_FIT}: two stations")

    def make(self, offer: Offer) -> FleetAgent:
        """The agent."""
        from plc_bindings.security.signing import PublicKey
        from station.fleet.driver import FleetAgent, FleetOptions
        from station.fleet.plant import StationPlant

        options = FleetOptions(
            station=offer.station,
            broker=self.options(f"{self.topic.replace('/', '-')}-{offer.station}", offer.folder),
            folder=offer.folder / self.folder,
            keys=tuple(PublicKey.parse(text) for text in self.keys),
            sources=self.sources,
            labels=self.labels,
            topic=self.topic,
            login=lambda: self.login(offer.folder),
            source_ca_file=self.source_ca(offer.folder),
        )
        plant = StationPlant(offer.page, offer.uploads, self.reaction_ns or 0)
        return FleetAgent(options, plant, offer.audit, offer.record_change)


TABLES = (FleetServerTable,)
