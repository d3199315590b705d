"""What the demo's PLC program speaks. Imports nothing: help shows it."""

from __future__ import annotations

from enum import StrEnum


class PlcProtocol(StrEnum):
    """What the demo's PLC program speaks."""

    ads = "ads"
    modbus = "modbus"
