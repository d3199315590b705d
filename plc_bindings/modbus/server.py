"""The Modbus server: connections whose conversation is a `ModbusStream`, over TCP or TLS; or a serial line."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from plc_bindings.calls.pace import Paces
from plc_bindings.calls.predict import Predictor
from plc_bindings.calls.replay import ReplaySelector
from plc_bindings.data.database import Database, Session
from plc_bindings.data.models import Models
from plc_bindings.modbus.map import RegisterMap
from plc_bindings.modbus.options import ModbusOptions, Rtu, Tcp, Tls
from plc_bindings.modbus.plan import Planner
from plc_bindings.modbus.repeated import ModbusRepeatedCalls
from plc_bindings.modbus.serial_line import SerialLine
from plc_bindings.modbus.session import ModbusSession
from plc_bindings.modbus.stream import ModbusStream
from plc_bindings.net.connection import ConnectionServer, Rules
from plc_bindings.net.gate import Gate, tls_context
from plc_bindings.net.serving import ServerStatus
from plc_bindings.security.access import Access, Client

HANDSHAKE_S: Final = 5.0
RULES: Final = Rules(
    keep_alive={"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3},
    stuck=("connection", "closed: fetches no answers"),
    idle=("connection", "closed: idle"),
)
"""A client that vanished is noticed within 25 s."""


class ModbusServer(ConnectionServer):
    """Serves a database and models to Modbus clients; see `plc_bindings.net.serving.Server`.

    Raises:
        MapError: the station has more values than Modbus has addresses.
    """

    def __init__(
        self, database: Database, models: Models, options: ModbusOptions | None = None, access: Access | None = None
    ) -> None:
        self.options = options or ModbusOptions()
        rules = replace(RULES, stuck_s=self.options.stuck_s, idle_s=self.options.idle_s)
        super().__init__(access or Access(), rules, "modbus-model")
        self.map = RegisterMap(database, models)
        self._models, self._writable, self._paces = models, database.writable(self.access.writable), Paces()
        self._planner = Planner(self.map, self._writable, self.options.order)
        self._objects = self.options.identity.objects()
        self._line: SerialLine | None = None

    async def start(self) -> None:
        """Listen; raises `OSError` when that cannot be had."""
        transport = self.options.transport
        if isinstance(transport, Rtu):
            self._open(transport)
            return
        make: Callable[[], Gate] | None = None
        if isinstance(transport, Tls):
            context = tls_context(transport.certificate, transport.key, transport.ca)
            make = functools.partial(Gate, self.access, context, HANDSHAKE_S, self.connection)
        await self.listen(transport.host, transport.port, make)

    async def stop(self) -> None:
        """Close the line and every connection."""
        if self._line is not None:
            self._line.close()
            self.access.release(self._line.client)
        await super().stop()

    def status(self) -> ServerStatus:
        """How it does."""
        kind = f"modbus-{type(self.options.transport).__name__.lower()}"
        return self.status_of(kind, self._line.requests if self._line is not None else 0)

    def conversation(self, client: Client, host: str) -> ModbusStream:
        """With a new client."""

        def broken(why: str) -> None:
            self.access.audit(client.name, "frame", f"closed: {why}")

        return ModbusStream(self._session(client), client, self.options.unit, broken)

    def repeated(
        self,
        conversation: ModbusStream,
        selector: ReplaySelector,
        fd: int,
        client: Client,
        write: Callable[[bytes], None],
    ) -> ModbusRepeatedCalls:
        """Its calls, for replays."""
        return ModbusRepeatedCalls(conversation.session, self.options.order, selector, fd, client, write)

    def _session(self, client: Client) -> ModbusSession:
        def refused(what: str) -> None:
            self.access.audit(client.name, what, "refused")

        values = Session(self.map.database, self._writable, refused, client.name)
        predictor = Predictor(self._models, self.access.limits.batch, self._paces)
        return ModbusSession(self._planner, values, predictor, self._objects, refused)

    def _open(self, transport: Rtu) -> None:
        client = self.access.admit("")
        if client is None:
            raise OSError(f"{transport.device}: a serial line has no certificates, and may have one server only")
        note = functools.partial(self.access.audit, client.name)
        session, pool = self._session(client), self.open_pool()
        self._line = SerialLine(transport, self.options.unit, session, pool, client, note)
        self._line.open()
        self.address = transport.device


__all__ = ["ModbusOptions", "ModbusServer", "Rtu", "Tcp", "Tls"]
