"""What one MQTT server is told: which broker, which payload, what is published, how much waits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from plc_bindings.mqtt.broker import BrokerOptions


@dataclass(frozen=True, slots=True)
class MqttOptions:
    """One server.

    Args:
        payload, group, node: see `sparkplug`; `plain` has `group` for its prefix, and `node` below it.
        host: id of Sparkplug's primary host; empty: there is none.
        publish: patterns of names. deadband: pattern -> how much a value may differ from the one that was sent last.
        period_s: how often values are looked at. refresh_s: how often they are sent although nothing is new; 0: never.
        store_bytes, store_file: see `store`.
    """

    broker: BrokerOptions
    payload: Literal["sparkplug", "json"] = "sparkplug"
    group: str = "rt-engine"
    node: str = "station"
    host: str = ""
    publish: tuple[str, ...] = ("Tags.*",)
    deadband: Mapping[str, float] = field(default_factory=dict)
    period_s: float = 1.0
    refresh_s: float = 0.0
    store_bytes: int = 16 << 20
    store_file: Path | None = None
