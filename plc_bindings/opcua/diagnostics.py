"""Server/ServerStatus and Server/ServerDiagnostics, as the standard's nodes: the clock, and how many there are of what.

OPC 10000-5, 12.9 (ServerDiagnosticsSummaryDataType). Counts of what came before are those since the start.
"""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any, Final

from asyncua import ua
from asyncua.common.node import Node as UaNode

from plc_bindings.opcua.words import standard

_IDS: Final = ua.ObjectIds
_SUMMARY: Final = "Server_ServerDiagnostics_ServerDiagnosticsSummary"


class Diagnostics:
    """Keeps the nodes of one server up to date, once a second. `engine`: that server."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.counts: Any = ua.ServerDiagnosticsSummaryDataType()
        self._written: Any = None

    async def open(self) -> None:
        """They are kept."""
        await self._write("Server_ServerDiagnostics_EnabledFlag", ua.Variant(True, ua.VariantType.Boolean))

    async def tick(self) -> None:
        """Now."""
        engine, counts = self._engine, self.counts
        status = await engine.server_status_node.read_value()
        status.CurrentTime = datetime.now(UTC)
        await engine.server_status_node.write_value(status)
        await engine.current_time_node.write_value(status.CurrentTime)
        subscriptions: Any = engine.subscriptions.subscriptions.values()
        counts.CurrentSessionCount, counts.CurrentSubscriptionCount = engine.sessions, len(subscriptions)
        counts.PublishingIntervalCount = len({one.data.RevisedPublishingInterval for one in subscriptions})
        if counts == self._written:
            return
        told = replace(counts)
        for one in fields(told):
            await self._write(f"{_SUMMARY}_{one.name}", ua.Variant(getattr(told, one.name), ua.VariantType.UInt32))
        await self._write(_SUMMARY, ua.Variant(told, ua.VariantType.ExtensionObject))
        self._written = told

    async def _write(self, name: str, value: ua.Variant) -> None:
        await UaNode(self._engine.isession, standard(getattr(_IDS, name))).write_value(value)
