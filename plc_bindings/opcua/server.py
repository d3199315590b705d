"""The OPC UA server: a thread of its own, in it asyncua's engine on our tree. See `plc_bindings.net.apart`.

It listens at once; the address space, which takes seconds of a processor to fill, is filled behind that: who connects earlier waits.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Final

from fieldbus.errors import ConfigurationError, UntrustedError
from fieldbus.opcua.certificates import Certificates, Own
from plc_bindings.data.database import Database
from plc_bindings.data.models import Models
from plc_bindings.net.apart import BACKLOG, Apart
from plc_bindings.opcua.build import Plate, tree_of
from plc_bindings.opcua.connection import Connection, Turnstile, silence
from plc_bindings.opcua.engine import Engine
from plc_bindings.opcua.files import Transfers
from plc_bindings.opcua.options import OpcUaOptions
from plc_bindings.opcua.reading import Reading
from plc_bindings.opcua.space import NAMESPACE
from plc_bindings.security.access import Access
from plc_bindings.security.updates import Updates

NICE: Final = 0
"""No further back than others: whoever holds the interpreter and gets no processor keeps all threads of Python waiting."""
LOOK_S: Final = 1.0


class OpcUaServer(Apart):
    """See `plc_bindings.net.serving.Server`.

    Args:
        database: what clients see.
        models: what they call.
        options: where it is, who may what.
        access: who may connect, and what is writable.
        uploads: what takes the files of models; None: nothing does.
    """

    def __init__(
        self,
        database: Database,
        models: Models,
        options: OpcUaOptions | None = None,
        access: Access | None = None,
        uploads: Updates | None = None,
    ) -> None:
        self.options = options or OpcUaOptions()
        super().__init__("opcua", self.options.host, self.options.port, access or Access(), NICE)
        self._database, self._models = database, models
        self._transfers = Transfers(uploads)
        slots = uploads.slots if uploads is not None else ()
        plate = Plate(self.options.station, self.options.identification, slots, self._transfers.shown)
        self.tree = tree_of(database, models, database.writable(self.access.writable), plate)
        self._folder = Certificates(self.options.certificates) if self.options.certificates is not None else None
        self._own: Own | None = None
        self._servers: asyncio.AbstractEventLoop | None = None
        self._connections: set[Connection] = set()
        self._told_of: set[Path] = set()
        """Lists of revoked certificates that are too old."""
        self._answered = 0
        silence()

    # --- what `Apart` asks --------------------------------------------------------------------------------------------

    @property
    def requests(self) -> int:
        """So many came until now."""
        return self._answered

    @property
    def said(self) -> str:
        """`opcua opc.tcp://`."""
        return "opcua opc.tcp://"

    def avoid(self) -> Collection[int]:
        """Processors that belong to tasks."""
        return self.options.avoid

    def prepare(self) -> None:
        """Its certificate must be there."""
        self._servers = asyncio.get_running_loop()
        if self._folder is not None:
            try:
                self._own = self._folder.own()
            except ConfigurationError as error:
                raise OSError(str(error)) from error
            if self._own.uri == NAMESPACE:
                raise OSError(
                    f"its certificate is for the URI {NAMESPACE}, which names the values of every station: make one with another "
                    "(rt-engine opcua certificate --uri)"
                )

    async def serve(self, listener: socket.socket, begun: Callable[[], None], done: asyncio.Event) -> None:
        """Serve until `done`."""
        assert self._servers is not None
        begun()
        reading = Reading(self._database, self._servers)
        engine = Engine(self._told(), self.tree, self._models, reading, self._transfers, self.access)
        await self._open(engine)
        turnstile = Turnstile()

        def make() -> Connection:
            return Connection(engine, self.access, turnstile, self._connections, self._count)

        server = await asyncio.get_running_loop().create_server(make, sock=listener, backlog=BACKLOG)
        beside = [asyncio.create_task(work) for work in (engine.tick(), self._look())]
        await done.wait()
        server.close()
        for work in beside:
            work.cancel()
        for connection in tuple(self._connections):
            connection.close()
        await engine.close()

    # --- in its thread ------------------------------------------------------------------------------------------------

    def _count(self) -> None:
        self._answered += 1

    def _told(self) -> OpcUaOptions:
        """With the URI that our certificate has."""
        from dataclasses import replace

        return replace(self.options, application_uri=self._own.uri) if self._own is not None else self.options

    async def _open(self, engine: Engine) -> None:
        host, port = self.address
        url = f"opc.tcp://[{host}]:{port}/" if ":" in host else f"opc.tcp://{host}:{port}/"
        key: Any = None
        if self._own is not None:
            from cryptography.hazmat.primitives.serialization import load_pem_private_key

            key = load_pem_private_key(self._own.key_path.read_bytes(), None)
        await engine.open(self._own.certificate if self._own is not None else None, key, self._believes, url)

    def _believes(self, der: bytes, uri: str | None, address: str) -> str:
        """Why a client's certificate is not good; the status' name, after a line in the audit log. Any thread."""
        if self._folder is None:
            return ""
        try:
            self._folder.check(der, uri)
        except UntrustedError as error:
            self._tell(address, f"refused: {error}")
            return error.status
        for path, until in self._folder.overdue():
            if path not in self._told_of:
                self._told_of.add(path)
                self._tell(path.name, f"was to be renewed by {until:%Y-%m-%d}: who was revoked later is let in")
        return ""

    def _tell(self, who: str, outcome: str) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self.access.audit, who, "certificate", outcome)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            now = time.monotonic()
            for connection in tuple(self._connections):
                connection.look(now)
