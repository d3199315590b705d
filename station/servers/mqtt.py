"""Servers of type "mqtt": values of the station for a message bus, as Sparkplug B or as plain JSON topics (docs/mqtt.md)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field

from station.servers import Offer
from station.servers.shared.broker import BrokerServerTable
from station.terms.findings import Finding
from station.terms.recorder import Size
from station.terms.tables import Array, Duration

if TYPE_CHECKING:
    from plc_bindings.mqtt.server import MqttServer

ORDER = 50
NS: Final = 1e9
LEAST_PERIOD_NS: Final = 10_000_000
_NAME_OF_STATION: Final = "(the station's name)"
_ID: Final = r"^[^+#/\x00-\x1f]*$"
_TOPIC: Final = re.compile(r"[^+#\x00-\x1f]+")


class MqttServerTable(BrokerServerTable):
    """A client of an MQTT broker that publishes the station's values, keeps them while the broker is away, and takes commands."""

    type: Literal["mqtt"]
    payload: Literal["sparkplug", "json"] = Field(
        default="sparkplug",
        description='"sparkplug": Sparkplug B 3.0, the station an edge node, its links devices; "json": a topic for each value.',
    )
    group: str = Field(
        default="rt-engine", description="Sparkplug's group id; of JSON topics what they begin with, also with `/`."
    )
    node: str = Field(
        default="",
        pattern=_ID,
        description="Sparkplug's edge node id, the next part of JSON topics; left out: station.name.",
    )
    primary_host: str = Field(
        default="",
        pattern=_ID,
        description="Host id of Sparkplug's primary host: while it is not online, values wait here. Left out: there is none.",
    )
    client_id: str = Field(
        default="", max_length=128, description="At the broker, of this station alone; left out: group and node."
    )
    version: Literal["5", "3.1.1"] = Field(default="5", description="Of MQTT.")
    keepalive_ns: Duration = Field(  # type: ignore[assignment]
        default="20 s",
        alias="keepalive",
        description="A broker that says nothing for twice as long is lost; 1 s to 1 h.",
    )
    publish: Annotated[tuple[str, ...], Array] = Field(
        default=("Tags.*",),
        description='What is published: names as `rt-engine symbols` lists them, `*` for any part: "Tags.*", "Tasks.*.WakeUp.*". '
        "What is writable is published too.",
    )
    period_ns: Duration = Field(  # type: ignore[assignment]
        default="1 s",
        alias="period",
        description="How often values are looked at; what is new is sent. 10 ms at least.",
    )
    refresh_ns: Duration | None = Field(
        default=None,
        alias="refresh",
        description="All values are sent so often although nothing is new; left out: never.",
    )
    deadband: dict[str, float] = Field(
        default={},
        description='Name or pattern -> by how much a value must differ from the one sent last: `{ "Tags.temperature" = 0.5 }`; '
        "the first that means it counts. Left out: any change is sent.",
    )
    store: Size = Field(  # type: ignore[assignment]
        default="16 MB",
        description="So much waits in memory while the broker is away; the oldest go first, and are counted.",
    )
    store_file: str = Field(
        default="",
        description="File, relative to this one, in which it survives a restart; it takes up to twice `store`. Left out: none.",
    )
    requests_per_second: int = Field(default=100, ge=1, le=1_000_000, description="Commands, at most.")

    def place(self) -> str:
        """`mqtt sparkplug at mqtts://broker.plant.example:8883, rt-engine/press`."""
        return f"mqtt {self.payload} at {self.url}, {self.group}/{self.node or _NAME_OF_STATION}"

    def findings(self, name: str, folder: Path) -> Iterator[Finding]:
        """Also: times, ids and numbers that MQTT and Sparkplug have no place for."""
        path = ("servers", name)
        yield from super().findings(name, folder)
        if self.period_ns < LEAST_PERIOD_NS:
            yield Finding((*path, "period"), "expected 10 ms at least: each look costs the servers' thread some time")
        if not NS <= self.keepalive_ns <= 3600 * NS:
            yield Finding((*path, "keepalive"), "expected 1 s to 1 h")
        if not self.publish and not self.writable:
            yield Finding((*path, "publish"), 'publishes nothing: publish = ["Tags.*"]')
        if not _TOPIC.fullmatch(self.group) or (self.payload == "sparkplug" and "/" in self.group):
            where = "no `+`, `#` or `/`" if self.payload == "sparkplug" else "no `+` or `#`"
            yield Finding((*path, "group"), f'"{self.group}" cannot stand in topics: {where}, and not empty')
        if self.primary_host and self.payload == "json":
            yield Finding((*path, "primary_host"), 'is Sparkplug\'s; payload = "sparkplug"')
        for pattern, width in self.deadband.items():
            if not (math.isfinite(width) and width >= 0):
                yield Finding((*path, "deadband", pattern), f"{width} is no width; expected a number from 0")

    def make(self, offer: Offer) -> MqttServer:
        """The server."""
        from plc_bindings.mqtt.options import MqttOptions
        from plc_bindings.mqtt.server import MqttServer

        node = self.node or offer.station
        broker = self.options(
            self.client_id or f"{self.group.replace('/', '-')}-{node}",
            offer.folder,
            keepalive_s=round(self.keepalive_ns / NS),
            version=self.version,
        )
        options = MqttOptions(
            broker,
            self.payload,
            self.group,
            node,
            self.primary_host,
            self.publish,
            self.deadband,
            self.period_ns / NS,
            (self.refresh_ns or 0) / NS,
            self.store,
            offer.folder / self.store_file if self.store_file else None,
        )
        avoid = offer.page.avoid if offer.page is not None else frozenset()
        return MqttServer(offer.database, options, self.access(offer.audit), avoid)


TABLES = (MqttServerTable,)
